"""The sync engine: HTTP/1.1 over the standard library, one exchange at a time on a connection.

``http.client`` reads the bodies. Its reader of heads is replaced: it goes through the ``email``
package, which takes most of the processor time of a call, gives out an informational reply such
as 103 as the final one, and takes a head that was cut off for a whole one.

Laws of this file: no policy, no second attempt. Every wait on a socket ends with the idle limit or
the deadline of its request, by the socket's own timeout: no thread watches. What leaves is a reply
or one of httpx's errors, with the original as its cause.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import math
import os
import re
import selectors
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx

__all__ = ["SyncEngine"]

# Idle connections of one engine, and for how many seconds each of them is kept.
_MOST_IDLE = 64
_KEPT = 30.0
# Bytes of one read or write, of one line of a head, and how many lines a head may have.
_PIECE = 1 << 16
_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 100
# Seconds after which the next address of a host is tried beside the ones before (RFC 8305, 5).
_HEAD_START = 0.25
# Setting a socket's timeout is a system call; one that is longer by no more than this stays.
_SLACK = 0.05
# Bytes that the system may hold back unsent. More of them would hide that an upload moves.
_MOST_UNSENT = 1 << 17

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_is_request = re.compile(
    _TOKEN + rb" [!-~]++ HTTP/1\.1\r\n(?:" + _TOKEN + rb": [^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n"
).fullmatch
_status_line = re.compile(rb"HTTP/1\.([0-9]) +([1-9][0-9]{2})(?: [^\n]*)?\r?\n").fullmatch
_header_line = re.compile(rb"(" + _TOKEN + rb"):([^\n]*)\n").fullmatch
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch
_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n").fullmatch

_BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# epoll and kqueue want a descriptor of their own, select takes no high ones; Windows has no poll.
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
_Origin = tuple[bytes, bytes, int]


class _Errors:
    """Turns what goes wrong in one part of an exchange into httpx's errors."""

    def __init__(self, late: type[httpx.TransportError], broken: type[httpx.TransportError]):
        self._late = late
        self._broken = broken

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        found: type[httpx.TransportError]
        if isinstance(error, TimeoutError):
            found = self._late
        elif isinstance(error, http.client.HTTPException):
            found = httpx.RemoteProtocolError
        elif isinstance(error, OSError | ValueError):
            found = self._broken
        else:
            return
        raise found(str(error) or type(error).__name__) from error


_connecting = _Errors(httpx.ConnectTimeout, httpx.ConnectError)
_sending = _Errors(httpx.WriteTimeout, httpx.WriteError)
_reading = _Errors(httpx.ReadTimeout, httpx.ReadError)


class _Source(io.RawIOBase):
    """A connected socket. Its reads end in time, and wake when another thread cuts it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.limit = self.deadline = math.inf  # of one read in seconds; of all on the clock
        self.may_end = False  # whether the end of the connection is the end of a body
        self.ended = False
        self.looking = False  # whether reads take what is there and wait for nothing
        self._timeout = -1.0
        self._process = os.getpid()
        self._waiting = self._cut = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.set_timeout(0.0 if self.looking else self.remaining(self.limit))
        self._waiting = True
        try:
            if not self._cut:
                size = self.sock.recv_into(buffer)
        except _BLOCKED:
            return None
        finally:
            self._waiting = False
            if self._cut:
                self.sock.close()
        if self._cut:
            raise ConnectionAbortedError("the reply was closed while it was read")
        if not size:
            self.ended = True
            if not (self.may_end or self.looking):
                raise http.client.RemoteDisconnected(
                    "the server closed the connection before the end of its reply"
                )
        return size

    def remaining(self, limit: float) -> float:
        """Seconds for which the next wait may last.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return min(limit, left)

    def set_timeout(self, seconds: float) -> None:
        if not seconds <= self._timeout <= seconds + _SLACK * (seconds > 0):
            self.sock.settimeout(None if seconds == math.inf else seconds)
            self._timeout = seconds

    def cut(self) -> None:
        """Close the socket; a thread that waits for it wakes and closes it."""
        self._cut = True
        if not self._waiting:
            self.sock.close()
        elif self._process == os.getpid():  # a forked child lets its parent's conversation be
            with contextlib.suppress(OSError):
                # Not the TLS socket's own method: that takes away the session in use.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        self.sock.close()


