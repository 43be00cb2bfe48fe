"""The rest of a stream after its hand-over: bytes in, deltas out, and how it ended.

Laws of this file: no I/O; the same object serves both colours. A stream is whole only with its
finish mark. What breaks it becomes an error that carries what had arrived.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from .._sse import EventDecoder, EventTooLongError
from ..accumulator import ChatAccumulator
from ..errors import (
    ErrorDetails,
    ModelScopeError,
    StreamInterruptedError,
)
from ..types import ChatDelta, ChatResult, Origin
from .chat import ChatDecoder, Opening
from .failures import judge
from .outcomes import Failure, Reply

__all__ = ["StreamDecoder"]


class StreamDecoder:
    """Turns the bytes of one stream into deltas.

    Args:
        opening: what the hand-over gave.
        events: the decoder that has already split the first bytes.
        pending: payloads that came together with the first.
        origin: where the answer comes from.
        masked: takes the token out of what the service says.

    Attributes:
        ended: whether nothing more can come.
    """

    def __init__(
        self,
        opening: Opening,
        events: EventDecoder,
        pending: list[bytes],
        origin: Origin,
        masked: Callable[[str], str] = str,
    ) -> None:
        self.ended = False
        self._masked = masked
        self.origin = origin
        self._decoder: ChatDecoder = opening.decoder
        self._events = events
        self._seen: list[ChatDelta] = [] if opening.first is None else [opening.first]
        self._pending = pending
        self._failure: Failure | None = None

    def begin(self) -> list[ChatDelta]:
        """The deltas that came with the first bytes."""
        first = list(self._seen)
        return first + self._decode(self._pending)

    def feed(self, data: bytes) -> list[ChatDelta]:
        """The deltas that ``data`` completes."""
        try:
            payloads = self._events.feed(data)
        except EventTooLongError:
            self._fail(Failure("an event of more than one MiB", unreadable=True))
            return []
        return self._decode(payloads)

    def _decode(self, payloads: list[bytes]) -> list[ChatDelta]:
        decoder, deltas = self._decoder, []
        for payload in payloads:
            delta = decoder.feed(payload)
            if isinstance(delta, ChatDelta):
                deltas.append(delta)
            elif delta is not None:
                self._fail(delta)
                break
        self.ended = self.ended or decoder.done
        self._seen += deltas
        return deltas

    def _fail(self, failure: Failure) -> None:
        masked = self._masked
        self._failure = replace(
            failure,
            message=masked(failure.message),
            code=masked(failure.code or "") or None,
            request_id=masked(failure.request_id or "") or None,
        )
        self.ended = True

    def describe(self, error: Exception) -> str:
        """What an error of the connection says, which may repeat what a server has written."""
        return self._masked(str(error) or type(error).__name__)

    def finish(self, broken: str | None = None) -> list[ChatDelta]:
        """The last delta, which carries the token usage.

        Args:
            broken: why the bytes ended too early; ``None`` where they simply ended.

        Raises:
            StreamInterruptedError: the stream broke, or ended without its finish mark.
            ModelScopeError: the service reported an error inside the stream.
        """
        deltas: list[ChatDelta] = []
        if not self.ended and not broken:
            deltas = self._decode(self._events.close())
            if self._failure is not None and self._failure.unreadable:
                self._failure = None  # half a last line: the stream was cut
        self.ended = True
        if self._failure is not None:
            raise self._reported(self._failure)
        if not self._decoder.finished:
            raise self._interrupted(broken)
        last = self._decoder.finish()
        if last is not None:
            self._seen.append(last)
            deltas.append(last)
        return deltas

    def result(self) -> ChatResult:
        """What has arrived so far; the whole answer after the end."""
        answer = ChatAccumulator()
        for delta in self._seen:
            answer.add(delta)
        return answer.result(self.origin)

    def _reported(self, failure: Failure) -> ModelScopeError:
        verdict = judge(Reply(200, {}, b"", streaming=True), failure, model=self.origin.model)
        return verdict.error(attempts=self.origin.attempts, partial=self.result())

    def _interrupted(self, broken: str | None) -> StreamInterruptedError:
        partial = self.result()
        how = f"broke: {broken}" if broken else "ended without its finish mark"
        return StreamInterruptedError(
            f"The stream of model {self.origin.model!r} {how}. What had arrived "
            f"({len(partial.text)} characters) is in .partial; call again for a whole answer.",
            details=ErrorDetails(
                reason="stream_interrupted",
                request_id=self.origin.request_id,
                model=self.origin.model,
                attempts=self.origin.attempts,
                partial=partial,
            ),
        )
