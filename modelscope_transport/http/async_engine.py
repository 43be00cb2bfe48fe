"""The async engine: HTTP/1.1 over aiohttp's connector and parser, for every event loop.

aiohttp's ``ClientSession`` is left out: it repeats requests by itself, and prepares headers,
cookies and addresses anew for each request. What stands below it does the work here: ``TCPConnector`` opens, keeps and shares connections, its protocol
parses replies and its ``StreamReader`` holds back a server that is faster than its reader.

Laws of this file: no policy, no second attempt. Connections belong to the loop that opened them
and end with it. What leaves is a reply or one of httpx's errors, with the original as its cause.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import math
import os
import re
import select
import ssl
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

__all__ = ["AsyncEngine"]

# Idle connections to one server in one loop, and for how many seconds each of them is kept.
_MOST_IDLE = 64
_KEPT = 30.0
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
)


class _LoopConnections:
    """The connections of one event loop.

    Args:
        loop: the running loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=_KEPT,
            # Also where aiodns is installed, which would keep sockets of its own.
            resolver=aiohttp.ThreadedResolver(),
        )
        self.exchanges: dict[ResponseHandler, _Exchange] = {}
        self._targets: dict[tuple[bytes, bytes, int], aiohttp.ClientRequest] = {}
        self._known: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()
        self._is_over = False
        self._guard = self._end_with_loop()

    async def open(self) -> None:
        """Have the loop end these connections when it shuts down."""
        await anext(self._guard)

    async def _end_with_loop(self) -> AsyncGenerator[None, None]:
        # `asyncio.run`, and what else shuts a loop down in order, closes the loop's asynchronous
        # generators while the loop still runs. There is no other hook.
        try:
            yield
        finally:
            if not self._is_over:
                self._is_over = True
                await self.connector.close()

    async def aclose(self) -> None:
        """Close the connections, in their loop."""
        await self._guard.aclose()

    def drop(self) -> None:
        """Close the sockets of a loop that will not run again, and touch nothing of the loop."""
        self._is_over = True
        for protocol in list(self._known):
            _drop_socket(protocol)
        for exchange in list(self.exchanges.values()):
            exchange.end(reusable=False)
        # Neither has anything to wait for now.
        for ending in (self._guard.aclose(), self.connector.close()):
            with contextlib.suppress(StopIteration, StopAsyncIteration, RuntimeError):
                ending.send(None)

    async def connect(
        self, url: httpx.URL, tls: Callable[[], ssl.SSLContext], limit: float
    ) -> tuple[aiohttp.ClientRequest, Any]:
        """A connection on which nothing stands behind the last reply, or a new one."""
        target = self._target(url, tls)
        while True:
            connection = await self.connector.connect(target, [], _connect_limit(limit))
            protocol = connection.protocol
            assert protocol is not None
            if protocol not in self._known:
                self._known.add(protocol)
                _when_closed(protocol, self.exchanges)
                return target, connection
            if _is_quiet(protocol) and not _is_readable(protocol):
                return target, connection
            protocol.abort()
            connection.close()

    def _target(self, url: httpx.URL, tls: Callable[[], ssl.SSLContext]) -> aiohttp.ClientRequest:
        """What aiohttp wants to know of a server in order to connect to it."""
        encrypted = url.raw_scheme == b"https"
        origin = url.raw_scheme, url.raw_host, url.port or (443 if encrypted else 80)
        target = self._targets.get(origin)
        if target is None:
            address = URL.build(
                scheme=url.scheme, host=url.raw_host.decode("ascii"), port=origin[2], encoded=True
            )
            target = aiohttp.ClientRequest(
                "GET", address, loop=self.loop, ssl=tls() if encrypted else False
            )
            self._targets[origin] = target
        return target

    def keep(self, target: aiohttp.ClientRequest) -> None:
        """Have the connection that was given back last served first, and not too many kept."""
        # aiohttp serves the oldest first and keeps any number. Its list has no public name: without
        # it that is how it is.
        idle = getattr(self.connector, "_conns", {}).get(target.connection_key)
        if idle:
            idle.rotate(1)
            while len(idle) > _MOST_IDLE:
                idle.pop()[0].close()


