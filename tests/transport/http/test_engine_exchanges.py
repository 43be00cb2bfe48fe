"""Both engines, over a real socket: what goes out, what comes in, and where a reply ends."""

from __future__ import annotations

import gzip
import queue
import threading
from typing import Any

import httpx
import pytest

from tests.transport.http.conftest import Tls
from tests.transport.http.drivers import Driver, MakeEngine, exchange
from tests.transport.http.raw_server import CHUNKED, OK, Wire, answering, chunk, halves, serving

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


def test_a_compressed_body_comes_in_as_it_was_sent(engine: Driver) -> None:
    packed = gzip.compress(b"ok")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
    with serving(answering(head % len(packed) + packed)) as server:
        assert engine.send(exchange(server.url()))[2] == packed


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


def test_draining_a_reply_that_is_over_leaves_the_next_one_its_time(engine: Driver) -> None:
    go_on = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        halves(go_on, b"a", b"b")(wire)

    with serving(script) as server:
        first = engine.open(exchange(server.url()))
        assert first.rest() == b"ok"
        second = engine.open(exchange(server.url()))
        assert second.piece() == b"a"
        first.drain(0.0)
        go_on.set()
        assert second.rest() == b"b"
        second.close()
        assert len(server.connections) == 1


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
    with serving(halves(go_on, b"o", b"k")) as server:
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
