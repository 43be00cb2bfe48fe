"""The async engine: HTTP/1.1 over aiohttp's connector and parser, for every event loop.

aiohttp's ``ClientSession`` is left out: it repeats requests by itself, and prepares headers,
cookies and addresses anew for each of them. What stands below it does the work here: its connector
opens and keeps connections (``loop_connections.py``), its protocol parses replies, and its
``StreamReader`` holds back a server that is faster than its reader.

Laws of this file: no policy, no second attempt. Time limits wake who waits by an error, and cancel
nothing. What leaves is a reply or one of httpx's errors.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import ssl
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError

from .loop_connections import (
    Connection,
    LoopConnections,
    close_all,
    drop_socket,
    is_quiet,
    unsent,
)

__all__ = ["AsyncEngine"]

# Bytes of one line of a head; and of a body that is joined to its head, to go out in one write.
_LONGEST_LINE = 1 << 16
_SMALL = 1 << 16
# Seconds between two looks at an upload that has not gone out.
_LOOK = 0.01

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_is_request = re.compile(
    _TOKEN + rb" [!-~]++ HTTP/1\.1\r\n(?:" + _TOKEN + rb": [^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n"
).fullmatch
_says_close = re.compile(rb"\r\nconnection:[^\r]*\bclose\b", re.IGNORECASE).search

# What aiohttp and asyncio raise: RuntimeError for what is closed, ValueError for an odd host.
_FAILED = (
    aiohttp.ClientError,
    aiohttp.EofStream,
    HttpProcessingError,
    OSError,
    RuntimeError,
    ValueError,
    httpx.TransportError,
)


class _Exchange(httpx.AsyncByteStream):
    """A request and its reply on one connection; iterated once, it gives the body as it arrives."""

    def __init__(
        self,
        home: LoopConnections,
        server: aiohttp.ClientRequest,
        connection: Connection,
        limits: dict[str, float | None],
        deadline: float,
    ) -> None:
        assert connection.protocol is not None
        self._home = home
        self._server = server
        self._connection: Connection | None = connection
        self._protocol = connection.protocol
        self._limits = limits
        self._payload: aiohttp.StreamReader | None = None
        self._error: httpx.TransportError | None = None
        self._begun = False
        self._is_sent = False
        self._keeps_alive = True
        self._ends_with_connection = False
        self._left, self._moved_at = -1, 0.0
        self._look: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        home.exchanges[self._protocol] = self
        if deadline < math.inf:
            self._deadline = home.loop.call_later(deadline - time.monotonic(), self._is_late)

    # --- sending ----------------------------------------------------------------------------

    async def send(self, method: str, head: bytes, body: bytes) -> httpx.Response:
        """Send a request and wait for the head of its reply."""
        protocol = self._protocol
        transport = protocol.transport
        if transport is None:
            raise httpx.ConnectError("the server closed the connection at once")
        protocol.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._limits.get("read"),
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        self._keeps_alive = not _says_close(head)
        if len(body) > _SMALL:
            transport.write(head)
            transport.write(body)
        else:
            transport.write(head + body)
        self._look_at_upload()
        message, payload = await protocol.read()
        while message.code < 200:
            if message.code == 101:
                raise httpx.RemoteProtocolError("the server changes the protocol, unasked")
            if self._is_sent:
                protocol.start_timeout()  # which ended with the informational reply
            message, payload = await protocol.read()
        if self._look is not None:
            self._look.cancel()
        self._payload = payload
        self._ends_with_connection = not message.chunked and not any(
            name.lower() == b"content-length" for name, _ in message.raw_headers
        )
        if payload.at_eof():
            self.end(reusable=True)
        return httpx.Response(message.code, headers=list(message.raw_headers), stream=self)

    def _look_at_upload(self) -> None:
        """Look whether what was written goes out, and end the exchange where it does not move."""
        transport = self._protocol.transport
        if transport is None or self._connection is None:
            return
        left, now, limit = unsent(transport), self._home.loop.time(), self._limits.get("write")
        if not left:
            self._is_sent = True
            self._protocol.start_timeout()
            return
        if left != self._left:
            self._left, self._moved_at = left, now
        elif limit is not None and now - self._moved_at >= limit:
            self._cut(httpx.WriteTimeout(f"the server took no byte for {limit} s"))
            return
        self._look = self._home.loop.call_later(_LOOK, self._look_at_upload)

    # --- receiving --------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._begun:
            return _consumed()
        self._begun = True
        return self

    async def __anext__(self) -> bytes:
        payload = self._payload
        assert payload is not None
        if self._connection is None and self._error is None:
            raise StopAsyncIteration
        failure = None
        try:
            data = await payload.readany()
        except _FAILED as error:
            data = self._unread()
            if not data:
                failure = self.failure(error)
        except BaseException:
            self.end(reusable=False)
            raise
        if failure is None and payload.at_eof():
            failure = self._finish()
        if failure is not None:
            raise failure
        if not data:
            raise StopAsyncIteration
        return data

    def _finish(self) -> httpx.TransportError | None:
        """End a body that was read to its end; or what to raise because that is no end."""
        broken = self._protocol.exception()
        if self._ends_with_connection and isinstance(broken, OSError):
            return self.failure(broken)
        self.end(reusable=True)
        return None

    def _unread(self) -> bytes:
        """What had arrived before the connection broke."""
        payload = self._payload
        error = None if payload is None else payload.exception()
        if payload is None or error is None or self._error is not None:
            return b""
        payload.set_exception(None)  # type: ignore[arg-type] # else it gives out nothing
        try:
            return payload.read_nowait()
        finally:
            payload.set_exception(error)

    # --- the end ----------------------------------------------------------------------------

    def failure(self, error: BaseException) -> httpx.TransportError:
        """End the exchange; what to raise for what has ended it."""
        if self._error is None:
            self._error = self._as_ours(error)
            # What the parser raises shows what the server sent, which may be a secret.
            self._error.__cause__ = error if isinstance(error, OSError) else None
        self.end(reusable=False)
        return self._error

    def _as_ours(self, error: BaseException) -> httpx.TransportError:
        if isinstance(error, httpx.TransportError):
            return error
        if isinstance(error, TimeoutError):
            return httpx.ReadTimeout(f"no byte for {self._limits.get('read')} s")
        broken = error if isinstance(error, OSError) else self._protocol.exception()
        text = f"the connection broke: {broken}" if isinstance(broken, OSError) else ""
        if not self._is_sent:
            return httpx.WriteError(text or "the server left before it had the whole request")
        if text:
            return httpx.ReadError(text)
        if isinstance(error, HttpProcessingError) or isinstance(broken, HttpProcessingError):
            return httpx.RemoteProtocolError("the reply is not what HTTP/1.1 allows")
        return httpx.RemoteProtocolError("the server left before the end of its reply")

    def connection_lost(self) -> None:
        """Wake a reader whom aiohttp does not wake, because its parser has failed."""
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(self._protocol.exception() or aiohttp.ServerDisconnectedError())

    def _is_late(self) -> None:
        late = httpx.ReadTimeout if self._is_sent else httpx.WriteTimeout
        self._cut(late("the deadline has passed"))

    def _cut(self, error: httpx.TransportError) -> None:
        """End the exchange with an error, which wakes who waits for it."""
        if self._connection is None:
            return
        self._error = error
        self._protocol.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)
        self.end(reusable=False)

    def end(self, *, reusable: bool) -> None:
        """Give the connection back, if it can be used again, or close it; once."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        protocol = self._protocol
        self._home.exchanges.pop(protocol, None)
        for timer in (self._deadline, self._look):
            if timer is not None:
                timer.cancel()
        transport = protocol.transport
        if transport is not None:
            if reusable and self._keeps_alive and is_quiet(protocol) and not unsent(transport):
                connection.release()
                self._home.keep(self._server)
                return
            if self._home.loop.is_closed():
                protocol.transport = None
                drop_socket(transport)
            else:
                transport.abort()
        connection.close()

    async def aclose(self) -> None:
        """Close the connection, unless the reply was read to its end."""
        if self._payload is not None and self._payload.at_eof():
            self.end(reusable=True)
        self._cut(httpx.ReadError("the reply was closed before its end"))


