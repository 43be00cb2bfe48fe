"""The allowance under both rules, by a clock that the test moves."""

from __future__ import annotations

import datetime

import pytest

from modelscope_transport.emulator import Allowance
from modelscope_transport.emulator.catalogue import catalogue
from modelscope_transport.emulator.quota import Meter

MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
LITE, ULTRA = "nex-agi/Nex-N2.5-mini", "Qwen/Qwen3.5-397B-A17B"
UTC8 = datetime.timezone(datetime.timedelta(hours=8))


class Clock:
    """A time of day in UTC+8 that stands still until it is moved."""

    def __init__(self, hour: int = 12, minute: int = 0) -> None:
        self.now = datetime.datetime(2026, 7, 1, hour, minute, tzinfo=UTC8)

    def __call__(self) -> float:
        return self.now.timestamp()

    def move(self, **delta: float) -> None:
        self.now += datetime.timedelta(**delta)


def test_the_account_s_calls_of_a_day(call):
    caller = call(allowance=Allowance(calls_per_day=2))
    assert [caller.chat().status for _ in range(3)] == [200, 200, 429]
    answered = caller.chat(model=LITE)
    assert answered.json["errors"]["message"] == "Request limit exceeded."


def test_a_model_s_calls_of_a_day(call):
    caller = call(allowance=Allowance(calls_per_model=1))
    assert caller.chat().status == 200
    assert caller.chat().error == (
        f"You have exceeded today's quota for model {MODEL}, "
        "please try again tomorrow, or consider using other models"
    )
    assert caller.chat(model=LITE).status == 200


def test_models_may_have_different_numbers(call):
    caller = call(allowance=Allowance(calls_per_model={MODEL: 1}))
    assert [caller.chat().status for _ in range(2)] == [200, 429]
    assert [caller.chat(model=LITE).status for _ in range(2)] == [200, 200]


def test_a_day_begins_at_midnight_of_utc_plus_8(call):
    clock = Clock(23, 59)
    caller = call(allowance="calls=1", clock=clock)
    assert [caller.chat().status for _ in range(2)] == [200, 429]
    clock.move(seconds=59)
    assert caller.chat().status == 429
    clock.move(seconds=1)
    assert [caller.chat().status for _ in range(2)] == [200, 429]


def test_magicubes_are_paid_by_the_tier(call):
    caller = call(allowance=Allowance(magicubes=3.5))
    assert balance(caller) == 3.5
    assert caller.chat(model=ULTRA, enable_thinking=False).status == 200
    assert balance(caller) == 1.5
    assert caller.chat().status == 200
    assert balance(caller) == 0.5
    assert caller.chat().json == {"error": {"message": "insufficient balance"}}
    assert caller.chat(model=LITE).status == 200
    assert balance(caller) == 0


def test_what_is_not_limited_becomes_less_by_what_is_spent(call):
    caller = call()
    before = balance(caller)
    caller.chat(model=ULTRA, enable_thinking=False)
    caller.chat()
    assert balance(caller) == before - 3


def balance(caller):
    return caller.request("GET", "/openapi/v1/magicubes/balance").json["data"]["total_balance"]


def test_a_grant_lives_for_24_hours_from_its_first_call(call):
    clock = Clock(20)
    caller = call(allowance="magicubes=1", clock=clock)
    assert [caller.chat().status for _ in range(2)] == [200, 429]
    clock.move(hours=23, minutes=59)  # midnight does not matter
    assert caller.chat().status == 429
    clock.move(minutes=1)
    assert [caller.chat().status for _ in range(2)] == [200, 429]


def test_the_old_headers_tell_what_is_left(call):
    caller = call(allowance="calls=20,per-model=5,headers")
    answered = caller.stream()
    told = {
        name.removeprefix("modelscope-ratelimit-"): value
        for name, value in answered.headers.items()
        if name.startswith("modelscope-ratelimit-")
    }
    assert told == {
        "requests-limit": "20",
        "requests-remaining": "19",
        "model-requests-limit": "5",
        "model-requests-remaining": "4",
    }


def test_the_old_headers_stand_on_a_429_too_and_on_nothing_unless_asked_for(call):
    spent = call(allowance="calls=0,headers").chat()
    assert spent.status == 429
    assert spent.headers["modelscope-ratelimit-requests-remaining"] == "0"
    assert not [name for name in call(allowance="calls=1").chat().headers if "ratelimit" in name]


def test_what_fails_is_not_charged(call):
    caller = call(allowance="calls=1")
    caller.service.next("server_error", "shell", "throttled")
    statuses = [caller.chat().status for _ in range(3)]
    assert caller.chat(temperature=9).status == 400
    assert caller.chat(messages=None).json["choices"] is None
    assert [*statuses, caller.chat().status] == [500, 200, 429, 200]


def test_embeddings_are_charged(call):
    caller = call(allowance="calls=1")
    assert [caller.embed("a").status for _ in range(2)] == [200, 429]


