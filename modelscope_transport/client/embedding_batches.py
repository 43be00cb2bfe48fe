"""Many texts in as few requests as the service takes: each request costs a unit of allowance.

Laws of this file: no I/O. Threads may share one object: a batch is handed to one worker only.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ..answers import EmbeddingResult, Origin, Usage
from ..errors import InvalidRequestError, UnexpectedReplyError
from ..language import translated as _

__all__ = ["Batches"]

# A request is kept below this many characters of text, far below any body limit on record.
_MOST_CHARACTERS = 500_000


class Batches:
    """Texts to embed, each once, in batches; and their vectors, back in the order of the texts.

    Args:
        texts: texts to embed; a text that occurs twice is sent once.
        size: most texts in one batch.

    Raises:
        InvalidRequestError: an empty text, or one text in place of several; nothing was sent.
    """

    def __init__(self, texts: Sequence[str], size: int) -> None:
        if isinstance(texts, str):  # else each of its letters would be a text
            raise InvalidRequestError(
                _("texts must be a sequence of texts, and is one text. Put it into a list.")
            )
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise InvalidRequestError(
                    _("Text {place} is of type {name}; only text has an embedding.").format(
                        place=place, name=type(text).__name__
                    )
                )
            if not text:
                raise InvalidRequestError(
                    _("Text {place} is empty; an empty text has no embedding.").format(place=place)
                )
        self._texts = texts
        self._waiting: deque[tuple[str, ...]] = deque(_cut(tuple(dict.fromkeys(texts)), size))
        self._dropped = False
        self._vectors: dict[str, list[float]] = {}
        self._answers: list[EmbeddingResult] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Batches still waiting."""
        return len(self._waiting)

    @property
    def done(self) -> int:
        """Distinct texts embedded so far."""
        return len(self._vectors)

    def take(self) -> tuple[str, ...] | None:
        """The next batch, or ``None`` when none is waiting."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def add(self, batch: tuple[str, ...], answer: EmbeddingResult) -> None:
        """Keep the vectors of a batch."""
        with self._lock:
            self._vectors.update(zip(batch, answer.vectors, strict=True))
            self._answers.append(answer)

    def split(self, batch: tuple[str, ...]) -> int:
        """Put a batch that was too large back, and cut it and all others to half its size.

        Returns:
            The new size.
        """
        size = max(1, len(batch) // 2)
        with self._lock:
            waiting = [] if self._dropped else [batch, *self._waiting]
            self._waiting = deque(part for whole in waiting for part in _cut(whole, size))
        return size

    def drop(self) -> None:
        """Forget the batches that wait, and any that comes back: no further one is begun."""
        with self._lock:
            self._dropped = True
            self._waiting.clear()

    def result(self) -> EmbeddingResult:
        """The vectors of all texts, in order, each an object of its own.

        Raises:
            UnexpectedReplyError: the batches came back with vectors of different lengths.
        """
        lengths = {len(vector) for vector in self._vectors.values()}
        if len(lengths) > 1:
            raise UnexpectedReplyError(
                _(
                    "The service sent vectors of {lengths} numbers for one call. Nothing was "
                    "kept; call again."
                ).format(lengths=sorted(lengths))
            )
        last = self._answers[-1] if self._answers else EmbeddingResult(())
        tokens = sum(answer.usage.input_tokens for answer in self._answers if answer.usage)
        return EmbeddingResult(
            vectors=tuple(self._spread()),
            usage=Usage(input_tokens=tokens, total_tokens=tokens) if tokens else None,
            model=last.model,
            origin=self._origin(last.origin),
        )

    def _spread(self) -> Iterator[list[float]]:
        given: set[str] = set()
        for text in self._texts:
            vector = self._vectors[text]
            # Equal texts get lists of their own: a caller may change one of them in place.
            yield [*vector] if text in given else vector
            given.add(text)

    def _origin(self, last: Origin | None) -> Origin | None:
        if last is None:
            return None
        attempts = sum(answer.origin.attempts for answer in self._answers if answer.origin)
        return replace(last, attempts=attempts, adjustments=(), headers={})


def _cut(texts: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    batches: list[list[str]] = []
    room = 0
    for text in texts:
        if not batches or len(batches[-1]) >= size or len(text) > room:
            batches.append([])
            room = _MOST_CHARACTERS
        batches[-1].append(text)
        room -= len(text)
    return [tuple(batch) for batch in batches]
