"""Connections to a server, or to a proxy, over httpcore, the library that httpx stands on.

What httpx lays on top, requests and replies of its own and a pool that looks through all its
connections, costs half as much again as the call itself and serves nobody here: a connection is
taken from a list (``_pool.py``) and given back to it.

Laws of this file: no policy, and the only one that imports httpcore, but for the stream of bytes
below it. One exchange at a time on a connection. One that leads to its server is never opened
twice: what has been closed is thrown away.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

import httpcore
from httpcore import URL as Address
from httpcore import Proxy

from ._loop_stream import LoopBackend
from .deadlines import Watch
from .pool import Idle, LoopIdle
from .reply import Arrived, Outgoing, lower

__all__ = [
    "BROKEN",
    "LATE",
    "UNSENT",
    "Address",
    "Direct",
    "DirectInLoop",
    "Proxy",
    "connections",
    "noticing",
]

# What httpcore raises: a connection that failed, one that was too slow, one that never came up.
BROKEN = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.ConnectionNotAvailable,
)
LATE = (httpcore.TimeoutException,)
UNSENT = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
    httpcore.ProxyError,
    httpcore.ConnectionNotAvailable,
)

# Seconds for which an idle connection is worth keeping.
_KEPT = 60.0
_ONE: dict[str, Any] = {
    "max_connections": 1,
    "max_keepalive_connections": 1,
    "keepalive_expiry": _KEPT,
}


def connections(
    there: Address, proxy: Proxy | None, tls: Callable[[], ssl.SSLContext]
) -> tuple[Idle[Direct], LoopIdle[DirectInLoop]]:
    """Connections to the server of an address, in both colours; none is opened yet.

    Args:
        there: the address.
        proxy: the proxy to go through.
        tls: makes the context for what is encrypted, when the first connection needs it.
    """
    backend = LoopBackend()

    def known() -> dict[str, Any]:
        if proxy is not None and proxy.url.scheme == b"https":
            proxy.ssl_context = tls()  # else every connection reads the certificates anew
        plain = there.scheme == b"http" and proxy is None
        return {"ssl_context": None if plain else tls()}

    if proxy is None:
        kept: dict[str, Any] = {"keepalive_expiry": _KEPT}

        def connect() -> Direct:
            return Direct(httpcore.HTTPConnection(there.origin, **known(), **kept))

        def connect_in_loop() -> DirectInLoop:
            return DirectInLoop(
                httpcore.AsyncHTTPConnection(
                    there.origin, **known(), **kept, network_backend=backend
                )
            )
    else:

        def connect() -> Direct:
            return Direct(httpcore.ConnectionPool(**known(), **_ONE, proxy=proxy))

        def connect_in_loop() -> DirectInLoop:
            return DirectInLoop(
                httpcore.AsyncConnectionPool(
                    **known(), **_ONE, proxy=proxy, network_backend=backend
                )
            )

    return Idle(connect), LoopIdle(connect_in_loop)


def _request(outgoing: Outgoing, extensions: dict[str, Any]) -> httpcore.Request:
    return httpcore.Request(
        outgoing.method,
        outgoing.address,
        headers=outgoing.headers,
        content=outgoing.body or None,
        extensions=extensions,
    )


def noticing(follow: Callable[[Any], None]) -> Callable[[str, Mapping[str, Any]], None]:
    """What httpcore, also below httpx, is to tell of a connection that comes up.

    Args:
        follow: is told the socket, and a second time when there is TLS around it.
    """

    def notice(event: str, info: Mapping[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            follow(info["return_value"].get_extra_info("socket"))

    return notice


def _is_sending(event: str, info: Mapping[str, Any]) -> bool:
    """Whether the request itself goes out now, and no word to a proxy on the way."""
    return event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT"


def _is_usable(connection: Any) -> bool:
    # A pool, which is what leads through a proxy, sees to that by itself.
    pooled = isinstance(connection, httpcore.ConnectionPool | httpcore.AsyncConnectionPool)
    return pooled or (connection.is_available() and not connection.has_expired())


class Direct:
    """One connection of the sync colour, and its socket, which a deadline cuts.

    Args:
        connection: of httpcore: a connection, or a pool of one.

    Attributes:
        sent: whether the request may have reached its server.
    """

    __slots__ = ("_connection", "_sock", "sent")

    def __init__(self, connection: httpcore.HTTPConnection | httpcore.ConnectionPool) -> None:
        self._connection = connection
        self._sock: Any = None
        self.sent = False

    def send(self, outgoing: Outgoing, guard: Watch) -> Arrived:
        """Send a request. The guard cuts it from here on, also while its headers drip in."""
        extensions: dict[str, Any] = {"timeout": outgoing.limits}
        if self._sock is not None:
            guard.follow(self._sock)
        if self._sock is None or isinstance(self._connection, httpcore.ConnectionPool):
            follow, self.sent = noticing(lambda sock: self._follow(sock, guard)), False

            def notice(event: str, info: Mapping[str, Any]) -> None:
                follow(event, info)
                self.sent = self.sent or _is_sending(event, info)

            extensions["trace"] = notice
        reply = self._connection.handle_request(_request(outgoing, extensions))
        return Arrived(reply.status, lower(reply.headers), reply.stream, self._sock)

    def _follow(self, sock: Any, guard: Watch) -> None:
        self._sock = sock
        guard.follow(sock)

    def is_usable(self) -> bool:
        """Whether the server still holds its end."""
        return _is_usable(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class DirectInLoop:
    """One connection of the async colour, for the event loop that opens it.

    Args:
        connection: as of `Direct`.

    Attributes:
        sent: as of `Direct`.
    """

    __slots__ = ("_connection", "sent")

    def __init__(
        self, connection: httpcore.AsyncHTTPConnection | httpcore.AsyncConnectionPool
    ) -> None:
        self._connection = connection
        self.sent = False

    async def asend(self, outgoing: Outgoing) -> Arrived:
        """Send a request."""
        extensions: dict[str, Any] = {"timeout": outgoing.limits}
        if not self.sent:
            extensions["trace"] = self._notice
        request = _request(outgoing, extensions)
        reply = await self._connection.handle_async_request(request)
        return Arrived(reply.status, lower(reply.headers), reply.stream)

    async def _notice(self, event: str, info: Mapping[str, Any]) -> None:
        self.sent = self.sent or _is_sending(event, info)

    def is_usable(self) -> bool:
        """Whether the server still holds its end."""
        return _is_usable(self._connection)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()
