"""When a day of the allowance begins, wherever the host is; and what the rules cost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from modelscope_transport.quota import (
    UTC8,
    MemoryLedger,
    QuotaBlock,
    Reservation,
    day_of,
    next_reset,
)
from modelscope_transport.quota.allowance import cost_in_halves
from tests.transport.quota.clockwork import MORNING, Hands

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC8).timestamp()


@pytest.fixture(params=["America/New_York", "Australia/Sydney", "UTC"])
def host_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("this platform cannot change its zone in a running process")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


@pytest.mark.usefixtures("host_zone")
def test_a_day_begins_at_midnight_in_china_to_the_second() -> None:
    assert day_of(MIDNIGHT - 0.001) == "2026-11-22"
    assert day_of(MIDNIGHT) == "2026-11-23"
    assert next_reset(MIDNIGHT - 1).timestamp() == MIDNIGHT
    assert next_reset(MIDNIGHT) - next_reset(MIDNIGHT - 1) == timedelta(days=1)


@pytest.mark.usefixtures("host_zone")
def test_a_spent_pool_opens_at_midnight_in_china_wherever_the_host_is() -> None:
    clock = Hands()
    ledger = MemoryLedger(clock)
    given = ledger.reserve("me", "a/b")
    assert isinstance(given, Reservation)
    block = QuotaBlock(scope="account", model=None, blocked_until=next_reset(MORNING).timestamp())
    ledger.settle(given, charged=False, block=block)

    clock.now = MIDNIGHT - 1
    assert isinstance(ledger.reserve("me", "a/b"), QuotaBlock)
    clock.now = MIDNIGHT
    assert isinstance(ledger.reserve("me", "a/b"), Reservation)


@pytest.mark.parametrize(
    ("tier", "halves"), [("lite", 1), ("standard", 2), ("ultra", 4), (None, 2), ("new", 2)]
)
def test_a_call_costs_whole_halves(tier: str | None, halves: int) -> None:
    assert cost_in_halves(tier) == halves
