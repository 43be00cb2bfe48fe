"""An open reply: its bytes as they come, its deadline, and its connection's way home.

Laws of this file: no policy and no HTTP library. Whoever opens an exchange closes it, and closing
twice does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any

from msgspec import Struct

from .._sse import EventDecoder, EventTooLongError
from .deadlines import Watch, shut, watch
from .decompression import (
    LONGEST_BODY,
    LONGEST_STREAM,
    Inflater,
    UnreadableBodyError,
)
from .pool import Idle, LoopIdle

__all__ = ["Arrived", "AsyncExchange", "Exchange", "Outgoing", "finish_anyway", "lower"]

# How long the end of a stream may take after its last word, for the connection's sake alone.
_DRAIN = 0.5


class Outgoing(Struct):
    """A request, ready to be sent.

    Attributes:
        method: of HTTP.
        url: where to.
        address: the same, taken apart as httpcore wants it.
        headers: names in lower case, and values.
        body: empty for none.
        limits: seconds to wait, by what is waited for, as httpx names them.
    """

    method: str
    url: str
    address: Any
    headers: list[tuple[bytes, bytes]]
    body: bytes
    limits: dict[str, float]

    def __repr__(self) -> str:
        """Say where to, and nothing of the token in the headers."""
        return f"<{self.method} {self.url}>"


class Arrived(Struct):
    """A reply whose head has arrived.

    Attributes:
        status: of HTTP.
        headers: names in lower case, and values.
        stream: the bytes of its body, to be iterated and closed, in the colour of its connection.
        sock: its socket, in the sync colour, where its transport shows one.
    """

    status: int
    headers: dict[str, str]
    stream: Any
    sock: Any = None

    def is_good(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300


def lower(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as they came, by their names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


Broken = tuple[type[Exception], ...]


class _Reading:
    """What both colours do with bytes."""

    def __init__(
        self, reply: Arrived, pool: Any, connection: Any, deadline: float, broken: Broken
    ) -> None:
        self.reply = reply
        self.broken: Broken = (*broken, UnreadableBodyError)
        self.events = EventDecoder()
        self.pending: list[bytes] = []
        self.deadline = deadline
        self._pool = pool
        self._connection = connection
        self._closed = False
        self._whole = False
        self._afterwards: Callable[[], None] | None = None

    def then(self, afterwards: Callable[[], None]) -> None:
        """Call this once the exchange is closed."""
        if self._closed:
            afterwards()
        else:
            self._afterwards = afterwards

    def _is_over(self) -> None:
        afterwards, self._afterwards = self._afterwards, None
        if afterwards is not None:
            afterwards()

    def is_stream(self) -> bool:
        """Whether the reply is a stream of events."""
        kind = self.reply.headers.get("content-type", "")
        return self.reply.is_good() and kind.lower().startswith("text/event-stream")

    def late(self) -> str | None:
        """Why the bytes ended, where it was the deadline that ended them."""
        return "the deadline of the call has passed" if time.monotonic() >= self.deadline else None

    def _inflater(self) -> Inflater:
        most = LONGEST_STREAM if self.is_stream() else LONGEST_BODY
        return Inflater(self.reply.headers.get("content-encoding", ""), most)

    def _take(self, data: bytes) -> bytes | None:
        """The first payload, once ``data`` completes it; the others wait in ``pending``."""
        try:
            self.pending = self.events.feed(data)
        except EventTooLongError:
            raise UnreadableBodyError("an event of more than one MiB") from None
        return self.pending.pop(0) if self.pending else None

    def _last(self) -> bytes:
        self.pending = self.events.close()
        return self.pending.pop(0) if self.pending else b""


class Exchange(_Reading):
    """An open reply of the sync colour.

    Args:
        reply: the reply, unread.
        pool: where its connection goes afterwards, or ``None`` for a client's own.
        connection: the connection.
        guard: cuts the connection at the end of the call.
        broken: what the HTTP library raises where the bytes break off.

    Attributes:
        chunks: the bytes still to come, uncompressed.
        pending: payloads that came together with the first.
        broken: what ``chunks`` raises where the bytes break off or cannot be read.
    """

    def __init__(
        self,
        reply: Arrived,
        pool: Idle[Any] | None,
        connection: Any,
        guard: Watch,
        broken: Broken = (),
    ) -> None:
        super().__init__(reply, pool, connection, guard.deadline, broken)
        self.chunks: Iterator[bytes] = self._plain()
        self._guard = guard
        if reply.sock is not None and guard.sock is not reply.sock:
            guard.follow(reply.sock)

    def _plain(self) -> Iterator[bytes]:
        inflater = self._inflater()
        for data in self.reply.stream:
            yield inflater.feed(data)
        self._whole = True

    def cut(self) -> bool:
        """Whether the deadline has ended the bytes."""
        return self._guard.cut

    def first(self) -> bytes:
        """The first payload of a stream; empty where it has none.

        Raises:
            UnreadableBodyError: it is too long, or its compression cannot be read.
        """
        for data in self.chunks:
            payload = self._take(data)
            if payload is not None:
                return payload
        return self._last()

    def read(self) -> bytes:
        """The whole body.

        Raises:
            UnreadableBodyError: it is too long, or its compression cannot be read.
        """
        return b"".join(self.chunks)

    def drain(self) -> None:
        """Read a stream to its very end, so that its connection can serve again."""
        brief = watch(self.reply.sock, time.monotonic() + _DRAIN)
        with contextlib.suppress(Exception):
            for _ in self.chunks:
                pass
        brief.cancel()

    def close(self) -> None:
        """Let go of the reply. A connection that was not read to its end is closed."""
        if self._closed:
            return
        self._closed = True
        self._guard.cancel()
        if not self._whole and self.reply.sock is not None:
            shut(self.reply.sock)  # whoever waits for it in another thread is woken
        try:
            self.reply.stream.close()
        finally:
            if self._pool is not None:
                self._pool.give(self._connection)
            self._is_over()


class AsyncExchange(_Reading):
    """An open reply of the async colour, otherwise as `Exchange`."""

    def __init__(
        self,
        reply: Arrived,
        pool: LoopIdle[Any] | None,
        connection: Any,
        deadline: float,
        broken: Broken = (),
    ) -> None:
        super().__init__(reply, pool, connection, deadline, broken)
        self.chunks: AsyncIterator[bytes] = self._plain()
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(deadline - time.monotonic(), self._cut)

    def _cut(self) -> None:
        # Not by its socket: of that uvloop shows a number, which may be another socket's by now.
        _begin(self.reply.stream.aclose())

    async def _plain(self) -> AsyncIterator[bytes]:
        inflater = self._inflater()
        async for data in self.reply.stream:
            yield inflater.feed(data)
        self._whole = True

    async def first(self) -> bytes:
        """The first payload of a stream; empty where it has none.

        Raises:
            UnreadableBodyError: it is too long, or its compression cannot be read.
        """
        async for data in self.chunks:
            payload = self._take(data)
            if payload is not None:
                return payload
        return self._last()

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            UnreadableBodyError: it is too long, or its compression cannot be read.
        """
        return b"".join([data async for data in self.chunks])

    async def drain(self) -> None:
        """Read a stream to its very end, so that its connection can serve again."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_DRAIN):
                async for _ in self.chunks:
                    pass

    async def aclose(self) -> None:
        """Let go of the reply. A connection that was not read to its end is closed."""
        if self._closed:
            return
        self._closed = True
        self._watch.cancel()
        try:
            if self._whole:
                await self._let_go()
            else:
                await finish_anyway(self._let_go())
        finally:
            self._is_over()

    async def _let_go(self) -> None:
        try:
            await self.reply.stream.aclose()
        finally:
            if self._pool is not None:
                await self._pool.give(self._connection)


_finishing: set[asyncio.Task[None]] = set()


async def finish_anyway(closing: Coroutine[Any, Any, None]) -> None:
    """Close to the end even when the caller is cancelled, or cancelled twice."""
    await asyncio.shield(_begin(closing))


def _begin(closing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.ensure_future(closing)
    _finishing.add(task)
    task.add_done_callback(_finishing.discard)
    return task
