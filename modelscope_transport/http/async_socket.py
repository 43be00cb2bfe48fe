"""The sockets of the async engine: what the server has said is read before a write may fail.

A server that refuses a large request answers and closes the connection while the body still goes
up. The next write fails, and an event loop then throws away what it has not read: the answer.

Laws of this file: nothing but sockets. A loop with sockets of its own (uvloop, Windows) does
without: there such an answer may be lost, and the call ends with a write error.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from .outgoing import MOST_UNSENT

__all__ = ["open_socket"]


class _Socket(socket.socket):
    """A socket whose first failed write waits, once, where something has come that is not read.

    It says that it would block, upon which an event loop looks for what it can read, and only then
    writes again.
    """

    _has_waited = False

    def send(self, data: Any, flags: int = 0, /) -> int:
        return self._write(super().send, data, flags)

    def sendmsg(self, buffers: Any, *rest: Any) -> int:
        return self._write(super().sendmsg, buffers, *rest)

    def _write(self, write: Callable[..., int], *args: Any) -> int:
        try:
            return write(*args)
        except ConnectionError:
            if self._has_waited or not self._holds_unread():
                raise
            self._has_waited = True
        raise BlockingIOError

    def _holds_unread(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.recv(1, socket.MSG_PEEK))
        return False


def open_socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket for an address of ``socket.getaddrinfo``."""
    sock = _Socket(*info[:3])
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT)
    return sock
