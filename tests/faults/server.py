"""A server on raw sockets that does to each request what a row of the table says.

It knows of HTTP only where a request ends. It never closes a socket before the client has closed
its own, unless the fault is just that: so a connection that the client leaves open stays visible.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["END", "RESET", "STALL", "Act", "Drip", "FaultServer", "serving"]


@dataclass(frozen=True)
class Drip:
    """The same piece again and again, until the client leaves.

    Attributes:
        piece: what is sent each time.
        every: seconds between two of them; 0 for as fast as they are read.
    """

    piece: bytes
    every: float = 0.05


@dataclass(frozen=True)
class _Act:
    name: str


RESET = _Act("breaks the connection, as a server that crashes does")
END = _Act("says that nothing follows")
STALL = _Act("says nothing more")

Act = bytes | Drip | _Act

# Linger, for no seconds: closing breaks the connection.
_LINGER_NOT = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class FaultServer:
    """Listens on loopback until it is closed.

    Args:
        acts: what is done to a request.
        honest: what is done to a request once ``times`` of them have met the fault.
        times: how many requests meet the fault; ``None`` for all.
        tls: makes it speak TLS.

    Attributes:
        port: where it listens.
        requests: those that were read whole.
        heard: bytes that came outside TLS or within it, of all connections.
        bystander: port of another host: a redirect may lead there, and no one may follow.
        visits: connections to the bystander.
    """

    def __init__(
        self,
        acts: Sequence[Act],
        *,
        honest: bytes = b"",
        times: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[bytes] = []
        self.heard = 0
        self.visits = 0
        self._acts, self._honest, self._times, self._tls = acts, honest, times, tls
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listeners = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2)]
        self.port, self.bystander = (each.getsockname()[1] for each in self._listeners)
        self._start(self._accept, self._listeners[0])
        self._start(self._watch, self._listeners[1])

    def wait_until_open(self, most: int, seconds: float = 5.0) -> int:
        """Wait until at most so many connections are open; how many are."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._open) <= most, seconds)
            return len(self._open)

    def close(self) -> None:
        """Stop, and end all connections."""
        self._closing.set()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                socket.create_connection(listener.getsockname(), timeout=1).close()
        with self._changed:
            left = list(self._open)
        for sock in left:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for listener in self._listeners:
            listener.close()

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _watch(self, listener: socket.socket) -> None:
        while True:
            sock, _ = listener.accept()
            sock.close()
            if self._closing.is_set():
                return
            self.visits += 1

    def _accept(self, listener: socket.socket) -> None:
        while True:
            sock, _ = listener.accept()
            if self._closing.is_set():
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        sock = plain
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(plain, server_side=True)
            while self._answer(sock):
                pass
            while sock.recv(1 << 16):  # until the client has closed its end
                pass
        except OSError:
            pass  # the client left or the connection is broken: no business of a script
        finally:
            sock.close()
            with self._changed:
                self._open.discard(plain)
                self._changed.notify_all()

    def _answer(self, sock: socket.socket) -> bool:
        """Serve one request; whether there may be another on this connection."""
        request = self._read(sock)
        if not request:
            return False
        with self._changed:
            self.requests.append(request)
            number = len(self.requests)
        if self._times is not None and number > self._times:
            sock.sendall(self._honest)
            return True
        return all(self._do(act, sock, request) for act in self._acts)

    def _read(self, sock: socket.socket) -> bytes:
        read = b""
        while b"\r\n\r\n" not in read:
            piece = sock.recv(1 << 16)
            if not piece:
                return b""
            self.heard += len(piece)
            read += piece
        head, _, body = read.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        while len(body) < int(length or 0):
            piece = sock.recv(1 << 16)
            if not piece:
                return b""
            body += piece
        return head + b"\r\n\r\n" + body

    def _do(self, act: Act, sock: socket.socket, request: bytes) -> bool:
        """Do one act; whether the connection can go on."""
        if isinstance(act, bytes):
            sock.sendall(self._filled(act, request))
            return True
        if isinstance(act, Drip):
            while not self._closing.wait(act.every):
                sock.sendall(act.piece)
        elif act is RESET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            sock.close()
        elif act is END:
            sock.shutdown(socket.SHUT_WR)
        return False  # STALL: what is left to do is to wait for the client

    def _filled(self, text: bytes, request: bytes) -> bytes:
        if b"{" not in text:
            return text
        token = request.partition(b"Bearer ")[2] or request.partition(b"bearer ")[2]
        text = text.replace(b"{token}", token.partition(b"\r\n")[0])
        return text.replace(b"{elsewhere}", b"127.0.0.1:%d" % self.bystander)


@contextlib.contextmanager
def serving(
    acts: Sequence[Act],
    *,
    honest: bytes = b"",
    times: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[FaultServer]:
    """A server for the time of a ``with`` block."""
    server = FaultServer(acts, honest=honest, times=times, tls=tls)
    try:
        yield server
    finally:
        server.close()
