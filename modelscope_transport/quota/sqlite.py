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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from .._forks import begin_anew_in_child, close_for_forks, leave_to_the_parent
from ..language import translated as _
from .sqlite_file import check, identity_of, initialize, keep_private, make
from .sqlite_swap import Swaps, decode, encode, load
from .steps import LASTING, Pages, Ran, Step, StoreError, run

__all__ = ["SQLiteStore"]

# How long a write waits for the others' writes.
_PATIENCE = 5.0
# Seconds between two checks that the file was not deleted or replaced while it was open.
_LOOKS_EVERY = 1.0
# With a write-ahead log, a commit then does not wait for the disk.
_SYNCHRONOUS = "PRAGMA synchronous = NORMAL"
# After so many programs of event loops a thread moves what they wrote from the log into its place.
_MOST_IN_LOG = 1000
# What was spent is kept for this many days, so that it can be plotted.
_DAYS_KEPT = 35

T = TypeVar("T")


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
        # Another one for event loops, which waits for no lock; opened when it has been missed.
        self._loop_connection: sqlite3.Connection | None = None
        self._has_loops = False
        self._in_log = 0  # programs since the log was last moved
        self._newest: dict[str, str] = {}
        self._swaps = Swaps()
        self._identity: tuple[int, int] | None = None
        self._looks_at = 0.0
        self.begin_anew()
        begin_anew_in_child(self)
        close_for_forks(self)

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program in one transaction."""
        program = (account, now, tests, changes)
        return self._guarded(
            lambda db: self._swaps.swap(db, *program) or self._transact(db, *program)
        )

    def run_at_once(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran | None:
        """Run a program if nothing has to be waited for: no lock, no disk, no other page.

        ``None``: it was not run. It is left to `run` now and then, which moves what was written
        from the log into its place.
        """
        if self._in_log >= _MOST_IN_LOG:
            return None
        self._in_log += 1
        program, swap = (account, now, tests, changes), self._swaps.swap
        # Where the pages have changed, the second time reads them.
        return self._at_once(lambda db: swap(db, *program) or swap(db, *program))

    def read_at_once(self, account: str, pages: Sequence[str]) -> Pages | None:
        """The named pages, if nothing has to be waited for, else ``None``."""
        return self._at_once(lambda database: decode(load(database, account, pages)))

    def _at_once(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._loop_lock:  # not that of the threads, which may hold theirs for seconds
            self._has_loops = True
            if self._loop_connection is None or self._was_replaced():
                return None
            try:
                return work(self._loop_connection)
            except (sqlite3.Error, msgspec.MsgspecError):
                return None  # others write, or it is for `run` or `read` to say what is wrong

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
            rows = load(database, account, wanted)
            pages = decode(rows)
            failed, changed = run(pages, now, tests, changes)
            for page in changed:
                rows[page] = encode(pages[page])
                database.execute("REPLACE INTO page VALUES (?, ?, ?)", (account, page, rows[page]))
                self._turn_pages(database, account, page)
        self._swaps.note(account, rows, pages)
        return Ran(failed, pages)

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, as far as they exist."""
        return self._guarded(lambda database: decode(load(database, account, pages)))

    def accounts(self) -> list[str]:
        """The accounts of which anything is kept."""
        query = "SELECT DISTINCT account FROM page"
        rows = self._guarded(lambda database: database.execute(query).fetchall())
        return [account for (account,) in rows]

    def pages(self, account: str) -> Pages:
        """All pages of an account."""
        query = "SELECT page, cells FROM page WHERE account = ?"
        return self._guarded(lambda db: decode(dict(db.execute(query, (account,)).fetchall())))

    def drop_unreadable(self) -> list[str]:
        """Drop the pages of which no cell can be read; their names."""

        def work(database: sqlite3.Connection) -> list[str]:
            dropped = []
            for account, page, cells in database.execute("SELECT * FROM page").fetchall():
                try:
                    decode({page: cells})
                except msgspec.MsgspecError:
                    key = (account, page)
                    database.execute("DELETE FROM page WHERE account = ? AND page = ?", key)
                    dropped.append(f"page {page}")
            return dropped

        return self._guarded(work)

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""
        query = "DELETE FROM page WHERE account = ifnull(?, account)"
        self._guarded(lambda database: database.execute(query, (account,)))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        with self._loop_lock:
            connections = self._loop_connection, self._connection
            self._loop_connection = self._connection = None
        for connection in connections:  # which may take long, and a loop waits for that lock
            if connection is not None:
                connection.close()

    def __del__(self) -> None:
        """Close the connections; from Python 3.13 on one that is left open is warned of."""
        if "_connection" in self.__dict__:
            self._close()

    def lock_and_close(self) -> threading.Lock | None:
        """Close the file before a fork, and keep it closed until then."""
        if not self._lock.acquire(timeout=_PATIENCE):
            return None
        self._close()
        return self._lock

    def begin_anew(self) -> None:
        """In a forked child: leave the parent's connection alone, open another when needed."""
        # Closing one here would take the parent's locks away.
        leave_to_the_parent(self._loop_connection, self._connection)
        self._loop_connection = self._connection = None
        # One that another thread of the parent held at the fork would never be released here.
        self._lock = threading.Lock()
        self._loop_lock = threading.Lock()

    # --- underneath -----------------------------------------------------------------------

    def _turn_pages(self, database: sqlite3.Connection, account: str, day: str) -> None:
        """On a new day, delete the oldest pages; by count, since a clock may have been wrong."""
        if not day[:1].isdigit() or day == self._newest.get(account):
            return
        self._newest[account] = day
        self._swaps.clear()
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
                # A msgspec error is of a row that is not valid JSON, which is damage too.
                raise StoreError(
                    _("the file {path} cannot be used: {error}").format(path=self.path, error=error)
                ) from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._was_replaced():
            self._close()
            self._swaps.clear()
        if self._connection is not None:
            if self._has_loops and self._loop_connection is None:
                impatient = self._connect(patience=0.0)
                impatient.execute(_SYNCHRONOUS)
                impatient.execute("PRAGMA wal_autocheckpoint = 0")
                self._loop_connection = impatient
            elif self._in_log >= _MOST_IN_LOG:
                with contextlib.suppress(sqlite3.Error):  # a full disk: whoever writes finds it
                    self._connection.execute("PRAGMA wal_checkpoint")
                self._in_log = 0  # only now: the log begins anew where nobody wrote meanwhile
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
                initialize(database)  # a file that was left empty, by a full disk for instance
            check(database, self.path)
            database.execute(_SYNCHRONOUS)
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

    def _was_replaced(self) -> bool:
        """Whether the file was deleted or replaced while it was open; checked once a second."""
        now = time.monotonic()
        if now < self._looks_at:
            return False
        if identity_of(self.path) != self._identity:
            return True
        self._looks_at = now + _LOOKS_EVERY
        return False


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
