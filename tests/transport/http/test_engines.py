"""What holds for both engines, over a real socket; `drivers.py` gives them one face."""

from __future__ import annotations

import contextlib
import gc
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transport.http.conftest import Tls
from tests.transport.http.drivers import AsyncDriver, Driver, exchange
from tests.transport.http.raw_server import Script, Wire, answering, serving

MakeEngine = Callable[..., Driver]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
# Two cores are shared with other work: how late an exact deadline may look.
SLACK = 1.5


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# --- what goes out and what comes in


def test_a_request_goes_out_exactly_as_it_was_given(engine: Driver) -> None:
    with serving(answering(OK)) as server:
        headers = [(b"Host", b"Example"), (b"X-Name", b"caf\xc3\xa9"), (b"content-length", b"3")]
        request = exchange(server.url("/a%20b?c=%2F"), b"abc", headers=headers)
        assert engine.send(request)[::2] == (200, b"ok")
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert (first, body) == (b"POST /a%20b?c=%2F HTTP/1.1", b"abc")
    assert lines == [b"%s: %s" % field for field in request.headers.raw]


def test_a_reply_comes_in_as_it_is(engine: Driver) -> None:
    reply = b"HTTP/1.1 429 Slow  down\r\nX-One: a\r\nx-one:b \r\nX-\xfc:  \r\n" + OK[17:]
    reply = reply.replace(b"X-\xfc:  \r\n", b"x-empty:  \r\nx-latin: \xfc\r\n")
    with serving(answering(reply)) as server:
        status, headers, body = engine.send(exchange(server.url()))
    assert (status, body) == (429, b"ok")
    assert headers.get_list("x-one") == ["a", "b"]
    assert headers["x-empty"] == ""
    assert (b"x-latin", b"\xfc") in headers.raw


def test_a_header_in_two_lines_is_one(engine: Driver) -> None:
    reply = b"HTTP/1.1 200 OK\r\nx: a\r\n  b\r\n" + OK[17:]
    with serving(answering(reply)) as server:
        assert engine.send(exchange(server.url()))[1]["x"].split() == ["a", "b"]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_large_body_goes_there_and_back(
    make_engine: MakeEngine, tls: Tls, encrypted: bool
) -> None:
    def echo(wire: Wire) -> None:
        while request := wire.request():
            body = request.partition(b"\r\n\r\n")[2]
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    engine = make_engine(lambda: tls.client)
    large = bytes(range(256)) * (3 << 12)
    with serving(echo, tls.server if encrypted else None) as server:
        for body in (large, b"small", large):
            assert engine.send(exchange(server.url(), body))[2] == body
        assert len(server.connections) == 1


def test_each_chunk_comes_out_when_it_arrives(engine: Driver) -> None:
    go_on: queue.Queue[bytes] = queue.Queue()

    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED)
        while piece := go_on.get():
            wire.send(piece)

    with serving(say) as server:
        opened = engine.open(exchange(server.url()))
        for word in (b"one", b"two", b"three"):
            go_on.put(chunk(word))
            assert opened.piece() == word
        go_on.put(chunk(b"four") + b"0\r\n\r\n")
        assert opened.rest() == b"four"
        opened.close()
        go_on.put(b"")


