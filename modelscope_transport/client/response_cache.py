"""A cache of answers, for callers who want one.

An answer is found again by everything that could change it: the address, the model, the messages
and every other field of the request. Even with a temperature above 0 it is the same answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from .._wire.checks import as_plain
from ..answers import ChatResult, EmbeddingResult
from ..quota.redis_address import SCHEMES
from ..secret import mask_address
from ..types import ChatRequest, EmbeddingRequest
from .redis_answers import RedisAnswers
from .sqlite_answers import SQLiteAnswers

__all__ = ["ResponseCache", "key_of"]

_FORM = b"1"  # of names and answers; another one finds nothing that was kept before
T = TypeVar("T")
_decode = msgspec.json.Decoder(ChatResult).decode
_decode_vectors = msgspec.json.Decoder(EmbeddingResult).decode


def key_of(request: ChatRequest | EmbeddingRequest, *around: object) -> bytes | None:
    """The name of a request: equal requests have equal names; ``None`` where it is not all JSON.

    What a request leaves out is left out of its name, so that fields which a later version adds
    change no name.

    Args:
        request: what is asked.
        around: what else decides the answer, such as the address.
    """
    # Neither changes what the model asked answers, only whether and when there is an answer.
    asked = replace(request, timeout=None, fallback_models=())
    try:
        whole = msgspec.json.encode((around, asked), enc_hook=as_plain, order="deterministic")
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return hashlib.blake2b(_FORM + whole, digest_size=20).digest()


class ResponseCache:
    """A cache of answers, streamed ones included.

    A convenience, not a record: a file or a server that cannot be used counts as empty.

    Args:
        path: a file, which processes of one host may share; the address of a Redis or Valkey
            (``redis://…``, as the ledger takes it), which hosts may share; ``None`` keeps the
            answers in memory. A file holds what was answered, so it is made readable by its owner
            alone.
        max_age: seconds after which an answer is forgotten; ``None`` for never. Of the caches that
            share a file, the smallest one counts.
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
        self.path: Path | None = None
        self.max_age = None if max_age == math.inf else max_age
        self._address: str | None = None
        self._clock = clock
        # Where answers are kept, as bytes by their names. A store that fails counts as empty.
        self._answers: SQLiteAnswers | RedisAnswers
        if isinstance(path, str) and path.startswith(SCHEMES):
            self._address, self._answers = path, RedisAnswers(path)
        else:
            self.path = None if path is None else Path(path).expanduser().absolute()
            self._answers = SQLiteAnswers(self.path)

    @property
    def blocking(self) -> bool:
        """Whether `find` and `keep` do I/O; an event loop then keeps them in a thread."""
        return self._answers.blocking

    def find(self, key: bytes) -> ChatResult | None:
        """The answer kept under a name, if there is one."""
        return self._found(key, _decode)

    def find_vectors(self, key: bytes) -> EmbeddingResult | None:
        """The same, for the answer to an `EmbeddingRequest`."""
        return self._found(key, _decode_vectors)

    def _found(self, key: bytes, decode: Callable[[bytes], T]) -> T | None:
        oldest = 0.0 if self.max_age is None else self._clock() - self.max_age
        found = self._answers.find(key, oldest)
        try:
            return None if found is None else decode(found)
        except (msgspec.MsgspecError, RecursionError):
            return None

    def keep(self, key: bytes, answer: ChatResult | EmbeddingResult) -> None:
        """Keep an answer under a name."""
        with contextlib.suppress(RecursionError):  # what was read may be too deep to be written
            self._answers.keep(key, self._clock(), msgspec.json.encode(answer), self.max_age)

    def clear(self) -> None:
        """Forget all answers."""
        self._answers.clear()

    def close(self) -> None:
        """Close the file; a later call opens it again. A memory is lost."""
        self._answers.close()

    def __reduce__(self) -> tuple[object, ...]:
        """The same file or server, opened anew; a memory begins empty.

        The address of a server leaves its credentials behind: the other process takes them from
        ``MODELSCOPE_LEDGER``, see `modelscope_transport.settings.resolve_address`.
        """
        path = None if self.path is None else str(self.path)
        if self._address is not None:
            path = mask_address(self._address)
        return _revive, (path, self.max_age)


def _revive(path: str | None, max_age: float | None) -> ResponseCache:
    return ResponseCache(path, max_age=max_age)
