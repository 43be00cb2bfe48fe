"""Answers in memory or in a file, by SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from ..private_database import PrivateDatabase

__all__ = ["SQLiteAnswers"]


class SQLiteAnswers:
    """A store of answers.

    Args:
        path: the file, readable by its owner alone; ``None`` for memory.

    Attributes:
        blocking: whether it does I/O.
    """

    def __init__(self, path: Path | None) -> None:
        """Open nothing yet."""
        self.blocking = path is not None
        self._database = PrivateDatabase(
            path,
            "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, at REAL, answer BLOB)",
            "CREATE INDEX IF NOT EXISTS by_age ON answers (at)",
        )

    def find(self, key: bytes, oldest: float) -> bytes | None:
        """What is kept under a name since a time, if anything."""
        rows = self._run("SELECT answer FROM answers WHERE key = ? AND at >= ?", key, oldest)
        return bytes(rows[0][0]) if rows else None

    def keep(self, key: bytes, at: float, answer: bytes, max_age: float | None) -> None:
        """Keep something under a name, and nothing that has grown too old."""
        if max_age is not None:
            self._run("DELETE FROM answers WHERE at < ?", at - max_age)
        self._run("REPLACE INTO answers VALUES (?, ?, ?)", key, at, answer)

    def clear(self) -> None:
        """Forget everything."""
        self._run("DELETE FROM answers")

    def close(self) -> None:
        """Close the file; a memory is lost."""
        self._database.close()

    def _run(self, statement: str, *values: object) -> list[Any]:
        with contextlib.suppress(sqlite3.Error, OSError):
            return self._database.run(statement, values)
        return []
