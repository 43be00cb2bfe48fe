"""A spent balance is looked at again, by one process at a time; changed lots are drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from modelscope_transport import ConfigurationError
from modelscope_transport.quota import (
    UTC8,
    Allowance,
    Budget,
    ClassUse,
    Closing,
    Earnings,
    EarnRule,
    Ledger,
    Lot,
    QuotaBlock,
    Reservation,
    next_reset,
    plan,
)
from modelscope_transport.quota.books import book_tables
from tests.transport.quota.clockwork import MORNING, Hands

QWEN = "Qwen/Qwen3-8B"
HOUR = 3600.0


def refused(ledger: Ledger, account: str, tier: str = "ultra") -> QuotaBlock:
    answer = ledger.reserve(account, QWEN, tier=tier)
    assert isinstance(answer, QuotaBlock)
    return answer


def taken(ledger: Ledger, account: str, tier: str = "standard") -> Reservation:
    answer = ledger.reserve(account, QWEN, tier=tier)
    assert isinstance(answer, Reservation), answer
    return answer


def short(ledger: Ledger, account: str, tier: str = "ultra") -> None:
    """The service says that the balance does not pay for a call of this class."""
    reservation = taken(ledger, account, tier)
    block = QuotaBlock(
        scope="account",
        model=None,
        blocked_until=next_reset(MORNING).timestamp(),
        unit="magicubes",
        price=reservation.price / 10,
    )
    ledger.settle(reservation, Closing(charged=False, block=block))


def test_one_process_is_to_ask_for_the_balance_and_no_more_often_than_every_five_minutes(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    one, other = open_again(), open_again()
    short(one, account)
    assert [refused(who, account).ask for who in (one, other, one)] == ["balance", None, None]
    clock.now += 299
    assert refused(other, account).ask is None
    clock.now += 1
    assert [refused(who, account).ask for who in (other, one)] == ["balance", None]


def test_a_right_to_ask_that_a_fast_clock_has_dated_ahead_binds_nobody(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    one, other = open_again(), open_again()
    short(one, account)
    clock.now += 9 * HOUR
    short(one, account)  # its day is not over by that clock
    assert refused(one, account).ask == "balance"
    clock.now -= 9 * HOUR
    assert [refused(who, account).ask for who in (other, one)] == ["balance", None]


def test_magicubes_that_came_meanwhile_are_spent_hours_before_midnight(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    one, other = open_again(), open_again()
    short(one, account)
    clock.now += 1800
    assert refused(one, account).ask == "balance"
    one.report(account, 200)
    taken(other, account, "ultra")


def test_a_balance_that_is_still_too_small_blocks_what_it_does_not_pay(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    short(ledger, account)
    ledger.report(account, 0.5)
    assert refused(ledger, account, "standard").price == 0.6
    taken(ledger, account, "lite")
    clock.now += 3500
    refused(ledger, account, "standard")
    clock.now += 100  # it was not asked for meanwhile: a call finds it out
    taken(ledger, account, "standard")


def test_the_balance_is_asked_for_when_a_lot_is_due(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    ledger.grant(account, Lot(amount=1, expires_at=MORNING + 100))
    short(ledger, account)
    block = refused(ledger, account)
    assert (block.ask, block.comes_at) == ("balance", MORNING + 100)
    clock.now += 100
    assert refused(ledger, account).ask == "balance"


def test_what_a_sign_in_would_grant_is_part_of_the_refusal(ledger: Ledger, account: str) -> None:
    ledger.record_statement(account, earnings=Earnings((EarnRule("daily_active", 200.0, 0.0),)))
    short(ledger, account)
    assert refused(ledger, account).unfetched == 200


def test_a_reply_that_is_older_than_the_balance_blocks_nothing(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    late = taken(ledger, account, "ultra")
    clock.now += 1
    ledger.report(account, 200)
    block = QuotaBlock(
        scope="account", model=None, blocked_until=MORNING + HOUR, unit="magicubes", price=2.0
    )
    ledger.settle(late, Closing(charged=False, block=block))
    taken(ledger, account, "ultra")


def test_eight_processes_draw_from_a_lot_that_only_one_has_seen_granted(
    open_again: Callable[[], Ledger], account: str
) -> None:
    handles = [open_again() for _ in range(8)]
    for handle in handles:
        handle.quotas(account)
    handles[0].grant(account, Lot(amount=10))
    budget, granted = Budget(keep=5), 0
    for _ in range(3):
        for handle in handles:
            answer = handle.reserve(account, QWEN, tier="standard", budget=budget)
            granted += isinstance(answer, Reservation)
    assert granted == 5


def test_fifty_calls_of_the_class_discount_cost_ten_magicubes(ledger: Ledger, account: str) -> None:
    budget, calls = Budget(magicubes=10), 0
    while isinstance(ledger.reserve(account, QWEN, tier="discount", budget=budget), Reservation):
        calls += 1
    assert calls == 50
    price, today = ledger.price(account, "discount"), ledger.today(account)
    forecast = plan(ledger.quotas(account), QWEN, price, 1000, 1000, today)
    assert forecast.magicubes == 200


def test_a_balance_of_nothing_is_a_balance(ledger: Ledger, account: str, clock: Hands) -> None:
    ledger.report(account, 0)
    (quota, *_) = ledger.quotas(account)
    assert (quota.remaining, quota.kind) == (0, "reported")
    today = datetime.fromtimestamp(clock.now, UTC8).date()
    forecast = plan(ledger.quotas(account), QWEN, 10, 100, 100, today)
    assert (forecast.fits_today, forecast.days) == (0, 2)
    clock.now += 25 * HOUR  # then it is a guess again
    assert ledger.quotas(account)[0].kind == "estimated"


def test_a_plan_goes_past_the_end_of_the_calendar(ledger: Ledger, account: str) -> None:
    price, today = ledger.price(account, "standard"), ledger.today(account)
    quotas = ledger.quotas(account)
    for items in (10**12, 10**15):
        forecast = plan(quotas, QWEN, price, items, items, today)
        assert forecast.days is not None
        assert forecast.days > items / 1000
        assert forecast.done_on is None
    for items in (-5, 10**400):
        with pytest.raises(ConfigurationError, match="number of items"):
            plan(quotas, QWEN, price, items, items, today)


def test_a_price_that_the_service_tells_wins_over_the_table(
    open_again: Callable[[], Ledger], account: str
) -> None:
    one, other = open_again(), open_again()
    assert taken(other, account, "new").price_class == ""
    one.record_statement(account, rates={"new": 0.3, "lite": 0.4})
    assert (taken(other, account, "new").price, taken(other, account, "lite").price) == (3, 4)
    (use,) = other.history(account, 1)
    assert use.classes == {"": 1, "lite": 1, "new": 1}
    assert other.quotas(account)[0].unpriced == 1


def test_a_price_of_nothing_switches_no_budget_off(ledger: Ledger, account: str) -> None:
    ledger.record_statement(account, rates={"standard": 0.0})
    calls = 0
    while isinstance(
        ledger.reserve(account, QWEN, tier="standard", budget=Budget(calls=2)), Reservation
    ):
        calls += 1
        assert calls < 3
    price = ledger.price(account, "standard")
    assert plan(ledger.quotas(account), QWEN, price, 9, 9, ledger.today(account)).fits_today is None


def test_a_statement_says_where_the_services_count_and_ours_differ(
    ledger: Ledger, account: str
) -> None:
    for _ in range(3):
        ledger.settle(taken(ledger, account, "ultra"), Closing(charged=True))
    ledger.report(account, 94)
    said = [ClassUse("2026-11-22", "ultra", 8.0, 4), ClassUse("2026-11-22", "lite", 0.5, 1)]
    statement = ledger.statement(account, said)
    assert (statement.balance, statement.observed_at) == (
        94,
        datetime.fromtimestamp(MORNING, UTC8),
    )
    assert [(d.price_class, d.service, d.here) for d in statement.differences] == [
        ("lite", 1, 0),
        ("ultra", 4, 3),
    ]


def test_units_are_not_mixed_and_nothing_is_reported_that_was_not_said(
    ledger: Ledger, account: str
) -> None:
    """Six calls of a dear model, then the service says that the day's calls are spent."""
    for _ in range(6):
        ledger.settle(taken(ledger, account, "ultra"), Closing(charged=True))
    until = next_reset(MORNING)
    told = Allowance(account_limit=6, account_remaining=0)
    block = QuotaBlock(
        scope="account", model=None, blocked_until=until.timestamp(), unit="calls", limit=6
    )
    ledger.settle(
        taken(ledger, account, "ultra"), Closing(charged=False, allowance=told, block=block)
    )
    whole = ledger.quotas(account)[0]
    assert (whole.unit, whole.used, whole.limit, whole.remaining) == ("calls", 6, 6, 0)
    assert (whole.kind, whole.spent, whole.resets_at) == ("reported", True, until)


