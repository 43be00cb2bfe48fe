"""Fresh processes on a new day: they ask the service for the time, wherever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport import (
    Budget,
    ChatRequest,
    Client,
    Message,
    Platform,
    QuotaExceededError,
    SQLiteLedger,
)
from modelscope_transport.emulator import LocalService
from modelscope_transport.quota import QuotaBlock
from modelscope_transport.quota.clock import ServiceClock
from tests.transport.quota.clockwork import Hands

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
DAY = 86_400.0


def ask(**how: Any) -> ChatRequest:
    return ChatRequest(model=QWEN, messages=(Message("user", "What is 2 plus 3?"),), **how)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """What all clocks show, the service's and the host's; whoever sleeps moves it."""
    clock = Hands()

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", sleep)
    return clock


@pytest.fixture
def service(clock: Hands) -> Iterator[LocalService]:
    with LocalService(clock=clock) as service:
        yield service


@pytest.fixture
def gateway(service: LocalService, monkeypatch: pytest.MonkeyPatch) -> LocalService:
    """A service whose hub nobody knows."""
    monkeypatch.setattr("modelscope_transport.client.core.hub_url", lambda _: None)
    return service


@pytest.fixture
def process(clock: Hands, tmp_path: Path) -> Callable[..., Client]:
    """Makes what a fresh process has: a client, and a ledger that has heard nothing yet."""

    def begin(service: LocalService, ahead: float = 0.0, **how: Any) -> Client:
        wall = Hands(clock.now + ahead)
        ledger = SQLiteLedger(tmp_path / "ledger.db", ServiceClock(wall, clock))
        settings: dict[str, Any] = {"max_retries": 0, "ledger": ledger, **how}
        return Client(service.token, base_url=service.base_url, **settings)

    return begin


def paid(service: LocalService) -> int:
    return sum(request.method == "POST" for request in service.requests)


def test_a_budget_at_a_gateway_holds_each_day_in_every_process(
    gateway: LocalService, process: Callable[..., Client], clock: Hands
) -> None:
    budget = Budget(calls=2)
    for _ in range(3):
        for _ in range(2):
            assert process(gateway, budget=budget).chat(ask()).text
        with pytest.raises(QuotaExceededError) as caught:
            process(gateway, budget=budget).chat(ask())
        assert caught.value.reason == "budget_spent"
        clock.now += DAY
    assert paid(gateway) == 6


def test_a_fast_clock_opens_no_new_day_at_a_gateway(
    gateway: LocalService, process: Callable[..., Client]
) -> None:
    budget = Budget(calls=1)
    assert process(gateway, budget=budget).chat(ask()).text
    with pytest.raises(QuotaExceededError) as caught:
        process(gateway, budget=budget, ahead=DAY).chat(ask())
    assert caught.value.reason == "budget_spent"
    assert paid(gateway) == 1


def test_a_platforms_cap_holds_each_day_in_every_process(
    service: LocalService, process: Callable[..., Client], clock: Hands
) -> None:
    with LocalService(clock=clock) as other:
        platform = Platform(other.base_url, models={"*": QWEN}, max_calls=2, api_key=other.token)
        for day in range(3):
            for _ in range(2):
                service.next("model_spent")
                assert process(service, platforms=[platform]).chat(ask()).text
            with pytest.raises(QuotaExceededError):
                process(service, platforms=[platform]).chat(ask())
            assert paid(other) == 2 * (day + 1)
            assert {request.headers["authorization"] for request in other.requests} == {
                f"Bearer {other.token}"
            }
            clock.now += DAY


@pytest.mark.parametrize("max_retries", [0, 2])
def test_a_call_waits_while_another_process_asks_for_the_time(
    service: LocalService,
    process: Callable[..., Client],
    clock: Hands,
    monkeypatch: pytest.MonkeyPatch,
    max_retries: int,
) -> None:
    budget = Budget(calls=1)
    process(service, budget=budget).chat(ask())
    clock.now += DAY
    begun, asking = clock.now, process(service).ledger
    assert asking is not None
    client = process(service, budget=budget, max_retries=max_retries)
    refused = asking.reserve(client.account, QWEN, budget=budget)
    assert isinstance(refused, QuotaBlock)
    assert refused.ask == "time"

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if clock.now - begun >= 3:
            asking.observe_time(client.account, clock.now)
            asking.price(client.account, None)  # what it has heard goes into the file

    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", sleep)
    assert client.chat(ask()).text
    assert clock.now - begun == 3
    assert [request.method for request in service.requests] == ["POST", "POST"]


def test_a_call_whose_deadline_is_nearer_waits_for_nobody(
    service: LocalService, process: Callable[..., Client], clock: Hands
) -> None:
    budget = Budget(calls=1)
    process(service, budget=budget).chat(ask())
    clock.now += DAY
    client, asking = process(service, budget=budget), process(service).ledger
    assert asking is not None
    asking.reserve(client.account, QWEN, budget=budget)
    begun = clock.now
    with pytest.raises(QuotaExceededError) as caught:
        client.chat(ask(timeout=0.9))
    assert caught.value.reason == "day_unconfirmed"
    assert clock.now == begun


def test_a_gateway_that_says_no_time_leaves_the_day_to_the_host(
    gateway: LocalService,
    process: Callable[..., Client],
    clock: Hands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modelscope_transport._wire.failures.read_date", lambda _: None)
    budget, begun = Budget(calls=1), clock.now
    for day in range(3):
        assert process(gateway, budget=budget).chat(ask()).text
        with pytest.raises(QuotaExceededError):
            process(gateway, budget=budget).chat(ask())
        assert clock.now - begun == day * DAY  # nobody has waited
        clock.now += DAY


def test_where_the_free_request_brings_no_reply_the_call_itself_is_made(
    gateway: LocalService,
    process: Callable[..., Client],
    clock: Hands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unanswered(*_: object, **__: object) -> Iterator[None]:
        yield from ()

    budget = Budget(calls=3)
    assert process(gateway, budget=budget).chat(ask()).text
    clock.now += DAY
    monkeypatch.setattr("modelscope_transport.calls.policy.request_free", unanswered)
    assert process(gateway, budget=budget).chat(ask()).text
    for _ in range(2):  # it has brought the time
        assert process(gateway, budget=budget).chat(ask()).text
    with pytest.raises(QuotaExceededError) as caught:
        process(gateway, budget=budget).chat(ask())
    assert caught.value.reason == "budget_spent"
