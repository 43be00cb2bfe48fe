"""Magicubes come in lots that expire; the one that expires first is spent first.

Daily grants live 24 hours from the moment of granting, rewards 90 days (official documentation,
Magicube introduction, as of 2026-08-22). Amounts are whole tenths here, so every sum is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from .allowance import tenths_of
from .cells import BALANCE, LOT_SPENT, LOTS, LOTS_VERSION, OBSERVED_AT, UNIT
from .steps import LASTING, Step

__all__ = [
    "TOLD",
    "Filled",
    "Lot",
    "draw",
    "ends_of",
    "filled",
    "granted",
    "held_back",
    "is_told",
    "reported",
]

TOLD = 86_400.0
"""Seconds for which a number that the service said counts as reported; then it is a guess."""


class Lot(Struct, frozen=True, kw_only=True):
    """One grant of Magicubes.

    Attributes:
        amount: its size, in Magicubes; what is not a whole tenth is cut off.
        expires_at: seconds since the epoch; ``None`` where it is not known.
    """

    amount: float
    expires_at: float | None = None


class Filled(Struct, frozen=True):
    """A lot as the ledger keeps it, in tenths."""

    name: str
    size: int
    expires_at: float | None
    spent: int

    @property
    def rest(self) -> int:
        """Tenths left."""
        return max(0, self.size - self.spent)


def filled(cells: Mapping[str, Any], now: float) -> list[Filled]:
    """The lots of a lasting page that can still be spent, nearest expiry first.

    A lot without an end, which was made of a reported balance, is left out where the service has
    gone over to calls a day.
    """
    lots = [
        Filled(name, size, expires_at, cells.get(LOT_SPENT.name(name), 0))
        for name, size, expires_at in cells.get(LOTS.word, ())
    ]
    endless = 0.0 if cells.get(UNIT.word) == "calls" else math.inf
    return sorted(
        (lot for lot in lots if (endless if lot.expires_at is None else lot.expires_at) > now),
        key=lambda lot: math.inf if lot.expires_at is None else lot.expires_at,
    )


def is_told(cells: Mapping[str, Any], now: float) -> bool:
    """Whether the service has said the balance within a day: one of 0 makes no lot."""
    observed = cells.get(OBSERVED_AT.name(BALANCE))
    return observed is not None and now - observed < TOLD


def ends_of(cells: Mapping[str, Any], now: float) -> list[float]:
    """When the lots that can still be spent end, as far as that is known."""
    return [lot.expires_at for lot in filled(cells, now) if lot.expires_at is not None]


def held_back(lots: Sequence[Filled], keep: int) -> list[Filled]:
    """The lots without ``keep`` tenths, which are taken off those that expire last."""
    smaller = []
    for lot in reversed(lots):
        kept = min(keep, lot.rest)
        keep -= kept
        smaller.append(Filled(lot.name, lot.size - kept, lot.expires_at, lot.spent))
    return smaller[::-1]


def draw(lots: Sequence[Filled], tenths: int) -> list[tuple[Filled, int]]:
    """Which lot pays how much, in the order of the lots, over several if need be.

    Where all lots together hold less, the parts add up to less than ``tenths``.
    """
    parts = []
    for lot in lots:
        part = min(tenths, lot.rest)
        if part > 0:
            parts.append((lot, part))
            tenths -= part
    return parts


def granted(cells: Mapping[str, Any], lots: Sequence[Lot], now: float) -> list[Step]:
    """The changes that add lots; those that have lapsed go."""
    new = [
        Filled(_name(cells, place), tenths_of(lot.amount), lot.expires_at, 0)
        for place, lot in enumerate(lots)
    ]
    return _written(cells, [*filled(cells, now), *new])


def reported(cells: Mapping[str, Any], tenths: int, now: float) -> list[Step]:
    """The changes that make the lots add up to a balance that the service reported."""
    lots = filled(cells, now)
    more = tenths - sum(lot.rest for lot in lots)
    if more > 0:
        # The report does not say when these expire.
        return _written(cells, [*lots, Filled(_name(cells, 0), more, None, 0)])
    spent = [
        Step("add", LASTING, LOT_SPENT.name(lot.name), part) for lot, part in draw(lots, -more)
    ]
    return [*_written(cells, lots), *spent]


def _name(cells: Mapping[str, Any], place: int) -> str:
    """A name that no other lot has: a program that writes lots holds for one version of them."""
    return f"{cells.get(LOTS_VERSION.word, 0) + 1}.{place}"


def _written(cells: Mapping[str, Any], lots: Sequence[Filled]) -> list[Step]:
    """The changes that write lots down; a program that was built on the old ones then fails."""
    kept = {lot.name for lot in lots}
    gone = [row[0] for row in cells.get(LOTS.word, ()) if row[0] not in kept]
    rows = [[lot.name, lot.size, lot.expires_at] for lot in lots]
    drops = [Step("drop", LASTING, LOT_SPENT.name(name)) for name in gone]
    if rows == cells.get(LOTS.word):
        return drops
    return [
        Step("put", LASTING, LOTS.word, rows),
        Step("add", LASTING, LOTS_VERSION.word, 1),
        *drops,
    ]
