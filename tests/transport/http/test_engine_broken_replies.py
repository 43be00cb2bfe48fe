"""Both engines, over a real socket: replies that are none, and what stands behind a reply."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.transport.http.conftest import Tls
from tests.transport.http.drivers import AsyncDriver, Driver, MakeEngine, exchange
from tests.transport.http.raw_server import CHUNKED, OK, Wire, answering, chunk, serving

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
