"""The service's own books as tables, beside what was counted here: for terminals and notebooks."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..language import translated as _
from .allowance import UTC8, quota_rules
from .earnings import DAILY_SIGN_IN, EarnRule

if TYPE_CHECKING:
    from .statement import Statement

__all__ = ["BookTable", "amount", "book_tables", "hour"]

# The rule that grants Magicubes to who links an Alibaba Cloud account (public clients, 2026-10-06).
_LINKED = "aliyun_bindlogin"


class BookTable(NamedTuple):
    """One table of the books, as `table_html` takes it."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def amount(number: float | None, unit: str | None = None) -> str:
    """A number as people write it, with its unit; ``?`` where it is not known."""
    if number is None:
        return "?"
    one = number == 1
    names = {
        "magicubes": _("Magicube") if one else _("Magicubes"),
        "calls": _("call") if one else _("calls"),
    }
    shown = f"{number:.12g}"  # never 1e+06
    return f"{shown} {names[unit]}" if unit else shown


def hour(when: dt.datetime) -> str:
    """A time as the service's own pages say it."""
    return f"{when.astimezone(UTC8):%Y-%m-%d %H:%M} UTC+8"


def book_tables(
    statement: Statement, moment: Callable[[dt.datetime], str] = hour
) -> list[BookTable]:
    """What the service's books say, with each time as ``moment`` says it; no empty tables."""
    tables = (_lots(statement, moment), _grants(statement), _use(statement))
    return [table for table in tables if table.rows]


def _lots(statement: Statement, moment: Callable[[dt.datetime], str]) -> BookTable:
    rows = [
        (
            amount(lot.left, "magicubes"),
            _("not said") if lot.expires_at is None else moment(lot.expires_at),
        )
        for lot in statement.lots
    ]
    if statement.frozen:
        held = _("when the calls that run have ended")
        rows.append((amount(statement.frozen, "magicubes"), held))
    return BookTable(_("Balance, by grant"), (_("left"), _("expires")), rows)


def _grants(statement: Statement) -> BookTable:
    """The rules that can still bring something today, and the daily sign-in in any case."""
    rows = [
        (rule.name, amount(rule.earned), amount(rule.a_day), amount(rule.unfetched), _way(rule))
        for rule in statement.earnings
        if rule.unfetched or rule.name == DAILY_SIGN_IN
    ]
    head = (_("rule"), _("fetched"), _("of"), _("still to come"), _("how to get it"))
    return BookTable(_("What today grants"), head, rows)


def _way(rule: EarnRule) -> str:
    if not rule.unfetched:
        return _("fetched")
    page = quota_rules()["magicubes"]["sign_in_at"]
    if rule.name == DAILY_SIGN_IN:
        return _("sign in at {page}; calls of the API do not count").format(page=page)
    if rule.name == _LINKED:
        return _("link an Alibaba Cloud account, then sign in at {page}").format(page=page)
    return _("at {page}").format(page=page)


def _use(statement: Statement) -> BookTable:
    """Calls by day and class, as both sides count them, newest first."""
    counts: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0])
    for use in statement.service_use:
        row = counts[use.day, use.price_class]
        row[0] += use.calls or 0
        row[1] += use.magicubes or 0.0
    days = {day for day, _class in counts}
    for use in statement.own_use:
        if use.day in days:
            counts[use.day, use.price_class][2] += use.calls or 0
    rows = [
        (
            day,
            name or _("not known"),
            amount(theirs),
            amount(round(paid, 1)),
            amount(ours),
            "" if theirs == ours else f"{theirs - ours:+g}",
        )
        for (day, name), (theirs, paid, ours) in sorted(counts.items(), reverse=True)
    ]
    head = (
        _("day"),
        _("price class"),
        _("calls, says the service"),
        _("Magicubes"),
        _("calls counted here"),
        _("difference"),
    )
    return BookTable(_("Use by day and price class"), head, rows)
