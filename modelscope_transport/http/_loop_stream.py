"""Bytes to and from a server over the event loop's own transports, in the form httpcore asks for.

httpcore reaches asyncio by way of anyio, whose checkpoints and cancel scopes at every read cost
half of an async call's processor time (measured beside this file in one run). Both need nothing of
theirs here: bytes that have arrived are given out at once, and only an empty buffer waits.

Laws of this file: no HTTP. A stream belongs to the loop that opened it.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import httpcore

__all__ = ["LoopBackend"]

# Beyond this many bytes unread, the server is made to wait.
_MOST_UNREAD = 1 << 18
# Seconds for each of a host's addresses, round by round.
_PATIENCE = (0.3, 1.0, 3.0, None)


class _Inbox(asyncio.Protocol):
    """What has arrived on a connection and has not been read."""

    def __init__(self) -> None:
        self.transport: Any = None
        self._plain: Any = None  # the same, below TLS
        self.unread = bytearray()
        self.is_over = False
        self.error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._reading = True
        self.has_room = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = self._plain = transport

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if len(self.unread) > _MOST_UNREAD and self._reading:
            self._reading = False
            self.transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> None:
        self.is_over = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over, self.error = True, exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self.has_room = False

    def resume_writing(self) -> None:
        self.has_room = True
        _wake(self._writer)

    def take(self, most: int) -> bytes:
        """What is there, at most so many bytes."""
        data = bytes(self.unread[:most])
        del self.unread[:most]
        if not self._reading and not self.unread and not self.is_over:
            self._reading = True
            self.transport.resume_reading()
        return data

    def _unsent(self) -> int:
        """Bytes that were written and wait here; TLS has a place of its own for them."""
        waiting: int = self._plain.get_write_buffer_size()
        return waiting + int(self.transport.get_write_buffer_size())

    async def within(
        self, limit: float | None, waiting: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Wait no longer than so many seconds in which nothing moves.

        Raises:
            TimeoutError: not even what was written has gone out any further.
        """
        unsent = self._unsent()
        while True:
            try:
                async with asyncio.timeout(limit):
                    return await waiting()
            except TimeoutError:
                before, unsent = unsent, self._unsent()
                if unsent >= before:
                    raise

    async def arrival(self) -> None:
        """Wait until something is there, or will never be."""
        while not self.unread and not self.is_over:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    async def room(self) -> None:
        """Wait until the other side takes more."""
        while not self.has_room and not self.is_over:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


class _LoopStream(httpcore.AsyncNetworkStream):
    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        inbox = self._inbox
        if not inbox.unread and not inbox.is_over:
            try:
                await inbox.within(timeout, inbox.arrival)
            except TimeoutError:
                raise httpcore.ReadTimeout(f"no byte for {timeout} s") from None
        if not inbox.unread and inbox.error is not None:
            raise httpcore.ReadError(str(inbox.error)) from inbox.error
        return inbox.take(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        inbox = self._inbox
        if not buffer:
            return
        if inbox.transport.is_closing():
            raise httpcore.WriteError("the connection is closed")
        # All at once: between two writes a refusal could arrive, and be lost when the second fails.
        inbox.transport.write(buffer)
        if inbox.has_room:
            return
        try:
            await inbox.within(timeout, inbox.room)
        except TimeoutError:
            raise httpcore.WriteTimeout(f"no byte was taken for {timeout} s") from None

    async def aclose(self) -> None:
        transport = self._inbox.transport
        transport.close()
        try:
            # A turn of the loop for the good-bye of TLS; then no waiting for an answer to it.
            await asyncio.sleep(0)
        finally:
            transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop, inbox = asyncio.get_running_loop(), self._inbox
        try:
            async with asyncio.timeout(timeout):
                inbox.transport = await loop.start_tls(
                    inbox.transport, inbox, ssl_context, server_hostname=server_hostname
                )
        except BaseException as error:
            inbox.transport.abort()
            raise _unconnected(error, timeout) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked of an idle connection, which should hear nothing
            inbox = self._inbox
            if inbox.unread or inbox.is_over or inbox.transport.is_closing():
                return True
            return _is_readable(inbox.transport.get_extra_info("socket"))
        return self._inbox.transport.get_extra_info(info)


def _is_readable(sock: Any) -> bool:
    """Whether something has come that the loop has not told of, having rested meanwhile."""
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    polled = select.poll()
    polled.register(sock, select.POLLIN)
    return bool(polled.poll(0))


def _unconnected(error: BaseException, timeout: float | None) -> BaseException:
    if isinstance(error, TimeoutError):
        return httpcore.ConnectTimeout(f"no connection within {timeout} s")
    return httpcore.ConnectError(str(error)) if isinstance(error, OSError) else error


class LoopBackend(httpcore.AsyncNetworkBackend):
    """Opens connections in the running event loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; over TLS with `start_tls` of what is returned.

        Raises:
            httpcore.ConnectError: there is no way there.
            httpcore.ConnectTimeout: not within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                return _LoopStream(await _connected(host, port))
        except OSError as error:
            raise _unconnected(error, timeout) from error


async def _connected(host: str, port: int) -> _Inbox:
    """Connect to the first address that answers; a broken IPv6 before a sound IPv4 is common.

    asyncio's own race of addresses leaves a socket open when it is cancelled, and uvloop has none:
    here they are asked one after another, and those that were silent once more with more patience.
    """
    loop = asyncio.get_running_loop()
    left = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    several, failure = len(left) > 1, OSError(f"{host} has no address")
    for patience in _PATIENCE:
        silent = []
        for info in left:
            try:
                async with asyncio.timeout(patience if several else None):
                    _, inbox = await loop.create_connection(_Inbox, *info[4][:2], family=info[0])
                return inbox
            except TimeoutError as error:
                silent.append(info)
                failure = error
            except OSError as error:
                failure = error
        left = silent
    raise failure