@pytest.mark.parametrize("framing", ["length", "chunks", "until the end"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_reader_that_is_slow_holds_the_server_back(
    make_engine: MakeEngine, tls: Tls, framing: str, encrypted: bool
) -> None:
    piece, pieces, sent = bytes(1 << 18), 128, [0]

    def pour(wire: Wire) -> None:
        wire.request()
        head = CHUNKED
        if framing != "chunks":
            length = (
                b"content-length: %d\r\n" % (len(piece) * pieces) if framing == "length" else b""
            )
            head = b"HTTP/1.1 200 OK\r\n%s\r\n" % length
        wire.send(head)
        for _ in range(pieces):
            wire.send(chunk(piece) if framing == "chunks" else piece)
            sent[0] += 1
        wire.send(b"0\r\n\r\n" if framing == "chunks" else b"")

    engine = make_engine(lambda: tls.client)
    with serving(pour, tls.server if encrypted else None) as server:
        opened = engine.open(exchange(server.url()))
        found, seen = len(opened.piece()), -1
        while seen != sent[0]:  # until nothing moves any more
            seen = sent[0]
            assert not server.closing.wait(0.1)
        assert sent[0] < pieces
        assert found + len(opened.rest()) == len(piece) * pieces
        opened.close()


def test_a_chunk_comes_out_as_far_as_it_has_arrived(engine: Driver) -> None:
    go_on: queue.Queue[bytes] = queue.Queue()

    def say(wire: Wire) -> None:
        wire.request()
        while piece := go_on.get():
            wire.send(piece)

    with serving(say) as server:
        go_on.put(CHUNKED + b"6\r\nabc")
        opened = engine.open(exchange(server.url()))
        assert opened.piece() == b"abc"
        go_on.put(b"def\r\n0\r\n\r\n")
        assert opened.rest() == b"def"
        opened.close()
        go_on.put(b"")


@pytest.mark.parametrize(
    ("method", "reply", "status", "body"),
    [
        ("GET", b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", 304, b""),
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", 200, b""),
        ("GET", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
        ("GET", b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n" + OK[17:], 200, b"ok"),
        ("GET", CHUNKED + b"0\r\n\r\n", 200, b""),
        ("GET", CHUNKED + b"2;a=b\r\nok\r\n000\r\nx-late: 1\r\n\r\n", 200, b"ok"),
        (
            "GET",
            CHUNKED.replace(b"chunked", b"Chunked") + b"A\r\n0123456789\r\n0\r\n\r\n",
            200,
            None,
        ),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        (
            "GET",
            b"HTTP/1.1 102 P\r\nx: 1\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\n" + OK,
            200,
            b"ok",
        ),
    ],
)
def test_a_sound_reply_leaves_its_connection_to_the_next_request(
    engine: Driver, method: str, reply: bytes, status: int, body: bytes | None
) -> None:
    with serving(answering(reply)) as server:
        for _ in range(2):
            found = engine.send(exchange(server.url(), method=method))
            assert found[::2] == (status, b"0123456789" if body is None else body)
        assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        ("keep-alive", b"HTTP/1.1 200 OK\r\n\r\nok"),
        ("keep-alive", b"HTTP/1.0 200 OK\r\n\r\nok"),
        ("keep-alive", b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("keep-alive", b"HTTP/1.1 200 OK\r\nconnection: x, Close\r\n" + OK[17:]),
        ("close", OK),
    ],
)
def test_a_connection_that_one_side_wants_to_close_is_closed(
    engine: Driver, sent: str, reply: bytes
) -> None:
    def answer(wire: Wire) -> None:
        wire.request()
        wire.send(reply)
        if b"content-length" not in reply:
            wire.end()
        assert wire.is_left()

    with serving(answer) as server:
        for _ in range(2):
            found = engine.send(exchange(server.url(), headers={"connection": sent}))
            assert found[::2] == (200, b"ok")
            assert server.ended.acquire(timeout=10)
        assert len(server.connections) == 2


def test_an_informational_reply_in_an_upload_does_not_end_it(engine: Driver) -> None:
    body = bytes(8 << 20)

    def greet(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        wire.request()
        wire.send(OK)
        wire.is_left()

    with serving(greet) as server:
        assert engine.send(exchange(server.url(), body))[::2] == (200, b"ok")
        assert server.requests[0].endswith(body)


# --- replies that are none


TOO_LONG = b"x: " + b"a" * (1 << 18)
BROKEN = {
    "nothing": b"",
    "garbage": b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "status that is none": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "status line cut": b"HTTP/1.1 200 O",
    "head cut": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n",
    "header cut": b"HTTP/1.1 200 OK\r\ncontent-type: text",
    "header without a colon": b"HTTP/1.1 200 OK\r\ncontent-type\r\n\r\n",
    "header without a name": b"HTTP/1.1 200 OK\r\n: a\r\n\r\n",
    "header too long": b"HTTP/1.1 200 OK\r\n" + TOO_LONG + b"\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "informational only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "short body": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
    "no body": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
    "length that is none": b"HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nokoko",
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nokoko",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 2\r\n\r\nokoko",
    "no chunk": CHUNKED,
    "size cut": CHUNKED + b"5",
    "chunk cut": CHUNKED + b"5\r\nok",
    "cut behind a chunk": CHUNKED + chunk(b"ok"),
    "cut before the end of a chunk's line": CHUNKED + b"2\r\nok",
    "last chunk cut": CHUNKED + chunk(b"ok") + b"0\r\n",
    "trailers cut": CHUNKED + chunk(b"ok") + b"0\r\nx: 1\r\n",
    "chunk longer than its size": CHUNKED + b"2\r\nokoko\r\n0\r\n\r\n",
    "size that is none": CHUNKED + b"five\r\nokoko\r\n0\r\n\r\n",
    "negative size": CHUNKED + b"-5\r\nokoko\r\n0\r\n\r\n",
    "size without measure": CHUNKED + b"f" * 40 + b"\r\nokoko\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("warm", [False, True], ids=["new", "used"])
def test_a_reply_that_is_none_is_a_protocol_error(engine: Driver, case: str, warm: bool) -> None:
    def answer(wire: Wire) -> None:
        if warm:
            answered = wire.request()
            wire.send(OK)
        answered = wire.request()
        if answered:
            wire.send(BROKEN[case])

    with serving(answer) as server:
        if warm:
            assert engine.send(exchange(server.url()))[0] == 200
        with pytest.raises(httpx.RemoteProtocolError):
            engine.send(exchange(server.url(), b"x"))
        assert len(server.requests) == 1 + warm, "never asked a second time"
        assert len(server.connections) == 1


def test_a_change_of_protocol_is_refused_at_once(engine: Driver) -> None:
    def change(wire: Wire) -> None:
        wire.request()
        wire.send(BROKEN["101"])
        assert wire.is_left()

    with serving(change) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            engine.send(exchange(server.url(), read=60.0))
        assert server.ended.acquire(timeout=10)


def test_the_line_of_a_size_is_not_kept_in_memory(engine: Driver) -> None:
    """The parser of aiohttp skips what stands behind a size, however long; the other refuses it."""
    reply = CHUNKED + b"2;" + b"x" * (1 << 18) + b"\r\nok\r\n0\r\n\r\n"
    with serving(answering(reply)) as server:
        try:
            assert engine.send(exchange(server.url()))[2] == b"ok"
        except httpx.RemoteProtocolError:
            assert not isinstance(engine, AsyncDriver)


@pytest.mark.parametrize("line", [b"x-%d: 1\r\n", b" %d\r\n"], ids=["lines", "folds"])
def test_headers_without_number_are_a_protocol_error(engine: Driver, line: bytes) -> None:
    many = b"x: 1\r\n" + b"".join(line % number for number in range(100_000))
    reply = b"HTTP/1.1 200 OK\r\n" + many + b"\r\n"
    with serving(answering(reply)) as server, pytest.raises(httpx.RemoteProtocolError):
        engine.send(exchange(server.url()))


def test_what_had_arrived_before_a_break_was_given_out(engine: Driver) -> None:
    def answer(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED + chunk(b"one"))

    with serving(answer) as server:
        opened = engine.open(exchange(server.url()))
        assert opened.piece() == b"one"
        with pytest.raises(httpx.RemoteProtocolError):
            opened.piece()
        opened.close()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", httpx.ReadError),
        (b"HTTP/1.1 200", httpx.RemoteProtocolError),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", httpx.RemoteProtocolError),
        (OK[:-1], httpx.ReadError),
        (CHUNKED + chunk(b"ok"), httpx.ReadError),
    ],
)
def test_a_reset_before_a_byte_or_in_a_body_is_a_read_error_and_else_a_reply_cut_off(
    engine: Driver, said: bytes, error: type[httpx.TransportError]
) -> None:
    go_on = threading.Event()

    def answer(wire: Wire) -> None:
        wire.request()
        wire.send(said)
        if said.startswith(b"HTTP/1.1 200 OK"):
            go_on.wait(10)  # a reset may throw away what was not read yet
        wire.reset()

    def read(url: str) -> None:
        opened = engine.open(exchange(url, b"x"))
        go_on.set()
        try:
            opened.rest()
        finally:
            opened.close()

    with serving(answer) as server, pytest.raises(error) as caught:
        read(server.url())
    assert type(caught.value) is error


# --- what stands behind a reply


@pytest.mark.parametrize(
    "reply",
    [
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged",
        CHUNKED + chunk(b"ok") + b"0\r\n\r\n" + OK.replace(b"ok", b"no"),
    ],
)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_what_stands_behind_a_reply_answers_no_request(
    make_engine: MakeEngine, tls: Tls, reply: bytes, encrypted: bool
) -> None:
    engine = make_engine(lambda: tls.client)
    with serving(answering(reply), tls.server if encrypted else None) as server:
        for _ in range(3):
            assert engine.send(exchange(server.url()))[2] in (b"ok", b"")
        assert len(server.connections) == 3


@pytest.mark.parametrize("reply", [b"HTTP/1.1 204 No Content\r\n\r\nx", OK + b"\r\n"])
def test_what_is_no_reply_behind_a_reply_harms_no_other(engine: Driver, reply: bytes) -> None:
    """The parser of aiohttp sees both at once: it refuses both, and skips an empty line."""
    with serving(answering(reply)) as server:
        for _ in range(3):
            try:
                assert engine.send(exchange(server.url()))[2] in (b"ok", b"")
            except httpx.RemoteProtocolError:
                assert isinstance(engine, AsyncDriver)
        assert len(server.connections) == 3 or isinstance(engine, AsyncDriver)


@pytest.mark.parametrize("late", [b"", OK, b"\r\n"], ids=["end", "reply", "line"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_an_idle_connection_that_has_heard_something_is_not_used(
    make_engine: MakeEngine, tls: Tls, late: bytes, encrypted: bool
) -> None:
    go_on, done = threading.Event(), threading.Event()

    def answer(wire: Wire) -> None:
        wire.request()
        wire.send(OK.replace(b"ok", b"%02d" % len(wire.server.connections)))
        if len(wire.server.connections) == 1:
            go_on.wait(10)
            wire.send(late)
            wire.end()
            done.set()
        wire.is_left()

    engine = make_engine(lambda: tls.client)
    with serving(answer, tls.server if encrypted else None) as server:
        assert engine.send(exchange(server.url()))[2] == b"01"
        go_on.set()
        assert done.wait(10)
        assert engine.send(exchange(server.url(), b"x"))[2] == b"02"
        assert len(server.connections) == 2


def test_a_request_on_a_used_connection_is_not_sent_again(engine: Driver) -> None:
    def answer(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        wire.request()  # and leaves without an answer

    with serving(answer) as server:
        for method in ("GET", "POST", "PUT", "DELETE"):
            engine.send(exchange(server.url(), method=method))
            with pytest.raises(httpx.RemoteProtocolError):
                engine.send(exchange(server.url(), method=method))
        assert len(server.requests) == 8


def test_servers_do_not_share_connections(engine: Driver) -> None:
    first, second = (OK.replace(b"ok", b"01"), OK.replace(b"ok", b"02"))
    with serving(answering(first)) as one, serving(answering(second)) as two:
        for _ in range(2):
            assert engine.send(exchange(one.url()))[2] == b"01"
            assert engine.send(exchange(two.url()))[2] == b"02"
        assert len(one.connections) == len(two.connections) == 1


# --- no connection


def test_a_port_that_refuses(engine: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    with pytest.raises(httpx.ConnectError) as caught:
        engine.send(exchange(url))
    assert any(isinstance(error, ConnectionRefusedError) for error in causes(caught.value))


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


# --- time


def silent_tls(wire: Wire) -> None:
    wire.sock.recv(1)
    wire.stall()


def drips(head: bytes, drop: bytes) -> Script:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(head)
        wire.drip(drop * 10_000, 0.05)

    return script


def silent(wire: Wire) -> None:
    wire.request()
    wire.stall()


DRIPS: dict[str, Script] = {
    "silence": silent,
    "status line": drips(b"HTTP/1.1 200 ", b"x"),
    "headers": drips(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "header": drips(b"HTTP/1.1 200 OK\r\nx: ", b"y"),
    "informational": drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body of some length": drips(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n", b"x"),
    "body until the end": drips(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", b"x"),
    "size of a chunk": drips(CHUNKED + chunk(b"ok") + b"2;", b"x"),
    "chunks": drips(CHUNKED, b"1\r\nx\r\n"),
    "trailers": drips(CHUNKED + b"0\r\n", b"x: y\r\n"),
}


@pytest.mark.parametrize("place", DRIPS)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_the_deadline_ends_what_drips(
    make_engine: MakeEngine, tls: Tls, place: str, encrypted: bool
) -> None:
    engine = make_engine(lambda: tls.client)
    with serving(DRIPS[place], tls.server if encrypted else None) as server:
        begun = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            engine.send(exchange(server.url(), b"x", deadline=begun + 0.4))
        assert 0.35 <= time.monotonic() - begun < 0.4 + SLACK


def test_the_deadline_ends_a_silence_behind_a_late_byte(engine: Driver) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.pause(1.2)
        wire.send(b"H")
        wire.stall()

    with serving(say) as server:
        begun = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            engine.send(exchange(server.url(), b"x", deadline=begun + 1.4))
        assert time.monotonic() - begun < 2.4


def test_silence_ends_a_read(engine: Driver) -> None:
    with serving(DRIPS["silence"]) as server:
        begun = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            engine.send(exchange(server.url(), b"x", read=0.3))
        assert 0.25 <= time.monotonic() - begun < 0.3 + SLACK


def test_no_time_is_no_time(engine: Driver) -> None:
    with serving(answering(OK)) as server:
        with pytest.raises(httpx.ConnectTimeout):
            engine.send(exchange(server.url(), deadline=time.monotonic() - 1))
        assert engine.send(exchange(server.url()))[0] == 200  # and leaves a connection
        with pytest.raises(httpx.TimeoutException):
            engine.send(exchange(server.url(), deadline=time.monotonic() - 1))


@pytest.mark.parametrize("seconds", [1e7, 1e12, float("inf")])
def test_a_year_is_a_limit_too(engine: Driver, seconds: float) -> None:
    body, limits = bytes(4 << 20), dict.fromkeys(("connect", "read", "write"), seconds)
    with serving(answering(OK)) as server:
        request = exchange(server.url(), body, deadline=time.monotonic() + seconds)
        request.extensions["timeout"] = limits
        assert engine.send(request)[::2] == (200, b"ok")


def test_silence_in_a_body_ends_a_read(engine: Driver) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED + chunk(b"one"))
        wire.stall()

    with serving(say) as server:
        opened = engine.open(exchange(server.url(), b"x", read=0.3))
        assert opened.piece() == b"one"
        with pytest.raises(httpx.ReadTimeout):
            opened.piece()
        opened.close()


def test_a_slow_reply_that_moves_is_not_cut(engine: Driver) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
        wire.drip(b"0123456789", 0.1)

    with serving(say) as server:
        assert engine.send(exchange(server.url(), read=0.7))[2] == b"0123456789"


def test_a_handshake_that_stalls_ends_with_the_connect_limit(
    make_engine: MakeEngine, tls: Tls
) -> None:
    engine = make_engine(lambda: tls.client)
    with serving(silent_tls) as server:
        url = server.url().replace("http:", "https:")
        for name in ("connect", "deadline"):
            begun = time.monotonic()
            request = exchange(url, deadline=begun + 0.3 if name == "deadline" else None)
            request.extensions["timeout"]["connect"] = 0.3 if name == "connect" else 5.0
            with pytest.raises(httpx.ConnectTimeout):
                engine.send(request)
            assert 0.25 <= time.monotonic() - begun < 0.3 + SLACK


def test_a_handshake_that_drips_ends_with_the_connect_limit(
    make_engine: MakeEngine, tls: Tls
) -> None:
    def drip(wire: Wire) -> None:
        wire.sock.recv(1)
        wire.drip(b"\x16\x03\x03\x10\x00" + b"x" * 4000, 0.05)

    engine = make_engine(lambda: tls.client)
    with serving(drip) as server:
        begun = time.monotonic()
        with pytest.raises((httpx.ConnectTimeout, httpx.ConnectError)):
            engine.send(exchange(server.url().replace("http:", "https:"), connect=0.3))
        assert time.monotonic() - begun < 0.3 + SLACK


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


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_an_upload_that_is_not_read_ends_in_time(
    make_engine: MakeEngine, tls: Tls, encrypted: bool
) -> None:
    engine = make_engine(lambda: tls.client)
    large = bytes(64 << 20)
    with serving(Wire.stall, tls.server if encrypted else None, 1 << 16) as server:
        begun = time.monotonic()
        with pytest.raises(httpx.WriteTimeout):
            engine.send(exchange(server.url(), large, write=0.3))
        between = time.monotonic()
        assert between - begun < 0.3 + SLACK
        with pytest.raises(httpx.WriteTimeout):
            engine.send(exchange(server.url(), large, deadline=between + 0.3))
        assert time.monotonic() - between < 0.3 + SLACK


def test_a_slow_upload_that_moves_is_not_cut(engine: Driver) -> None:
    body = bytes(1 << 20)

    def read(wire: Wire) -> None:
        head = wire.head()
        left = len(body) - len(wire._read)
        while left > 0:
            left -= len(wire.sock.recv(1 << 16))
            wire.pause(0.05)
        assert head
        wire.send(OK)
        wire.is_left()

    with serving(read, receive_buffer=1 << 16) as server:
        assert engine.send(exchange(server.url(), body, write=0.5, read=0.5))[0] == 200


# --- an answer before the request is over


@pytest.mark.parametrize("leaves", [True, False], ids=["and leaves", "and waits"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_an_early_answer_is_returned(
    make_engine: MakeEngine, tls: Tls, leaves: bool, encrypted: bool
) -> None:
    def refuse(wire: Wire) -> None:
        wire.head()
        wire.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nless")
        if not leaves:
            wire.stall()

    engine = make_engine(lambda: tls.client)
    with serving(refuse, tls.server if encrypted else None) as server:
        for turn in range(1, 5):
            begun = time.monotonic()
            found = engine.send(exchange(server.url(), bytes(16 << 20)))
            assert found[::2] == (413, b"less")
            assert time.monotonic() - begun < SLACK
            assert len(server.connections) == turn, "a connection in the middle of a request"


def test_a_server_that_leaves_in_an_upload_is_a_write_error(engine: Driver) -> None:
    def leave(wire: Wire) -> None:
        wire.head()

    with serving(leave) as server, pytest.raises(httpx.WriteError):
        engine.send(exchange(server.url(), bytes(64 << 20)))


# --- the end of a reply


def test_a_reply_that_is_left_early_closes_its_connection(engine: Driver) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED + chunk(b"one"))
        assert wire.is_left()

    with serving(say) as server:
        opened = engine.open(exchange(server.url()))
        assert opened.piece() == b"one"
        opened.close()
        opened.close()
        assert server.ended.acquire(timeout=10)


def test_a_reply_that_is_not_begun_closes_its_connection(engine: Driver) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(OK[:-2])
        assert wire.is_left()

    with serving(say) as server:
        engine.open(exchange(server.url())).close()
        assert server.ended.acquire(timeout=10)


def test_a_body_is_given_once(engine: Driver) -> None:
    with serving(answering(OK)) as server:
        opened = engine.open(exchange(server.url()))
        assert opened.rest() == b"ok"
        opened.close()
        again: Any = type(opened)(opened._driver, opened.response, engine.pieces(opened.response))
        with pytest.raises(httpx.StreamConsumed):
            again.piece()


def test_closing_twice_gives_a_connection_back_once(engine: Driver) -> None:
    with serving(answering(OK)) as server:
        opened = engine.open(exchange(server.url()))
        opened.rest()
        opened.close()
        opened.close()
        first, second = engine.open(exchange(server.url())), engine.open(exchange(server.url()))
        assert first.rest() == second.rest() == b"ok"
        first.close()
        second.close()
        assert len(server.connections) == 2


def test_closing_an_engine_closes_what_is_idle_and_it_serves_on(engine: Driver) -> None:
    with serving(answering(OK)) as server:
        engine.send(exchange(server.url()))
        engine.close()
        assert server.ended.acquire(timeout=10)
        engine.close()
        assert engine.send(exchange(server.url()))[0] == 200
        assert len(server.connections) == 2


def test_a_connection_in_use_is_closed_after_its_reply_when_its_engine_was_closed(
    engine: Driver,
) -> None:
    go_on = threading.Event()

    def say(wire: Wire) -> None:
        while wire.request():
            wire.send(CHUNKED + b"2\r\nok\r\n")
            go_on.wait(10)
            wire.send(b"0\r\n\r\n")

    with serving(say) as server:
        opened = engine.open(exchange(server.url()))
        engine.close()
        go_on.set()
        assert opened.rest() == b"ok"
        opened.close()
        assert server.ended.acquire(timeout=10)
        for _ in range(2):
            assert engine.send(exchange(server.url()))[2] == b"ok"
        assert len(server.connections) == 2


def test_no_more_connections_are_kept_than_are_of_use(engine: Driver) -> None:
    with serving(answering(OK)) as server:
        opened = [engine.open(exchange(server.url())) for _ in range(70)]
        for reply in opened:
            assert reply.rest() == b"ok"
            reply.close()
        for _ in range(70 - 64):
            assert server.ended.acquire(timeout=10)
        assert not server.ended.acquire(blocking=False)


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
