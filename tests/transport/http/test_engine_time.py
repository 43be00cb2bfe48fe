"""Both engines, over a real socket: every wait has its end, and an early answer is heard."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.transport.http.conftest import Tls
from tests.transport.http.drivers import SLACK, Driver, MakeEngine, exchange
from tests.transport.http.raw_server import CHUNKED, OK, Script, Wire, answering, chunk, serving

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
