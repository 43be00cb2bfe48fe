"""The connections of one event loop, opened and kept by aiohttp's connector, and their end.

A loop may end in many ways: in order, as ``asyncio.run`` does it, which closes asynchronous
generators while the loop still runs; by a bare ``close``; never, in a thread that the process
leaves behind; or in a forked child, which has it by inheritance only. Whatever the way, its sockets
are closed, the loop is not touched again, and nothing is left that warns when it is deleted.

Laws of this file: no HTTP. Connections belong to the loop that opened them. aiohttp and asyncio
have no public name for a few things that are needed; each stands in one function that says what
happens without it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import math
import select
import socket
import ssl
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from yarl import URL

__all__ = [
    "Connection",
    "LoopConnections",
    "abandon",
    "drop_socket",
    "inherit",
    "is_quiet",
    "unsent",
]

# Idle connections to one server in one loop, and for how many seconds each of them is kept.
_MOST_IDLE = 64
_KEPT = 30.0
# Bytes that the system may hold back unsent. More of them would hide that an upload moves.
_MOST_UNSENT = 1 << 17


class Connection(Protocol):
    """An `aiohttp` connection as its connector gives it out."""

    @property
    def protocol(self) -> ResponseHandler | None:
        """What parses its replies; none once it was given back or closed."""

    def release(self) -> None:
        """Give it back to be used again."""

    def close(self) -> None:
        """Close it."""


class Exchange(Protocol):
    """A request and its reply, which have a connection for themselves."""

    def connection_lost(self) -> None:
        """Take note that the connection is closed."""

    def end(self, *, reusable: bool) -> None:
        """Give the connection back or close it."""


class LoopConnections:
    """The connections of one event loop.

    Args:
        loop: the loop, running.

    Attributes:
        exchanges: what goes on, by the protocol of its connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.exchanges: dict[ResponseHandler, Exchange] = {}
        self._connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=_KEPT,
            # Also where aiodns is installed, which would keep sockets of its own.
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=_socket,
        )
        self._servers: dict[tuple[bytes, bytes, int], aiohttp.ClientRequest] = {}
        self._known: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()
        self._is_over = False
        self._guard = self._end_with_loop()

    async def open(self) -> None:
        """Have the loop end these connections when it shuts down."""
        await anext(self._guard)

    async def _end_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if not self._is_over:
                await self._connector.close()

    def is_open(self) -> bool:
        """Whether the loop has not shut them down."""
        return not self._connector.closed

    async def connect(
        self, url: httpx.URL, tls: Callable[[], ssl.SSLContext], limit: float
    ) -> tuple[aiohttp.ClientRequest, Connection]:
        """Get a connection to a server: the idle one that was used last, or a new one.

        Args:
            url: where to.
            tls: gives the context for an encrypted connection.
            limit: seconds for looking up the name, for all addresses and for TLS together.

        Returns:
            The server, as aiohttp wants it told, and the connection.
        """
        server = self._server(url, tls)
        while True:
            connection: Connection = await self._connector.connect(server, [], _within(limit))
            protocol = connection.protocol
            assert protocol is not None
            if protocol not in self._known:
                self._known.add(protocol)
                _when_closed(protocol, self.exchanges)
                return server, connection
            if is_quiet(protocol) and not _is_readable(protocol):
                return server, connection
            protocol.abort()
            connection.close()

    def _server(self, url: httpx.URL, tls: Callable[[], ssl.SSLContext]) -> aiohttp.ClientRequest:
        encrypted = url.raw_scheme == b"https"
        origin = url.raw_scheme, url.raw_host, url.port or (443 if encrypted else 80)
        server = self._servers.get(origin)
        if server is None:
            host = url.raw_host.decode("ascii")
            address = URL.build(scheme=url.scheme, host=host, port=origin[2], encoded=True)
            context = tls() if encrypted else False
            server = aiohttp.ClientRequest("GET", address, loop=self.loop, ssl=context)
            self._servers[origin] = server
        return server

    def keep(self, server: aiohttp.ClientRequest) -> None:
        """Put the connection that was given back last before the others, and keep not too many.

        aiohttp serves the oldest first and keeps any number, which is what remains where its list
        has another name.
        """
        idle = self._idle().get(server.connection_key)
        if idle:
            idle.rotate(1)
            while len(idle) > _MOST_IDLE:
                idle.pop()[0].close()

    def _idle(self) -> dict[Any, Any]:
        found: dict[Any, Any] = getattr(self._connector, "_conns", {})
        return found

    async def close_idle(self) -> None:
        """Close the connections on which nothing goes on."""
        for protocol in list(self._known):
            if protocol not in self.exchanges:
                protocol.abort()
        await asyncio.sleep(0)  # a socket is closed in the next turn of its loop

    def close_now(self) -> None:
        """Close all, in the loop; the sockets are closed in its next turn."""
        for protocol in list(self._known):
            protocol.abort()
        self._finish()

    def drop(self) -> None:
        """Close the sockets of a loop that will not run again, and touch nothing of the loop."""
        for protocol in list(self._known):
            drop_socket(protocol)
        for exchange in list(self.exchanges.values()):
            exchange.end(reusable=False)
        self._finish()

    def _finish(self) -> None:
        """Leave nothing that warns when it is deleted: no generator that waits, no open list."""
        self._is_over = True
        with contextlib.suppress(StopIteration, StopAsyncIteration, RuntimeError):
            self._guard.aclose().send(None)  # it has nothing to wait for now
        self._idle().clear()


