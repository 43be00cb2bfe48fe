"""The results of a long job: a file of JSON lines, one for each item that is settled.

Laws of this file: a line is written whole, at once, and never changed; of several lines of one key
the last one counts. A process that was killed leaves half a line at most, which is cut off when the
file is opened next. A file that holds no results is left as it is, and so is all that a killed
process cannot have written. No token gets here.

A file whose name ends in ``.gz`` is compressed, each line a gzip member of its own, so that a line
is on file as soon as it is written; every program that reads gzip reads such a file.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Generator, Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import msgspec

from ..errors import ConfigurationError
from ..language import marked as _N
from ..language import translated as _
from .rows import FORMS, BatchFailure, BatchRow, Form, RowForm

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["ResultsFile", "is_being_written", "iter_results", "read_results"]

_GZIP = zlib.MAX_WBITS | 16
_PIECE = 1 << 16
_LOCK = ".lock"


def read_results(path: str | os.PathLike[str]) -> dict[str, BatchRow]:
    """The rows of a file of results, by their keys; also while the job is at work.

    Raises:
        ConfigurationError: the file is not a file of results.
        OSError: it cannot be read.
    """
    place = Path(path)
    with open(place, "rb", buffering=0) as file:
        return {row.key: row for row, *_ in _rows(file, place)}


def iter_results(path: str | os.PathLike[str]) -> Generator[BatchRow]:
    """The rows of a file of results, the newest of each key, in the order in which they came.

    The rows are read one by one; only their keys are held.

    Raises:
        ConfigurationError: the file is not a file of results.
        OSError: it cannot be read.
    """
    place = Path(path)
    with open(place, "rb", buffering=0) as file:
        last = {row.key: number for number, (row, *_) in enumerate(_rows(file, place))}
        file.seek(0)
        for number, (row, *_) in enumerate(_rows(file, place)):
            if last.get(row.key) == number:
                yield row


def _rows(file: BinaryIO | FileIO, path: Path) -> Iterator[tuple[BatchRow, int, bool]]:
    """The rows, each with the place in the file at which it ends, and whether its line ends."""
    form: RowForm | None = None
    packs = path.suffix == ".gz"
    try:
        for number, (line, end) in enumerate(_unpacked(file) if packs else _plain(file), 1):
            form = form or _form_of(line)
            try:
                row = (form or FORMS["short"]).decode(line)
            except ValueError as error:
                if not packs and _begins_a_row(line, form) and not _is_json(line):
                    return  # half a line: its writer was killed, or is writing
                said = _(_FOREIGN) if number == 1 else _(_DAMAGED)
                told = said.format(path=path, number=number, error=error)
                raise ConfigurationError(told) from None
            yield row, end, line.endswith(b"\n")
    except (zlib.error, _CutOff):
        raise ConfigurationError(
            _(
                "{path} is not a complete gzip file of results, though its name ends in .gz. Name "
                "another file."
            ).format(path=path)
        ) from None


def _form_of(line: bytes) -> RowForm | None:
    return next((form for form in FORMS.values() if line.startswith(form.head)), None)


def _begins_a_row(text: bytes, form: RowForm | None = None) -> bool:
    """Whether a text is one line, without its end, and the first part of it is that of a row."""
    heads = [each.head + b'"' for each in (FORMS.values() if form is None else [form])]
    return b"\n" not in text and any(text[: len(head)] == head[: len(text)] for head in heads)


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except UnicodeDecodeError:  # a whole string that is not UTF-8: no job has written it
        pass
    except msgspec.DecodeError:
        return False
    return True


def _plain(file: BinaryIO | FileIO) -> Iterator[tuple[bytes, int]]:
    end = 0
    with open(file.fileno(), "rb", closefd=False) as buffered:
        for line in buffered:
            end += len(line)
            yield line, end


class _CutOff(Exception):
    """A gzip member lacks its end and is not a job's, whose members hold one line each."""


def _unpacked(file: BinaryIO | FileIO) -> Iterator[tuple[bytes, int]]:
    """The lines of a gzip file, wherever its members end. Of a line that was cut off, nothing."""
    member, parts, read, rest = zlib.decompressobj(_GZIP), list[bytes](), 0, b""
    tail, end = b"", 0
    while piece := rest or file.read(_PIECE):
        parts.append(member.decompress(piece))
        rest = member.unused_data
        read += len(piece) - len(rest)
        if member.eof:
            end = read
            *lines, tail = (tail + b"".join(parts)).split(b"\n")
            for line in lines:
                yield line + b"\n", end
            member, parts = zlib.decompressobj(_GZIP), []
    if tail:
        yield tail, end
    if not _begins_a_row(b"".join(parts).removesuffix(b"\n")):
        raise _CutOff


