"""A stream in the hands of an event loop's user; the twin of ``streams.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Self

from .._wire.stream_decoder import StreamDecoder, spent_by
from ..answers import ChatDelta, ChatResult, Origin
from ..errors import StreamInterruptedError
from .streams import WholeAnswer

if TYPE_CHECKING:  # which imports httpx; that is for the first call
    from ..calls.async_exchange import AsyncExchange

__all__ = ["AsyncChatStream", "deltas"]


async def deltas(exchange: AsyncExchange, decoder: StreamDecoder) -> AsyncIterator[ChatDelta]:
    """The deltas of a handed-over stream; closes the exchange at the end, or when dropped."""
    made = _deltas(exchange, decoder)
    await anext(made)  # its loop knows of it from now on, and closes it when it is dropped
    return made


async def _deltas(exchange: AsyncExchange, decoder: StreamDecoder) -> AsyncIterator[ChatDelta]:
    reply, broken, data = exchange.reply, None, None
    assert reply is not None
    try:
        yield ChatDelta()  # taken by `deltas`
        for delta in decoder.begin():
            yield delta
        try:
            while not decoder.ended and (data := await anext(reply.chunks, None)) is not None:
                for delta in decoder.feed(data):
                    yield delta
        except reply.broken as error:
            broken = decoder.describe(error)
        data = None  # a traceback that shows locals must not show what a server repeats
        for delta in decoder.finish(exchange.late or broken):
            yield delta
        await reply.drain()
    except StreamInterruptedError as error:
        await exchange.aclose()
        if spent := spent_by(error):
            await exchange.record_quota_error(spent)
        raise
    finally:
        await exchange.aclose()


async def _nothing() -> None:
    pass


class AsyncChatStream:
    """`ChatStream` for event loops."""

    def __init__(
        self,
        deltas: AsyncIterator[ChatDelta],
        close: Callable[[], Awaitable[None]],
        decoder: StreamDecoder | WholeAnswer,
    ) -> None:
        self._deltas = deltas
        self._close = close
        self._decoder = decoder

    @classmethod
    def of_whole(cls, answer: ChatResult) -> Self:
        """A stream of an answer that came whole."""
        whole = WholeAnswer(answer)

        async def deltas() -> AsyncIterator[ChatDelta]:
            yield whole.delta()

        return cls(deltas(), _nothing, whole)

    @property
    def origin(self) -> Origin:
        """Where the answer comes from; known before the first delta."""
        return self._decoder.origin

    def __aiter__(self) -> AsyncIterator[ChatDelta]:
        """The deltas. Errors in mid-stream are raised here, with what had arrived."""
        return self._deltas

    def result(self) -> ChatResult:
        """What has arrived so far; the whole answer after the last delta."""
        return self._decoder.result()

    async def aclose(self) -> None:
        """Stop: the connection is closed, and the service may stop writing."""
        await self._close()

    async def __aenter__(self) -> Self:
        """Use the stream in an ``async with`` block."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close it."""
        await self.aclose()
