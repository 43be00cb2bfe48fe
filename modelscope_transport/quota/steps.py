"""What a store does: run a small program on an account's numbers, all of it or nothing.

An account's numbers are *cells* by name, on *pages*: one page a day, and the page ``""`` for what
lasts. A program is a list of tests and a list of changes; when a test fails nothing is changed.
So the rules are written once, in Python, and every store, the one in Redis included, is only an
interpreter of the seven words below.

========  ==================================================================
test      fails when
``shut``  cell > now (a time: the pool is shut until then)
``room``  cell + ``a`` > ``b``
``least`` cell < ``a``
========  ==================================================================
change    does
``add``   cell + ``a``
``raise`` the larger of cell and ``a``
``put``   ``a``: a number, a text, or a list or table of them
``drop``  takes the cell away
========  ==================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ["LASTING", "Pages", "Ran", "Step", "Store", "StoreError", "run"]

LASTING = ""
Pages = dict[str, dict[str, Any]]


class Step(NamedTuple):
    """One test or change."""

    word: str
    page: str
    cell: str
    a: Any = 0
    b: float = 0


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
    """Where the numbers are kept."""

    @property
    def blocking(self) -> bool:
        """Whether the methods do I/O; an event loop then keeps them in a thread."""

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program atomically, at a time (seconds since the epoch).

        Raises:
            StoreError: the store cannot be read or written; nothing was changed.
        """

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, as far as they exist.

        Raises:
            StoreError: the store cannot be read.
        """

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them.

        Raises:
            StoreError: the store cannot be written.
        """

    def close(self) -> None:
        """Let go of files and connections; a later call opens them again."""


def run(
    pages: Pages, now: float, tests: Sequence[Step], changes: Sequence[Step]
) -> tuple[int | None, set[str]]:
    """Run a program on pages in memory.

    Returns:
        The place of the test that failed, or ``None``, and the pages that have changed.
    """
    for place, (word, page, name, a, b) in enumerate(tests):
        cell = pages.get(page, _EMPTY).get(name, 0)
        if (
            (word == "shut" and cell > now)
            or (word == "room" and cell + a > b)
            or (word == "least" and cell < a)
        ):
            return place, set()
    changed = set()
    for word, page, name, a, _ in changes:
        cells = pages.setdefault(page, {})
        changed.add(page)
        if word == "add":
            cells[name] = cells.get(name, 0) + a
        elif word == "raise":
            cells[name] = max(cells.get(name, 0), a)
        elif word == "put":
            cells[name] = a
        else:
            cells.pop(name, None)
    return None, changed


_EMPTY: dict[str, Any] = {}
