"""The program of one reservation: which pools must be open, what must have room, what is taken.

The account's pool, the model's pool and the call's price are one program, so they are charged
together or not at all. It is built on the lasting page as last seen; what may have changed there
since is one of its tests, and where such a test fails the program is built anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, convert, to_builtins
from msgspec.structs import replace

from .allowance import (
    assumed_price,
    end_of,
    granted_a_day,
    next_reset,
    price_in_tenths,
    tenths_of,
)
from .budget import Budget
from .cells import (
    ACCOUNT,
    BALANCE,
    BLOCK,
    BLOCKED_UNTIL,
    CALLS,
    CLASS_CALLS,
    DAY,
    LIMIT,
    LOT_SPENT,
    LOTS,
    LOTS_VERSION,
    MAGICUBES,
    OBSERVED_AT,
    PRICE,
    RATE,
    REFUSALS,
    UNIT,
    UNSETTLED,
)
from .earnings import earnings_in, unfetched_of
from .evidence import TRIAL, bucket_of, is_misdated, is_pause
from .lots import draw, ends_of, filled, held_back, is_told
from .reservation import QuotaBlock, Reservation, pools_of
from .steps import LASTING, Ran, Step

__all__ = ["MOMENT", "ReservationProgram", "build", "price_of"]

MOMENT = 1.0
"""Seconds after which others look again, while one finds out whether a block still holds."""

_Unit = Literal["calls", "magicubes"]
# Fails always: what is to be left to others is more than there is.
_NO_ROOM = Step("at_most", LASTING, "", 1, 0)


class ReservationProgram(Struct):
    """A program, and what it means when one of its tests fails.

    Attributes:
        reservation: what is given when none fails.
        cells: the lasting page that it was built on.
        tests: what must hold.
        changes: what is taken.
        refusals: by test, the refusal; ``None`` where the ledger itself knows it, or for a test
            that only says that ``cells`` is out of date.
    """

    reservation: Reservation
    cells: Mapping[str, Any]
    tests: list[Step]
    changes: list[Step]
    refusals: list[QuotaBlock | None]

    def add_test(self, test: Step, refusal: QuotaBlock | None = None) -> None:
        """Add a test."""
        self.tests.append(test)
        self.refusals.append(refusal)

    def refusal(self, ran: Ran, now: float) -> QuotaBlock | None:
        """What the failed test means; ``None``: the cells have changed, build it anew."""
        assert ran.failed is not None
        step, block = self.tests[ran.failed], self.refusals[ran.failed]
        cells = ran.pages[LASTING]
        if step.word == "not_before":
            (pool,) = BLOCKED_UNTIL.read(step.cell) or ("",)
            if is_misdated(pool, cells, now):
                return None
            block = block_in(cells, pool, now)
        return block and replace(block, used=self._used(block, ran))

    def _used(self, block: QuotaBlock, ran: Ran) -> float:
        """What was counted of a pool today."""
        today = ran.pages.get(self.reservation.day, {})
        if block.unit == "magicubes":
            return float(today.get(MAGICUBES.word, 0)) / 10
        return block.within_limit(today.get(CALLS.name(block.pool), 0))


def block_in(cells: Mapping[str, Any], pool: str, now: float) -> QuotaBlock:
    """The block of a pool, as the lasting page keeps it.

    Of a balance that is too small it also says when more may come: at the next grant, which is on
    another day or when a lot ends, and what a sign-in would grant today.
    """
    block = convert(cells[BLOCK.name(pool)], QuotaBlock)
    until = cells[BLOCKED_UNTIL.name(pool)]
    wait = max(0.0, min(until - now, MOMENT)) if block.pending else None
    block = replace(block, blocked_until=until, wait=wait)
    if pool != BALANCE:
        return block
    comes_at = min([next_reset(now).timestamp(), *ends_of(cells, now)])
    return replace(block, comes_at=comes_at, unfetched=unfetched_of(earnings_in(cells, now)))


def price_of(price_class: str | None, cells: Mapping[str, Any]) -> tuple[int, bool]:
    """What a call of a class costs, in tenths; and whether that is known.

    What the service has said comes before the published table. A class that neither knows is
    counted apart, and is taken to cost what ``data/quota.toml`` assumes.
    """
    told = cells.get(RATE.name(price_class)) if price_class else None
    price = price_in_tenths(price_class) if told is None else told
    return (assumed_price(), False) if price is None else (price, True)


def build(
    account: str,
    model: str,
    price_class: str | None,
    budget: Budget,
    cells: Mapping[str, Any],
    now: float,
    day: str,
) -> ReservationProgram:
    """Build the program for a day of the allowance (ISO), on the lasting page as last seen."""
    pools = pools_of(model, account)
    price, is_known = price_of(price_class, cells) if ACCOUNT in pools else (0, False)
    refusals = cells.get(REFUSALS.name(model), 0)
    reservation = Reservation(
        account=account,
        model=model,
        day=day,
        bucket=bucket_of(now),
        reserved_at=now,
        price=price,
        price_class=price_class if price_class and is_known else "",
        refusals=refusals,
    )
    program = ReservationProgram(reservation, cells, [], [], [])
    program.add_test(Step("same", LASTING, REFUSALS.name(model), refusals))
    for pool in pools:
        program.add_test(_open(pool, 0, cells, now))
        program.changes.append(Step("add", day, CALLS.name(pool), 1))
    program.changes.append(Step("add", day, UNSETTLED.name(reservation.bucket, model), 1))
    if price:
        program.add_test(Step("same", LASTING, LOTS_VERSION.word, cells.get(LOTS_VERSION.word, 0)))
        program.add_test(_open(BALANCE, price, cells, now))
        program.changes.append(Step("add", day, MAGICUBES.word, price))
        program.changes.append(Step("add", day, CLASS_CALLS.name(reservation.price_class), 1))
    if DAY.word not in cells:
        program.changes.append(Step("put", LASTING, DAY.word, day))
    if refusals:
        program.changes += _trial(model, cells, now)
    _apply_budget(program, budget)
    if price:
        _draw(program, budget, now)
    return program


def _trial(model: str, cells: Mapping[str, Any], now: float) -> list[Step]:
    """This call tries whether unexplained refusals have ended; others wait for what comes of it."""
    pause = cells.get(BLOCK.name(model), {}) if is_pause(model, cells) else {}
    block = QuotaBlock(
        scope="model",
        model=model,
        blocked_until=now,
        reason="unexplained",
        pending=True,
        server_message=pause.get("server_message"),
    )
    return [
        Step("put", LASTING, BLOCKED_UNTIL.name(model), now + TRIAL),
        Step("put", LASTING, BLOCK.name(model), to_builtins(block)),
    ]


def _open(pool: str, price: int, cells: Mapping[str, Any], now: float) -> Step:
    """The test that a pool is open for a price; a block that is void must be as it was seen."""
    until = BLOCKED_UNTIL.name(pool)
    if is_misdated(pool, cells, now):
        return Step("same", LASTING, until, cells[until])
    return Step("not_before", LASTING, until, price, PRICE.name(pool))


def _apply_budget(program: ReservationProgram, budget: Budget) -> None:
    """The user's own limits."""
    reservation = program.reservation
    day, model = reservation.day, reservation.model
    until = end_of(day).timestamp()

    def limit(scope: Literal["account", "model"], size: float, unit: _Unit, taken: int) -> None:
        block = QuotaBlock(
            scope=scope,
            model=model if scope == "model" else None,
            blocked_until=until,
            reason="budget",
            limit=size,
            unit=unit,
        )
        cell = MAGICUBES.word if unit == "magicubes" else CALLS.name(block.pool)
        bound = tenths_of(size) if unit == "magicubes" else size
        program.add_test(Step("at_most", day, cell, taken, bound), block)

    own = budget.models.get(model)
    if own is not None:
        limit("model", own, "calls", 1)
    if ACCOUNT not in pools_of(model, reservation.account):
        return
    if budget.calls is not None:
        limit("account", budget.calls, "calls", 1)
    if budget.magicubes is not None:
        limit("account", budget.magicubes, "magicubes", reservation.price)


