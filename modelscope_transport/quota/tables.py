"""The allowance as tables and bars: what its values show of themselves in a notebook.

Laws of this file: nothing is asked and nothing is decided here. A tuple that shows itself is an
ordinary tuple in every other way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..language import translated as _
from ..shown import bars_html, table_html
from .allowance import UTC8
from .snapshot import DayUse, Quota

if TYPE_CHECKING:
    from .statement import ClassUse, Statement

__all__ = ["History", "Quotas", "statement_html"]


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


def statement_html(statement: Statement) -> str:
    """The account's books as tables; what the service did not say has none."""
    balance = _amount(statement.balance)
    parts = [
        table_html(
            _("Magicubes left: {balance}").format(balance=balance),
            (_("left"), _("expires")),
            [(_amount(lot.left), _moment(lot.expires_at)) for lot in statement.lots],
        )
    ]
    if statement.rates:
        rates = [(name, _amount(price)) for name, price in statement.rates.items()]
        parts.append(table_html(_("Prices"), (_("price class"), _("Magicubes")), rates))
    if statement.earnings:
        head = (_("rule"), _("a day"), _("earned today"), _("still to come today"))
        rules = [
            (rule.name, *map(_amount, (rule.a_day, rule.earned, rule.unfetched)))
            for rule in statement.earnings
        ]
        parts.append(table_html(_("Grants"), head, rules))
    if rows := _use(statement):
        head = (_("day"), _("price class"), _("said by the service"), _("counted here"))
        parts.append(table_html(_("Calls by price class"), head, rows))
    return "".join(parts)


def _use(statement: Statement) -> list[tuple[str, ...]]:
    """Each day and class, as either side counts its calls."""
    theirs, ours = _sums(statement.service_use), _sums(statement.own_use)
    return [
        (day, name or _("not known"), _amount(theirs.get((day, name))), _amount(ours.get((day, name))))
        for day, name in sorted({*theirs, *ours})
    ]


def _sums(uses: Iterable[ClassUse]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for use in uses:  # the service may tell a day in many entries, one for each call
        key = use.day, use.price_class
        sums[key] = sums.get(key, 0) + (use.calls or 0)
    return sums


def _pool(quota: Quota) -> tuple[str, ...]:
    return (
        quota.model or _("account"),
        _amount(quota.used),
        _amount(quota.limit),
        _("spent") if quota.spent else _amount(quota.remaining),
        _("Magicubes") if quota.unit == "magicubes" else _("calls"),
        _moment(quota.resets_at),
    )


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in counts)


def _amount(number: float | None) -> str:
    return "?" if number is None else f"{number:g}"


def _moment(when: dt.datetime | None) -> str:
    return "?" if when is None else f"{when.astimezone(UTC8):%Y-%m-%d %H:%M} UTC+8"
