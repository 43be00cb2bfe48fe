"""What was spent, day by day, as the ledger counted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from ..language import translated as _
from ..shown import bars_html, table_html
from .books import amount
from .cells import ACCOUNT, CALLS, CLASS_CALLS, MAGICUBES, CellKind
from .steps import LASTING, Pages

__all__ = ["DayUse", "History", "history_of"]


class DayUse(Struct, frozen=True):
    """What was spent on one day of the allowance.

    Attributes:
        day: ISO, in UTC+8.
        calls: calls of the account.
        magicubes: their price, as the service or else the published table has it; an assumption
            for each call of a class that neither knows.
        models: calls by model ID.
        classes: calls of the account by price class; those of a class not known under ``""``.
    """

    day: str
    calls: int
    magicubes: float
    models: Mapping[str, int]
    classes: Mapping[str, int] = field(default_factory=dict)


class History(tuple[DayUse, ...]):
    """Days that show themselves; a tuple in every other way."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """The days as a table with bars below it, for notebooks."""
        head = (_("day"), _("number of calls"), _("Magicubes"), _("Calls by model"))
        rows = [
            (day.day, amount(day.calls), amount(day.magicubes), _listed(day.models)) for day in self
        ]
        bars = bars_html(_("Magicubes by day"), {day.day: day.magicubes for day in self})
        return table_html(_("Use by day"), head, rows) + bars


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in counts.items())


def history_of(pages: Pages) -> History:
    """What was spent, day by day, oldest first."""
    return History(
        DayUse(
            day,
            cells.get(CALLS.name(ACCOUNT), 0),
            cells.get(MAGICUBES.word, 0) / 10,
            {pool: calls for pool, calls in _counts(CALLS, cells) if pool != ACCOUNT},
            dict(_counts(CLASS_CALLS, cells)),
        )
        for day, cells in sorted(pages.items())
        if day != LASTING
    )


def _counts(kind: CellKind, cells: Mapping[str, Any]) -> list[tuple[str, int]]:
    return sorted((key, calls) for (key,), calls in kind.all_in(cells) if calls)
