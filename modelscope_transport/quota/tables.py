"""The allowance as tables and bars: what its values show of themselves in a notebook.

Laws of this file: nothing is asked and nothing is decided here. A tuple that shows itself is an
ordinary tuple in every other way.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..language import translated as _
from ..shown import bars_html, table_html
from .books import amount, hour
from .snapshot import DayUse, Quota

__all__ = ["History", "Quotas"]


class Quotas(tuple[Quota, ...]):
    """Pools, the account's first."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """The pools as a table, for notebooks."""
        head = (_("pool"), _("used"), _("of"), _("left"), _("unit"), _("comes back"))
        return table_html(_("Allowance of this token"), head, [_pool(quota) for quota in self])


class History(tuple[DayUse, ...]):
    """What was spent, day by day, oldest first."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """The days as a table with bars below it, for notebooks."""
        head = (_("day"), _("calls"), _("Magicubes"), _("Calls by model"))
        rows = [
            (day.day, str(day.calls), f"{day.magicubes:g}", _counts(day.models.items()))
            for day in self
        ]
        bars = bars_html(_("Magicubes by day"), {day.day: day.magicubes for day in self})
        return table_html(_("Use by day"), head, rows) + bars


def _pool(quota: Quota) -> tuple[str, ...]:
    return (
        quota.model or _("account"),
        amount(quota.used),
        amount(quota.limit),
        _("spent") if quota.spent else amount(quota.remaining),
        _("Magicubes") if quota.unit == "magicubes" else _("calls"),
        hour(quota.resets_at),
    )


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in counts)
