"""A server of raw bytes in threads: each connection is served by a script, a plain function.

It parses no more of HTTP than where a request ends, so that a script can do what no HTTP server
would: drip, stall, reset, answer early, say too much.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

__all__ = [
    "CHUNKED",
    "OK",
    "RawServer",
    "Script",
    "Wire",
    "answering",
    "chunk",
    "halves",
    "serving",
]

# A whole reply, and the head of one in chunks.
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

# Linger, for no seconds: closing breaks the connection.
_LINGER_NOT = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Wire:
    """One connection, from the server's side; what a script is given.

    Attributes:
        server: the server.
        sock: the socket, or the TLS socket.
    """

    def __init__(self, server: RawServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self._read = b""

    def request(self) -> bytes:
        """Read a whole request, note it in `RawServer.requests`; empty where the client left."""
        head = self.head()
        if not head:
            return b""
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        while len(self._read) < int(length or 0):
            piece = self.sock.recv(1 << 16)
            if not piece:
                return b""
            self._read += piece
        body, self._read = self._read[: int(length or 0)], self._read[int(length or 0) :]
        self.server.requests.append(head + body)
        return head + body

    def head(self) -> bytes:
        """Read the head of a request and leave its body where it is."""
        while b"\r\n\r\n" not in self._read:
            piece = self.sock.recv(1 << 16)
            if not piece:
                return b""
            self._read += piece
        head, end, self._read = self._read.partition(b"\r\n\r\n")
        return head + end

    def send(self, *pieces: bytes) -> None:
        """Send pieces, each of them in a packet of its own as far as the system lets it."""
        for piece in pieces:
            self.sock.sendall(piece)

    def drip(self, data: bytes, every: float) -> None:
        """Send one byte after another until the client leaves or the server is closed."""
        for place in range(len(data)):
            self.sock.sendall(data[place : place + 1])
            if self.pause(every):
                return

    def pause(self, seconds: float) -> bool:
        """Wait; at once and true where the server is being closed."""
        return self.server.closing.wait(seconds)

    def stall(self) -> None:
        """Hold the connection, and say and read nothing, until the server is closed."""
        self.server.closing.wait()

    def is_left(self) -> bool:
        """Wait until the client closes its end; whatever it still sends is thrown away."""
        with contextlib.suppress(OSError):
            while self.sock.recv(1 << 16):
                pass
        return True

    def end(self) -> None:
        """Say that nothing follows, and go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection, as a server that crashes does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.sock.close()


Script = Callable[[Wire], None]


def chunk(data: bytes) -> bytes:
    """Data as one chunk of a body in chunks."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def answering(*replies: bytes) -> Script:
    """Answer the requests of a connection one by one; the last reply serves again and again."""

    def script(wire: Wire) -> None:
        turn = 0
        while wire.request():
            wire.send(replies[min(turn, len(replies) - 1)])
            turn += 1

    return script


class RawServer:
    """Listens on loopback until it is closed.

    Args:
        script: serves each connection in a thread of its own; the connection is closed after it.
        tls: makes it speak TLS.
        receive_buffer: bytes that the system takes for it before it reads.

    Attributes:
        port: where it listens.
        requests: those that scripts read whole.
        connections: the sockets of all connections, the newest last.
        ended: a permit for each script that has ended.
        closing: is set when the server is being closed.
    """

    def __init__(
        self, script: Script, tls: ssl.SSLContext | None = None, receive_buffer: int | None = None
    ) -> None:
        self.requests: list[bytes] = []
        self.connections: list[socket.socket] = []
        self.ended = threading.Semaphore(0)
        self.closing = threading.Event()
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        if receive_buffer is not None:  # connections have it from their listener
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def url(self, path: str = "/") -> str:
        """An address on this server."""
        return f"http{'s' * (self._tls is not None)}://127.0.0.1:{self.port}{path}"

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                if self.closing.is_set():
                    sock.close()
                    return
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    sock = self._tls.wrap_socket(
                        sock, server_side=True, do_handshake_on_connect=False
                    )
                self.connections.append(sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            self._script(Wire(self, sock))
        except OSError:
            pass  # the client left, or the server is closed: neither is the script's business
        finally:
            sock.close()
            self.ended.release()

    def close(self) -> None:
        """Stop, and end all connections."""
        self.closing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept
        for sock in self.connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()


def halves(go_on: threading.Event, first: bytes, second: bytes) -> Script:
    """Answer each request of a connection in two chunks, the second one when it may go on."""

    def script(wire: Wire) -> None:
        while wire.request():
            wire.send(CHUNKED + chunk(first))
            go_on.wait(10)
            wire.send(chunk(second) + b"0\r\n\r\n")

    return script


@contextlib.contextmanager
def serving(
    script: Script, tls: ssl.SSLContext | None = None, receive_buffer: int | None = None
) -> Iterator[RawServer]:
    """A raw server for the time of a ``with`` block."""
    server = RawServer(script, tls, receive_buffer)
    try:
        yield server
    finally:
        server.close()
