"""Runs a program on a file's pages in one statement: a compare and swap.

It is run on the pages as last seen, and what it makes is written if the file still says the same.
Nearly all programs concern one page, most often a day's, and perhaps the lasting one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from .steps import LASTING, Pages, Ran, Step, run

__all__ = ["Swaps", "decode", "encode", "load"]

# Writes a page if it and the lasting one, which may be missing, are as they were seen.
_SWAP = (
    "UPDATE page SET cells = ? WHERE account = ? AND page = ? AND cells = ? "
    "AND (SELECT cells FROM page WHERE account = ? AND page = '') IS ?"
)
# Writes both of them on that condition; neither may be missing.
_SWAP_BOTH = (
    "UPDATE page SET cells = CASE page WHEN '' THEN ? ELSE ? END "
    "WHERE account = ? AND page IN ('', ?) "
    "AND (SELECT cells FROM page WHERE account = ? AND page = ?) = ? "
    "AND (SELECT cells FROM page WHERE account = ? AND page = '') = ?"
)

encode = msgspec.json.Encoder().encode
_decode_page = msgspec.json.Decoder(dict[str, Any]).decode


class _Seen(NamedTuple):
    """A page and the lasting one: as they stand in the file, and decoded."""

    row: bytes
    lasting_row: bytes | None
    pages: Pages


class Swaps:
    """What was last seen of each page, and the programs that are run on it.

    Threads and event loops share it without a lock: what is out of date is never written, because
    the statement compares.
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
        """Run a program on the pages as last seen.

        ``None``: nothing was written. The pages have changed since, and will be read anew the next
        time; or a page is missing; or the program concerns more than one besides the lasting one.
        """
        name = next((step.page for step in changes if step.page != LASTING), LASTING)
        for steps in (tests, changes):
            for step in steps:
                if step.page != LASTING and step.page != name:
                    return None
        seen = self._seen.pop((account, name), None) or _see(database, account, name)
        if seen is None:
            return None
        writes_both = name != LASTING and any(step.page == LASTING for step in changes)
        pages = {**seen.pages, name: seen.pages[name].copy()}
        if writes_both:
            pages[LASTING] = pages.get(LASTING, {}).copy()
        failed, _changed = run(pages, now, tests, changes)
        if failed is not None:  # a refusal needs no turn at writing, if nothing has changed
            rows = load(database, account, (LASTING, name))
            if (rows.get(name), rows.get(LASTING)) != (seen.row, seen.lasting_row):
                return None
            self._seen[account, name] = seen
            return Ran(failed, seen.pages)
        row, as_seen = encode(pages[name]), (seen.row, account, seen.lasting_row)
        if writes_both:
            lasting_row: bytes | None = encode(pages[LASTING])
            swap = (lasting_row, row, account, name, account, name, *as_seen)
            written = database.execute(_SWAP_BOTH, swap).rowcount == 2
        else:
            lasting_row = row if name == LASTING else seen.lasting_row
            written = database.execute(_SWAP, (row, account, name, *as_seen)).rowcount == 1
        if not written:
            return None
        self._seen[account, name] = _Seen(row, lasting_row, pages)
        return Ran(None, pages)

    def note(self, account: str, rows: dict[str, bytes], pages: Pages) -> None:
        """Take over what a transaction has left of an account: its rows, and the same decoded."""
        names = rows.keys() - {LASTING}
        if len(names) == 1:
            (name,) = names
            self._seen[account, name] = _Seen(rows[name], rows.get(LASTING), pages)

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


def _see(database: sqlite3.Connection, account: str, name: str) -> _Seen | None:
    rows = load(database, account, (LASTING, name))
    row = rows.get(name)
    return None if row is None else _Seen(row, rows.get(LASTING), decode(rows))


def decode(rows: Mapping[str, object]) -> Pages:
    """What rows hold."""
    # Damage may have made a NULL or a number of a row: decode as empty text, which is an error.
    return {
        page: _decode_page(cells if isinstance(cells, bytes | str) else b"")
        for page, cells in rows.items()
    }
