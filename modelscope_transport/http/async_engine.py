"""The engine of event loops: aiohttp behind httpx's transport interface.

Laws of this file: no policy, no second attempt. Connections belong to the loop that opened them
and end with it. What leaves is a reply or one of httpx's errors, with the original as its cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import httpx
from multidict import CIMultiDict
from yarl import URL

from .loops import PerLoop

__all__ = ["AsyncEngine"]

# Seconds for which an idle connection is kept: less than servers usually do, so that a request
# seldom meets a server that is just closing.
_KEPT = 30.0
_LONGEST_LINE = 1 << 16
# Bytes of an upload between two looks at whether it moves.
_PIECE = 1 << 16


class _Session:
    """What one event loop sends with."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._transports: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
        self.client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_KEPT,
                # The system's resolver also where aiodns is installed, which has its own sockets.
                resolver=aiohttp.ThreadedResolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )

    def remember(self, reply: aiohttp.ClientResponse) -> None:
        """Keep in mind the connection of a reply, in case the loop ends without closing it."""
        connection = reply.connection
        if connection is not None and connection.transport is not None:
            self._transports.add(connection.transport)

    async def aclose(self) -> None:
        """Close the connections, in their loop."""
        await self.client.close()

    def drop(self) -> None:
        """Close the sockets of a loop that will not run again, and touch nothing of the loop."""
        for transport in list(self._transports):
            _close_socket(transport)
        connector = self.client.connector
        self.client.detach()
        if connector is not None:
            closing = connector.close().__await__()  # marks it as closed; nothing is to be awaited
            with contextlib.suppress(StopIteration, RuntimeError):
                next(closing)


def _close_socket(transport: Any) -> None:
    # A transport closes by way of its loop, and warns when it is deleted with its socket open. So
    # the socket is taken from it, by the name that it has in asyncio on every system; a loop of
    # uvloop closes its sockets itself.
    below = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport
    sock = getattr(below, "_sock", None)
    if sock is None:
        return
    sock.close()
    below._sock = None
    if below is not transport:
        transport._closed = True


class _Body(httpx.AsyncByteStream):
    """The bytes of a reply as they arrive."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = self._reply.content.readany
        with _translated(_in_reply):
            while data := await read():
                yield data

    async def drain(self, seconds: float) -> None:
        """Read to the end within so many seconds, so that the connection can serve again."""
        content = self._reply.content
        with contextlib.suppress(Exception):
            async with asyncio.timeout(seconds):
                while not content.at_eof():
                    await content.readany()

    async def aclose(self) -> None:
        if self._reply.content.at_eof():
            self._reply.release()
        else:
            self._reply.close()


class AsyncEngine(httpx.AsyncBaseTransport):
    """Sends requests of one account and keeps its connections, apart for each event loop.

    A request's extensions bound it: ``"timeout"``, seconds for ``connect``, ``read`` and ``write``
    as httpx has them, and ``"deadline"``, the end of the whole exchange with its body on
    ``time.monotonic()``.

    Args:
        tls: makes the context for encrypted connections; called when one is opened.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._sessions = PerLoop(_Session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its reply; the stream reads its body.

        Raises:
            httpx.LocalProtocolError: HTTP cannot carry the request.
            httpx.ConnectError: nothing was sent; ``httpx.ConnectTimeout``: for want of time.
            httpx.WriteTimeout: the server did not take the request in time.
            httpx.ReadError: the connection broke; ``httpx.ReadTimeout``: no byte came in time.
            httpx.RemoteProtocolError: the reply is none, or ends too early.
        """
        session = await self._sessions.get()
        # One turn of the loop: it hears of connections that were closed while it rested.
        await asyncio.sleep(0)
        timeout = _timeout(request)
        with _translated(_without_reply):
            if len(request.content) <= _PIECE:
                reply = await self._send(session, request, request.content or None, timeout)
            else:
                reply = await self._upload(session, request, timeout)
        session.remember(reply)
        if reply.status == 101:
            reply.close()
            raise httpx.RemoteProtocolError("the server changes the protocol, unasked")
        return httpx.Response(reply.status, headers=list(reply.raw_headers), stream=_Body(reply))

    async def _send(
        self, session: _Session, request: httpx.Request, data: Any, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        fields = [(name.decode("ascii"), value.decode()) for name, value in request.headers.raw]
        return await session.client.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=CIMultiDict(fields),
            data=data,
            allow_redirects=False,
            ssl=self._tls() if request.url.scheme == "https" else False,
            timeout=limits,
        )

    async def _upload(
        self, session: _Session, request: httpx.Request, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send a large body, and give up where the server takes none of it for too long."""
        loop, body = asyncio.get_running_loop(), request.content
        limit = (request.extensions.get("timeout") or {}).get("write")
        try:
            async with asyncio.timeout(None) as idle:

                async def pieces() -> AsyncIterator[bytes]:
                    for start in range(0, len(body), _PIECE):
                        if limit is not None and not idle.expired():
                            idle.reschedule(loop.time() + limit)
                        yield body[start : start + _PIECE]
                    if not idle.expired():
                        idle.reschedule(None)

                return await self._send(session, request, pieces(), limits)
        except TimeoutError as error:
            if idle.expired():
                raise httpx.WriteTimeout(f"the server took no byte for {limit} s") from error
            raise

    async def aclose(self) -> None:
        """Close the connections of this loop. The engine can be used again."""
        await self._sessions.aclose()


def _timeout(request: httpx.Request) -> aiohttp.ClientTimeout:
    """The limits of a request, as aiohttp takes them.

    Raises:
        httpx.ConnectTimeout: the deadline has passed.
    """
    limits = request.extensions.get("timeout") or {}
    deadline, connect = request.extensions.get("deadline"), limits.get("connect")
    total = None if deadline is None else deadline - time.monotonic()
    if total is not None:
        if total <= 0:
            raise httpx.ConnectTimeout("the deadline has passed")
        # A little sooner, so that a connection which does not come up is known for it.
        connect = min(math.inf if connect is None else connect, total - 0.001)
    return aiohttp.ClientTimeout(
        total=total, connect=connect, sock_read=limits.get("read"), ceil_threshold=math.inf
    )


# --- what can go wrong ------------------------------------------------------------------------


@contextlib.contextmanager
def _translated(
    kind_of: Callable[[BaseException], type[httpx.TransportError] | None],
) -> Iterator[None]:
    """Raise httpx's errors in the place of aiohttp's and of the system's."""
    try:
        yield
    except httpx.TransportError:
        raise
    except Exception as error:
        found = kind_of(error)
        if found is None:
            raise
        raise found(str(error) or type(error).__name__) from error


def _without_reply(error: BaseException) -> type[httpx.TransportError] | None:
    """What an error means before the head of a reply has come."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return httpx.LocalProtocolError
    if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
        return httpx.LocalProtocolError
    return _in_reply(error)


def _in_reply(error: BaseException) -> type[httpx.TransportError] | None:
    """What an error means while a reply is read."""
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        broken = isinstance(error.__cause__, OSError)
        return httpx.ReadError if broken else httpx.RemoteProtocolError
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return httpx.RemoteProtocolError
    if isinstance(error, OSError | aiohttp.ClientError | RuntimeError):
        return httpx.ReadError  # a session that its loop has closed is a RuntimeError
    return None
