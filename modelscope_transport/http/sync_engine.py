"""The sync engine: requests over HTTP/1.1, on the standard library.

Laws of this file: no policy, and no second attempt. What leaves is a reply or one of httpx's
errors with the original as its cause. One exchange at a time is on a connection, and a connection
serves again only where nothing stands behind its last reply.
"""

from __future__ import annotations

import contextlib
import math
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from http.client import HTTPException

import httpx

from .._forks import begin_anew_in_child
from ..language import translated as _
from .outgoing import Origin, head_of, limits_of, note_sending, origin_of
from .sync_connection import PIECE, Connection, connect
from .sync_reply import Reply, tokens

__all__ = ["SyncEngine"]

# Idle connections of one engine, and for how many seconds each of them is kept.
_MOST_IDLE = 64
_KEPT = 30.0


class _Part:
    """Context manager for one part of an exchange: raises httpx's errors for those in it.

    Args:
        late: for want of time.
        broken: for a connection that fails; what is no HTTP is a `RemoteProtocolError`.
    """

    def __init__(self, late: type[httpx.TransportError], broken: type[httpx.TransportError]):
        self._late = late
        self._broken = broken

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        found: type[httpx.TransportError]
        if isinstance(error, TimeoutError):
            found = self._late
        elif isinstance(error, HTTPException):
            found = httpx.RemoteProtocolError
        elif isinstance(error, OSError | ValueError):
            found = self._broken
        else:
            return
        raise found(str(error) or type(error).__name__) from error


_connecting = _Part(httpx.ConnectTimeout, httpx.ConnectError)
_sending = _Part(httpx.WriteTimeout, httpx.WriteError)
_reading = _Part(httpx.ReadTimeout, httpx.ReadError)


class _Body(httpx.SyncByteStream):
    """The bytes of a reply as they arrive.

    Args:
        reply: the reply, whose head was read.
        connection: where it comes.
        release: takes the connection back when the body was read to its end.
    """

    def __init__(
        self, reply: Reply, connection: Connection, release: Callable[[Connection], None]
    ) -> None:
        self._reply = reply
        self._connection = connection
        self._release = release
        self._begun = False
        self._over = threading.Lock()  # acquired once, by the thread that ends the exchange
        if reply.is_whole():
            self._end()

    def __iter__(self) -> Iterator[bytes]:
        if self._begun:
            raise httpx.StreamConsumed
        self._begun = True
        yield from self._rest()

    def drain(self, seconds: float) -> None:
        """Read to the end within so many seconds, so that the connection can serve again."""
        if self._over.locked():
            return  # the connection may be another request's, whose deadline is not ours to move
        raw = self._connection.raw
        raw.deadline = min(raw.deadline, time.monotonic() + seconds)
        with contextlib.suppress(httpx.TransportError):
            for _ in self._rest():
                pass

    def _rest(self) -> Iterator[bytes]:
        reply = self._reply
        whole = reply.is_whole()
        try:
            with _reading:
                while not whole:
                    if self._over.locked():
                        raise ConnectionAbortedError(_("the reply was closed before its end"))
                    data = reply.read1(PIECE)
                    whole = reply.is_whole()
                    if whole:
                        self._end()  # from here on the connection may be another request's
                    if data:
                        yield data
        except httpx.TransportError:
            self.close()
            raise

    def _end(self) -> None:
        if not self._over.acquire(blocking=False):
            return
        if self._reply.will_close:
            self._connection.raw.cut()
        else:
            self._release(self._connection)

    def close(self) -> None:
        """Close the connection, unless the body was read to its end; from any thread."""
        if self._over.acquire(blocking=False):
            self._connection.raw.cut()


class SyncEngine(httpx.BaseTransport):
    """Sends the requests of one account and keeps its connections. Safe over threads and forks.

    A request's extensions bound it: ``"timeout"`` holds seconds as httpx has them, where those to
    ``read`` and ``write`` are of silence, and ``"deadline"`` is the end of the whole exchange,
    its body included, on ``time.monotonic()``. What is absent or ``None`` is not bounded.

    Args:
        tls: makes the context for encrypted connections; called once, at the first of them.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._idle: deque[Connection] = deque()  # the one used last stands last
        self._closed_at = -math.inf
        begin_anew_in_child(self)
        # The collector takes what is in a cycle in any order, and sockets would complain.
        weakref.finalize(self, _close_all, self._idle)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its reply; the reply's stream reads its body.

        Raises:
            httpx.LocalProtocolError: HTTP cannot carry the request.
            httpx.UnsupportedProtocol: its address is neither http nor https.
            httpx.ConnectError: nothing was sent; for want of time, ``httpx.ConnectTimeout``.
            httpx.WriteError: it was not sent whole; for want of time, ``httpx.WriteTimeout``.
            httpx.ReadError: the connection broke before a byte of a reply.
            httpx.ReadTimeout: no reply came in time.
            httpx.RemoteProtocolError: the reply is not HTTP/1, or was cut off.
        """
        head, body = head_of(request), request.content
        limits = limits_of(request)
        connection = self._connection(request.url, limits.connect, limits.deadline)
        raw = connection.raw
        try:
            note_sending(request)
            raw.limit, raw.deadline, raw.heard = limits.read, limits.deadline, False
            reply = Reply(connection, request.method)
            with _sending:
                parts = memoryview(b"".join((head, body[:PIECE]))), memoryview(body)[PIECE:]
                whole = all(
                    connection.send(part, limits.write, reply.read_head) for part in parts if part
                )
            with _reading:
                while not reply.is_final:
                    reply.read_head()
            if not whole or b"close" in tokens(request.headers.raw, b"connection"):
                reply.will_close = True
        except BaseException:
            raw.cut()
            raise
        stream = _Body(reply, connection, self._release)
        return httpx.Response(reply.status, headers=reply.fields, stream=stream)

    def _connection(self, url: httpx.URL, limit: float, deadline: float) -> Connection:
        """The idle connection that was used last, or a new one."""
        origin = origin_of(url)
        now = time.monotonic()
        while (connection := self._take(origin)) is not None:
            if connection.is_quiet():
                break
            connection.raw.cut()
        else:
            with _connecting:
                end = min(deadline, now + limit)
                tls = self._known_tls if url.scheme == "https" else None
                connection = connect(origin, end, tls)
        connection.used_at = now
        return connection

    def _known_tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = self._make_tls()
            return self._tls

    def _take(self, origin: Origin) -> Connection | None:
        with self._lock:
            oldest = time.monotonic() - _KEPT
            for place in reversed(range(len(self._idle))):
                connection = self._idle[place]
                if connection.origin == origin and connection.used_at >= oldest:
                    del self._idle[place]
                    return connection
        return None

    def _release(self, connection: Connection) -> None:
        if not connection.is_quiet():
            connection.raw.cut()
            return
        now = time.monotonic()
        with self._lock:
            if connection.used_at <= self._closed_at:
                connection.raw.cut()
                return
            connection.used_at = now
            self._idle.append(connection)
            while len(self._idle) > _MOST_IDLE or self._idle[0].used_at < now - _KEPT:
                self._idle.popleft().raw.cut()

    def close(self) -> None:
        """Close the idle connections, and each other one after its reply. It goes on serving."""
        with self._lock:
            self._closed_at = time.monotonic()
            _close_all(self._idle)

    def begin_anew(self) -> None:
        """Leave the connections to the process that this one is a fork of."""
        self._lock = threading.Lock()  # another thread of the parent may hold the old one
        self.close()  # descriptors of this process, that is; the parent's stay open


def _close_all(idle: deque[Connection]) -> None:
    while idle:
        idle.pop().raw.cut()
