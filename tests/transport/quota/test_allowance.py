"""When a day of the allowance begins, wherever the host is; and what the rules cost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from modelscope_transport.quota import (
    UTC8,
    Closing,
    MemoryLedger,
    QuotaBlock,
    Reservation,
    day_of,
    next_reset,
)
from modelscope_transport.quota.allowance import price_in_tenths, tenths_of
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
    ledger.settle(given, Closing(charged=False, block=block))

    clock.now = MIDNIGHT - 1
    assert isinstance(ledger.reserve("me", "a/b"), QuotaBlock)
    clock.now = MIDNIGHT
    assert isinstance(ledger.reserve("me", "a/b"), Reservation)


@pytest.mark.parametrize(
    ("price_class", "tenths"),
    [("discount", 2), ("lite", 5), ("standard", 10), ("ultra", 20), (None, None), ("new", None)],
)
def test_a_call_costs_whole_tenths_and_a_class_not_on_record_has_no_price(
    price_class: str | None, tenths: int | None
) -> None:
    assert price_in_tenths(price_class) == tenths


@pytest.mark.parametrize(
    ("magicubes", "tenths"), [(0.2, 2), (143.5, 1435), (6247.4, 62474), (0.3, 3), (1.29, 12)]
)
def test_an_amount_is_cut_to_whole_tenths(magicubes: float, tenths: int) -> None:
    assert tenths_of(magicubes) == tenths
