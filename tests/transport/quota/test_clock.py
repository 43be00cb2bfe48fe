"""Setting the host's clock gives nothing for free."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelscope_transport.quota import (
    Budget,
    Closing,
    Ledger,
    QuotaBlock,
    Reservation,
    SQLiteLedger,
    next_reset,
)
from modelscope_transport.quota.clock import ServiceClock
from tests.transport.quota.clockwork import MORNING, Hands

HOUR = 3600.0


class Host:
    """A host whose clock can be set, and which knows how long it has been running."""

    def __init__(self) -> None:
        self.wall, self.running = Hands(), Hands(500.0)

    def pass_time(self, seconds: float) -> None:
        self.wall.now += seconds
        self.running.now += seconds

    def ledger(self, path: Path) -> Ledger:
        return SQLiteLedger(path, ServiceClock(self.wall, self.running))


@pytest.fixture
def host() -> Host:
    return Host()


def spend_all(ledger: Ledger, budget: Budget) -> int:
    calls = 0
    while isinstance(given := ledger.reserve("me", "a/b", budget=budget), Reservation):
        ledger.settle(given, Closing(charged=True))
        calls += 1
    return calls


@pytest.mark.parametrize("hours", [-2, -48, 26])
def test_a_clock_that_is_set_in_a_running_process_opens_no_new_day(
    host: Host, tmp_path: Path, hours: float
) -> None:
    ledger, budget = host.ledger(tmp_path / "ledger"), Budget(calls=10)
    assert spend_all(ledger, budget) == 10
    host.wall.now += hours * HOUR
    assert spend_all(ledger, budget) == 0


@pytest.mark.parametrize("hours", [-2, -9.9, -10.1])
def test_a_clock_that_was_set_back_gives_nothing_to_a_new_process_either(
    host: Host, tmp_path: Path, hours: float
) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=10)
    assert spend_all(host.ledger(path), budget) == 10
    host.wall.now += hours * HOUR
    assert spend_all(host.ledger(path), budget) == 0


def test_a_spent_pool_stays_shut_while_the_clock_goes_back_and_forth(
    host: Host, tmp_path: Path
) -> None:
    ledger = host.ledger(tmp_path / "ledger")
    given = ledger.reserve("me", "a/b")
    assert isinstance(given, Reservation)
    block = QuotaBlock(scope="account", model=None, blocked_until=next_reset(MORNING).timestamp())
    ledger.settle(given, Closing(charged=False, block=block))

    for hours in (26, -52, 26):
        host.wall.now += hours * HOUR
        assert isinstance(ledger.reserve("me", "a/b"), QuotaBlock)
    host.pass_time(14 * HOUR)
    assert isinstance(ledger.reserve("me", "a/b"), Reservation)


def test_a_reply_of_the_service_sets_the_clock(host: Host) -> None:
    host.wall.now -= 26 * HOUR  # the host believes in yesterday
    clock = ServiceClock(host.wall, host.running)
    clock.observe(MORNING)
    host.pass_time(HOUR)
    assert clock() == MORNING + HOUR


def test_a_reply_that_took_a_moment_moves_nothing(host: Host) -> None:
    clock = ServiceClock(host.wall, host.running)
    clock.observe(MORNING - 1)
    assert clock() == MORNING


def call(ledger: Ledger, at: float | None = None, budget: Budget | None = None) -> None:
    given = ledger.reserve("me", "a/b", budget=budget)
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=True, at=at))


def test_a_fresh_process_whose_clock_is_ahead_opens_no_day_and_is_to_ask_the_time(
    host: Host, tmp_path: Path
) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=5)
    ledger = host.ledger(path)
    for _ in range(5):
        call(ledger, MORNING, budget)
    host.wall.now += 15 * HOUR

    fresh, second = host.ledger(path), host.ledger(path)
    block = fresh.reserve("me", "a/b", budget=budget)
    assert isinstance(block, QuotaBlock)
    assert (block.reason, block.ask) == ("day", "time")
    other = second.reserve("me", "a/b", budget=budget)
    assert isinstance(other, QuotaBlock)
    # one process asks at a time, and the others wait for what it hears
    assert (other.reason, other.ask, other.pending, other.wait) == ("day", None, True, 1)

    fresh.observe_time("me", MORNING)
    block = fresh.reserve("me", "a/b", budget=budget)
    assert isinstance(block, QuotaBlock)
    assert block.reason == "budget"


def test_whoever_waits_for_a_process_that_died_while_it_asked_asks_itself(
    host: Host, tmp_path: Path
) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=5)
    call(host.ledger(path), MORNING, budget)
    host.pass_time(24 * HOUR)
    asked = host.ledger(path).reserve("me", "a/b", budget=budget)
    assert isinstance(asked, QuotaBlock)
    assert asked.ask == "time"
    host.pass_time(5)
    ledger = host.ledger(path)
    asked = ledger.reserve("me", "a/b", budget=budget)
    assert isinstance(asked, QuotaBlock)
    assert (asked.ask, asked.pending) == (None, True)
    host.pass_time(5)
    asked = ledger.reserve("me", "a/b", budget=budget)
    assert isinstance(asked, QuotaBlock)
    assert (asked.ask, asked.pending) == ("time", False)


def test_a_new_day_is_opened_by_the_service_for_all(host: Host, tmp_path: Path) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=5)
    assert spend_all(host.ledger(path), budget) == 5
    host.pass_time(24 * HOUR)
    fresh = host.ledger(path)
    assert isinstance(fresh.reserve("me", "a/b", budget=budget), QuotaBlock)
    fresh.observe_time("me", MORNING + 24 * HOUR)

    call(fresh, budget=budget)
    assert spend_all(host.ledger(path), budget) == 4


def test_a_fresh_process_whose_clock_is_behind_takes_the_ledgers_time(
    host: Host, tmp_path: Path
) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=5)
    tomorrow = MORNING + 15 * HOUR
    host.wall.now = tomorrow
    ledger = host.ledger(path)
    call(ledger, tomorrow, budget)
    call(ledger, tomorrow, budget)  # the time rides with the second reservation
    host.wall.now = MORNING

    fresh = host.ledger(path)
    for _ in range(3):
        call(fresh, budget=budget)
    block = fresh.reserve("me", "a/b", budget=budget)
    assert isinstance(block, QuotaBlock)
    # what refuses it may be over by the service's clock, so it is to ask
    assert block.ask == "time"


def test_without_a_limit_a_new_day_needs_no_confirmation(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    call(host.ledger(path))
    host.wall.now += 24 * HOUR
    call(host.ledger(path))


def test_a_service_that_says_no_time_leaves_the_day_to_the_host(host: Host, tmp_path: Path) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=1)
    call(host.ledger(path), budget=budget)
    host.pass_time(24 * HOUR)
    fresh = host.ledger(path)
    assert isinstance(fresh.reserve("me", "a/b", budget=budget), QuotaBlock)
    fresh.observe_time("me", None)
    call(fresh, budget=budget)


def doubtful(host: Host, ledger: Ledger, budget: Budget) -> Reservation | QuotaBlock:
    """What a process gets that has asked for the time of a new day, and heard nothing."""
    asked = ledger.reserve("me", "a/b", budget=budget)
    assert isinstance(asked, QuotaBlock)
    assert asked.reason == "day"
    host.pass_time(10)
    return ledger.reserve("me", "a/b", budget=budget)


def test_a_call_goes_within_what_the_last_day_leaves_where_nobody_says_the_time(
    host: Host, tmp_path: Path
) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=5)
    ledger = host.ledger(path)
    for _ in range(3):
        call(ledger, host.wall(), budget)
    host.pass_time(24 * HOUR)
    ledger = host.ledger(path)
    for _ in range(2):
        given = doubtful(host, ledger, budget)
        assert isinstance(given, Reservation)
        assert given.day == "2026-11-22"
        ledger.settle(given, Closing(charged=None))  # no reply: it stays where it is
        host.pass_time(24 * HOUR)
    refused = doubtful(host, host.ledger(path), budget)
    assert isinstance(refused, QuotaBlock)
    assert (refused.reason, refused.ask) == ("day", "time")


def test_such_a_call_counts_on_the_day_that_its_reply_shows(host: Host, tmp_path: Path) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=2)
    call(host.ledger(path), host.wall(), budget)
    host.pass_time(24 * HOUR)
    ledger = host.ledger(path)
    given = doubtful(host, ledger, budget)
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=True, at=host.wall()))

    other = host.ledger(path)  # the day has begun for it as well
    assert spend_all(other, budget) == 1
    assert [(str(use.day), use.calls) for use in other.history("me", 2)] == [
        ("2026-11-22", 1),
        ("2026-11-23", 2),
    ]


def test_one_reply_without_a_time_proves_nothing_where_the_service_says_it(
    host: Host, tmp_path: Path
) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=2)
    ledger = host.ledger(path)
    for _ in range(2):
        call(ledger, host.wall(), budget)
    host.wall.now += 24 * HOUR
    ledger = host.ledger(path)
    assert isinstance(ledger.reserve("me", "a/b", budget=budget), QuotaBlock)
    ledger.observe_time("me", None)
    assert isinstance(ledger.reserve("me", "a/b", budget=budget), QuotaBlock)
