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
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..language import translated as _
from .steps import LASTING, Pages, Ran, Step, StoreError, run

__all__ = ["SQLiteStore", "default_path"]

# How long a write waits for the others' writes.
_PATIENCE = 5.0
# "mspl" in ASCII, in the file's head: another program's file is left alone.
_APPLICATION = 0x6D73706C
_SCHEMA = 2
# Seconds after which it is seen that the file was deleted or replaced while it was open.
_LOOKS_EVERY = 1.0
# What was spent is kept for this many days, so that it can be plotted.
_DAYS_KEPT = 35

# Writes a page if it and the lasting one are as they were.
_SWAP = (
    "UPDATE page SET cells = ?1 WHERE account = ?2 AND page = ?3 AND cells = ?4 "
    "AND (SELECT cells FROM page WHERE account = ?2 AND page = '') IS ?5"
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
T = TypeVar("T")

_stores: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()
# Connections of the parent process: closing one here would take the parent's locks away.
_left_to_the_parent: list[sqlite3.Connection] = []


def _after_fork() -> None:
    for store in list(_stores):
        store.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def default_path() -> Path:
    """Where the ledger of this user lives, by the custom of the platform."""
    import platformdirs

    return platformdirs.user_state_path("modelscope-adapters", appauthor=False) / "ledger.sqlite3"


class SQLiteStore:
    """Numbers in one file.

    Nothing is opened before the first call. Threads share one connection; a forked child opens
    its own.

    Args:
        path: the file; it and its folder are made, for their owner alone, when they are missing.
    """

    blocking = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._newest: dict[str, str] = {}
        # The pages of each account's last program, as they were written and as they are read.
        self._seen: dict[str, tuple[dict[str, bytes], Pages]] = {}
        self._identity: tuple[int, int] | None = None
        self._looks_at = 0.0
        _stores.add(self)

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program in one transaction."""
        wanted = {LASTING}
        wanted.update(step.page for step in tests)
        wanted.update(step.page for step in changes)

        def work(database: sqlite3.Connection) -> Ran:
            rows = _load(database, account, wanted)
            pages = _read(rows)
            failed, changed = run(pages, now, tests, changes)
            for page in changed:
                rows[page] = _encode(pages[page])
                database.execute("REPLACE INTO page VALUES (?, ?, ?)", (account, page, rows[page]))
                self._turn_pages(database, account, page)
            self._seen[account] = rows, pages
            return Ran(failed, pages)

        def swap(database: sqlite3.Connection) -> Ran | None:
            return self._compare_and_swap(database, account, now, tests, changes, wanted)

        return self._guarded(swap) or self._transact(work)

    def _compare_and_swap(
        self,
        database: sqlite3.Connection,
        account: str,
        now: float,
        tests: Sequence[Step],
        changes: Sequence[Step],
        wanted: set[str],
    ) -> Ran | None:
        """Run a program on the pages as last seen. ``None`` where they are so no longer."""
        rows, seen = self._seen.get(account, ({}, {}))
        if wanted != rows.keys() | {LASTING}:
            return None
        if len(wanted) != 2 or not changes or any(step.page == LASTING for step in changes):
            return None  # only a day's page is written, and only it and the lasting one compared
        (day,) = wanted - {LASTING}
        pages = {**seen, day: seen[day].copy()}
        failed, _ = run(pages, now, tests, changes)
        if failed is not None:
            return None
        cells = _encode(pages[day])
        row = (cells, account, day, rows.get(day), rows.get(LASTING))
        if database.execute(_SWAP, row).rowcount != 1:
            return None
        self._seen[account] = {**rows, day: cells}, pages
        return Ran(None, pages)

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, as far as they exist."""
        return self._guarded(lambda database: _read(_load(database, account, pages)))

    def accounts(self) -> list[str]:
        """The accounts of which anything is kept."""
        rows = self._guarded(
            lambda database: database.execute("SELECT DISTINCT account FROM page").fetchall()
        )
        return [account for (account,) in rows]

    def pages(self, account: str) -> Pages:
        """All pages of an account."""

        def work(database: sqlite3.Connection) -> Pages:
            found = database.execute("SELECT page, cells FROM page WHERE account = ?", (account,))
            return _read(dict(found.fetchall()))

        return self._guarded(work)

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""

        def work(database: sqlite3.Connection) -> None:
            if account is None:
                database.execute("DELETE FROM page")
            else:
                database.execute("DELETE FROM page WHERE account = ?", (account,))

        self._transact(work)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __del__(self) -> None:
        """Close the connection; from Python 3.13 on one that is left open is warned of."""
        connection = self.__dict__.get("_connection")
        if connection is not None:
            connection.close()

    def begin_anew(self) -> None:
        """In a forked child: leave the parent's connection alone, open another when needed."""
        if self._connection is not None:
            _left_to_the_parent.append(self._connection)
        self._connection = None
        # One that another thread of the parent held at the fork would never be released here.
        self._lock = threading.Lock()

    # --- underneath -----------------------------------------------------------------------

    def _turn_pages(self, database: sqlite3.Connection, account: str, day: str) -> None:
        """On a new day, throw away the oldest; by count, since a clock may have been wrong."""
        if not day[:1].isdigit() or day == self._newest.get(account):
            return
        self._newest[account] = day
        database.execute(
            "DELETE FROM page WHERE account = ?1 AND page GLOB '[0-9]*' AND page NOT IN ("
            "SELECT page FROM page WHERE account = ?1 AND page GLOB '[0-9]*' "
            "ORDER BY page DESC LIMIT ?2)",
            (account, _DAYS_KEPT),
        )

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def within(database: sqlite3.Connection) -> T:
            database.execute("BEGIN IMMEDIATE")
            try:
                done = work(database)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
            return done

        return self._guarded(within)

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
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
            return self._connection
        if not self.path.exists():
            _make(self.path)
        database = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            if self.path.stat().st_size == 0:
                _furnish(database)  # a file that was left empty, by a full disk for instance
            _check(database, self.path)
            database.execute("PRAGMA synchronous = NORMAL")
            _keep_private(self.path)
        except BaseException:
            database.close()
            raise
        self._identity = _identity_of(self.path)
        self._connection = database
        return database

    def _is_gone(self) -> bool:
        """Whether the file was deleted or replaced while it was open; looked at once a second."""
        now = time.monotonic()
        if now < self._looks_at:
            return False
        self._looks_at = now + _LOOKS_EVERY
        if _identity_of(self.path) == self._identity:
            return False
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._seen.clear()
        return True


def _identity_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name; ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _keep_private(path: Path) -> None:
    """Take a file of ours away from others; not through a link, which leads to we know not what."""
    found = path.lstat()
    if os.name == "posix" and stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        path.chmod(0o600)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, for their owner alone."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _make(path: Path) -> None:
    """Make the file and its folder, for their owner alone; a second process finds it ready."""
    _make_folder(path.parent)
    descriptor, unfinished = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # mode 0600
    os.close(descriptor)
    try:
        database = sqlite3.connect(unfinished, isolation_level=None)
        try:
            _furnish(database)
        finally:
            database.close()
        # Neither replaces a file that has come into being meanwhile.
        with contextlib.suppress(FileExistsError):
            (os.rename if os.name == "nt" else os.link)(unfinished, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)


def _furnish(database: sqlite3.Connection) -> None:
    """Make an empty file a ledger; a second process that does so at the same time waits."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("BEGIN EXCLUSIVE")
    database.execute(
        "CREATE TABLE IF NOT EXISTS page (account TEXT, page TEXT, cells BLOB, "
        "PRIMARY KEY (account, page)) WITHOUT ROWID"
    )
    database.execute(f"PRAGMA application_id = {_APPLICATION}")
    database.execute(f"PRAGMA user_version = {_SCHEMA}")
    database.execute("COMMIT")


def _check(database: sqlite3.Connection, path: Path) -> None:
    """Refuse a file of another program, or of another version of this one."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (schema,) = database.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        raise StoreError(_("the file {path} is no ledger").format(path=path))
    if schema != _SCHEMA:
        age = _("a newer") if schema > _SCHEMA else _("an older")
        raise StoreError(
            _(
                "the file {path} was written by {age} version of modelscope-adapters (its "
                "layout is {schema}, this version knows {schema2}) and is left as it is"
            ).format(path=path, age=age, schema=schema, schema2=_SCHEMA)
        )


def _load(database: sqlite3.Connection, account: str, pages: Collection[str]) -> dict[str, bytes]:
    marks = ", ".join("?" * len(pages))
    rows = database.execute(
        f"SELECT page, cells FROM page WHERE account = ? AND page IN ({marks})", (account, *pages)
    )
    return dict(rows.fetchall())


def _read(rows: dict[str, bytes]) -> Pages:
    return {page: _decode(cells) for page, cells in rows.items()}
