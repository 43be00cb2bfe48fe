"""Both engines, over a real socket: no connection, no trust, and requests that cannot be sent."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transport.http.conftest import Tls
from tests.transport.http.drivers import SLACK, Driver, MakeEngine, exchange
from tests.transport.http.raw_server import OK, Wire, answering, serving


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# --- no connection


def test_a_port_that_refuses(engine: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    with pytest.raises(httpx.ConnectError) as caught:
        engine.send(exchange(url))
    assert any(isinstance(error, ConnectionRefusedError) for error in causes(caught.value))


def test_an_ipv6_literal_is_a_host(engine: Driver) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")

    def answer() -> None:
        sock, _address = listener.accept()
        with sock:
            sock.recv(1 << 16)
            sock.sendall(OK)

    server = threading.Thread(target=answer, daemon=True)
    server.start()
    assert engine.send(exchange(f"http://[::1]:{listener.getsockname()[1]}/"))[::2] == (200, b"ok")
    server.join(10)
    listener.close()


def test_a_host_that_is_unknown(engine: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(httpx.ConnectError) as caught:
        engine.send(exchange("http://service.invalid/"))
    assert any(isinstance(error, socket.gaierror) for error in causes(caught.value))


def test_a_resolver_that_stalls_ends_with_the_connect_limit(
    engine: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go_on.wait(10) and [])
    begun = time.monotonic()
    with pytest.raises(httpx.ConnectTimeout):
        engine.send(exchange("http://service.example/", connect=0.3))
    assert time.monotonic() - begun < 0.3 + SLACK
    go_on.set()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "/v1/models", "http:///v1"])
def test_an_address_that_is_none_of_http(engine: Driver, url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        engine.send(exchange(url))


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example", ".example"])
def test_a_host_that_cannot_be(engine: Driver, host: str) -> None:
    with pytest.raises(httpx.ConnectError):
        engine.send(exchange(f"http://{host}/"))


def test_a_certificate_that_is_not_trusted(make_engine: MakeEngine, tls: Tls) -> None:
    engine = make_engine(ssl.create_default_context)
    with serving(answering(OK), tls.server) as server:
        with pytest.raises(httpx.ConnectError) as caught:
            engine.send(exchange(server.url(), b"secret"))
        assert server.requests == []
    assert any(isinstance(error, ssl.SSLCertVerificationError) for error in causes(caught.value))


def test_a_certificate_for_another_name(make_engine: MakeEngine, tls: Tls) -> None:
    engine = make_engine(lambda: tls.client)
    with serving(answering(OK), tls.server) as server:
        with pytest.raises(httpx.ConnectError) as caught:
            engine.send(exchange(server.url().replace("127.0.0.1", "localhost"), b"secret"))
        assert server.requests == []
    assert any(isinstance(error, ssl.SSLCertVerificationError) for error in causes(caught.value))


def test_a_server_that_speaks_no_tls(make_engine: MakeEngine, tls: Tls) -> None:
    heard: list[bytes] = []

    def answer(wire: Wire) -> None:
        heard.append(wire.sock.recv(1 << 16))
        wire.send(OK)

    engine = make_engine(lambda: tls.client)
    with serving(answer) as server, pytest.raises(httpx.ConnectError):
        engine.send(exchange(server.url().replace("http:", "https:"), b"secret"))
    assert b"secret" not in b"".join(heard)


@pytest.mark.parametrize("said", [b"", b"reset"])
def test_a_server_that_leaves_in_the_handshake(
    make_engine: MakeEngine, tls: Tls, said: bytes
) -> None:
    def leave(wire: Wire) -> None:
        wire.sock.recv(1 << 16)
        if said:
            wire.reset()

    engine = make_engine(lambda: tls.client)
    with serving(leave) as server, pytest.raises(httpx.ConnectError):
        engine.send(exchange(server.url().replace("http:", "https:"), b"secret"))


def test_a_context_that_cannot_be_made_is_asked_for_again(
    make_engine: MakeEngine, tls: Tls
) -> None:
    made: list[ssl.SSLContext | None] = [None, tls.client]

    def make() -> ssl.SSLContext:
        found = made.pop(0)
        if found is None:
            raise FileNotFoundError("no such file: ca.pem")
        return found

    engine = make_engine(make)
    with serving(answering(OK), tls.server) as server:
        with pytest.raises(httpx.ConnectError, match=r"ca\.pem"):
            engine.send(exchange(server.url()))
        for _ in range(2):
            assert engine.send(exchange(server.url(), headers={"connection": "close"}))[0] == 200
    assert made == []


def test_no_descriptor_is_left(engine: Driver) -> None:
    resource = pytest.importorskip("resource", reason="limits descriptors as POSIX does")
    with serving(answering(OK)) as server, contextlib.ExitStack() as taken:
        engine.send(exchange(server.url(), headers={"connection": "close"}))  # all is imported
        assert server.ended.acquire(timeout=10)
        gc.collect()  # else it may free a descriptor in between
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.enter_context(socket.socket())
            with pytest.raises(httpx.ConnectError):
                engine.send(exchange(server.url()))
            taken.close()
            assert engine.send(exchange(server.url()))[0] == 200
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_an_address_that_is_silent_gives_way_to_the_next(
    engine: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(answering(OK)) as server, deaf() as port_of_none:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
            for port in (port_of_none, server.port)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        request = exchange(f"http://service.example:{server.port}/", connect=3.0)
        assert engine.send(request)[0] == 200


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """A port where connections are neither taken nor refused: its queue is full."""
    waiting: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        while len(waiting) < 200:
            sock = socket.socket()
            waiting.append(sock)
            sock.settimeout(0.2)
            try:
                sock.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            pytest.skip("this system takes connections beyond its queue")
        yield listener.getsockname()[1]
    for sock in waiting:
        sock.close()


def test_a_connect_that_stalls_ends_with_its_limit(engine: Driver) -> None:
    with deaf() as port:
        begun = time.monotonic()
        with pytest.raises(httpx.ConnectTimeout):
            engine.send(exchange(f"http://127.0.0.1:{port}/", connect=0.3))
        with pytest.raises(httpx.ConnectTimeout):
            engine.send(exchange(f"http://127.0.0.1:{port}/", deadline=begun + 0.6))
        assert 0.55 <= time.monotonic() - begun < 0.6 + SLACK


def test_the_connect_limit_is_that_of_all_addresses(
    engine: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deaf() as port:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))] * 4
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        begun = time.monotonic()
        with pytest.raises(httpx.ConnectTimeout):
            engine.send(exchange("http://service.example/", connect=0.4))
        assert time.monotonic() - begun < 0.4 + SLACK


# --- bad requests, secrets, and anything at all


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"x": "a\r\nx-forged: 1"}),
        ("GET", {"x": "a\nb"}),
        ("GET", {"x": "a\0b"}),
        ("GET", {"x y": "a"}),
        ("GET", {"": "a"}),
        ("GET /x HTTP/1.1\r\nx:", {}),
        ("G\u00cbT", {}),
        ("", {}),
    ],
)
def test_a_request_that_would_be_read_as_another_is_not_sent(
    engine: Driver, method: str, headers: dict[str, str]
) -> None:
    with serving(answering(OK)) as server:
        request = exchange(server.url(), method="GET", headers=headers)
        request.method = method
        with pytest.raises(httpx.LocalProtocolError):
            engine.send(request)
        assert server.requests == []


@pytest.mark.parametrize(
    "case", [b"garbage ms-secret\r\n\r\n", b"HTTP/1.1 200 OK\r\nms-secret\r\n\r\n"]
)
def test_an_error_holds_no_secret(engine: Driver, case: bytes) -> None:
    with serving(answering(case)) as server:
        request = exchange(server.url(), headers={"authorization": "Bearer ms-secret"})
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            engine.send(request)
    assert not any("ms-secret" in f"{error!r} {error}" for error in causes(caught.value))


def _silent(wire: Wire) -> None:
    wire.is_left()


def _no_context() -> ssl.SSLContext:
    raise ValueError("no context")


@pytest.mark.parametrize("case", ["context", "silence", "header"])
def test_a_traceback_with_its_locals_holds_no_secret(make_engine: MakeEngine, case: str) -> None:
    engine = make_engine(_no_context)
    headers = {"authorization": "Bearer ms-secret"} | ({"x y": "a"} if case == "header" else {})
    with serving(_silent) as server:
        url = server.url().replace("http", "https" if case == "context" else "http")
        request = exchange(url, b"{}", headers=headers, read=0.1)
        with pytest.raises((httpx.TransportError, ValueError)) as caught:
            engine.send(request)
    found = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in found.stack if "/tests/" not in frame.filename]
    assert frames
    assert not any("ms-secret" in f"{frame.locals}" for frame in frames)


PARTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.1 103 x\r\n\r\n",
        b"content-length: 3\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"\n",
    ]
) | st.binary(max_size=20)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(st.lists(PARTS, max_size=8))
def test_whatever_is_said_is_a_reply_or_an_error_of_httpx(
    engine: Driver, parts: list[bytes]
) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(b"".join(parts))

    with serving(say) as server:
        try:
            status = engine.send(exchange(server.url(), deadline=time.monotonic() + 20))[0]
        except httpx.TransportError:
            status = 200
    assert 200 <= status <= 999
