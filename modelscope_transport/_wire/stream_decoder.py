"""The rest of a stream after its hand-over: bytes in, deltas out, and how it ended.

Laws of this file: no I/O; the same object serves sync and async callers. A stream is whole once a
finish reason or ``[DONE]`` has come. Anything else that ends it, an error event of the service
included, becomes a `StreamInterruptedError` that carries what had arrived; where the service said
why, the error that it means is its ``__cause__``, and its details are that error's. A stream that
ends without anything in it is an `EmptyReplyError`, as a whole answer with nothing in it is.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from .._sse import EventDecoder, EventTooLongError
from ..accumulator import ChatAccumulator
from ..answers import ChatDelta, ChatResult, Origin
from ..errors import ErrorDetails, ModelScopeError, QuotaExceededError, StreamInterruptedError
from ..language import translated as _
from .chat import ChatDecoder, Opening, has_content
from .failures import judge
from .outcomes import Failure, Reply

__all__ = ["StreamDecoder", "spent_by"]

_INTERRUPTED = ErrorDetails(reason="stream_interrupted")


class StreamDecoder:
    """Turns the bytes of one stream into deltas.

    Args:
        opening: what the hand-over gave.
        events: the decoder that has already split the first bytes.
        pending: payloads that came together with the first.
        origin: where the answer comes from.
        redact: takes credentials out of what a server says.

    Attributes:
        ended: whether nothing more can come.
    """

    def __init__(
        self,
        opening: Opening,
        events: EventDecoder,
        pending: list[bytes],
        origin: Origin,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.ended = False
        self._redact = redact
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
            self._fail(Failure(_("an event of more than one MiB"), unreadable=True))
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
            if decoder.done:
                break  # what stands behind counts no more when it comes in the same packet
        self.ended = self.ended or decoder.done
        self._seen += deltas
        return deltas

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self.ended = True

    def describe(self, error: Exception) -> str:
        """What a broken connection says, redacted: it may repeat what a server has written."""
        return self._redact(str(error) or type(error).__name__)

    def finish(self, broken: str | None = None) -> list[ChatDelta]:
        """The last delta, which carries the token usage.

        Args:
            broken: why the bytes ended too early; ``None`` where they simply ended.

        Raises:
            StreamInterruptedError: the stream broke, ended without a finish reason or ``[DONE]``,
                or the service reported an error inside it.
            EmptyReplyError: the stream ended with nothing in it.
        """
        deltas: list[ChatDelta] = []
        if not self.ended and not broken:
            deltas = self._decode(self._events.close())
            if self._failure is not None and self._failure.unreadable:
                self._failure = None  # half a last line: the stream was cut
        self.ended = True
        last = self._decoder.finish()
        if last is not None:
            self._seen.append(last)
            deltas.append(last)
        if self._failure is not None:
            cause = self._judged(self._failure)
            raise self._interrupted(str(cause), cause.details) from cause
        is_whole = self._decoder.finished or self._decoder.done
        if broken and not is_whole:
            raise self._interrupted(_("The connection broke: {broken}.").format(broken=broken))
        if not self._decoder.finished and not any(map(has_content, self._seen)):
            raise self._judged(Failure("", request_id=self.origin.request_id, empty=True))
        if not is_whole:
            raise self._interrupted(_("It ended without a finish reason and without [DONE]."))
        return deltas

    def result(self) -> ChatResult:
        """What has arrived so far; the whole answer after the end."""
        answer = ChatAccumulator()
        for delta in self._seen:
            answer.add(delta)
        return answer.result(self.origin)

    def _judged(self, failure: Failure) -> ModelScopeError:
        reply = Reply(200, {}, b"", streaming=True)
        verdict = judge(reply, failure, model=self.origin.model, redact=self._redact)
        return verdict.error(attempts=self.origin.attempts)

    def _interrupted(
        self, why: str, details: ErrorDetails = _INTERRUPTED
    ) -> StreamInterruptedError:
        partial, origin = self.result(), self.origin
        return StreamInterruptedError(
            _(
                "The stream of model {model!r} was interrupted. {why} What had arrived ({count}"
                " characters) is in .partial; call again for a whole answer."
            ).format(model=origin.model, why=why, count=len(partial.text)),
            details=replace(
                details,
                request_id=details.request_id or origin.request_id,
                model=origin.model,
                attempts=origin.attempts,
                partial=partial,
            ),
        )


def spent_by(error: StreamInterruptedError) -> QuotaExceededError | None:
    """The allowance that the service declared spent in the middle of a stream."""
    cause = error.__cause__
    return cause if isinstance(cause, QuotaExceededError) else None
