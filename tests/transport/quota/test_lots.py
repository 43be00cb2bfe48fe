"""Lots are spent nearest expiry first, and tenths add up exactly."""

from __future__ import annotations

import random
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from modelscope_transport.quota import (
    Budget,
    Closing,
    Ledger,
    Lot,
    MemoryLedger,
    QuotaBlock,
    Reservation,
)
from modelscope_transport.quota.lots import Filled, draw, held_back
from tests.transport.quota.clockwork import MORNING, Hands

DAY = 86_400.0
COST = {
    "discount": Fraction(1, 5),
    "lite": Fraction(1, 2),
    "standard": Fraction(1),
    "ultra": Fraction(2),
}


def left(ledger: Ledger) -> float:
    remaining = ledger.quotas("me")[0].remaining
    assert remaining is not None
    return remaining


def test_what_lapses_first_is_spent_first() -> None:
    clock = Hands()
    ledger = MemoryLedger(clock)
    ledger.grant(
        "me",
        Lot(amount=300, expires_at=MORNING + 90 * DAY),
        Lot(amount=200, expires_at=MORNING + DAY),
        Lot(amount=50, expires_at=MORNING + DAY + 1),
    )
    for _ in range(100):  # ultra: 200 Magicubes, the whole lot that lapses first
        ledger.reserve("me", "a/b", tier="ultra")
    assert left(ledger) == 350

    clock.now += DAY  # it was empty, so nothing is lost
    assert left(ledger) == 350
    clock.now += 1  # the 50 were not spent in time
    assert left(ledger) == 300
    clock.now += 90 * DAY
    assert ledger.quotas("me")[0].kind == "estimated"  # no lots any more, so nobody knows


def test_a_call_may_be_paid_by_two_lots_and_is_refunded_to_both() -> None:
    clock = Hands()
    ledger = MemoryLedger(clock)
    soon, later = Lot(amount=1.5, expires_at=MORNING + DAY), Lot(amount=1)
    ledger.grant("me", soon, later)
    paid = ledger.reserve("me", "a/b", tier="ultra")
    assert isinstance(paid, Reservation)
    assert left(ledger) == 0.5

    ledger.settle(paid, Closing(charged=False))
    assert left(ledger) == 2.5
    clock.now += DAY
    assert left(ledger) == 1


def test_what_lapses_before_the_reset_is_told() -> None:
    ledger = MemoryLedger(Hands())
    ledger.grant("me", Lot(amount=7.5, expires_at=MORNING + 3600), Lot(amount=50))
    assert ledger.quotas("me")[0].lapsing == 7.5


def test_less_than_a_tenth_is_nothing() -> None:
    ledger = MemoryLedger(Hands())
    ledger.grant("me", Lot(amount=1.37))
    assert left(ledger) == 1.3


def some_lots(chance: random.Random) -> list[Filled]:
    return [
        Filled(str(place), chance.randrange(500), None, chance.randrange(500))
        for place in range(chance.randrange(7))
    ]


def test_a_draw_empties_one_lot_after_the_other_in_ten_thousand_cases() -> None:
    chance = random.Random(11)
    for _ in range(10_000):
        lots, tenths = some_lots(chance), chance.randrange(1200)
        parts = draw(lots, tenths)
        touched = [lot for lot, _ in parts]

        assert sum(part for _, part in parts) == min(tenths, sum(lot.rest for lot in lots))
        assert all(part == lot.rest for lot, part in parts[:-1])
        assert touched == [lot for lot in lots if lot.rest][: len(touched)]


def test_what_is_held_back_is_the_end_of_it_in_ten_thousand_cases() -> None:
    chance = random.Random(12)
    for _ in range(10_000):
        lots, keep = some_lots(chance), chance.randrange(1200)
        usable = held_back(lots, keep)

        assert sum(lot.rest for lot in usable) == max(0, sum(lot.rest for lot in lots) - keep)
        shortened = [lot.rest != whole.rest for lot, whole in zip(usable, lots, strict=True)]
        assert shortened == sorted(shortened) or not all(lot.rest for lot in lots)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from((0.2, 0.5, 1, 1.5, 2, 10, 50, 200)), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(sorted(COST)), st.booleans()), max_size=60),
)
def test_grants_less_what_was_spent_is_what_is_left(
    grants: list[float], calls: list[tuple[str, bool]]
) -> None:
    ledger = MemoryLedger(Hands())
    ledger.grant("me", *(Lot(amount=amount) for amount in grants))
    rest = sum((Fraction(str(amount)) for amount in grants), Fraction())
    for tier, charged in calls:
        leave = ledger.reserve("me", "a/b", tier=tier, budget=Budget(keep=0))
        assert isinstance(leave, Reservation) == (COST[tier] <= rest)
        if isinstance(leave, QuotaBlock):
            continue
        ledger.settle(leave, Closing(charged=charged))
        rest -= COST[tier] * charged
        assert left(ledger) == float(rest)
