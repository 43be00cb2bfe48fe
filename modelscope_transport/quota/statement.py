"""The account's books: what the service says of it, beside what was counted here."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ..language import translated as _
from ..shown import table_html
from .allowance import UTC8
from .books import amount, book_tables
from .cells import BALANCE, OBSERVED_AT, RATE
from .earnings import EarnRule, earnings_in, unfetched_of
from .history import DayUse
from .lots import filled

__all__ = ["ClassUse", "Difference", "LotLeft", "Statement", "statement_of"]


class LotLeft(Struct, frozen=True):
    """What is left of one grant.

    Attributes:
        left: Magicubes.
        expires_at: when they expire, with a time zone; ``None`` where the service has not said.
    """

    left: float
    expires_at: dt.datetime | None


class ClassUse(Struct, frozen=True):
    """What was spent on one day on calls of one price class.

    Attributes:
        day: ISO, in UTC+8.
        price_class: the class; empty where it is not known.
        magicubes: what was paid; ``None`` where it is not known.
        calls: how many calls; ``None`` where it is not known.
    """

    day: str
    price_class: str
    magicubes: float | None = None
    calls: int | None = None


class Difference(Struct, frozen=True):
    """Where the service's count of a day and class and ours differ.

    Attributes:
        day: ISO, in UTC+8.
        price_class: the class.
        service: calls as the service counts them.
        here: calls as the ledger counts them.
    """

    day: str
    price_class: str
    service: int
    here: int


class Statement(Struct, frozen=True, kw_only=True):
    """The account's books. Whatever the service does not say is empty, or ``None``.

    Attributes:
        balance: Magicubes left, as far as reported or granted; what was spent since is off.
        frozen: Magicubes that the service holds for calls that run; they are not part of it.
        observed_at: when the service reported the balance, with a time zone.
        lots: what is left, by grant, in the order in which it is spent.
        rates: Magicubes of a call by price class, as the service reports them.
        earnings: how Magicubes are granted, and what today has brought.
        service_use: what was spent by day and class, as the service counts it.
        own_use: the same, as the ledger counts it.
    """

    balance: float | None = None
    frozen: float = 0.0
    observed_at: dt.datetime | None = None
    lots: tuple[LotLeft, ...] = ()
    rates: Mapping[str, float]
    earnings: tuple[EarnRule, ...] = ()
    service_use: tuple[ClassUse, ...] = ()
    own_use: tuple[ClassUse, ...] = ()

    @property
    def unfetched(self) -> float | None:
        """Magicubes that a sign-in on the website would grant today; ``None``: not known."""
        return unfetched_of(self.earnings)

    def _repr_html_(self) -> str:
        """The books as tables, for notebooks."""
        left = _("Magicubes left: {balance}").format(balance=amount(self.balance))
        tables = (table_html(*table) for table in book_tables(self))
        return table_html(left, (), ()) + "".join(tables)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Days and classes that the service and the ledger count differently.

        Only days of which the service has said something are compared.
        """
        if not self.service_use:
            return ()
        theirs, ours = _by_class(self.service_use), _by_class(self.own_use)
        days = {day for day, _name in theirs}
        keys = sorted(set(theirs) | {key for key in ours if key[0] in days})
        return tuple(
            Difference(*key, theirs[key], ours[key]) for key in keys if theirs[key] != ours[key]
        )


def statement_of(
    cells: Mapping[str, Any],
    now: float,
    history: Sequence[DayUse] = (),
    service_use: Sequence[ClassUse] = (),
) -> Statement:
    """The books of an account, by its lasting page and by what both sides counted."""
    lots = filled(cells, now)
    observed = cells.get(OBSERVED_AT.name(BALANCE))
    return Statement(
        balance=sum(lot.rest for lot in lots) / 10 if lots or observed is not None else None,
        observed_at=_moment(observed),
        lots=tuple(LotLeft(lot.rest / 10, _moment(lot.expires_at)) for lot in lots if lot.rest),
        rates={name: price / 10 for (name,), price in RATE.all_in(cells)},
        earnings=earnings_in(cells, now),
        service_use=tuple(service_use),
        own_use=tuple(
            ClassUse(use.day, name, calls=calls)
            for use in history
            for name, calls in use.classes.items()
        ),
    )


def _by_class(uses: Iterable[ClassUse]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for use in uses:
        counts[use.day, use.price_class] += use.calls or 0
    return counts


def _moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, UTC8)
