"""An open reply: its bytes as they come, its deadline, and its connection's way home.

Laws of this file: no policy and no HTTP library; a reply is anything with headers, extensions and
a byte stream. Whoever opens an exchange closes it, and closing twice does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

from ._body import Inflater, UnreadableBodyError
from ._pool import Idle, LoopIdle
from ._sse import EventDecoder, EventTooLongError
from ._watchdog import Watch, shut, watch

__all__ = ["AsyncExchange", "Exchange", "finish_anyway"]

# How long the end of a stream may take after its last word, for the connection's sake alone.
_DRAIN = 0.5


class _Reading:
    """What both colours do with bytes."""

    def __init__(self, response: Any, pool: Any, connection: Any, deadline: float) -> None:
        self.response = response
        self.events = EventDecoder()
        self.pending: list[bytes] = []
        self.deadline = deadline
        self._pool = pool
        self._connection = connection
        self._closed = False
        self._trouble: str | None = None

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

    def _inflater(self) -> Inflater | None:
        try:
            return Inflater(self.response.headers.get("content-encoding", ""))
        except UnreadableBodyError as error:
            self._trouble = f"({error})"
            return None

    def _take(self, data: bytes) -> bytes | None:
        """The first payload, once ``data`` completes it; the others wait in ``pending``."""
        try:
            self.pending = self.events.feed(data)
        except EventTooLongError:
            return b"(an event of more than one MiB)"
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
        deadline: end of the call on the monotonic clock.

    Attributes:
        chunks: the bytes still to come, uncompressed.
        pending: payloads that came together with the first.
    """

    def __init__(
        self, response: Any, pool: Idle[Any] | None, connection: Any, deadline: float
    ) -> None:
        super().__init__(response, pool, connection, deadline)
        self.chunks: Iterator[bytes] = self._plain()
        sock = self._socket()
        self._watch: Watch | None = None if sock is None else watch(sock, deadline)

    def _plain(self) -> Iterator[bytes]:
        inflater = self._inflater()
        if inflater is not None:
            for data in self.response.stream:
                yield inflater.feed(data)

    def first(self) -> bytes:
        """The first payload of a stream; empty where it has none."""
        for data in self.chunks:
            payload = self._take(data)
            if payload is not None:
                return payload
        return self._last()

    def read(self) -> bytes:
        """The whole body. One that is too large to read says so instead."""
        try:
            body = b"".join(self.chunks)
        except UnreadableBodyError as error:
            return f"({error})".encode()
        return body if self._trouble is None else self._trouble.encode()

    def drain(self) -> None:
        """Read a stream to its very end, so that its connection can serve again."""
        sock = self._socket()
        brief = None if sock is None else watch(sock, time.monotonic() + _DRAIN)
        with contextlib.suppress(Exception):
            for _ in self.chunks:
                pass
        if brief is not None:
            brief.cancel()

    def close(self) -> None:
        """Let go of the reply. A connection that was not read to its end is closed."""
        if self._closed:
            return
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        try:
            self.response.stream.close()
        finally:
            if self._pool is not None:
                self._pool.give(self._connection)


class AsyncExchange(_Reading):
    """An open reply of the async colour, otherwise as `Exchange`."""

    def __init__(
        self, response: Any, pool: LoopIdle[Any] | None, connection: Any, deadline: float
    ) -> None:
        super().__init__(response, pool, connection, deadline)
        self.chunks: AsyncIterator[bytes] = self._plain()
        self._whole = False
        sock = self._socket()
        loop = asyncio.get_running_loop()
        wait = deadline - time.monotonic()
        self._watch = None if sock is None else loop.call_later(wait, shut, sock)

    async def _plain(self) -> AsyncIterator[bytes]:
        inflater = self._inflater()
        if inflater is not None:
            async for data in self.response.stream:
                yield inflater.feed(data)
        self._whole = True

    async def first(self) -> bytes:
        """The first payload of a stream; empty where it has none."""
        async for data in self.chunks:
            payload = self._take(data)
            if payload is not None:
                return payload
        return self._last()

    async def read(self) -> bytes:
        """The whole body. One that is too large to read says so instead."""
        try:
            body = b"".join([data async for data in self.chunks])
        except UnreadableBodyError as error:
            return f"({error})".encode()
        return body if self._trouble is None else self._trouble.encode()

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
        if self._whole:
            await self._let_go()
        else:
            await finish_anyway(self._let_go())

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