class _Connection(io.BufferedReader):
    """A connection, and what has come on it and was not read yet."""

    raw: _Source

    def __init__(self, sock: socket.socket, origin: _Origin) -> None:
        super().__init__(_Source(sock), _PIECE)
        self.origin = origin
        self.used_at = 0.0

    def makefile(self, mode: str) -> _Connection:
        """Give what `http.client.HTTPResponse` is to read from."""
        return self

    def close(self) -> None:
        """Stay open: ``http.client`` closes what it reads from where a reply ends."""

    def has_more(self) -> bool:
        """Whether there are bytes to be read, without waiting for any."""
        self.raw.looking = True
        try:
            return bool(self.peek(1))
        finally:
            self.raw.looking = False

    def is_quiet(self) -> bool:
        """Whether nothing stands behind the last reply, not even the connection's end.

        It is a read: within TLS, what has arrived may be a session ticket.
        """
        try:
            return not (self.has_more() or self.raw.ended)
        except OSError:
            return False

    def send(self, data: memoryview, limit: float, reply: _Reply) -> bool:
        """Send, unless the server answers before it has all.

        Returns:
            Whether it has all.
        """
        raw = self.raw
        try:
            while True:
                raw.set_timeout(0.0)
                with contextlib.suppress(*_BLOCKED):
                    data = data[raw.sock.send(data[:_PIECE]) :]
                if not data:
                    return True
                if self._is_answered(limit) and reply.read_head():
                    return False
        except TimeoutError:
            raise
        except OSError:
            with contextlib.suppress(OSError):
                if self.has_more():  # it has said why
                    return False
            raise

    def _is_answered(self, limit: float) -> bool:
        """Wait until the server takes more, or has begun to answer."""
        raw = self.raw
        with _Selector() as selector:
            selector.register(raw.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            left = raw.remaining(limit)
            ready = selector.select(None if left == math.inf else left)
        if not ready:
            raise TimeoutError(f"the server took no byte of the request for {left:.1f} s")
        if ready[0][1] & selectors.EVENT_READ:
            if self.has_more():
                return True
            if raw.ended:
                raise BrokenPipeError("the server closed the connection before it had the request")
        return False


class _Reply(http.client.HTTPResponse):
    """A reply as it is read."""

    fp: _Connection

    def __init__(self, connection: _Connection, method: str) -> None:
        super().__init__(connection, method=method)  # type: ignore[arg-type]
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_final = False

    def read_head(self) -> bool:
        """Read a status line and headers.

        Returns:
            Whether they are final, and not informational as those of 100 and 103.
        """
        self.fp.raw.may_end = False
        found = _status_line(self.fp.readline(_LONGEST_LINE))
        if found is None:
            raise http.client.BadStatusLine("the answer does not begin as HTTP/1 does")
        self.status = int(found[2])
        self.fields = _headers(self.fp)
        if self.status == 101:
            raise http.client.HTTPException("the server changes the protocol, unasked")
        self.is_final = self.status >= 200
        if self.is_final:
            self._find_end(old=found[1] == b"0")
        return self.is_final

    def _find_end(self, *, old: bool) -> None:
        """Find where the body ends (RFC 9112, 6.3) and whether the connection ends with it."""
        options = _tokens(self.fields, b"connection")
        codings = _tokens(self.fields, b"transfer-encoding")
        lengths = set(_tokens(self.fields, b"content-length"))
        self.chunked, self.chunk_left, self.length = False, None, None
        self.will_close = b"close" in options or (old and b"keep-alive" not in options)
        if self._method == "HEAD" or self.status in (204, 304):
            self.length = 0
        elif codings:
            if codings != [b"chunked"]:
                raise http.client.HTTPException("a transfer encoding other than chunked")
            self.chunked = True
        elif lengths:
            length = lengths.pop()
            if lengths or not _is_length(length):
                raise http.client.HTTPException("a content-length that is none")
            self.length = int(length)
        else:
            self.fp.raw.may_end = self.will_close = True

    def _get_chunk_left(self) -> int | None:
        # The same, strict: what is no line of a chunk ends the reply as broken.
        if self.chunk_left:
            return self.chunk_left
        line = self.fp.readline(_LONGEST_LINE)
        if self.chunk_left == 0:
            if line not in (b"\r\n", b"\n"):
                raise http.client.HTTPException("a chunk is longer than its size")
            line = self.fp.readline(_LONGEST_LINE)
        found = _chunk_line(line)
        if found is None:
            raise http.client.HTTPException("a chunk without its size")
        self.chunk_left = int(found[1], 16) or None
        if self.chunk_left is None:
            _headers(self.fp)
            self._close_conn()
        return self.chunk_left

    def is_whole(self) -> bool:
        """Whether it was read to its end."""
        return self.length == 0 or self.isclosed()


def _headers(connection: _Connection) -> list[tuple[bytes, bytes]]:
    """Read lines of headers up to the empty one."""
    fields: list[tuple[bytes, bytes]] = []
    while (line := connection.readline(_LONGEST_LINE)) not in (b"\r\n", b"\n"):
        found = _header_line(line)
        if found is not None and len(fields) < _MOST_HEADERS:
            fields.append((found[1], found[2].strip()))
        elif fields and line[:1] in b" \t" and line.endswith(b"\n"):
            name, value = fields.pop()
            fields.append((name, value + b" " + line.strip()))
        else:
            raise http.client.HTTPException("headers that are too long, too many or none")
    return fields


def _tokens(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The values of a header, which may stand in several lines or behind commas in one."""
    values = b",".join([value for key, value in fields if key.lower() == name])
    return [part.strip() for part in values.lower().split(b",")] if values else []


class _Body(httpx.SyncByteStream):
    """The bytes of a reply as they arrive; ``release`` gets its connection back if it is whole."""

    def __init__(
        self, reply: _Reply, connection: _Connection, release: Callable[[_Connection], None]
    ) -> None:
        self._reply = reply
        self._connection = connection
        self._release = release
        self._begun = False
        self._over = threading.Lock()  # taken once, by the thread that ends the exchange
        if reply.is_whole():
            self._end()

    def __iter__(self) -> Iterator[bytes]:
        if self._begun:
            raise httpx.StreamConsumed
        self._begun = True
        reply = self._reply
        try:
            with _reading:
                while not reply.is_whole():
                    data = reply.read1(_PIECE)
                    if reply.is_whole():
                        self._end()
                    if data:
                        yield data
        except httpx.TransportError:
            self.close()
            raise

    def _end(self) -> None:
        if self._over.acquire(blocking=False):
            if self._reply.will_close:
                self._connection.raw.cut()
            else:
                self._release(self._connection)

    def close(self) -> None:
        """Close the connection, unless the reply was read to its end; from any thread."""
        if self._over.acquire(blocking=False):
            self._connection.raw.cut()


def _head(request: httpx.Request) -> bytes:
    """The request line and the headers, exactly as they were given.

    Raises:
        httpx.LocalProtocolError: they would be read as something else.
    """
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s" % field for field in request.headers.raw]
    head = b"\r\n".join((*lines, b"", b""))
    if head.count(b"\n") != len(lines) + 1 or not _is_request(head):
        raise httpx.LocalProtocolError("a method, path or header that HTTP cannot carry")
    return head


def _dial(host: str, port: int, end: float) -> socket.socket:
    """Connect to the address of a host that answers first; each has a head start on the next."""
    trouble: OSError = socket.gaierror(f"{host} has no address")
    addresses = deque(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    with _Selector() as dialled:
        try:
            while addresses or dialled.get_map():
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError("no connection in time")
                if addresses:
                    try:
                        _begin_to_dial(dialled, *addresses.popleft())
                    except OSError as error:
                        trouble = error
                        continue
                wait = min(left, _HEAD_START if addresses else math.inf)
                for key, _ in dialled.select(None if wait == math.inf else wait):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    dialled.unregister(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        return sock
                    sock.close()
                    trouble = OSError(code, os.strerror(code))
        finally:
            for key in dialled.get_map().values():
                key.fileobj.close()  # type: ignore[union-attr]
    raise trouble


def _begin_to_dial(
    dialled: selectors.BaseSelector, family: int, kind: int, protocol: int, _: str, address: Any
) -> None:
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        sock.close()
        raise OSError(code, os.strerror(code))
    dialled.register(sock, selectors.EVENT_WRITE)


class SyncEngine(httpx.BaseTransport):
    """Sends requests of one account over HTTP/1.1 and keeps its connections; safe over threads.

    A request's extensions bound it: ``"timeout"``, seconds for ``connect``, ``read`` and ``write``
    as httpx has them, and ``"deadline"``, the end of the whole exchange with its body on
    ``time.monotonic()``. The resolver of the system takes no limit and is not bound by them.

    Args:
        tls: makes the context for encrypted connections; called once, at the first.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._idle: deque[_Connection] = deque()
        _engines.add(self)
        weakref.finalize(self, _close_all, self._idle)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its reply; the stream reads its body.

        Raises:
            httpx.LocalProtocolError: HTTP cannot carry the request.
            httpx.ConnectError: nothing was sent; ``httpx.ConnectTimeout``: for want of time.
            httpx.WriteError: it was not sent whole; ``httpx.WriteTimeout``: for want of time.
            httpx.ReadError: the connection broke; ``httpx.ReadTimeout``: no byte came in time.
            httpx.RemoteProtocolError: the reply is none, or ends too early.
        """
        head, body = _head(request), request.content
        connect, read, write, deadline = _limits(request)
        connection = self._connection(request.url, connect, deadline)
        raw = connection.raw
        try:
            raw.limit, raw.deadline = read, deadline
            reply = _Reply(connection, request.method)
            with _sending:
                parts = memoryview(head + body[:_PIECE]), memoryview(body)[_PIECE:]
                whole = all(connection.send(part, write, reply) for part in parts if part)
            with _reading:
                while not reply.is_final:
                    reply.read_head()
            if not whole or b"close" in _tokens(request.headers.raw, b"connection"):
                reply.will_close = True
        except BaseException:
            raw.cut()
            raise
        stream = _Body(reply, connection, self._release)
        return httpx.Response(reply.status, headers=reply.fields, stream=stream)

    def _connection(self, url: httpx.URL, limit: float, deadline: float) -> _Connection:
        encrypted = url.raw_scheme == b"https"
        origin = url.raw_scheme, url.raw_host, url.port or (443 if encrypted else 80)
        while (idle := self._take(origin)) is not None:
            if idle.is_quiet():
                return idle
            idle.raw.cut()
        end = min(deadline, time.monotonic() + limit)
        host = url.raw_host.decode("ascii")
        with _connecting:
            sock = _dial(host, origin[2], end)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)
                if encrypted:
                    left = end - time.monotonic()
                    sock.settimeout(None if left == math.inf else max(left, 0.001))
                    sock = self._known_tls().wrap_socket(sock, server_hostname=host)
            except BaseException:
                sock.close()
                raise
        return _Connection(sock, origin)

    def _known_tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = self._tls()
            return self._context

    def _take(self, origin: _Origin) -> _Connection | None:
        """The connection to a server that was used last."""
        with self._lock:
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place].origin == origin:
                    connection = self._idle[place]
                    del self._idle[place]
                    return connection
        return None

    def _release(self, connection: _Connection) -> None:
        """Keep a connection for the next request, if its reply has said all it had to say."""
        if not connection.is_quiet():
            connection.raw.cut()
            return
        connection.used_at = now = time.monotonic()
        old = []
        with self._lock:
            self._idle.append(connection)
            while len(self._idle) > _MOST_IDLE or self._idle[0].used_at < now - _KEPT:
                old.append(self._idle.popleft())
        for each in old:
            each.raw.cut()

    def close(self) -> None:
        """Close the idle connections. The engine can be used again."""
        _close_all(self._idle)

    def forget(self) -> None:
        """Leave the connections to the process that this one is a fork of."""
        self._lock = threading.Lock()
        _close_all(self._idle)  # of this process's descriptors; the parent's stay open


def _limits(request: httpx.Request) -> list[float]:
    """Seconds to connect, read and write, and the end of all on the clock."""
    given = request.extensions.get("timeout") or {}
    limits = [given.get(name) for name in ("connect", "read", "write")]
    limits.append(request.extensions.get("deadline"))
    return [math.inf if limit is None else limit for limit in limits]


def _close_all(idle: deque[_Connection]) -> None:
    while idle:
        with contextlib.suppress(IndexError):  # another thread took the last one
            idle.pop().raw.cut()


_engines: weakref.WeakSet[SyncEngine] = weakref.WeakSet()


def _forget_all() -> None:
    for engine in list(_engines):
        engine.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
