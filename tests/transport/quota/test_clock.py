"""Q10: setting the host's clock gives nothing for free."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelscope_transport.quota import (
    Budget,
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
        ledger.settle(given, charged=True)
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
    ledger.settle(given, charged=False, block=block)

    for hours in (26, -52, 26):
        host.wall.now += hours * HOUR
        assert isinstance(ledger.reserve("me", "a/b"), QuotaBlock)
    host.pass_time(14 * HOUR)
    assert isinstance(ledger.reserve("me", "a/b"), Reservation)


def test_a_reply_of_the_service_sets_the_clock(host: Host) -> None:
    host.wall.now -= 26 * HOUR  # the host believes in yesterday
    clock = ServiceClock(host.wall, host.running)
    clock.hear(MORNING)
    host.pass_time(HOUR)
    assert clock() == MORNING + HOUR


def test_a_reply_that_took_a_moment_moves_nothing(host: Host) -> None:
    clock = ServiceClock(host.wall, host.running)
    clock.hear(MORNING - 1)
    assert clock() == MORNING


def test_a_process_with_a_wrong_clock_learns_the_day_from_its_first_reply(
    host: Host, tmp_path: Path
) -> None:
    path, budget = tmp_path / "ledger", Budget(calls=10)
    assert spend_all(host.ledger(path), budget) == 10
    host.wall.now += 26 * HOUR
    late = SQLiteLedger(path)
    late._clocks["me"] = ServiceClock(host.wall, host.running)

    given = late.reserve("me", "a/b", budget=budget)
    assert isinstance(given, Reservation)  # nothing tells it better yet
    late.settle(given, charged=True, at=MORNING)

    assert isinstance(late.reserve("me", "a/b", budget=budget), QuotaBlock)
