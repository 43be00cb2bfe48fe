"""Connections over httpcore: to a server, within TLS, through a proxy, in both colours."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpcore
import pytest

from modelscope_transport.http._direct import (
    BROKEN,
    UNSENT,
    Address,
    Proxy,
    connections,
)
from modelscope_transport.http.deadlines import watch
from modelscope_transport.http.reply import Arrived, Outgoing

LIMITS = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
with_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes its certificate with openssl"
)


class Server:
    """A server that answers with what it was sent, and a proxy for whoever asks it to be one."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[bytes] = []
        self.open: list[socket.socket] = []
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            wire = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            self.open.append(wire)
            with wire:
                while request := _read(wire):
                    self.heard.append(request)
                    if request.startswith(b"CONNECT"):
                        self._tunnel(wire, request)
                        return
                    body = request.partition(b"\r\n\r\n")[2]
                    head = b"HTTP/1.1 200 OK\r\nX-Seen: 1\r\nContent-Length: %d\r\n\r\n"
                    wire.sendall(head % len(body) + body)

    @staticmethod
    def _tunnel(wire: socket.socket, request: bytes) -> None:
        host, port = request.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as there:
            wire.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=_pour, args=(wire, there), daemon=True).start()
            _pour(there, wire)

    def hang_up(self) -> None:
        for wire in self.open:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()
        self.hang_up()


