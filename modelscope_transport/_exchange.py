"""An open reply: its bytes as they come, its deadline, and its connection's way home.

Laws of this file: no policy and no HTTP library; a reply is anything with headers, extensions and
a byte stream. Whoever opens an exchange closes it, and closing twice does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any

from ._body import LONGEST_BODY, LONGEST_STREAM, Inflater, UnreadableBodyError
from ._pool import Idle, LoopIdle
from ._sse import EventDecoder, EventTooLongError
from ._watchdog import Watch, shut, watch

__all__ = ["AsyncExchange", "Exchange", "Wire", "finish_anyway"]

# How long the end of a stream may take after its last word, for the connection's sake alone.
_DRAIN = 0.5


class Wire:
    """One connection of the sync colour, and its socket, which a deadline cuts.

    Args:
        send: sends a request and gives the reply, its body unread.
        close: closes the connection.
    """

    __slots__ = ("_send", "_sock", "close")

    def __init__(self, send: Callable[[Any], Any], close: Callable[[], None]) -> None:
        self._send = send
        self._sock: Any | None = None
        self.close = close

    def send(self, request: Any, guard: Watch) -> Any:
        """Send a request. The guard cuts it from here on, also while its headers drip in."""

        def notice(event: str, info: Mapping[str, Any]) -> None:
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                self._sock = info["return_value"].get_extra_info("socket")
                guard.follow(self._sock)

        if self._sock is not None:
            guard.follow(self._sock)
        request.extensions["trace"] = notice
        return self._send(request)


Broken = tuple[type[Exception], ...]


class _Reading:
    """What both colours do with bytes."""

    def __init__(
        self, response: Any, pool: Any, connection: Any, deadline: float, broken: Broken
    ) -> None:
        self.response = response
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

    def headers(self) -> dict[str, str]:
        """The reply's headers, their names in lower case."""
        return {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in self.response.headers.raw
        }

    def is_stream(self) -> bool:
        """Whether the reply is a stream of events."""
        kind: str = self.response.headers.get("content-type", "")
        return bool(self.response.is_success) and kind.lower().startswith("text/event-stream")

    def late(self) -> str | None:
        """Why the bytes ended, where it was the deadline that ended them."""
        return "the deadline of the call has passed" if time.monotonic() >= self.deadline else None

    def _inflater(self) -> Inflater:
        most = LONGEST_STREAM if self.is_stream() else LONGEST_BODY
        return Inflater(self.response.headers.get("content-encoding", ""), most)

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

    def _socket(self) -> Any | None:
        """The reply's socket, where its transport shows one."""
        stream = self.response.extensions.get("network_stream")
        return None if stream is None else stream.get_extra_info("socket")


class Exchange(_Reading):
    """An open reply of the sync colour.

    Args:
        response: the reply, unread.
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
        response: Any,
        pool: Idle[Any] | None,
        connection: Any,
        guard: Watch,
        broken: Broken = (),
    ) -> None:
        super().__init__(response, pool, connection, guard.deadline, broken)
        self.chunks: Iterator[bytes] = self._plain()
        self._guard = guard
        self._sock = self._socket()
        if self._sock is not None:
            guard.follow(self._sock)

    def _plain(self) -> Iterator[bytes]:
        inflater = self._inflater()
        for data in self.response.stream:
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
        brief = watch(self._sock, time.monotonic() + _DRAIN)
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
        if not self._whole and self._sock is not None:
            shut(self._sock)  # whoever waits for it in another thread is woken
        try:
            self.response.stream.close()
        finally:
            if self._pool is not None:
                self._pool.give(self._connection)
            self._is_over()


class AsyncExchange(_Reading):
    """An open reply of the async colour, otherwise as `Exchange`."""

    def __init__(
        self,
        response: Any,
        pool: LoopIdle[Any] | None,
        connection: Any,
        deadline: float,
        broken: Broken = (),
    ) -> None:
        super().__init__(response, pool, connection, deadline, broken)
        self.chunks: AsyncIterator[bytes] = self._plain()
        sock = self._socket()
        loop = asyncio.get_running_loop()
        wait = deadline - time.monotonic()
        self._watch = None if sock is None else loop.call_later(wait, shut, sock)

    async def _plain(self) -> AsyncIterator[bytes]:
        inflater = self._inflater()
        async for data in self.response.stream:
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
        if self._watch is not None:
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
            await self.response.stream.aclose()
        finally:
            if self._pool is not None:
                await self._pool.give(self._connection)


_finishing: set[asyncio.Task[None]] = set()


async def finish_anyway(closing: Coroutine[Any, Any, None]) -> None:
    """Close to the end even when the caller is cancelled, or cancelled twice."""
    task = asyncio.ensure_future(closing)
    _finishing.add(task)
    task.add_done_callback(_finishing.discard)
    await asyncio.shield(task)