def test_what_the_service_only_refused_has_no_limit(ledger: Ledger, account: str) -> None:
    for _ in range(6):
        ledger.settle(taken(ledger, account, "ultra"), Closing(charged=True))
    until = next_reset(MORNING).timestamp()
    block = QuotaBlock(scope="account", model=None, blocked_until=until, unit="calls")
    ledger.settle(taken(ledger, account, "ultra"), Closing(charged=False, block=block))
    whole = ledger.quotas(account)[0]
    assert (whole.unit, whole.used, whole.limit) == ("calls", 6, None)


@pytest.mark.slow
@pytest.mark.parametrize("days", [1, 4])
def test_a_job_of_a_thousand_items_is_done_in_the_fewest_days(
    ledger: Ledger, account: str, clock: Hands, days: int
) -> None:
    """250 Magicubes a day, granted at 09:00; each call wants out every minute."""
    items, size = 250 * days, 250
    clock.now = datetime(2026, 11, 22, 9, tzinfo=UTC8).timestamp()
    begun, balance, done, refusals, granted_on = clock.now, 0, 0, 0, -1
    while done < items:
        today = int((clock.now - begun) // 86_400)
        if today > granted_on:  # the day's sign-in; the last grant has lapsed
            balance, granted_on = size, today
        answer = ledger.reserve(account, QWEN, tier="standard")
        if isinstance(answer, QuotaBlock) and answer.ask == "balance":
            ledger.report(account, balance)
            answer = ledger.reserve(account, QWEN, tier="standard")
        if isinstance(answer, QuotaBlock):
            clock.now += 60
            continue
        if balance:
            balance, done = balance - 1, done + 1
            ledger.settle(answer, Closing(charged=True))
            continue
        refusals += 1
        until = next_reset(clock.now).timestamp()
        block = QuotaBlock(
            scope="account", model=None, blocked_until=until, unit="magicubes", price=1.0
        )
        ledger.settle(answer, Closing(charged=False, block=block))

    assert clock.now - begun < timedelta(days=days - 1, minutes=10).total_seconds()
    assert refusals <= 2 * days


def test_the_books_say_how_to_get_what_today_still_grants(ledger: Ledger, account: str) -> None:
    rules = (
        EarnRule("daily_active", 200.0, 0.0),
        EarnRule("aliyun_bindlogin", 50.0, 0.0),
        EarnRule("another", 10.0, 4.0),
    )
    ledger.record_statement(account, earnings=Earnings(rules))
    (grants,) = [table for table in book_tables(ledger.statement(account)) if len(table.head) == 5]
    ways = {name: (rest, way) for name, _fetched, _of, rest, way in grants.rows}
    assert ways["daily_active"][0] == "200"
    assert ways["daily_active"][1].startswith("sign in at https://modelscope.cn")
    assert ways["aliyun_bindlogin"][1].startswith("link an Alibaba Cloud account")
    assert ways["another"] == ("6", "at https://modelscope.cn")

    fetched = Earnings((EarnRule("daily_active", 200.0, 200.0),))
    ledger.record_statement(account, earnings=fetched)
    assert [row[-1] for row in book_tables(ledger.statement(account))[-1].rows] == ["fetched"]