@functools.lru_cache(maxsize=16)
def _connect_limit(seconds: float) -> aiohttp.ClientTimeout:
    """Bound name look-up, all addresses and TLS together, and not rounded up to whole seconds."""
    return aiohttp.ClientTimeout(
        connect=None if seconds == math.inf else seconds, ceil_threshold=math.inf
    )


def _when_closed(protocol: ResponseHandler, exchanges: dict[ResponseHandler, _Exchange]) -> None:
    closed = protocol.closed
    if closed is not None:

        def notify(future: asyncio.Future[None]) -> None:
            if not future.cancelled():
                future.exception()  # else asyncio would log that it was not looked at
            if protocol in exchanges:
                exchanges[protocol].connection_lost()

        closed.add_done_callback(notify)


def _is_quiet(protocol: ResponseHandler) -> bool:
    """Whether nothing has come behind the last reply, so far as the loop has looked."""
    if protocol.should_close or not protocol.is_connected():
        return False
    # A beginning of another reply is known to the parser only, which has no public name. Without
    # it such bytes make the next reply unreadable, which is an error, but not another's answer.
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
    """The transport that holds the socket; asyncio has no public way to it, uvloop none at all."""
    return getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport


def _unsent(transport: Any) -> int:
    """Bytes that were written and have not gone out."""
    below = _below_tls(transport)
    size: int = transport.get_write_buffer_size()
    return size if below is transport else size + int(below.get_write_buffer_size())


def _drop_socket(protocol: ResponseHandler) -> None:
    """Close the socket of a connection whose loop will not run again.

    A transport closes by way of its loop, and warns when it is deleted with its socket open. So
    the socket is taken from it, by the name it has in asyncio on every system. uvloop needs none
    of this: a loop of it closes its sockets when it is closed.
    """
    transport, protocol.transport = protocol.transport, None
    below = _below_tls(transport)
    sock = getattr(below, "_sock", None)
    if sock is not None:
        sock.close()
        below._sock = None
        if below is not transport:
            transport._closed = True  # type: ignore[union-attr]


