"""The program of one reservation: which pools must be open, what must have room, what is taken.

The account's pool, the model's pool and the call's weight are one program, so they are charged
together or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, convert
from msgspec.structs import replace

from .allowance import cost_in_halves, end_of, granted_a_day
from .budget import Budget
from .evidence import bucket_of
from .lots import draw, filled, held_back
from .reservation import QuotaBlock, Reservation, pools_of
from .steps import LASTING, Ran, Step

__all__ = ["Asking", "ask"]

_Unit = Literal["calls", "magicubes"]


class Asking(Struct):
    """A program, and what it means when one of its tests fails.

    Attributes:
        reservation: what is given when none fails.
        tests: what must hold.
        changes: what is taken.
        refusals: by test, the refusal; ``None`` for one that has to look again first.
    """

    reservation: Reservation
    tests: list[Step]
    changes: list[Step]
    refusals: list[QuotaBlock | None]

    def require(self, test: Step, refusal: QuotaBlock | None) -> None:
        """Add a test."""
        self.tests.append(test)
        self.refusals.append(refusal)

    def refusal(self, ran: Ran) -> QuotaBlock | None:
        """What the failed test means; ``None``: the cells have changed, ask anew."""
        assert ran.failed is not None
        step = self.tests[ran.failed]
        block = self.refusals[ran.failed]
        if step.word == "shut":
            block = convert(
                ran.pages[LASTING][step.cell.replace("until ", "block ", 1)], QuotaBlock
            )
        return block and replace(block, used=self._used(block, ran))

    def _used(self, block: QuotaBlock, ran: Ran) -> float:
        """What was counted of a pool today."""
        cells = ran.pages.get(self.reservation.day, {})
        used: int = cells.get("halves" if block.unit == "magicubes" else f"calls {block.pool}", 0)
        return used / 2 if block.unit == "magicubes" else used


def ask(
    account: str,
    model: str,
    tier: str | None,
    budget: Budget,
    cells: Mapping[str, Any],
    now: float,
    day: str,
) -> Asking | QuotaBlock:
    """Build the program.

    Args:
        account: whose allowance.
        model: model ID.
        tier: price class of the model.
        budget: limits of the user's own.
        cells: the account's lasting page, as last seen.
        now: seconds since the epoch.
        day: day of the allowance, ISO.
    """
    pools = pools_of(model)
    halves = cost_in_halves(tier) if "" in pools else 0
    reservation = Reservation(
        account=account,
        model=model,
        day=day,
        bucket=bucket_of(now),
        reserved_at=now,
        halves=halves,
        strikes=cells.get(f"strikes {model}", 0),
    )
    asking = Asking(reservation, [], [], [])
    for pool in pools:
        asking.require(Step("shut", LASTING, f"until {pool}"), None)
        asking.changes.append(Step("add", day, f"calls {pool}", 1))
    asking.changes.append(Step("add", day, f"unsure {reservation.bucket} {model}", 1))
    if halves:
        asking.changes.append(Step("add", day, "halves", halves))
    if cells.get("day") != day:
        asking.changes.append(Step("put", LASTING, "day", day))
    until = end_of(day).timestamp()
    _apply_budget(asking, budget, until)
    return _draw(asking, budget, cells, now, until) if halves else asking


def _apply_budget(asking: Asking, budget: Budget, until: float) -> None:
    """The user's own limits."""
    given, day, model = asking.reservation, asking.reservation.day, asking.reservation.model

    def limit(scope: Literal["account", "model"], size: float, unit: _Unit, taken: int) -> None:
        block = QuotaBlock(
            scope=scope,
            model=model if scope == "model" else None,
            blocked_until=until,
            reason="budget",
            limit=size,
            unit=unit,
        )
        cell = "halves" if unit == "magicubes" else f"calls {block.pool}"
        bound = math.floor(2 * size) if unit == "magicubes" else size
        asking.require(Step("room", day, cell, taken, bound), block)

    own = budget.models.get(model)
    if own is not None:
        limit("model", own, "calls", 1)
    if given.halves and budget.calls is not None:
        limit("account", budget.calls, "calls", 1)
    if given.halves and budget.magicubes is not None:
        limit("account", budget.magicubes, "magicubes", given.halves)


def _draw(
    asking: Asking, budget: Budget, cells: Mapping[str, Any], now: float, until: float
) -> Asking | QuotaBlock:
    """Take the call's weight out of the lots, and leave to others what is to be left."""
    given = asking.reservation
    lots = filled(cells, now)
    keep = budget.keep
    refusal = QuotaBlock(
        scope="account",
        model=None,
        blocked_until=until,
        reason="kept",
        unit="calls" if "limit " in cells and not lots else "magicubes",
    )
    if lots:
        usable = lots if keep is None else held_back(lots, math.ceil(2 * keep))
        parts = draw(usable, given.halves)
        if keep is not None and sum(part for _, part in parts) < given.halves:
            return refusal
        for lot, part in parts:
            asking.require(Step("room", LASTING, f"lot {lot.name}", part, lot.size), None)
            asking.changes.append(Step("add", LASTING, f"lot {lot.name}", part))
        asking.reservation = replace(given, lots=tuple((lot.name, part) for lot, part in parts))
    elif keep is not None and "limit " in cells:
        bound = cells["limit "] - keep
        asking.require(Step("room", given.day, "calls ", 1, bound), refusal)
    elif keep is not None:
        bound = 2 * (granted_a_day() - keep)
        asking.require(Step("room", given.day, "halves", given.halves, bound), refusal)
    return asking
