"""Runs a program on a file's pages in one statement, which is what nearly all programs need.

It is run on the pages as last seen, and what it makes is written if the file still says the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from .steps import LASTING, Pages, Ran, Step, run

__all__ = ["Swaps", "encode", "load", "read"]

# Writes a page if it and the lasting one are as they were.
_SWAP = (
    "UPDATE page SET cells = ? WHERE account = ? AND page = ? AND cells = ? "
    "AND (SELECT cells FROM page WHERE account = ? AND page = '') IS ?"
)
# Writes both then.
_SWAP_BOTH = (
    "UPDATE page SET cells = CASE page WHEN '' THEN ? ELSE ? END "
    "WHERE account = ? AND page IN ('', ?) "
    "AND (SELECT cells FROM page WHERE account = ? AND page = ?) = ? "
    "AND (SELECT cells FROM page WHERE account = ? AND page = '') = ?"
)

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class _Seen(NamedTuple):
    """A page and the lasting one: as they were written, and as they are read."""

    row: bytes
    lasting: bytes | None
    pages: Pages


class Swaps:
    """What was last seen of each page, and the programs that are run on it.

    Threads and event loops share it: what one of them sees may be out of date, and is then not
    written.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}

    def swap(
        self,
        database: sqlite3.Connection,
        account: str,
        now: float,
        tests: Sequence[Step],
        changes: Sequence[Step],
    ) -> Ran | None:
        """Run a program on the pages as last seen. ``None`` where they are so no longer.

        It may concern one page and the lasting one, no others.
        """
        day = next((step.page for step in changes if step.page != LASTING), LASTING)
        for steps in (tests, changes):
            for step in steps:
                if step.page != LASTING and step.page != day:
                    return None
        seen = self._seen.pop((account, day), None) or _see(database, account, day)
        if seen is None:
            return None
        both = day != LASTING and any(step.page == LASTING for step in changes)
        pages = {**seen.pages, day: seen.pages[day].copy()}
        if both:
            pages[LASTING] = pages.get(LASTING, {}).copy()
        failed, _changed = run(pages, now, tests, changes)
        if failed is not None:  # a refusal needs no turn at writing, if nothing has changed
            rows = load(database, account, (LASTING, day))
            if (rows.get(day), rows.get(LASTING)) != (seen.row, seen.lasting):
                return None
            self._seen[account, day] = seen
            return Ran(failed, seen.pages)
        row, so_far = encode(pages[day]), (seen.row, account, seen.lasting)
        lasting = row if day == LASTING else encode(pages[LASTING]) if both else seen.lasting
        if both:
            swap = (lasting, row, account, day, account, day, *so_far)
            written = database.execute(_SWAP_BOTH, swap).rowcount == 2
        else:
            written = database.execute(_SWAP, (row, account, day, *so_far)).rowcount == 1
        if not written:
            return None
        self._seen[account, day] = _Seen(row, lasting, pages)
        return Ran(None, pages)

    def note(self, account: str, rows: dict[str, bytes], pages: Pages) -> None:
        """These rows are the account's now; what is in them."""
        days = rows.keys() - {LASTING}
        if len(days) == 1:
            (day,) = days
            self._seen[account, day] = _Seen(rows[day], rows.get(LASTING), pages)

    def clear(self) -> None:
        """Forget all that was seen."""
        self._seen.clear()


def load(database: sqlite3.Connection, account: str, pages: Collection[str]) -> dict[str, bytes]:
    """The rows of an account's pages, as far as they exist."""
    marks = ", ".join("?" * len(pages))
    rows = database.execute(
        f"SELECT page, cells FROM page WHERE account = ? AND page IN ({marks})", (account, *pages)
    )
    return dict(rows.fetchall())


def _see(database: sqlite3.Connection, account: str, day: str) -> _Seen | None:
    rows = load(database, account, (LASTING, day))
    row = rows.get(day)
    return None if row is None else _Seen(row, rows.get(LASTING), read(rows))


def read(rows: Mapping[str, object]) -> Pages:
    """What is in rows."""
    # Damage may have made a NULL or a number of them, which are no JSON either.
    return {
        page: _decode(cells if isinstance(cells, bytes | str) else b"")
        for page, cells in rows.items()
    }