class _Exchange(httpx.AsyncByteStream):
    """A request and its reply on one connection; its iteration gives the body as it arrives."""

    def __init__(
        self,
        home: _LoopConnections,
        target: aiohttp.ClientRequest,
        connection: Any,
        limits: dict[str, float | None],
        deadline: float,
    ) -> None:
        self._home = home
        self._target = target
        self._connection: Any = connection
        self._protocol: ResponseHandler = connection.protocol
        self._limits = limits
        self._payload: aiohttp.StreamReader | None = None
        self._error: httpx.TransportError | None = None
        self._until_close = False
        self._keep_alive = True
        self._is_sent = False
        self._left, self._moved = -1, 0.0
        self._looking: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        home.exchanges[self._protocol] = self
        if deadline < math.inf:
            late = httpx.ReadTimeout("the deadline has passed")
            self._timer = home.loop.call_later(deadline - time.monotonic(), self.cut, late)

    # --- sending --------------------------------------------------------------------------

    async def send(self, method: str, head: bytes, body: bytes) -> httpx.Response:
        """Send a request and wait for the head of its reply."""
        protocol = self._protocol
        protocol.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._limits.get("read"),
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        self._keep_alive = not _says_close(head)
        transport = protocol.transport
        if transport is None:
            raise httpx.ConnectError("the server closed the connection at once")
        if len(body) > _SMALL:
            transport.write(head)
            transport.write(body)
        else:
            transport.write(head + body)
        self._look_at_upload()
        while True:
            message, payload = await protocol.read()
            if message.code == 101:
                raise httpx.RemoteProtocolError("the server changes the protocol, unasked")
            if message.code >= 200:
                break
            if self._is_sent:
                protocol.start_timeout()  # which ended with the informational reply
        if self._looking is not None:
            self._looking.cancel()
        self._payload = payload
        fields = list(message.raw_headers)
        self._until_close = not message.chunked and not any(
            name.lower() == b"content-length" for name, _ in fields
        )
        if payload.at_eof():
            self.end(reusable=True)
        return httpx.Response(message.code, headers=fields, stream=self)

    def _look_at_upload(self) -> None:
        """Look whether what was written goes out; cut where it has not moved for too long."""
        transport = self._protocol.transport
        if transport is None or self._connection is None:
            return
        left, now = _unsent(transport), self._home.loop.time()
        if not left:
            self._is_sent = True
            self._protocol.start_timeout()
            return
        limit = self._limits.get("write")
        if left != self._left:
            self._left, self._moved = left, now
        elif limit is not None and now - self._moved >= limit:
            self.cut(httpx.WriteTimeout(f"the server took no byte for {limit} s"))
            return
        self._looking = self._home.loop.call_later(_LOOK, self._look_at_upload)

    # --- receiving ------------------------------------------------------------------------

    async def __anext__(self) -> bytes:
        if self._connection is None and self._error is None:
            raise StopAsyncIteration
        assert self._payload is not None
        try:
            data = await self._payload.readany()
        except _FAILED as error:
            data = self._unread()
            if not data:
                raise self.failure(error) from error
        except BaseException:
            self.end(reusable=False)
            raise
        if data:
            return data
        broken = self._protocol.exception()
        if self._until_close and isinstance(broken, OSError):
            raise self.failure(broken) from broken
        self.end(reusable=True)
        raise StopAsyncIteration

    def __aiter__(self) -> _Exchange:
        return self

    def _unread(self) -> bytes:
        """What had arrived before the connection broke."""
        if self._error is not None or self._payload is None:
            return b""
        error = self._payload.exception()
        self._payload.set_exception(None)  # type: ignore[arg-type]
        try:
            return self._payload.read_nowait()
        finally:
            if error is not None:
                self._payload.set_exception(error)

    # --- the end --------------------------------------------------------------------------

    def failure(self, error: BaseException) -> httpx.TransportError:
        """End the exchange; what to raise for what ended it."""
        found: type[httpx.TransportError] = httpx.RemoteProtocolError
        text = "the server closed the connection before the end of its reply"
        if isinstance(error, TimeoutError):
            found, text = httpx.ReadTimeout, f"no byte for {self._limits.get('read')} s"
        elif not self._is_sent:
            found, text = httpx.WriteError, "the connection broke before the request was sent"
        elif isinstance(error, OSError) or isinstance(self._protocol.exception(), OSError):
            found, text = httpx.ReadError, f"the connection broke: {self._protocol.exception()}"
        elif isinstance(error, HttpProcessingError):
            text = "the reply is not what HTTP/1.1 allows"
        if self._error is None:
            self._error = error if isinstance(error, httpx.TransportError) else found(text)
        self.end(reusable=False)
        return self._error

    def connection_lost(self) -> None:
        """Wake a reader of whom aiohttp's parser does not know, having failed before."""
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(self._protocol.exception() or aiohttp.ServerDisconnectedError())

    def cut(self, error: httpx.TransportError) -> None:
        """Break the exchange with an error, which also wakes its reader."""
        if self._connection is None:
            return
        self._error = error
        self._protocol.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)
        self.end(reusable=False)

    def end(self, *, reusable: bool) -> None:
        """Give the connection back, or close it; once."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        protocol = self._protocol
        self._home.exchanges.pop(protocol, None)
        for timer in (self._timer, self._looking):
            if timer is not None:
                timer.cancel()
        if reusable and self._keep_alive and _is_quiet(protocol):
            transport = protocol.transport
            if transport is not None and not _unsent(transport):
                connection.release()
                self._home.keep(self._target)
                return
        if self._home.loop.is_closed():
            _drop_socket(protocol)
        protocol.abort()
        connection.close()

    async def aclose(self) -> None:
        """Close the connection, unless the reply was read to its end."""
        payload = self._payload
        if payload is not None and payload.at_eof() and self._error is None:
            self.end(reusable=True)
        else:
            self.cut(httpx.ReadError("the reply was closed before its end"))


class AsyncEngine(httpx.AsyncBaseTransport):
    """Sends requests of one account over HTTP/1.1 and keeps its connections, for each loop apart.

    A request's extensions bound it: ``"timeout"``, seconds for ``connect``, ``read`` and ``write``
    as httpx has them, and ``"deadline"``, the end of the whole exchange with its body on
    ``time.monotonic()``.

    Args:
        tls: makes the context for encrypted connections; called once, at the first.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, _LoopConnections] = {}
        _engines.add(self)
        weakref.finalize(self, _abandon, self._loops)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its reply; the stream reads its body.

        Raises:
            httpx.LocalProtocolError: HTTP cannot carry the request.
            httpx.ConnectError: nothing was sent; ``httpx.ConnectTimeout``: for want of time.
            httpx.WriteError: it was not sent whole; ``httpx.WriteTimeout``: for want of time.
            httpx.ReadError: the connection broke; ``httpx.ReadTimeout``: no byte came in time.
            httpx.RemoteProtocolError: the reply is none, or ends too early.
        """
        head, body = _head(request), request.content
        limits = request.extensions.get("timeout") or {}
        deadline = request.extensions.get("deadline")
        deadline = math.inf if deadline is None else deadline
        connect = limits.get("connect")
        limit = min(math.inf if connect is None else connect, deadline - time.monotonic())
        home = await self._of_loop()
        if limit <= 0:
            raise httpx.ConnectTimeout("no time to connect")
        try:
            target, connection = await home.connect(request.url, self._known_tls, limit)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {limit:.1f} s") from error
        except _FAILED as error:
            raise httpx.ConnectError(str(error) or type(error).__name__) from error
        exchange = _Exchange(home, target, connection, limits, deadline)
        try:
            return await exchange.send(request.method, head, body)
        except (*_FAILED, httpx.TransportError) as error:
            failure = exchange.failure(error)
            raise failure from (None if failure is error else error)
        except BaseException:
            exchange.end(reusable=False)
            raise

    async def _of_loop(self) -> _LoopConnections:
        """The connections of the running loop."""
        loop = asyncio.get_running_loop()
        home = self._loops.get(loop)
        if home is None or home.connector.closed:
            for other in list(self._loops):
                if other.is_closed():
                    self._loops.pop(other).drop()
            _drop_left()
            home = self._loops[loop] = _LoopConnections(loop)
            await home.open()
        return home

    def _known_tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = self._tls()
            return self._context

    async def aclose(self) -> None:
        """Close the connections of this loop. The engine can be used again."""
        home = self._loops.pop(asyncio.get_running_loop(), None)
        if home is not None:
            await home.aclose()

    def forget(self) -> None:
        """Leave the connections to the process that this one is a fork of."""
        self._lock = threading.Lock()
        _left.extend(self._loops.values())
        self._loops.clear()


def _head(request: httpx.Request) -> bytes:
    """The request line and the headers, exactly as they were given.

    Raises:
        httpx.LocalProtocolError: they would be read as something else.
    """
    if request.url.scheme not in ("http", "https") or not request.url.host:
        raise httpx.UnsupportedProtocol("an address begins with http:// or https:// and a host")
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s" % field for field in request.headers.raw]
    head = b"\r\n".join((*lines, b"", b""))
    if not _is_request(head):
        raise httpx.LocalProtocolError("a method, path or header that HTTP cannot carry")
    return head


# --- engines, loops and processes that end -------------------------------------------------

_engines: weakref.WeakSet[AsyncEngine] = weakref.WeakSet()
# Connections whose engine is gone, or that are the parent's in a fork: kept from being deleted,
# which would warn, until their loop has ended.
_left: list[_LoopConnections] = []


def _abandon(loops: dict[asyncio.AbstractEventLoop, _LoopConnections]) -> None:
    """End the connections of an engine that is gone, in whatever state their loops are."""
    for loop, home in list(loops.items()):
        _left.append(home)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_close_in_loop, home)
    loops.clear()


def _close_in_loop(home: _LoopConnections) -> None:
    def forget(_: asyncio.Task[None]) -> None:
        with contextlib.suppress(ValueError):
            _left.remove(home)

    home.loop.create_task(home.aclose()).add_done_callback(forget)


def _drop_left(*, all_of_them: bool = False) -> None:
    """Close the sockets of loops that have ended."""
    for home in list(_left):
        if all_of_them or home.loop.is_closed():
            with contextlib.suppress(ValueError):  # another thread was faster
                _left.remove(home)
                home.drop()


atexit.register(_drop_left, all_of_them=True)


def _forget_all() -> None:
    for engine in list(_engines):
        engine.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
