"""A connection of the sync engine: it is opened, written to and read from in bounded time.

Laws of this file: no HTTP but for what a stream of bytes must know of it. Every wait ends with the
limit or the deadline that it was given, by the socket's own timeout or a selector's: no thread
watches. What fails is an `OSError` (`TimeoutError` for want of time), or ``http.client``'s own
error where the server leaves before the end of its reply.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import math
import os
import queue
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from ..language import translated as _
from .outgoing import MOST_UNSENT, Origin

__all__ = ["PIECE", "Connection", "connect", "resolve"]

# Bytes of one read, and of a body that go out in one write with the head.
PIECE = 1 << 16
# Seconds after which the next address of a host is tried beside the ones before (RFC 8305, 5).
_HEAD_START = 0.25
# Setting a timeout is a system call: one that is longer than it need be by this stays as it is.
_SLACK = 0.05

_LONGEST_WAIT = 1e6
_BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# epoll and kqueue need a descriptor of their own. Windows has no poll; select takes no high ones.
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)


class _Source(io.RawIOBase):
    """What a connection reads from: a socket, within limits.

    Attributes:
        sock: the socket.
        limit: seconds for which one read may find nothing.
        deadline: the end of all reads, on ``time.monotonic()``.
        may_end: whether the end of the connection is no error.
        ended: whether it was met.
        looking: whether reads take what is there and wait for nothing.
        heard: whether a byte has come since this was last set to ``False``.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.limit = self.deadline = math.inf
        self.may_end = self.ended = self.looking = self.heard = False
        self._timeout = -1.0
        self._waiting = self._cut = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.set_timeout(0.0 if self.looking else self.remaining(self.limit))
        self._waiting = True
        try:
            size = 0 if self._cut else self.sock.recv_into(buffer)
        except _BLOCKED:
            return None
        finally:
            self._waiting = False
            if self._cut:
                self.sock.close()
        if self._cut:
            raise ConnectionAbortedError(_("the reply was closed while it was read"))
        self.heard = self.heard or size > 0
        if not size:
            self.ended = True
            if not (self.may_end or self.looking):
                raise http.client.RemoteDisconnected(
                    _("the server closed the connection before the end of its reply")
                )
        return size

    def remaining(self, limit: float) -> float:
        """Seconds that a wait with this limit may last.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left = min(limit, self.deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError(_("the deadline has passed"))
        return left

    def set_timeout(self, seconds: float) -> None:
        """Let the socket's calls wait so long; with 0 they do not wait."""
        longest = seconds + _SLACK if seconds else 0.0
        if not seconds <= self._timeout <= longest:
            self.sock.settimeout(_wait(seconds))
            self._timeout = seconds

    def cut(self) -> None:
        """Close the socket. A thread that reads from it wakes, and closes it itself."""
        self._cut = True
        if not self._waiting:
            self.sock.close()
            return
        with contextlib.suppress(OSError):
            # Not the TLS socket's own method: that takes away what the reader is using.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket of a connection that was forgotten."""
        super().close()
        self.sock.close()