def test_too_many_calls_at_once_to_a_model(call):
    caller = call(allowance="concurrency=1", scenario="stall")
    with caller.open(stream=True) as wire:
        assert b"200 OK" in wire.recv(4096)
        caller.service.next("honest", "honest")
        answered = caller.chat()
        assert answered.status == 429
        assert answered.error.startswith(f"We have to rate limit you for model {MODEL}.")
        assert caller.chat(model=LITE).status == 200


def test_a_call_gives_its_place_back_when_its_stream_has_ended(call):
    caller = call(allowance="concurrency=1")
    assert [caller.stream().status for _ in range(20)] == [200] * 20


def test_reset_forgets_what_was_spent(call):
    caller = call(allowance="calls=1")
    assert [caller.chat().status for _ in range(2)] == [200, 429]
    caller.service.reset()
    assert caller.chat().status == 200


def test_the_text_form_of_an_allowance():
    assert Allowance.parse("calls=20, per-model=5,magicubes=2.5,headers,concurrency=2") == (
        Allowance(20, 5, 2.5, headers=True, concurrency=2)
    )
    assert Allowance.parse("") == Allowance()


@pytest.mark.parametrize("text", ["call=20", "calls=many", "calls", "calls=-1", "calls=2,what=1"])
def test_a_wrong_text_of_an_allowance_is_told(text):
    with pytest.raises(ValueError, match=r"calls|call|what"):
        Allowance.parse(text)


def test_the_account_s_endpoints_need_a_token(call):
    caller = call()
    for path in ("/openapi/v1/magicubes/balance", "/openapi/v1/users/me"):
        assert caller.request("GET", path).json["success"] is True
        refused = caller.request("GET", path, token=None)
        assert (refused.status, refused.json["code"]) == (401, "InvalidAuthentication")


def test_the_price_of_a_model_needs_none(call):
    path = "/api/v1/inference/list_model_providers?ModelId="
    provider = call().request("GET", path + ULTRA, token=None).json["Data"]["Providers"][0]
    assert (provider["CostTier"], provider["EstimatedMagicGrainCost"]) == ("ultra", 2)
    assert call().request("GET", path + "Qwen/Nothing").status == 500


def books(caller, path):
    return caller.request("GET", f"/openapi/v1/magicubes/{path}").json["data"]


def test_prices_and_what_was_spent_and_granted(call):
    clock = Clock()
    caller = call(allowance="magicubes=200,sign-in", clock=clock)
    rates = {row["model_tier"]: row["unit_price"] for row in books(caller, "spend/rates")["rates"]}
    assert rates == {"discount": 0.2, "lite": 0.5, "standard": 1, "ultra": 2}
    assert caller.chat().error == "insufficient balance"
    assert books(caller, "earn/rules")["rules"][0]["today_earned_amount"] == 0

    assert caller.service.meter.sign_in() == 200
    assert caller.service.meter.sign_in() == 0  # once a day
    assert books(caller, "earn/rules")["rules"][0]["today_earned_amount"] == 200
    for model in ("Qwen-Ambassador/Qwen3.7-Plus", ULTRA, ULTRA):
        assert caller.chat(model=model).status == 200

    spent = books(caller, "transactions?type=SPEND_CONFIRM&page=1&page_size=2")
    assert [(row["model_tier"], row["total_amount"]) for row in spent["records"]] == [
        ("ultra", 2),
        ("ultra", 2),
    ]
    assert spent["records"][0]["gmt_created"] == "2026-07-01 12:00:00"
    (earned,) = books(caller, "transactions?type=EARN")["records"]
    assert earned["total_amount"] == 200
    assert books(caller, "balance") == {
        "total_balance": 195.8,
        "available_balance": 195.8,
        "frozen_amount": 0,
    }
    clock.move(hours=24)
    assert books(caller, "balance")["available_balance"] == 0


def test_a_call_that_runs_is_frozen(call):
    caller = call(allowance="magicubes=10")
    caller.service.meter.running[ULTRA] += 1
    assert books(caller, "balance")["frozen_amount"] == 2


def test_a_call_that_fails_after_midnight_is_taken_back_from_its_own_day():
    clock = Clock(23, 59)
    meter, model = Meter(Allowance(calls_per_day=1), clock), catalogue()[MODEL]
    charge = meter.charge(model)
    clock.move(minutes=2)
    meter.refund(charge)
    meter.charge(model)
    assert meter.refusal(model).status == 429


def test_what_is_refunded_lapses_with_the_grant_that_it_came_from():
    clock = Clock()
    meter = Meter(Allowance(magicubes=10, sign_in=True), clock)
    meter.grant(1, hours=1)
    meter.grant(1, hours=24)
    meter.refund(meter.charge(catalogue()[ULTRA]))
    assert meter.balance() == 2
    clock.move(hours=1)
    assert meter.balance() == 1


def test_nothing_is_refunded_of_what_was_forgotten():
    meter, model = Meter(Allowance(calls_per_day=1), Clock()), catalogue()[MODEL]
    charge = meter.charge(model)
    meter.reset()
    meter.refund(charge)
    meter.charge(model)
    assert meter.refusal(model).status == 429
