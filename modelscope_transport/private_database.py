"""An SQLite file that only its owner can read: threads share a connection, a fork opens its own."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ._forks import begin_anew_in_child, close_for_forks, leave_to_the_parent

__all__ = ["PrivateDatabase", "finish_in_thread"]

T = TypeVar("T")

# Seconds for which a write waits for those of other processes.
_PATIENCE = 30.0
# Seconds for which a fork waits for a statement of another thread.
_PATIENCE_OF_FORKS = 2.0


class PrivateDatabase:
    """A file that processes of one host may share, or memory; opened by the first statement.

    What was written survives a killed process; after a power cut the last writes may be missing.

    Args:
        path: the file; it and its folder are made when they are missing. ``None`` for memory.
        set_up: the statements that make its tables, where they are missing.
    """

    def __init__(self, path: Path | None, *set_up: str) -> None:
        """Open nothing yet."""
        self._path = path
        self._set_up = ("PRAGMA synchronous = NORMAL", *set_up)
        self._connection: sqlite3.Connection | None = None
        self.begin_anew()
        begin_anew_in_child(self)
        close_for_forks(self)

    def begin_anew(self) -> None:
        """In a forked child: leave the parent's connection alone, open another when needed."""
        leave_to_the_parent(self._connection)
        self._connection = None
        self._lock = threading.Lock()

    def run(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Run one statement; the rows that it finds.

        Raises:
            sqlite3.Error: the file is no SQLite database, is damaged or full, or others are busy.
            OSError: it cannot be made.
        """
        with self._lock:
            if self._connection is None:
                self._connection = self._opened()
            return self._connection.execute(statement, values).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            ":memory:" if self._path is None else self._path,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _write_ahead(connection)
            for statement in self._set_up:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the file; a later statement opens it again. A memory is lost."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def lock_and_close(self) -> threading.Lock | None:
        """Close the file before a fork, and keep it closed until then."""
        if self._path is None or not self._lock.acquire(timeout=_PATIENCE_OF_FORKS):
            return None
        self._close()
        return self._lock

    def __del__(self) -> None:
        """Close the file; from Python 3.13 on one that is left open is warned of."""
        self._close()  # nobody else has it now, but a fork may hold the lock


async def finish_in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Use a file outside the event loop, to the end even when the caller is cancelled.

    `asyncio.to_thread` drops work that waits for a free thread when its caller is cancelled, as
    every task is at the end of ``asyncio.run``.
    """
    context = contextvars.copy_context()
    working = asyncio.get_running_loop().run_in_executor(None, context.run, work, *arguments)
    return await asyncio.shield(working)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log.

    Where several processes do so at once, SQLite refuses some without a wait: the wait is here.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)