def _socket(info: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(*info[:3])
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)
    return sock


@functools.lru_cache(maxsize=16)
def _within(seconds: float) -> aiohttp.ClientTimeout:
    """A limit that aiohttp does not round up to whole seconds."""
    limit = None if seconds == math.inf else seconds
    return aiohttp.ClientTimeout(connect=limit, ceil_threshold=math.inf)


def _when_closed(protocol: ResponseHandler, exchanges: dict[ResponseHandler, Exchange]) -> None:
    """Have the exchange of a connection know that it was closed.

    aiohttp wakes the reader of a body itself, but not where the parser had failed before: there it
    would wait for ever.
    """

    def notify(future: asyncio.Future[None]) -> None:
        if not future.cancelled():
            future.exception()  # else asyncio would log that it was not looked at
        if protocol in exchanges:
            exchanges[protocol].connection_lost()

    closed = protocol.closed
    if closed is not None:
        closed.add_done_callback(notify)


def is_quiet(protocol: ResponseHandler) -> bool:
    """Whether nothing has come behind the last reply, so far as the loop has looked.

    A mere beginning of another reply is known to the parser alone. Where that has another name,
    such bytes make the next reply unreadable, which is an error and no other's answer.
    """
    if protocol.should_close or not protocol.is_connected():
        return False
    parser = getattr(protocol, "_parser", None)
    try:
        return parser is None or parser.feed_eof() is None
    except Exception:  # noqa: BLE001 -- whatever it is, it is no silence
        return False


def _is_readable(protocol: ResponseHandler) -> bool:
    """Whether something has come that the loop has not looked at, having rested meanwhile."""
    assert protocol.transport is not None
    sock = protocol.transport.get_extra_info("socket")
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    polled = select.poll()
    polled.register(sock, select.POLLIN)
    return bool(polled.poll(0))


def _below_tls(transport: Any) -> Any:
    """The transport with the socket; where it cannot be found (uvloop), the one that is given."""
    return getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport


def unsent(transport: asyncio.Transport) -> int:
    """Bytes that were written and have not gone out, above TLS and, where it can be seen, below."""
    below = _below_tls(transport)
    size = transport.get_write_buffer_size()
    return size if below is transport else size + int(below.get_write_buffer_size())


def drop_socket(protocol: ResponseHandler) -> None:
    """Close the socket of a connection whose loop will not run again.

    A transport closes by way of its loop, and warns when it is deleted with its socket open: the
    socket is taken from it, by the name that it has in all loops of asyncio. A loop of uvloop
    closes its sockets itself when it is closed.
    """
    transport: Any = protocol.transport
    protocol.transport = None
    below = _below_tls(transport)
    sock = getattr(below, "_sock", None)
    if sock is not None:
        sock.close()
        below._sock = None
        transport._closed = True  # which a transport of TLS is asked when it is deleted


# --- what has no engine any more ------------------------------------------------------------

# Kept from being deleted, which would warn, until their loops have ended.
_left: list[LoopConnections] = []


def abandon(loops: dict[asyncio.AbstractEventLoop, LoopConnections]) -> None:
    """End the connections of an engine that is gone, whatever their loops do."""
    inherited = list(loops.items())
    inherit(loops)
    for loop, connections in inherited:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_close_in_loop, connections)


def inherit(loops: dict[asyncio.AbstractEventLoop, LoopConnections]) -> None:
    """Take connections from an engine that is not to use them, and do not touch them."""
    _left.extend(loops.values())
    loops.clear()


def _close_in_loop(connections: LoopConnections) -> None:
    connections.close_now()
    connections.loop.call_soon(_forget, connections)  # after the sockets were closed


def _forget(connections: LoopConnections) -> None:
    with contextlib.suppress(ValueError):  # another thread was faster
        _left.remove(connections)


def drop_ended(loops: dict[asyncio.AbstractEventLoop, LoopConnections]) -> None:
    """Close the sockets of loops that were closed, those of an engine and those without."""
    for loop in list(loops):
        if loop.is_closed() and (connections := loops.pop(loop, None)) is not None:
            connections.drop()
    for connections in tuple(_left):
        if connections.loop.is_closed():
            _forget(connections)
            connections.drop()


@atexit.register
def _drop_left() -> None:
    while _left:
        _left.pop().drop()
