"""Free questions to the service before a pool is called spent again, and what the answers change.

One process at a time asks, and no more often than is needed: the right to ask is a lease in the
ledger. A balance that it reports opens the prices that it pays, and blocks the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .allowance import tenths_of
from .cells import (
    ACCOUNT,
    ASK_AGAIN_AT,
    BALANCE,
    BLOCK,
    BLOCKED_UNTIL,
    EARNINGS,
    LOT_SPENT,
    LOTS_VERSION,
    OBSERVED_AT,
    PRICE,
    RATE,
    UNIT,
)
from .earnings import Earnings
from .evidence import TRIED_AFTER, of_open
from .lots import ends_of, filled, reported
from .reservation import QuotaBlock
from .steps import LASTING, Step

__all__ = ["ASKING", "of_report", "of_statement", "question_for", "take_lease"]

ASKING = 10.0
"""Seconds that the question for the time may take; if nothing is heard by then, the next asks."""
# Seconds between two questions: for the balance, and for the time.
_BETWEEN = {"balance": 300.0, "time": ASKING}

Question = Literal["balance", "time"]


def question_for(
    refusal: QuotaBlock, is_sure: bool, cells: Mapping[str, Any], now: float
) -> Question | None:
    """What may show that a refusal is out of date; ``None`` for nothing, or not yet.

    Where the service has not said the time (``is_sure`` is false), a wrong clock of this host may
    be the only reason of the refusal.
    """
    question: Question
    reason, is_balance = refusal.reason, refusal.scope == "account" and refusal.unit != "calls"
    if reason in ("spent", "kept") and is_balance:
        question = "balance"  # whose reply says the time as well
    elif reason == "day" or (reason != "unexplained" and not is_sure):
        question = "time"
    else:
        return None
    held = cells.get(ASK_AGAIN_AT.name(question), 0.0)
    return question if held <= now or _is_void(question, held, now) else None


def take_lease(
    question: Question, cells: Mapping[str, Any], now: float
) -> tuple[list[Step], list[Step]]:
    """The program that lets one process ask: until it may be asked again, no other does.

    The balance may also be asked for as soon as a lot ends: the next one may be granted then.
    """
    again = now + _BETWEEN[question]
    if question == "balance":
        again = min([again, *ends_of(cells, now)])
    cell = ASK_AGAIN_AT.name(question)
    held = cells.get(cell, 0.0)
    void = _is_void(question, held, now)
    free = Step("same", LASTING, cell, held) if void else Step("not_before", LASTING, cell)
    return [free], [Step("put", LASTING, cell, again)]


def _is_void(question: Question, held: float, now: float) -> bool:
    """Whether a lease ends further ahead than any can: the clock that dated it was wrong.

    Twice the longest time is allowed, since clocks differ a little.
    """
    return held > now + 2 * _BETWEEN[question]


def of_report(cells: Mapping[str, Any], tenths: int, now: float) -> tuple[list[Step], list[Step]]:
    """What a balance that the service reports says: what is left, and which prices it pays."""
    tests = [Step("same", LASTING, LOTS_VERSION.word, cells.get(LOTS_VERSION.word, 0))]
    tests += [
        Step("same", LASTING, LOT_SPENT.name(lot.name), lot.spent) for lot in filled(cells, now)
    ]
    changes = [
        *reported(cells, tenths, now),
        Step("put", LASTING, OBSERVED_AT.name(BALANCE), now),
        Step("put", LASTING, UNIT.word, "magicubes"),
    ]
    spent = cells.get(BLOCK.name(ACCOUNT))
    if tenths > 0 and spent is not None and spent.get("unit") != "calls":
        changes += of_open(cells, ACCOUNT)
    if BLOCKED_UNTIL.name(BALANCE) not in cells:
        return tests, changes
    if tenths >= cells.get(PRICE.name(BALANCE), 0):
        return tests, changes + of_open(cells, BALANCE)
    short = {**cells[BLOCK.name(BALANCE)], "price": (tenths + 1) / 10}
    return tests, [
        *changes,
        Step("put", LASTING, PRICE.name(BALANCE), tenths + 1),
        Step("put", LASTING, BLOCK.name(BALANCE), short),
        Step("put", LASTING, BLOCKED_UNTIL.name(BALANCE), now + TRIED_AFTER),
    ]


def of_statement(
    rates: Mapping[str, float] | None,
    earnings: Earnings | None,
    now: float,
) -> list[Step]:
    """What the service's books say: prices by class, and what today still grants."""
    changes = [
        Step("put", LASTING, RATE.name(name), tenths_of(price))
        for name, price in (rates or {}).items()
    ]
    if earnings is not None:
        rules = [[rule.name, rule.a_day, rule.earned] for rule in earnings.rules]
        changes.append(Step("put", LASTING, EARNINGS.word, [round(now), rules]))
    if rates:  # a program that was built on other prices must fail
        changes.append(Step("add", LASTING, LOTS_VERSION.word, 1))
    return changes
