"""What a store does: run a small program on an account's numbers, all of it or nothing.

An account's numbers are *cells* by name, on *pages*: one page a day, and the page ``""`` for what
lasts; ``cells.py`` lists their kinds. A program is a list of tests and a list of changes; when a
test fails nothing is changed. So the rules are written once, in Python, and every store, the one in
Redis included, is only an interpreter of the words below.

==============  ==================================================================
test            fails when
``not_before``  cell > now, and the cell named ``b`` <= ``a``: a time until which
                prices from that of the cell ``b`` on are refused
``at_most``     cell + ``a`` > ``b``
``at_least``    cell < ``a``
``same``        cell differs from ``a``, a number
==============  ==================================================================
change          does
``add``         cell + ``a``, but not below 0, as where the account was forgotten meanwhile
``settle``      the same; removes the cell at 0
``raise``       the larger of cell and ``a``
``put``         ``a``: a number, a text, or a list or table of them
``drop``        removes the cell
==============  ==================================================================

A cell that is missing counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ["LASTING", "Pages", "Ran", "Step", "Store", "StoreError", "run"]

LASTING = ""
"""The page for what lasts."""
Pages = dict[str, dict[str, Any]]


class Step(NamedTuple):
    """One test or change.

    Attributes:
        word: which one; see the tables above.
        page: the page, see `LASTING`.
        cell: name of the cell.
        a: first argument of the word.
        b: second argument.
    """

    word: str
    page: str
    cell: str
    a: Any = 0
    b: Any = 0


class Ran(NamedTuple):
    """What came of a program.

    Attributes:
        failed: place of the test that failed, if one did.
        pages: the lasting page and those of the program, as they are now; not to be changed.
    """

    failed: int | None
    pages: Pages


class StoreError(Exception):
    """The store cannot be read or written. The text says why, without secrets."""


class Store(Protocol):
    """Where the numbers are kept.

    Each method but `close` raises a `StoreError` where the store cannot be read or written.
    """

    @property
    def blocking(self) -> bool:
        """Whether the methods do I/O; an event loop then keeps them in a thread."""

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program atomically, at a time (seconds since the epoch)."""

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, as far as they exist."""

    def accounts(self) -> list[str]:
        """The accounts of which anything is kept."""

    def pages(self, account: str) -> Pages:
        """All pages of an account."""

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""

    def close(self) -> None:
        """Close files and connections; a later call opens them again."""


def run(
    pages: Pages, now: float, tests: Sequence[Step], changes: Sequence[Step]
) -> tuple[int | None, set[str]]:
    """Run a program on pages in memory.

    Returns:
        The place of the test that failed, or ``None``, and the pages that have changed.
    """
    failed = _failing(pages, now, tests)
    if failed is not None:
        return failed, set()
    changed = set()
    for word, page, name, a, _ in changes:
        cells = pages.setdefault(page, {})
        changed.add(page)
        if word == "add":
            cells[name] = max(0, cells.get(name, 0) + a)
        elif word == "settle":
            rest = cells.pop(name, 0) + a
            if rest > 0:
                cells[name] = rest
        elif word == "raise":
            cells[name] = max(cells.get(name, 0), a)
        elif word == "put":
            cells[name] = a
        else:
            cells.pop(name, None)
    return None, changed


def _failing(pages: Pages, now: float, tests: Sequence[Step]) -> int | None:
    """The place of the first test that fails."""
    for place, (word, page, name, a, b) in enumerate(tests):
        cells = pages.get(page) or {}
        cell = cells.get(name, 0)
        if word == "same":
            fails = cell != a
        elif word == "not_before":
            fails = cell > now and cells.get(b, 0) <= a
        elif word == "at_most":
            fails = cell + a > b
        else:
            fails = cell < a
        if fails:
            return place
    return None