def _read(wire: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        piece = wire.recv(65_536)
        if not piece:
            return b""
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
    while len(body) < int(length or 0):
        body += wire.recv(65_536)
    return head + b"\r\n\r\n" + body


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(tls)
    try:
        yield server
    finally:
        server.close()


class Sync:
    """Sends over connections of the sync colour."""

    def __init__(self, idle: Any, _: Any) -> None:
        self.idle = idle
        self.followed: list[Any] = []

    def post(self, outgoing: Outgoing) -> tuple[Arrived, bytes]:
        connection, guard = self.idle.take(), watch(None, 1e9)
        try:
            arrived = connection.send(outgoing, guard)
        except BaseException:
            guard.cancel()
            raise
        self.followed.append(guard.sock)
        body = b"".join(arrived.stream)
        arrived.stream.close()
        guard.cancel()
        self.idle.give(connection)
        return arrived, body

    def close(self) -> None:
        self.idle.close()


class Async:
    """Sends over connections of the async colour, in a loop of its own."""

    def __init__(self, _: Any, idle: Any) -> None:
        self.idle, self.loop = idle, asyncio.new_event_loop()

    def post(self, outgoing: Outgoing) -> tuple[Arrived, bytes]:
        return self.loop.run_until_complete(self._post(outgoing))

    async def _post(self, outgoing: Outgoing) -> tuple[Arrived, bytes]:
        connection = await self.idle.take()
        arrived = await connection.asend(outgoing)
        body = b"".join([piece async for piece in arrived.stream])
        await arrived.stream.aclose()
        await self.idle.give(connection)
        return arrived, body

    def close(self) -> None:
        self.loop.run_until_complete(self.idle.aclose())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(params=[Sync, Async])
def colour(request: pytest.FixtureRequest) -> Iterator[Any]:
    made: list[Any] = []

    def make(*args: Any) -> Any:
        made.append(request.param(*connections(*args)))
        return made[-1]

    yield make
    for user in made:
        user.close()


def no_tls() -> ssl.SSLContext:
    raise AssertionError("plain connections need none")


def outgoing(url: str, body: bytes = b"") -> Outgoing:
    address = Address(url)
    headers = [(b"host", address.host)]
    if body:
        headers.append((b"content-length", b"%d" % len(body)))
    return Outgoing("POST" if body else "GET", url, address, headers, body, dict(LIMITS))


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server at 127.0.0.1, and for a client that knows its certificate."""
    folder: Path = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=local"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, capture_output=True, check=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=certificate)


def test_a_connection_serves_one_call_after_another(colour: Any) -> None:
    with serving() as server:
        url = f"http://127.0.0.1:{server.port}/v1/chat?x=1"
        user = colour(Address(url), None, no_tls)
        arrived, body = user.post(outgoing(url, b"hello"))
        assert (arrived.status, arrived.headers["x-seen"], body) == (200, "1", b"hello")
        assert (arrived.sock is not None) is isinstance(user, Sync)
        assert user.post(outgoing(url, b"again"))[1] == b"again"
        assert user.post(outgoing(url))[1] == b""
    assert len(server.open) == 1
    assert server.heard[0].startswith(b"POST /v1/chat?x=1 HTTP/1.1\r\n")
    assert server.heard[2].startswith(b"GET /v1/chat?x=1 HTTP/1.1\r\n")


def test_a_connection_whose_server_hung_up_is_replaced(colour: Any) -> None:
    with serving() as server:
        url = f"http://127.0.0.1:{server.port}/"
        user = colour(Address(url), None, no_tls)
        user.post(outgoing(url))
        server.hang_up()  # while the loop of the async colour rests
        assert user.post(outgoing(url, b"again"))[1] == b"again"
    assert len(server.open) == 2


def test_nobody_there_is_known_for_unsent(colour: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    with pytest.raises(UNSENT):
        colour(Address(url), None, no_tls).post(outgoing(url))


def test_a_server_that_leaves_without_a_word_breaks_the_call(colour: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def leave() -> None:
            wire, _ = server.accept()
            wire.recv(65_536)
            wire.close()

        thread = threading.Thread(target=leave, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(BROKEN) as caught:
            colour(Address(url), None, no_tls).post(outgoing(url, b"x"))
        thread.join(5)
    assert not isinstance(caught.value, UNSENT), "it may have heard the request"


@with_openssl
def test_within_tls(colour: Any, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server_tls, client_tls = contexts
    with serving(server_tls) as server:
        url = f"https://127.0.0.1:{server.port}/"
        user = colour(Address(url), None, lambda: client_tls)
        large = bytes(1 << 20)
        assert user.post(outgoing(url, b"hello"))[1] == b"hello"
        assert user.post(outgoing(url, large))[1] == large
        assert len(server.open) == 1


@with_openssl
def test_a_name_that_the_certificate_lacks_is_refused(
    colour: Any, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server_tls, client_tls = contexts
    with serving(server_tls) as server:
        url = f"https://localhost:{server.port}/"
        with pytest.raises(UNSENT, match=r"(?i)certificate"):
            colour(Address(url), None, lambda: client_tls).post(outgoing(url))
        assert server.heard == []


def test_a_proxy_is_asked_for_the_whole_address(colour: Any) -> None:
    with serving() as proxy:
        there = Proxy(Address(f"http://127.0.0.1:{proxy.port}"), ("user", "word"))
        url = "http://service.example/v1/models"
        user = colour(Address(url), there, no_proxy_tls)
        assert user.post(outgoing(url))[0].status == 200
        assert user.post(outgoing(url))[0].status == 200
    first, second = proxy.heard
    assert first.startswith(b"GET http://service.example/v1/models HTTP/1.1\r\n")
    assert b"proxy-authorization: basic" in first.lower()
    assert second.splitlines()[0] == first.splitlines()[0]
    assert len(proxy.open) == 1


def no_proxy_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@with_openssl
def test_tls_through_a_proxy_is_a_tunnel(
    colour: Any, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server_tls, client_tls = contexts
    with serving() as proxy, serving(server_tls) as server:
        url = f"https://127.0.0.1:{server.port}/v1"
        there = Proxy(Address(f"http://127.0.0.1:{proxy.port}"))
        user = colour(Address(url), there, lambda: client_tls)
        assert user.post(outgoing(url, b"hello"))[1] == b"hello"
        assert user.post(outgoing(url, b"again"))[1] == b"again"
        assert [heard.split()[0] for heard in proxy.heard] == [b"CONNECT"]
        assert len(server.heard) == 2


@with_openssl
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_guard_follows_the_socket_from_the_connection_on(
    encrypted: bool, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server_tls, client_tls = contexts
    with serving(server_tls if encrypted else None) as server:
        url = f"http{'s' * encrypted}://127.0.0.1:{server.port}/"
        user = Sync(*connections(Address(url), None, lambda: client_tls))
        for _ in range(2):
            user.post(outgoing(url))
        first, second = user.followed
        assert first is second, "the same connection serves again"
        assert isinstance(first, ssl.SSLSocket) is encrypted
        assert first.fileno() > 0
        user.close()


@with_openssl
def test_an_encrypted_proxy_costs_no_reading_of_certificates(
    colour: Any,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server_tls, client_tls = contexts

    def read_certificates() -> ssl.SSLContext:
        raise AssertionError("the context of the process serves here too")

    for module in (httpcore._sync.connection, httpcore._async.connection):
        monkeypatch.setattr(module, "default_ssl_context", read_certificates)
    with serving(server_tls) as proxy, serving(server_tls) as server:
        url = f"https://127.0.0.1:{server.port}/v1"
        there = Proxy(Address(f"https://127.0.0.1:{proxy.port}"))
        user = colour(Address(url), there, lambda: client_tls)
        assert user.post(outgoing(url, b"hello"))[1] == b"hello"


@with_openssl
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_refusal_in_the_middle_of_a_large_request_is_heard(
    colour: Any, contexts: tuple[ssl.SSLContext, ssl.SSLContext], encrypted: bool
) -> None:
    server_tls, client_tls = contexts
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            for _ in range(5):
                plain, _ = server.accept()
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wire = server_tls.wrap_socket(plain, server_side=True) if encrypted else plain
                with wire:
                    wire.recv(1000)
                    wire.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nless")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        url = f"http{'s' * encrypted}://127.0.0.1:{server.getsockname()[1]}/"
        user = colour(Address(url), None, lambda: client_tls)
        for _ in range(5):
            arrived, body = user.post(outgoing(url, bytes(3 << 20)))
            assert (arrived.status, body) == (413, b"less")
        thread.join(10)