async def _consumed() -> AsyncIterator[bytes]:
    raise httpx.StreamConsumed
    yield b""  # type: ignore[unreachable]


class AsyncEngine(httpx.AsyncBaseTransport):
    """Sends requests of one account over HTTP/1.1 and keeps its connections, for each loop apart.

    A request's extensions bound it: ``"timeout"``, seconds for ``connect``, ``read`` and ``write``
    as httpx has them, and ``"deadline"``, the end of the whole exchange with its body on
    ``time.monotonic()``. It may be used in several loops, one after another or in threads.

    Args:
        tls: makes the context for encrypted connections; called once, at the first.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, LoopConnections] = {}
        _engines.add(self)
        weakref.finalize(self, close_all, self._loops)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its reply; the stream reads its body.

        Raises:
            httpx.LocalProtocolError: HTTP cannot carry the request.
            httpx.ConnectError: nothing was sent; ``httpx.ConnectTimeout``: for want of time.
            httpx.WriteError: it was not sent whole; ``httpx.WriteTimeout``: for want of time.
            httpx.ReadError: the connection broke; ``httpx.ReadTimeout``: no byte came in time.
            httpx.RemoteProtocolError: the reply is none, or ends too early.
        """
        head, body = _head(request), await request.aread()
        limits: dict[str, Any] = request.extensions.get("timeout") or {}
        deadline = request.extensions.get("deadline")
        deadline = math.inf if deadline is None else deadline
        exchange = await self._begin(request.url, limits, deadline)
        try:
            return await exchange.send(request.method, head, body)
        except _FAILED as error:
            failure = exchange.failure(error)
        except BaseException:
            exchange.end(reusable=False)
            raise
        raise failure  # not where the error was caught: it would be shown with it

    async def _begin(
        self, url: httpx.URL, limits: dict[str, float | None], deadline: float
    ) -> _Exchange:
        connect = limits.get("connect")
        limit = min(math.inf if connect is None else connect, deadline - time.monotonic())
        if limit <= 0:
            raise httpx.ConnectTimeout("there is no time left to connect")
        try:
            home = await self._of_loop()
            server, connection = await home.connect(url, self._known_tls, limit)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {limit:.1f} s") from error
        except _FAILED as error:
            raise httpx.ConnectError(str(error) or type(error).__name__) from error
        return _Exchange(home, server, connection, limits, deadline)

    async def _of_loop(self) -> LoopConnections:
        """The connections of the running loop."""
        loop = asyncio.get_running_loop()
        home = self._loops.get(loop)
        if home is None or not home.is_open():
            home = self._loops[loop] = LoopConnections(loop, self._loops)
            await home.open()
        return home

    def _known_tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = self._tls()
            return self._context

    async def aclose(self) -> None:
        """Close the idle connections of this loop. The engine can be used again."""
        home = self._loops.get(asyncio.get_running_loop())
        if home is not None:
            await home.close_idle()

    def forget(self) -> None:
        """Leave the connections to the process that this one is a fork of."""
        self._lock = threading.Lock()
        self._loops.clear()


def _head(request: httpx.Request) -> bytes:
    """The request line and the headers, exactly as they were given.

    Raises:
        httpx.LocalProtocolError: they would be read as something else.
        httpx.UnsupportedProtocol: the address is none of HTTP.
    """
    if request.url.scheme not in ("http", "https") or not request.url.host:
        raise httpx.UnsupportedProtocol("an address begins with http:// or https:// and a host")
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s" % field for field in request.headers.raw]
    head = b"\r\n".join((*lines, b"", b""))
    if not _is_request(head) or head.count(b"\r\n") != len(lines) + 1:
        raise httpx.LocalProtocolError("a method, path or header that HTTP cannot carry")
    return head


_engines: weakref.WeakSet[AsyncEngine] = weakref.WeakSet()


def _forget_all() -> None:
    for engine in list(_engines):
        engine.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
