"""A stream in the user's hands: iterate it, then ask for its result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self

from .._wire.stream_decoder import StreamDecoder, spent_by
from ..errors import StreamInterruptedError
from ..http.reply import AsyncExchange, Exchange
from ..types import (
    ChatDelta,
    ChatResult,
    Origin,
    ToolCallDelta,
)

__all__ = ["AsyncChatStream", "ChatStream", "adeltas", "deltas"]


def deltas(exchange: Exchange, reader: StreamDecoder) -> Iterator[ChatDelta]:
    """The deltas of a handed-over stream; closes the exchange at the end, or when dropped."""
    begun = _deltas(exchange, reader)
    next(begun)
    return begun


def _deltas(exchange: Exchange, reader: StreamDecoder) -> Iterator[ChatDelta]:
    try:
        yield ChatDelta()  # begun: from here on it closes the exchange when it is dropped
        yield from reader.begin()
        broken = None
        try:
            while not reader.ended and (data := next(exchange.chunks, None)) is not None:
                yield from reader.feed(data)
        except exchange.broken as error:
            broken = reader.describe_error(error)
        data = None  # a traceback that shows locals must not show what a server repeats
        yield from reader.finish(exchange.late() or broken)
        exchange.drain()
    except StreamInterruptedError as error:
        exchange.close()
        if spent := spent_by(error):
            reader.record_quota_error(spent)
        raise
    finally:
        exchange.close()


async def adeltas(exchange: AsyncExchange, reader: StreamDecoder) -> AsyncIterator[ChatDelta]:
    """`deltas`, for an event loop."""
    begun = _adeltas(exchange, reader)
    await anext(begun)
    return begun


async def _adeltas(exchange: AsyncExchange, reader: StreamDecoder) -> AsyncIterator[ChatDelta]:
    try:
        yield ChatDelta()
        for delta in reader.begin():
            yield delta
        broken = None
        try:
            while not reader.ended and (data := await anext(exchange.chunks, None)) is not None:
                for delta in reader.feed(data):
                    yield delta
        except exchange.broken as error:
            broken = reader.describe_error(error)
        data = None
        for delta in reader.finish(exchange.late() or broken):
            yield delta
        await exchange.drain()
    except StreamInterruptedError as error:
        await exchange.aclose()  # first: what fills the threads may be waiting for its place
        if spent := spent_by(error):
            await asyncio.to_thread(reader.record_quota_error, spent)
        raise
    finally:
        await exchange.aclose()


class _Whole:
    """An answer that came whole although a stream was asked for, read like one."""

    def __init__(self, answer: ChatResult) -> None:
        self._answer = answer
        assert answer.origin is not None
        self.origin: Origin = answer.origin

    def result(self) -> ChatResult:
        return self._answer

    def deltas(self) -> list[ChatDelta]:
        answer, choice = self._answer, self._answer.choice
        calls = tuple(
            ToolCallDelta(index, call.id, call.name, call.arguments, call.invalid)
            for index, call in enumerate(choice.tool_calls)
        )
        return [
            ChatDelta(
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
        ]


class ChatStream:
    """The deltas of one answer, to be iterated once.

    Leaving the loop early is fine: ``close`` it, use it in a ``with`` block, or drop it.
    """

    def __init__(
        self,
        deltas: Iterator[ChatDelta],
        close: Callable[[], None],
        reader: StreamDecoder | _Whole,
    ) -> None:
        self._deltas = deltas
        self._close = close
        self._reader = reader

    @classmethod
    def of_whole(cls, answer: ChatResult) -> Self:
        """A stream of an answer that came whole."""
        whole = _Whole(answer)
        return cls(iter(whole.deltas()), lambda: None, whole)

    @property
    def origin(self) -> Origin:
        """Where the answer comes from; known before the first delta."""
        return self._reader.origin

    def __iter__(self) -> Iterator[ChatDelta]:
        """The deltas. Errors in mid-stream are raised here, with what had arrived."""
        return self._deltas

    def result(self) -> ChatResult:
        """What has arrived so far; the whole answer after the last delta."""
        return self._reader.result()

    def close(self) -> None:
        """Stop: the connection is closed, and the service may stop writing."""
        self._close()

    def __enter__(self) -> Self:
        """Use the stream in a ``with`` block."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        self.close()


class AsyncChatStream:
    """`ChatStream` for event loops."""

    def __init__(
        self,
        deltas: AsyncIterator[ChatDelta],
        close: Callable[[], Awaitable[None]],
        reader: StreamDecoder | _Whole,
    ) -> None:
        self._deltas = deltas
        self._close = close
        self._reader = reader

    @classmethod
    def of_whole(cls, answer: ChatResult) -> Self:
        """A stream of an answer that came whole."""
        whole = _Whole(answer)

        async def deltas() -> AsyncIterator[ChatDelta]:
            for delta in whole.deltas():
                yield delta

        async def close() -> None:
            return None

        return cls(deltas(), close, whole)

    @property
    def origin(self) -> Origin:
        """Where the answer comes from; known before the first delta."""
        return self._reader.origin

    def __aiter__(self) -> AsyncIterator[ChatDelta]:
        """The deltas. Errors in mid-stream are raised here, with what had arrived."""
        return self._deltas

    def result(self) -> ChatResult:
        """What has arrived so far; the whole answer after the last delta."""
        return self._reader.result()

    async def aclose(self) -> None:
        """Stop: the connection is closed, and the service may stop writing."""
        await self._close()

    async def __aenter__(self) -> Self:
        """Use the stream in an ``async with`` block."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close it."""
        await self.aclose()
