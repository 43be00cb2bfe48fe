"""A store for all processes of a user on one host.

One small file, WAL, one transaction for every program: measured with 16 processes and with kills
in the middle of a write, no unit is granted twice. Most programs are one statement, a compare and
swap: they are run on the pages as last seen, and what they make is written if the file still says
the same. Not for network drives, whose locks do not hold: several hosts share a Redis instead.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from .._forks import begin_anew_in_child, leave_to_the_parent
from ..language import translated as _
from .sqlite_file import check, furnish, identity_of, keep_private, make
from .steps import LASTING, Pages, Ran, Step, StoreError, run

__all__ = ["SQLiteStore"]

# How long a write waits for the others' writes.
_PATIENCE = 5.0
# Seconds after which it is seen that the file was deleted or replaced while it was open.
_LOOKS_EVERY = 1.0
# With a log that is written ahead, what is committed waits for no disk.
_UNHURRIED_DISK = "PRAGMA synchronous = NORMAL"
# Of so many programs that an event loop wants at once, one is left to a thread.
_OF_SO_MANY = 256
# What was spent is kept for this many days, so that it can be plotted.
_DAYS_KEPT = 35

# Writes a page if it and the lasting one are as they were.
_SWAP = (
    "UPDATE page SET cells = ? WHERE account = ? AND page = ? AND cells = ? "
    "AND (SELECT cells FROM page WHERE account = ? AND page = '') IS ?"
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
T = TypeVar("T")


class _Seen(NamedTuple):
    """A page and the lasting one: as they were written, and as they are read."""

    row: bytes
    lasting: bytes | None
    pages: Pages


class SQLiteStore:
    """Numbers in one file.

    Nothing is opened before the first call. Threads share one connection; a forked child opens
    its own.

    Args:
        path: the file; it and its folder are made, for their owner alone, when they are missing.
    """

    blocking = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self.path = Path(path).expanduser().absolute()
        except RuntimeError:  # nobody knows that home; said when the file is wanted
            self.path = Path(path)
        self._connection: sqlite3.Connection | None = None
        # One that never waits, for `at_once`; opened when it has been missed.
        self._hurried: sqlite3.Connection | None = None
        self._hurries = 0
        self._newest: dict[str, str] = {}
        # What was last seen, by account and page.
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._identity: tuple[int, int] | None = None
        self._looks_at = 0.0
        self.begin_anew()
        begin_anew_in_child(self)

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program in one transaction."""
        program = (account, now, tests, changes)
        return self._guarded(lambda db: self._swap(db, *program) or self._transact(db, *program))

    def at_once(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran | None:
        """Run a program if nothing has to be waited for: no lock, no disk, no other page.

        ``None``: it was not run. Whether the file is still there, and moving what was written into
        its place, is left to `run`, which therefore must be asked now and then.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            self._hurries += 1
            if self._hurried is None or not self._hurries % _OF_SO_MANY or self._must_look():
                return None
            return self._swap(self._hurried, account, now, tests, changes)
        except sqlite3.Error:  # others write, or it is for `run` to say what is wrong
            return None
        finally:
            self._lock.release()

    def _swap(
        self,
        database: sqlite3.Connection,
        account: str,
        now: float,
        tests: Sequence[Step],
        changes: Sequence[Step],
    ) -> Ran | None:
        """Run a program on the pages as last seen. ``None`` where they are so no longer.

        Only one page may be written, and only it and the lasting one compared.
        """
        day = changes[0].page if changes else LASTING
        seen = self._seen.get((account, day))
        if seen is None:
            return None
        for step in changes:
            if step.page != day:
                return None
        for step in tests:
            if step.page != LASTING and step.page != day:
                return None
        pages = {**seen.pages, day: seen.pages[day].copy()}
        failed, _changed = run(pages, now, tests, changes)
        if failed is not None:  # a refusal needs no turn at writing, if nothing has changed
            rows = _load(database, account, (LASTING, day))
            is_so = (rows.get(day), rows.get(LASTING)) == (seen.row, seen.lasting)
            return Ran(failed, seen.pages) if is_so else None
        row = _encode(pages[day])
        swap = (row, account, day, seen.row, account, seen.lasting)
        written = database.execute(_SWAP, swap)
        if written.rowcount != 1:
            return None
        self._seen[account, day] = _Seen(row, seen.lasting, pages)
        return Ran(None, pages)

    def _transact(
        self,
        database: sqlite3.Connection,
        account: str,
        now: float,
        tests: Sequence[Step],
        changes: Sequence[Step],
    ) -> Ran:
        """Run a program on the pages as they are."""
        wanted = {LASTING, *(step.page for step in tests), *(step.page for step in changes)}
        with _transaction(database):
            rows = _load(database, account, wanted)
            pages = _read(rows)
            failed, changed = run(pages, now, tests, changes)
            for page in changed:
                rows[page] = _encode(pages[page])
                database.execute("REPLACE INTO page VALUES (?, ?, ?)", (account, page, rows[page]))
                self._turn_pages(database, account, page)
        days = wanted & rows.keys() - {LASTING}
        if len(days) == 1:
            (day,) = days
            self._seen[account, day] = _Seen(rows[day], rows.get(LASTING), pages)
        return Ran(failed, pages)

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, as far as they exist."""
        return self._guarded(lambda database: _read(_load(database, account, pages)))

    def accounts(self) -> list[str]:
        """The accounts of which anything is kept."""
        asked = "SELECT DISTINCT account FROM page"
        rows = self._guarded(lambda database: database.execute(asked).fetchall())
        return [account for (account,) in rows]

    def pages(self, account: str) -> Pages:
        """All pages of an account."""
        asked = "SELECT page, cells FROM page WHERE account = ?"
        return self._guarded(lambda db: _read(dict(db.execute(asked, (account,)).fetchall())))

    def drop_unreadable(self) -> list[str]:
        """Drop the pages of which no cell can be read; their names."""

        def work(database: sqlite3.Connection) -> list[str]:
            dropped = []
            for account, page, cells in database.execute("SELECT * FROM page").fetchall():
                try:
                    _read({page: cells})
                except msgspec.MsgspecError:
                    key = (account, page)
                    database.execute("DELETE FROM page WHERE account = ? AND page = ?", key)
                    dropped.append(f"page {page}")
            return dropped

        return self._guarded(work)

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""
        asked = "DELETE FROM page WHERE account = ifnull(?, account)"
        self._guarded(lambda database: database.execute(asked, (account,)))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        for connection in (self._hurried, self._connection):
            if connection is not None:
                connection.close()
        self._hurried = self._connection = None

    def __del__(self) -> None:
        """Close the connections; from Python 3.13 on one that is left open is warned of."""
        if "_connection" in self.__dict__:
            self._close()

    def begin_anew(self) -> None:
        """In a forked child: leave the parent's connection alone, open another when needed."""
        # Closing one here would take the parent's locks away.
        leave_to_the_parent(self._hurried, self._connection)
        self._hurried = self._connection = None
        # One that another thread of the parent held at the fork would never be released here.
        self._lock = threading.Lock()

    # --- underneath -----------------------------------------------------------------------

    def _turn_pages(self, database: sqlite3.Connection, account: str, day: str) -> None:
        """On a new day, throw away the oldest; by count, since a clock may have been wrong."""
        if not day[:1].isdigit() or day == self._newest.get(account):
            return
        self._newest[account] = day
        self._seen.clear()
        database.execute(
            "DELETE FROM page WHERE account = ? AND page GLOB '[0-9]*' AND page NOT IN ("
            "SELECT page FROM page WHERE account = ? AND page GLOB '[0-9]*' "
            "ORDER BY page DESC LIMIT ?)",
            (account, account, _DAYS_KEPT),
        )

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection, one thread at a time."""
        with self._lock:
            try:
                return work(self._open())
            except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
                # A text cell that does not decode is damage too.
                raise StoreError(
                    _("the file {path} cannot be used: {error}").format(path=self.path, error=error)
                ) from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and not self._is_gone():
            if self._hurries and self._hurried is None:
                self._hurried = self._connect(patience=0.0)
                self._hurried.execute(_UNHURRIED_DISK)
                self._hurried.execute("PRAGMA wal_autocheckpoint = 0")
            return self._connection
        if not self.path.is_absolute():
            raise StoreError(
                _(
                    "the file {path} cannot be used: the home folder that it lies in is not known"
                ).format(path=self.path)
            )
        if not self.path.exists():
            make(self.path)
        database = self._connect(_PATIENCE)
        try:
            if self.path.stat().st_size == 0:
                furnish(database)  # a file that was left empty, by a full disk for instance
            check(database, self.path)
            database.execute(_UNHURRIED_DISK)
            keep_private(self.path)
        except BaseException:
            database.close()
            raise
        self._identity = identity_of(self.path)
        self._connection = database
        return database

    def _connect(self, patience: float) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path, timeout=patience, isolation_level=None, check_same_thread=False
        )

    def _must_look(self) -> bool:
        return time.monotonic() >= self._looks_at

    def _is_gone(self) -> bool:
        """Whether the file was deleted or replaced while it was open; looked at once a second."""
        if not self._must_look():
            return False
        self._looks_at = time.monotonic() + _LOOKS_EVERY
        if identity_of(self.path) == self._identity:
            return False
        self._close()
        self._seen.clear()
        return True


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _load(database: sqlite3.Connection, account: str, pages: Collection[str]) -> dict[str, bytes]:
    marks = ", ".join("?" * len(pages))
    rows = database.execute(
        f"SELECT page, cells FROM page WHERE account = ? AND page IN ({marks})", (account, *pages)
    )
    return dict(rows.fetchall())


def _read(rows: dict[str, bytes]) -> Pages:
    return {page: _decode(cells or b"") for page, cells in rows.items()}  # damage may be a NULL
