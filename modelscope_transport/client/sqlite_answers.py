"""Answers in memory or in a file, by SQLite: threads share one connection, a fork opens its own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .._forks import begin_anew_in_child, leave_to_the_parent

__all__ = ["SQLiteAnswers"]

T = TypeVar("T")


class SQLiteAnswers:
    """A store of answers.

    Args:
        path: the file, readable by its owner alone; ``None`` for memory.
    """

    def __init__(self, path: Path | None) -> None:
        """Open nothing yet."""
        self._path = path
        self._database: sqlite3.Connection | None = None
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """In a forked child: leave the parent's connection alone, open another when needed."""
        leave_to_the_parent(self._database)
        self._database = None
        self._lock = threading.Lock()

    @property
    def blocking(self) -> bool:
        """Whether it does I/O."""
        return self._path is not None

    def find(self, key: bytes, oldest: float) -> bytes | None:
        """What is kept under a name since a time, if anything."""
        query = "SELECT answer FROM answers WHERE key = ? AND at >= ?"
        row: Any = self._with(lambda database: database.execute(query, (key, oldest)).fetchone())
        return None if row is None else bytes(row[0])

    def keep(self, key: bytes, at: float, answer: bytes, max_age: float | None) -> None:
        """Keep something under a name, and nothing that has grown too old."""
        if max_age is not None:
            oldest = (at - max_age,)
            self._with(lambda file: file.execute("DELETE FROM answers WHERE at < ?", oldest))
        row = (key, at, answer)
        self._with(lambda database: database.execute("REPLACE INTO answers VALUES (?, ?, ?)", row))

    def clear(self) -> None:
        """Forget everything."""
        self._with(lambda database: database.execute("DELETE FROM answers"))

    def close(self) -> None:
        """Close the file; a memory is lost."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None

    def _with(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            return work(self._open())
        return None

    def _open(self) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        place = ":memory:" if self._path is None else self._path
        database = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
        try:
            database.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, at REAL, answer BLOB)"
            )
            database.execute("CREATE INDEX IF NOT EXISTS by_age ON answers (at)")
        except BaseException:
            database.close()
            raise
        self._database = database
        return database

    def __del__(self) -> None:
        """Close the file."""
        database = self.__dict__.get("_database")
        if database is not None:
            database.close()
