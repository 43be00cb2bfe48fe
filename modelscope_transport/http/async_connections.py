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
import contextlib
import functools
import math
import os
import select
import ssl
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from yarl import URL

from .async_socket import open_socket
from .outgoing import origin_of

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

    from .async_exchange import Exchange

__all__ = ["LoopConnections", "close_all", "drop_socket", "is_quiet", "is_readable", "unsent"]

# Idle connections to one server in one loop, and for how many seconds each of them is kept.
_MOST_IDLE = 64
_KEPT = 30.0
# Seconds for which no loop runs.
_NEVER = 1e9
# Servers whose description for aiohttp is kept.
_MOST_SERVERS = 64
# On Windows a loop has always begun to read, so that nothing can be seen at its sockets.
_READS_AHEAD = os.name == "nt"


class LoopConnections:
    """The connections of one event loop.

    Args:
        loop: the loop, running.
        loops: where this stands under its loop; it is taken out of there when the loop has ended.

    Attributes:
        exchanges: what goes on, by the protocol of its connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        loops: dict[asyncio.AbstractEventLoop, LoopConnections],
    ) -> None:
        self.loop = loop
        self.exchanges: dict[ResponseHandler, Exchange] = {}
        self._loops = loops
        self._connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=_KEPT,
            # Without the cache, which leaves a task behind where a call does not wait for its name;
            # and not by aiodns, where it is installed, which would keep sockets of its own.
            use_dns_cache=False,
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=open_socket,
        )
        self._servers: dict[tuple[bytes, bytes, int], aiohttp.ClientRequest] = {}
        # Held until their sockets are closed: a transport that is deleted before warns.
        self._transports: dict[ResponseHandler, asyncio.Transport] = {}
        self._guard: AsyncGenerator[None, None] | None = None
        # A loop that is closed lets go of its timers, and so of what nothing else holds.
        end = _End()
        self._timer = weakref.ref(loop.call_later(_NEVER, end.do_nothing))
        weakref.finalize(end, self.drop)

    async def open(self) -> None:
        """Have the loop close these connections when it shuts down in order."""
        # A loop that has done so before would warn of a new generator.
        if not getattr(self.loop, "_asyncgens_shutdown_called", False):
            self._guard = self._end_with_loop()
            await anext(self._guard)

    async def _end_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if self._guard is not None:
                await self._connector.close()

    def is_open(self) -> bool:
        """Whether the loop has not shut them down."""
        return not self._connector.closed

    async def connect(
        self, url: httpx.URL, tls: Callable[[], ssl.SSLContext], limit: float
    ) -> tuple[aiohttp.ClientRequest, Connection]:
        """Get a connection to a server: the idle one that was used last, or a new one.

        The limit, in seconds, is for looking up the name, for all addresses and for TLS together.
        The server is returned as aiohttp wants it described.
        """
        server = self._server(url, tls)
        if _READS_AHEAD:
            for _ in range(2):  # turns of the loop: one to notice what has come, one to take it
                await asyncio.sleep(0)
        while True:
            connection = await self._connector.connect(server, [], _within(limit))
            protocol = connection.protocol
            assert protocol is not None
            if protocol not in self._transports:
                self._watch(protocol)
                return server, connection
            if is_quiet(protocol) and not is_readable(protocol):
                return server, connection
            protocol.abort()
            connection.close()

    def _watch(self, protocol: ResponseHandler) -> None:
        """Take note of a new connection, and of when it is closed.

        aiohttp wakes the reader of a body then, but not where the parser had failed before: there
        it would wait for ever.
        """

        def notify(future: asyncio.Future[None]) -> None:
            self._transports.pop(protocol, None)
            if not future.cancelled():
                future.exception()  # else asyncio would log that it was not looked at
            if protocol in self.exchanges:
                self.exchanges[protocol].connection_lost()

        closed, transport = protocol.closed, protocol.transport
        if closed is not None and transport is not None:
            self._transports[protocol] = transport
            closed.add_done_callback(notify)

    def _server(self, url: httpx.URL, tls: Callable[[], ssl.SSLContext]) -> aiohttp.ClientRequest:
        origin = origin_of(url)
        server = self._servers.get(origin)
        if server is None:
            host = url.raw_host.decode("ascii")
            host = f"[{host}]" if ":" in host else host
            address = URL.build(scheme=url.scheme, host=host, port=origin[2], encoded=True)
            context = tls() if url.scheme == "https" else False
            server = aiohttp.ClientRequest("GET", address, loop=self.loop, ssl=context)
            if len(self._servers) == _MOST_SERVERS:
                self._servers.clear()
            self._servers[origin] = server
        return server

    def keep(self, server: aiohttp.ClientRequest) -> None:
        """Put the connection that was given back last before the others, and keep not too many.

        aiohttp serves the oldest first and keeps any number.
        """
        idle = self._idle().get(server.connection_key)
        if idle:
            idle.rotate(1)
            while len(idle) > _MOST_IDLE:
                idle.pop()[0].close()

    def _idle(self) -> dict[Any, Any]:
        """What aiohttp's connector keeps, by server.

        Where its list has another name, its order and size are aiohttp's, and it warns when it is
        deleted after a loop that was only closed.
        """
        found: dict[Any, Any] = getattr(self._connector, "_conns", {})
        return found

    async def close_idle(self) -> None:
        """Close the connections on which nothing goes on, and each other one after its reply."""
        for protocol, transport in list(self._transports.items()):
            if protocol in self.exchanges:
                self.exchanges[protocol].close_after()
            else:
                transport.abort()
        await asyncio.sleep(0)  # a socket is closed in the next turn of its loop

    def close(self) -> None:
        """Close all, in the loop."""
        for transport in list(self._transports.values()):
            transport.abort()
        self._leave_nothing()
        timer = self._timer()
        if timer is not None:
            self.loop.call_soon(timer.cancel)  # after the sockets were closed

    def drop(self) -> None:
        """Close the sockets of a loop that will not run again, and touch nothing of the loop."""
        if self._loops.get(self.loop) is self:
            del self._loops[self.loop]
        for protocol, transport in list(self._transports.items()):
            protocol.transport = None
            drop_socket(transport)
        for exchange in list(self.exchanges.values()):
            exchange.end(reusable=False)
        self._leave_nothing()

    def _leave_nothing(self) -> None:
        """Leave nothing that warns when it is deleted: no generator that waits, no open list."""
        guard, self._guard = self._guard, None
        if guard is not None:
            with contextlib.suppress(StopIteration, RuntimeError):
                guard.aclose().send(None)  # which has nothing to wait for now
        self._idle().clear()


class _End:
    """What a timer of a loop holds, so that it goes when the loop is closed."""

    def do_nothing(self) -> None:
        """Do nothing: its time does not come."""


@functools.lru_cache(maxsize=16)
def _within(seconds: float) -> aiohttp.ClientTimeout:
    """A limit that aiohttp does not round up to whole seconds."""
    limit = None if seconds == math.inf else seconds
    return aiohttp.ClientTimeout(connect=limit, ceil_threshold=math.inf)


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


def is_readable(protocol: ResponseHandler) -> bool:
    """Whether something has come that the loop has not looked at, as when it has rested."""
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


def drop_socket(transport: Any) -> None:
    """Close the socket of a connection whose loop will not run again.

    A transport closes by way of its loop, and warns when it is deleted with its socket open: the
    socket is taken from it, by the name that it has in all loops of asyncio. A loop of uvloop
    closes its sockets itself when it is closed.
    """
    below = _below_tls(transport)
    sock = getattr(below, "_sock", None)
    if sock is not None:
        sock.close()
        below._sock = None
        transport._closed = True  # which a transport of TLS is asked when it is deleted


def close_all(loops: dict[asyncio.AbstractEventLoop, LoopConnections]) -> None:
    """Close the connections of an engine that is gone, where their loops still run or may."""
    for loop, connections in list(loops.items()):
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(connections.close)
    loops.clear()
