"""A stream in the user's hands: iterate it, then ask for its result."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

from .._wire.stream_decoder import StreamDecoder, spent_by
from ..answers import ChatDelta, ChatResult, Origin, ToolCallDelta
from ..errors import StreamInterruptedError

if TYPE_CHECKING:  # which imports httpx; that is for the first call
    from ..calls.exchange import Exchange

__all__ = ["ChatStream", "WholeAnswer", "deltas"]


def deltas(exchange: Exchange, decoder: StreamDecoder) -> Iterator[ChatDelta]:
    """The deltas of a handed-over stream; closes the exchange at the end, or when dropped."""
    made = _deltas(exchange, decoder)
    # It closes a stream too of which no delta was read, and one in a reference cycle, whose parts
    # the collector takes in any order: a socket that is taken first would warn.
    weakref.finalize(made, exchange.close)
    return made


def _deltas(exchange: Exchange, decoder: StreamDecoder) -> Iterator[ChatDelta]:
    reply, broken, data = exchange.reply, None, None
    assert reply is not None
    try:
        yield from decoder.begin()
        try:
            while not decoder.ended and (data := next(reply.chunks, None)) is not None:
                yield from decoder.feed(data)
        except reply.broken as error:
            broken = decoder.describe(error)
        data = None  # a traceback that shows locals must not show what a server repeats
        yield from decoder.finish(exchange.late or broken)
        reply.drain()
    except StreamInterruptedError as error:
        exchange.close()
        if spent := spent_by(error):
            exchange.record_quota_error(spent)
        raise
    finally:
        exchange.close()


class WholeAnswer:
    """An answer that came whole although a stream was asked for, read like one."""

    def __init__(self, answer: ChatResult) -> None:
        self._answer = answer
        assert answer.origin is not None
        self.origin: Origin = answer.origin

    def result(self) -> ChatResult:
        """The answer."""
        return self._answer

    def delta(self) -> ChatDelta:
        """All of it."""
        answer, choice = self._answer, self._answer.choice
        calls = tuple(
            ToolCallDelta(index, call.id, call.name, call.arguments, call.invalid)
            for index, call in enumerate(choice.tool_calls)
        )
        return ChatDelta(
            text=choice.text,
            reasoning=choice.reasoning,
            tool_calls=calls,
            finish_reason=choice.finish_reason,
            usage=answer.usage,
            logprobs=choice.logprobs,
            refusal=choice.refusal or "",
            response_id=answer.response_id,
            model=answer.model,
        )


def _nothing() -> None:
    pass


class ChatStream:
    """The deltas of one answer, to be iterated once.

    Leaving the loop early is fine: ``close`` it, use it in a ``with`` block, or drop it.
    """

    def __init__(
        self,
        deltas: Iterator[ChatDelta],
        close: Callable[[], None],
        decoder: StreamDecoder | WholeAnswer,
    ) -> None:
        self._deltas = deltas
        self._close = close
        self._decoder = decoder

    @classmethod
    def of_whole(cls, answer: ChatResult) -> Self:
        """A stream of an answer that came whole."""
        whole = WholeAnswer(answer)
        return cls(iter([whole.delta()]), _nothing, whole)

    @property
    def origin(self) -> Origin:
        """Where the answer comes from; known before the first delta."""
        return self._decoder.origin

    def __iter__(self) -> Iterator[ChatDelta]:
        """The deltas. Errors in mid-stream are raised here, with what had arrived."""
        return self._deltas

    def result(self) -> ChatResult:
        """What has arrived so far; the whole answer after the last delta."""
        return self._decoder.result()

    def close(self) -> None:
        """Stop: the connection is closed, and the service may stop writing."""
        self._close()

    def __enter__(self) -> Self:
        """Use the stream in a ``with`` block."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        self.close()