def _draw(program: ReservationProgram, budget: Budget, now: float) -> None:
    """Take the call's price out of the lots, and leave to others what is to be left."""
    reservation, cells, keep = program.reservation, program.cells, budget.keep
    price = reservation.price
    lots = filled(cells, now) if cells.get(LOTS.word) else []
    limit = cells.get(LIMIT.name(ACCOUNT)) if not lots and cells.get(UNIT.word) == "calls" else None
    refusal = QuotaBlock(
        scope="account",
        model=None,
        blocked_until=end_of(reservation.day).timestamp(),
        reason="kept",
        unit="magicubes" if limit is None else "calls",
    )
    if lots:
        usable = lots if keep is None else held_back(lots, math.ceil(10 * keep - 1e-6))
        parts = draw(usable, price)
        paid = sum(part for _, part in parts)
        if keep is not None or len(parts) != 1 or parts[0][0] is not lots[0] or paid < price:
            # More than one lot decides, so all must be as they were seen.
            for lot in lots:
                program.add_test(Step("same", LASTING, LOT_SPENT.name(lot.name), lot.spent))
        if keep is not None and paid < price:
            program.add_test(_NO_ROOM, refusal)
            return
        for lot, part in parts:
            cell = LOT_SPENT.name(lot.name)
            program.add_test(Step("at_most", LASTING, cell, part, lot.size))
            program.changes.append(Step("add", LASTING, cell, part))
        program.reservation = replace(
            reservation, lots=tuple((lot.name, part) for lot, part in parts)
        )
    elif keep is not None and limit is not None:
        cell = CALLS.name(ACCOUNT)
        program.add_test(Step("at_most", reservation.day, cell, 1, limit - keep), refusal)
    elif keep is not None:
        told = OBSERVED_AT.name(BALANCE)
        program.add_test(Step("same", LASTING, told, cells.get(told, 0)))
        bound = 0 if is_told(cells, now) else tenths_of(granted_a_day() - keep)
        program.add_test(Step("at_most", reservation.day, MAGICUBES.word, price, bound), refusal)
