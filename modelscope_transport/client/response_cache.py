"""Answers kept for the next time the same is asked, for whoever wants that.

An answer is found again by everything that could change it: the address, the model, the messages
and every other field of the request. Who sets a temperature above 0 gets the same words again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from ..answers import ChatResult
from ..types import ChatRequest, EmbeddingRequest

__all__ = ["ResponseCache", "key_of"]

_decode = msgspec.json.Decoder(ChatResult).decode
_FORM = b"1"
T = TypeVar("T")


def key_of(request: ChatRequest | EmbeddingRequest, *around: object) -> bytes | None:
    """The name of a request: equal requests have equal names. ``None`` for one that has none.

    What a request leaves out is left out of its name, so that fields which a later version adds
    change no name.

    Args:
        request: what is asked.
        around: what else decides the answer, such as the address.
    """
    # Neither changes what the model asked answers, only whether and when there is an answer.
    asked = replace(request, timeout=None, fallback_models=())
    try:
        whole = msgspec.json.encode((around, asked), order="deterministic")
    except (TypeError, ValueError, msgspec.MsgspecError):
        return None  # something in it is no JSON
    return hashlib.blake2b(_FORM + whole, digest_size=20).digest()


class ResponseCache:
    """A cache of answers, streamed ones included.

    A convenience, not a record: a file that cannot be read or written counts as empty.

    Args:
        path: a file, which processes may share; ``None`` keeps the answers in memory. It holds
            what was answered, so it is made readable by its owner alone.
        max_age: seconds after which an answer is forgotten; ``None`` for never.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        max_age: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open nothing yet."""
        self.path = None if path is None else Path(path).expanduser().absolute()
        self.max_age = max_age
        self._clock = clock
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._process = 0

    @property
    def blocking(self) -> bool:
        """Whether `find` and `keep` do I/O; an event loop then keeps them in a thread."""
        return self.path is not None

    def find(self, key: bytes) -> ChatResult | None:
        """The answer kept under a name, if there is one."""

        def work(database: sqlite3.Connection) -> ChatResult | None:
            oldest = 0.0 if self.max_age is None else self._clock() - self.max_age
            query = "SELECT answer FROM answers WHERE key = ? AND at >= ?"
            row = database.execute(query, (key, oldest)).fetchone()
            return None if row is None else _decode(row[0])

        return self._with(work)

    def keep(self, key: bytes, answer: ChatResult) -> None:
        """Keep an answer under a name."""
        row = (key, self._clock(), msgspec.json.encode(answer))
        self._with(lambda database: database.execute("REPLACE INTO answers VALUES (?, ?, ?)", row))

    def clear(self) -> None:
        """Forget all answers."""
        self._with(lambda database: database.execute("DELETE FROM answers"))

    def close(self) -> None:
        """Close the file; a later call opens it again. A memory is lost."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None

    def _with(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._lock, contextlib.suppress(sqlite3.Error, OSError, msgspec.MsgspecError):
            return work(self._open())
        return None

    def _open(self) -> sqlite3.Connection:
        if self._database is not None and self._process == os.getpid():
            return self._database
        if self.path is not None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        place = ":memory:" if self.path is None else self.path
        database = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
        database.execute(
            "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, at REAL, answer BLOB)"
        )
        self._database, self._process = database, os.getpid()
        return database

    def __del__(self) -> None:
        """Close the file."""
        database = self.__dict__.get("_database")
        if database is not None and self._process == os.getpid():
            database.close()

    def __reduce__(self) -> tuple[object, ...]:
        """The same file, opened anew; a memory begins empty."""
        return _revive, (None if self.path is None else str(self.path), self.max_age)


def _revive(path: str | None, max_age: float | None) -> ResponseCache:
    return ResponseCache(path, max_age=max_age)