class Connection(io.BufferedReader):
    """A connection, and the bytes that have come on it and were not read yet.

    Args:
        sock: its socket, connected.
        origin: where it leads.

    Attributes:
        raw: the socket, its limits and its state.
        origin: where it leads.
        used_at: when its last exchange began or, while it is idle, ended, on ``time.monotonic()``.
    """

    raw: _Source

    def __init__(self, sock: socket.socket, origin: Origin) -> None:
        super().__init__(_Source(sock), PIECE)
        self.origin = origin
        self.used_at = 0.0
        self._process = os.getpid()

    def makefile(self, mode: str) -> Connection:
        """Be what ``http.client`` reads from."""
        return self

    def close(self) -> None:
        """Stay open: ``http.client`` closes what it reads from where a reply ends."""

    def flush(self) -> None:
        """Do nothing: what is forgotten is flushed, too, when its socket is closed already."""

    def has_more(self) -> bool:
        """Whether bytes have come; waits for none."""
        self.raw.looking = True
        try:
            return bool(self.peek(1))
        finally:
            self.raw.looking = False

    def is_quiet(self) -> bool:
        """Whether nothing stands behind the last reply, not even the connection's end.

        Answered by reading: within TLS, bytes on the socket may be a session ticket. A connection
        of the process that this one is a fork of is left alone.
        """
        try:
            return self._process == os.getpid() and not (self.has_more() or self.raw.ended)
        except OSError:
            return False

    def send(self, data: memoryview, limit: float, read_head: Callable[[], bool]) -> bool:
        """Send, until the server has all or answers.

        Args:
            data: what to send.
            limit: seconds for which the server may take nothing.
            read_head: reads the head of a reply, and says whether it is the final one.

        Returns:
            Whether the server has all.

        Raises:
            OSError: it has not, and has not said why.
        """
        raw = self.raw
        try:
            while True:
                raw.set_timeout(0.0)
                with contextlib.suppress(*_BLOCKED):
                    data = data[raw.sock.send(data) :]
                if not data:
                    return True
                if self._is_answered(limit) and read_head():
                    return False
        except OSError:
            with contextlib.suppress(OSError):
                if self.has_more():
                    return False
            raise

    def _is_answered(self, limit: float) -> bool:
        """Wait until the server takes more or has said something."""
        raw = self.raw
        wait = raw.remaining(limit)
        with _Selector() as selector:
            selector.register(raw.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            ready = selector.select(_wait(wait))
        if not ready:
            raise TimeoutError(
                _("the server took nothing of the request for {wait:.1f} s").format(wait=wait)
            )
        if not ready[0][1] & selectors.EVENT_READ:
            return False
        if self.has_more():
            return True
        if raw.ended:
            raise BrokenPipeError(_("the server closed the connection before it had the request"))
        return False


def connect(
    origin: Origin, deadline: float, tls: Callable[[], ssl.SSLContext] | None = None
) -> Connection:
    """Open a connection until a deadline on ``time.monotonic()``, encrypted where TLS is given.

    Raises:
        OSError: the host cannot be reached, or its certificate is not trusted.
        ValueError: it is no valid name of a host.
    """
    _, name, port = origin
    host = name.decode("ascii")
    sock = _dial(resolve(host, port, deadline), deadline)
    try:
        for option, value in (("TCP_NODELAY", 1), ("TCP_NOTSENT_LOWAT", MOST_UNSENT)):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        if tls is not None:
            sock.settimeout(_wait(_left(deadline)))  # of the whole handshake
            sock = tls().wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise
    return Connection(sock, origin)


def _wait(seconds: float) -> float | None:
    """What sockets and selectors take for a time limit: weeks are too many for some."""
    return seconds if seconds < _LONGEST_WAIT else None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(_("no connection in time"))
    return left


def resolve(host: str, port: int, deadline: float) -> deque[Any]:
    """Look up the addresses of a host: in a thread, since the system's resolver knows no limit.

    Raises:
        OSError: it has none, or they were not found in time.
        ValueError: it is no valid name of a host.
    """
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(deque(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, ValueError) as error:
            found.put(error)

    try:
        threading.Thread(target=look_up, name="modelscope-resolver", daemon=True).start()
    except RuntimeError:  # there are too many threads, or the interpreter is about to end
        look_up()
    try:
        addresses = found.get(timeout=_wait(_left(deadline)))
    except queue.Empty:
        raise TimeoutError(_("the host's name was not resolved in time")) from None
    if isinstance(addresses, deque):
        return addresses
    raise addresses


def _dial(addresses: deque[Any], deadline: float) -> socket.socket:
    """Connect to the address that answers first; each has a head start on the next."""
    trouble = OSError(_("the host has no address"))
    with _Selector() as dialled:
        try:
            while addresses or dialled.get_map():
                wait = _left(deadline)
                if addresses:
                    try:
                        dialled.register(_begin(*addresses.popleft()), selectors.EVENT_WRITE)
                    except OSError as error:
                        trouble = error
                        continue
                    wait = min(wait, _HEAD_START) if addresses else wait
                for key, _events in dialled.select(_wait(wait)):
                    sock = cast(socket.socket, key.fileobj)
                    dialled.unregister(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        return sock
                    sock.close()
                    trouble = OSError(code, os.strerror(code))
        finally:
            for key in dialled.get_map().values():
                cast(socket.socket, key.fileobj).close()
    raise trouble


def _begin(family: int, kind: int, protocol: int, _: str, address: Any) -> socket.socket:
    """Begin to connect."""
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        sock.close()
        raise OSError(code, os.strerror(code))
    return sock
