"""The results of a long job: a file of JSON lines, one for each item that is settled.

Laws of this file: a line is written whole, at once, and never changed; of several lines of one key
the last one counts. A process that was killed leaves half a line at most, which is cut off when the
file is opened next. What is no file of results is left as it is. No token gets here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

import msgspec
from msgspec import Struct

from ..answers import ChatResult, EmbeddingResult
from ..errors import ConfigurationError, ModelScopeError

__all__ = ["BatchFailure", "BatchRow", "ResultsFile", "read_results"]


class BatchFailure(Struct, frozen=True, omit_defaults=True):
    """Why an item has no answer.

    Attributes:
        error: name of the error's class.
        message: its text.
        reason: name of the row of the failure table that fits.
        again: whether the next run asks again: it was no fault of the item's own.
    """

    error: str
    message: str
    reason: str | None = None
    again: bool = False

    @classmethod
    def of(cls, error: ModelScopeError, *, again: bool) -> Self:
        """What there is to keep of an error."""
        return cls(type(error).__name__, str(error), error.reason, again)


class BatchRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one item: an answer of its kind, or a failure.

    Attributes:
        key: the item's name.
        fingerprint: stands for all of the request that can change its answer.
        chat: the answer to a `ChatRequest`.
        embedding: the answer to an `EmbeddingRequest`.
        failure: why there is none.
    """

    key: str
    fingerprint: str
    chat: ChatResult | None = None
    embedding: EmbeddingResult | None = None
    failure: BatchFailure | None = None

    @property
    def text(self) -> str:
        """Text of a chat's answer; empty where there is none."""
        return "" if self.chat is None else self.chat.text


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(BatchRow).decode
_HEAD = b'{"key":'  # every line begins so


def read_results(path: str | os.PathLike[str]) -> dict[str, BatchRow]:
    """The rows of a file of results, by their keys; also while the job is at work.

    Raises:
        ConfigurationError: the file is no file of results.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return {row.key: row for row in _rows(file, Path(path))}


def _rows(lines: Iterable[bytes], path: Path) -> Iterator[BatchRow]:
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n") and line[: len(_HEAD)] == _HEAD[: len(line)]:
            return  # half a line: its writer was killed, or is writing
        try:
            yield _decode(line)
        except msgspec.MsgspecError as error:
            raise ConfigurationError(
                f"{path} is no file of results: line {number} is not one of theirs ({error}). "
                "Name another file."
            ) from None


class ResultsFile:
    """A file of results that is being written. Use it in a ``with`` block.

    Args:
        path: where it is, or will be; readable by its owner alone.

    Attributes:
        known: by key, the fingerprint and the failure of what is settled so far.
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._path = path
        self._file: BinaryIO
        self.known: dict[str, tuple[str, BatchFailure | None]] = {}

    def __enter__(self) -> Self:
        """Open the file, for this process alone, and learn what is settled.

        Raises:
            ConfigurationError: it is no file of results, or another process writes it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            _lock(file, self._path)
            whole = 0
            for row in _rows(file, self._path):
                self.known[row.key] = (row.fingerprint, row.failure)
                whole = file.tell()
            file.truncate(whole)
            file.seek(whole)
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def add(self, row: BatchRow) -> None:
        """Write a row; it is there when this returns."""
        self._file.write(_encode(row) + b"\n")
        self._file.flush()
        self.known[row.key] = (row.fingerprint, row.failure)

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        self._file.close()


def _lock(file: BinaryIO, path: Path) -> None:
    """Two processes would pay for everything twice. The lock goes with its process."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigurationError(
            f"Another process is writing {path}. Wait for its end, or name another file."
        ) from None
