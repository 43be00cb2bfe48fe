"""What costs nothing to ask: the balance, the models, their price, their page at the hub."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport._wire.catalogue import (
    balance,
    earnings,
    listed,
    listed_at,
    rates,
    spent,
    status,
    unknown,
)
from modelscope_transport._wire.encoded import Encoded
from modelscope_transport._wire.hub import model_page
from modelscope_transport._wire.outcomes import Failure, Reply
from modelscope_transport.quota import Balance, ClassUse, EarnRule
from tests.transport.recorded import sample

HUB = "https://modelscope.cn"
FLASH = "deepseek-ai/DeepSeek-V4.1-Flash"


def read(asked: Encoded, body: Any, code: int = 200, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = Reply(code, headers, content)
    return asked.read(reply) if 200 <= code < 300 else asked.refused(reply)


def recorded(name: str) -> bytes:
    return sample(f"catalogue/{name}").reply.body


def test_nothing_of_this_is_posted() -> None:
    for asked in (balance(HUB), listed(), status(HUB, FLASH), model_page(HUB, FLASH)):
        assert asked.body == b""


# --- the balance


def test_a_balance() -> None:
    assert read(balance(HUB), recorded("balance")) == Balance(available=143, total=143, frozen=0)
    assert balance(HUB).path == f"{HUB}/openapi/v1/magicubes/balance"


def test_halves_and_what_is_frozen() -> None:
    told = {"available_balance": 10.5, "frozen_amount": 2}
    assert read(balance(HUB), {"data": told}) == Balance(available=10.5, total=12.5, frozen=2)


@pytest.mark.parametrize("amount", ["nan", "inf", "-inf", 1.7e308, -1e13])
@pytest.mark.parametrize("name", ["available_balance", "total_balance", "frozen_amount"])
def test_what_no_balance_can_be_is_none(name: str, amount: object) -> None:
    told = {"available_balance": 5, "total_balance": 5, "frozen_amount": 0} | {name: amount}
    failure = read(balance(HUB), {"data": told})
    assert failure == Failure("a balance without numbers", unreadable=True)


def test_the_zeros_of_a_failure_are_no_balance() -> None:
    zeros = {"available_balance": 0, "total_balance": 0, "frozen_amount": 0}
    failure = read(balance(HUB), {"success": False, "code": "Internal", "data": zeros})
    assert isinstance(failure, Failure)
    assert (failure.code, failure.unreadable) == ("Internal", True)
    assert read(balance(HUB), {"success": True, "data": zeros}) == Balance(available=0, total=0)


@pytest.mark.parametrize("body", [recorded("balance_without_numbers"), b'{"data": {}}', b"{}"])
def test_a_success_without_numbers_is_no_balance(body: bytes) -> None:
    failure = read(balance(HUB), body)
    assert failure == Failure("a balance without numbers", unreadable=True)


# --- the models


def test_the_list_of_models() -> None:
    ids = (FLASH, "Qwen/Qwen3.5-122B-A10B", "ZhipuAI/GLM-5.2")
    assert read(listed(), recorded("models")) == ids
    date = "Sun, 09 Sep 2001 01:46:40 GMT"
    assert read(listed_at(), recorded("models"), date=date) == (ids, 1e9)
    assert read(listed_at(), recorded("models")) == (ids, None)


def test_entries_without_an_id_are_passed_over() -> None:
    assert read(listed(), {"data": [{"id": "a/b"}, {}, {"id": None}, {"id": ""}]}) == ("a/b",)


@pytest.mark.parametrize("body", [recorded("welcome"), b"{}", b"<html>", b""])
def test_what_is_no_list(body: bytes) -> None:
    for asked in (listed(), listed_at()):
        failure = read(asked, body)
        assert isinstance(failure, Failure)
        assert failure.unreadable


# --- one model


def test_a_model_with_its_price() -> None:
    ultra = read(status(HUB, FLASH), recorded("providers_ultra"))
    assert (ultra.served, ultra.tier, ultra.magicubes) == (True, "ultra", 2)
    assert ultra.providers == ("DashScope",)
    standard = read(status(HUB, FLASH), recorded("providers_standard"))
    assert (standard.tier, standard.magicubes, standard.providers) == ("standard", 1, ())


@pytest.mark.parametrize(("model", "withdrawn"), [(FLASH, True), ("nobody/knows", False)])
@pytest.mark.parametrize(
    ("name", "providers"),
    [("providers_none", ()), ("providers_of_others_only", ("Moonshot", "Moonshot-Coding"))],
)
def test_a_model_that_is_not_served(
    model: str, withdrawn: bool, name: str, providers: tuple[str, ...]
) -> None:
    found = read(status(HUB, model), recorded(name))
    assert (found.served, found.withdrawn, found.providers) == (False, withdrawn, providers)


def test_an_id_is_put_into_the_address_as_it_may_stand_there() -> None:
    path = status(HUB, "a/b&c=d e").path or ""
    assert path.endswith("?ModelId=a/b%26c%3Dd%20e")
    assert (model_page(HUB, "a/b?c#d").path or "").endswith("/api/v1/models/a/b%3Fc%23d")


def test_a_model_nobody_knows_is_told_what_is_like_it() -> None:
    found = unknown("Qwen/Qwen3-8b")
    assert found.served is None
    assert "Qwen/Qwen3-8B" in found.near


@pytest.mark.parametrize(
    "body",
    [
        {"Success": False, "Message": "no"},
        {"Data": {"Providers": []}, "Success": False, "Message": "no"},
    ],
)
def test_a_price_list_that_refuses(body: Any) -> None:
    assert read(status(HUB, FLASH), body) == Failure("no")


# --- the hub's page


def test_the_tasks_of_a_page() -> None:
    page = {"Data": {"Tasks": [{"Name": "text-generation"}, {"Name": None}, {}]}, "Success": True}
    assert read(model_page(HUB, FLASH), page) == ("text-generation",)
    assert read(model_page(HUB, FLASH), {"Data": {"Tasks": None}}) == ()


@pytest.mark.parametrize(
    "body", [{"Success": False, "Message": "no"}, {"Message": "no", "Data": None}]
)
def test_a_page_that_refuses(body: Any) -> None:
    assert read(model_page(HUB, FLASH), body) == Failure("no")


def test_a_page_that_is_not_there_is_told_from_a_failure() -> None:
    missing = read(model_page(HUB, "a/b"), {"Message": "no"}, 404)
    assert missing == Failure("no", code="unknown to the hub")
    assert read(model_page(HUB, "a/b"), {"Message": "no"}, 500) == Failure("no")


# --- anything at all

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = ["data", "Data", "Providers", "Tasks", "Name", "id", "available_balance", "Success"]
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=10,
)


@given(ANYTHING | st.binary(max_size=60))
def test_any_reply_is_read_or_a_failure(body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "replace")
    for asked in (balance(HUB), listed(), listed_at(), status(HUB, FLASH), model_page(HUB, FLASH)):
        found = read(asked, content)
        assert found is not None


# --- the account's books: undocumented, so whatever is odd is left out


def test_prices_by_class() -> None:
    rows = [
        {"scene": "api_inference", "model_tier": "discount", "unit_price": 0.2},
        {"scene": "api_inference", "model_tier": "lite", "unit_price": "0.5"},
        {"scene": "training", "model_tier": "lite", "unit_price": 9},
        {"model_tier": None, "unit_price": 1},
        {"model_tier": "odd", "unit_price": "much"},
        "no row",
    ]
    assert read(rates(HUB), {"data": {"rates": rows}}) == {"discount": 0.2, "lite": 0.5}


@pytest.mark.parametrize("price", [0, 0.04, -1, 1.7e308, "nan"])
def test_a_price_that_is_none_is_left_to_the_table(price: object) -> None:
    rows = [
        {"model_tier": "standard", "unit_price": price},
        {"model_tier": "lite", "unit_price": 0.1},
    ]
    assert read(rates(HUB), {"data": {"rates": rows}}) == {"lite": 0.1}


@pytest.mark.parametrize(
    "moment",
    ["2026-10-06 23:30:00", "2026-10-06T15:30:00Z", 1791300600000, 1791300600, "1791300600000"],
)
def test_what_was_spent_by_day_and_class(moment: object) -> None:
    row = {"gmt_created": moment, "model_tier": "ultra", "total_amount": -4, "count": 2}
    found = read(spent(HUB), {"data": {"records": [row, {"gmt_created": "once"}, 5]}})
    assert found == [ClassUse("2026-10-06", "ultra", 4.0, 2)]


def test_what_today_still_grants() -> None:
    rows = [{"rule_code": "daily_active", "daily_cap": 200, "today_earned_amount": None}, {}]
    (rule,) = read(earnings(HUB), {"data": {"rules": rows}}).rules
    assert rule == EarnRule("daily_active", 200, 0)
    assert rule.unfetched == 200


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"data": 5}', b"<html>", b'{"data": {"rates": 1}}']
)
def test_books_that_cannot_be_read_are_a_failure_and_no_error(body: bytes) -> None:
    for asked in (rates(HUB), spent(HUB), earnings(HUB)):
        assert isinstance(read(asked, body), Failure)