def is_being_written(path: Path) -> bool:
    """Whether a process is at work on a file of results."""
    from filelock import FileLock, Timeout

    lock = path.with_name(path.name + _LOCK)
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0, thread_local=False):
            return False
    except (Timeout, OSError, NotImplementedError):
        return True


class ResultsFile:
    """A file of results that is being written. Use it in a ``with`` block.

    Args:
        path: where it is, or will be; readable by its owner alone. A file beside it, named alike
            with ``.lock``, keeps other processes off.
        form: the form of its lines; a file that has lines keeps their form.

    Attributes:
        known: by key, the fingerprint and the failure of what is settled so far.
    """

    def __init__(self, path: Path, form: Form = "short") -> None:
        """Open nothing yet."""
        self._path = path
        self._form = FORMS[form]
        self._lock: BaseFileLock
        self._file: FileIO
        self._end = 0
        self.known: dict[str, tuple[bytes, BatchFailure | None]] = {}

    def __enter__(self) -> Self:
        """Open the file, for this process alone, and learn what is settled.

        Raises:
            ConfigurationError: it is not a file of results, another process writes it, or it cannot
                be opened.
        """
        with self._explained(_OPENED):
            if self._path.exists() and not self._path.is_file():  # a device might never end
                raise ConfigurationError(
                    _("{path} is not a regular file. Name another one for the answers.").format(
                        path=self._path
                    )
                )
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._acquire()
            try:
                binary = getattr(os, "O_BINARY", 0)
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT | binary, 0o600)
                self._file = FileIO(handle, "r+")
                try:
                    self._learn()
                except BaseException:
                    self._file.close()
                    raise
            except BaseException:
                self._lock.release()
                raise
        return self

    def _acquire(self) -> None:
        # Here and not above: only a job needs a lock.
        from filelock import FileLock, Timeout

        # Two processes would pay for everything twice. The lock goes with its process.
        place = self._path.with_name(self._path.name + _LOCK)
        self._lock = FileLock(place, timeout=0, mode=0o600, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise ConfigurationError(
                _(
                    "Another process is writing {path}. Wait for its end, or name another file."
                ).format(path=self._path)
            ) from None
        except NotImplementedError:
            raise ConfigurationError(
                _(
                    "The file system of {path} cannot lock files. Name a file on another one."
                ).format(path=self._path)
            ) from None

    def _learn(self) -> None:
        ends = True
        for row, end, ends in _rows(self._file, self._path):  # noqa: B007 - the last one counts
            self._note(row)
            self._end = end
        if self.known:
            self._file.seek(0)
            first, _ = next(_unpacked(self._file) if self._packs else _plain(self._file))
            self._form = _form_of(first) or self._form
        self._cut()
        if not ends:  # an editor has taken the end of the last line
            self._write(b"\n")

    def _note(self, row: BatchRow) -> None:
        self.known[row.key] = (_digest(row.fingerprint), row.failure)

    def _cut(self) -> None:
        self._file.truncate(self._end)
        self._file.seek(self._end)

    @property
    def _packs(self) -> bool:
        return self._path.suffix == ".gz"

    def add(self, row: BatchRow) -> None:
        """Write a row; it is there when this returns.

        Raises:
            ConfigurationError: it cannot be written: the disk is full, for one.
        """
        try:
            with self._explained(_WRITTEN):
                self._write(self._form.encode(row) + b"\n")
        except ConfigurationError:
            with contextlib.suppress(OSError):
                self._cut()
            raise
        self._note(row)

    def _write(self, line: bytes) -> None:
        packed = gzip.compress(line, 6, mtime=0) if self._packs else line
        written = 0
        while written < len(packed):
            written += self._file.write(packed[written:])
        self._end += len(packed)

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._lock.release()

    @contextlib.contextmanager
    def _explained(self, said: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = error.strerror or error
            raise ConfigurationError(_(said).format(path=self._path, cause=cause)) from None


_FOREIGN = _N(
    "{path} is not a file of results: line {number} is not one of theirs ({error}). Name "
    "another file."
)
_DAMAGED = _N(
    "Line {number} of {path} is damaged ({error}). Remove that line and run the job again: only "
    "its item is asked anew."
)
_OPENED = _N(
    "{path} cannot be opened: {cause}. What was answered before is on file. Make room or name "
    "another file, then run the job again."
)
_WRITTEN = _N(
    "{path} cannot be written: {cause}. What was answered before is on file. Make room or name "
    "another file, then run the job again."
)


def _digest(fingerprint: str) -> bytes:
    """A fingerprint in a third of the memory; an invalid one fits no request."""
    try:
        return bytes.fromhex(fingerprint)
    except ValueError:
        return b""
