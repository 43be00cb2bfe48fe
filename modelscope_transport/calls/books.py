"""The policy of reading the account's books: free questions, one after another, all optional.

Laws of this file: those of ``policy.py``. What the service does not report, or in a form that is
not known, is left out.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from msgspec import Struct

from .._wire import catalogue
from .._wire.encoded import Encoded
from .._wire.failure_table import Kind
from .._wire.outcomes import Outcome
from ..answers import Origin
from ..quota import Balance, ClassUse
from .attempt import Attempt, Flow, Handover, Terms
from .free_request import request_free

__all__ = ["Books", "books_flow"]

# Seconds for one question, and most pages of what was spent.
_PATIENCE, _MOST_PAGES = 5.0, 5


class Books(Struct, frozen=True):
    """What the service reported; ``None`` where it did not.

    Attributes:
        balance: the account's Magicubes.
        rates: Magicubes of a call, by price class.
        spent: what was spent, by day and price class.
    """

    balance: Balance | None
    rates: Mapping[str, float] | None
    spent: list[ClassUse]


def books_flow(hub: str, terms: Terms) -> Flow:
    """Asks the service's hub for balance, prices, grants and use; hands over `Books`."""
    balance = yield from _asked(catalogue.balance(hub), terms)
    rates = yield from _asked(catalogue.rates(hub), terms)
    yield from _asked(catalogue.earnings(hub), terms)  # the ledger keeps it as it comes
    spent = yield from _spent(hub, terms)
    return Handover(Books(balance, rates, spent), Origin("", ""))


def _asked(encoded: Encoded, terms: Terms) -> Generator[Attempt, Outcome, Any]:
    """What one question brings; ``None`` for nothing."""
    answer = yield from request_free(encoded, "", terms.briefly(_PATIENCE))
    return answer.value if answer.verdict.kind is Kind.GOOD else None


def _spent(hub: str, terms: Terms) -> Generator[Attempt, Outcome, list[ClassUse]]:
    """What was spent by day and class: of whole days only.

    The service gives pages, newest first. Where the last one that is read is full, the oldest day
    on it may go on behind it.
    """
    uses: list[ClassUse] = []
    for page in range(1, _MOST_PAGES + 1):
        more = yield from _asked(catalogue.spent(hub, page), terms)
        uses += more or ()
        if more is not None and len(more) < catalogue.MOST_RECORDS:
            return uses
        if more is None:
            break
    oldest = min((use.day for use in uses), default="")
    return [use for use in uses if use.day > oldest]
