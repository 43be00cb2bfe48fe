"""The account's books, read free of charge: what the service says, beside what was counted here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from modelscope_transport import MemoryLedger, QuotaExceededError
from modelscope_transport.catalogue.models import profile_for
from modelscope_transport.emulator import LocalService
from modelscope_transport.emulator.answers import Reply
from modelscope_transport.emulator.routes import Route
from modelscope_transport.quota import UTC8, Difference, Statement
from tests.transport.callers import CHAT, AsyncCaller, Caller
from tests.transport.quota.clockwork import MORNING, Hands

FLAGSHIP = "Qwen/Qwen3.5-397B-A17B"
TODAY = datetime.fromtimestamp(MORNING, UTC8).date().isoformat()


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def service(clock: Hands) -> Iterator[LocalService]:
    with LocalService(clock=clock, allowance="magicubes=200,sign-in") as service:
        service.meter.grant(20)
        yield service


@pytest.fixture(params=[Caller, AsyncCaller], ids=["sync", "async"])
def user(request: pytest.FixtureRequest, service: LocalService, clock: Hands) -> Iterator[Caller]:
    with request.param(service, ledger=MemoryLedger(clock)) as made:
        yield made


def statement(user: Caller) -> Statement:
    if isinstance(user, AsyncCaller):
        return asyncio.run(user.client.aio.statement())
    return user.client.statement()


def paid(service: LocalService) -> int:
    return sum(request.method == "POST" for request in service.requests)


def test_what_the_service_says_and_what_was_counted_here(
    user: Caller, service: LocalService
) -> None:
    user.chat()
    user.chat(model=FLAGSHIP)
    service.meter.charge(service.models[FLAGSHIP])  # by a program that shares no ledger
    service.meter.running[CHAT] += 1
    found = statement(user)
    service.meter.running[CHAT] -= 1

    assert paid(service) == 2
    assert (found.balance, found.frozen) == (15, 1)
    assert found.observed_at == datetime.fromtimestamp(MORNING, UTC8)
    assert found.rates == {"discount": 0.2, "lite": 0.5, "standard": 1, "ultra": 2}
    assert found.unfetched == 200
    assert found.differences == (Difference(TODAY, "ultra", 2, 1),)
    service.meter.sign_in()
    assert statement(user).unfetched == 0


def test_what_the_service_tells_decides_from_then_on(user: Caller, service: LocalService) -> None:
    service.meter.lots.clear()
    with pytest.raises(QuotaExceededError):
        user.chat()
    service.meter.sign_in()
    statement(user)
    assert user.chat().text
    assert paid(service) == 2


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A cache of models that is gone with the test."""
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path))
        profile_for.cache_clear()
        yield
    profile_for.cache_clear()


@pytest.mark.usefixtures("nothing_kept")
def test_a_price_class_that_the_service_names_wins_over_the_table(
    user: Caller, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(service.models, CHAT, replace(service.models[CHAT], tier="discount"))
    user.client.model_status(CHAT)
    user.chat()
    (use,) = user.client.history(1)
    assert (use.magicubes, use.classes) == (0.2, {"discount": 1})


@pytest.mark.parametrize(
    "reply",
    [
        Reply(401, {"success": False, "code": "InvalidAuthentication"}),
        Reply(404, b"404 page not found"),
        Reply(200, {"success": True, "data": {"rates": 5, "records": None, "rules": "none"}}),
        Reply(200, b"<html>sign in</html>", {"content-type": "text/html"}),
        Reply(500, {"Code": 500}),
    ],
    ids=["401", "404", "odd shape", "page", "500"],
)
def test_all_of_it_is_optional(
    user: Caller, service: LocalService, reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.chat()

    async def answer(*_: object) -> Reply:
        return reply

    def find(request: object) -> Route:
        return Route("GET", "/", answer)

    monkeypatch.setattr("modelscope_transport.emulator.service.find_route", find)
    found = statement(user)
    monkeypatch.undo()

    assert (found.balance, found.rates, found.earnings, found.service_use) == (None, {}, (), ())
    assert [(use.price_class, use.calls) for use in found.own_use] == [("standard", 1)]
    assert user.chat().text


def test_a_day_that_may_go_on_behind_the_last_page_is_left_out(
    user: Caller, service: LocalService, clock: Hands
) -> None:
    cheap = service.models["Qwen-Ambassador/Qwen3.7-Plus"]

    def days() -> dict[str, int]:
        uses = statement(user).service_use
        return {day: sum(use.day == day for use in uses) for day in {use.day for use in uses}}

    for _ in range(349):
        service.meter.charge(cheap)
    clock.now += 86_400
    for _ in range(150):
        service.meter.charge(cheap)
    assert days() == {"2026-11-22": 349, "2026-11-23": 150}
    service.meter.charge(cheap)  # five full pages: nobody knows whether there is a sixth
    assert days() == {"2026-11-23": 151}


def test_a_plan_counts_its_days_by_the_service_not_by_this_host(user: Caller) -> None:
    if isinstance(user, AsyncCaller):
        plan = asyncio.run(user.client.aio.plan(700, FLAGSHIP))
    else:
        plan = user.client.plan(700, FLAGSHIP)
    assert plan.days is not None
    assert plan.days > 1
    done_on = datetime.fromtimestamp(MORNING, UTC8).date() + timedelta(days=plan.days - 1)
    assert plan.done_on == done_on
