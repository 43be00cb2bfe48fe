"""What only the async engine has: loops, cancelling, and what aiohttp does by itself."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import ssl
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from modelscope_transport.http import async_connections, async_socket
from modelscope_transport.http.async_engine import AsyncEngine
from tests.transport.http.conftest import Tls
from tests.transport.http.drivers import exchange, no_tls
from tests.transport.http.raw_server import CHUNKED, OK, RawServer, Wire, answering, halves, serving


@pytest.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    engine = AsyncEngine(no_tls)
    yield engine
    await engine.aclose()


async def send(engine: AsyncEngine, request: httpx.Request) -> bytes:
    response = await engine.handle_async_request(request)
    try:
        return b"".join([piece async for piece in response.stream])  # type: ignore[union-attr]
    finally:
        await response.stream.aclose()  # type: ignore[union-attr]


async def settled(is_so: Any) -> bool:
    """Wait until something is so, ten seconds at most."""
    for _ in range(1000):
        if is_so():
            return True
        await asyncio.sleep(0.01)
    return False


def numbered(wire: Wire) -> None:
    """Answer with the number of the connection, counted from one."""
    number = wire.server.connections.index(wire.sock) + 1
    while wire.request():
        wire.send(OK.replace(b"ok", b"%02d" % number))


# --- cancelling


def halting(wire: Wire) -> None:
    while wire.request():
        wire.send(CHUNKED, b"3\r\none\r\n")
        wire.pause(0.005)
        wire.send(b"3\r\ntwo\r\n", b"0\r\n\r\n")


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_a_call_that_is_cancelled_at_any_moment_leaves_no_connection(
    tls: Tls, encrypted: bool
) -> None:
    engine = AsyncEngine(lambda: tls.client)
    moments = random.Random(20261128)
    with serving(halting, tls.server if encrypted else None) as server:

        async def call() -> None:
            assert await send(engine, exchange(server.url(), b"x" * 100)) == b"onetwo"

        begun = time.monotonic()
        await call()
        whole = max(time.monotonic() - begun, 0.02)
        ended = 0
        for turn in range(200):
            task = asyncio.ensure_future(call())
            await asyncio.sleep(moments.uniform(0, whole))
            task.cancel()
            if turn % 3 == 0:  # and again, while it ends
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task])
            ended += task.cancelled()
        assert ended > 20
        home = engine._loops[asyncio.get_running_loop()]
        assert not home.exchanges
        await call()
        await engine.aclose()
        assert await settled(lambda: not home._transports)
        for _ in server.connections:
            assert await asyncio.to_thread(server.ended.acquire, timeout=10)


async def test_a_cancelled_upload_leaves_no_connection(engine: AsyncEngine) -> None:
    with serving(Wire.stall, receive_buffer=1 << 16) as server:
        task = asyncio.ensure_future(send(engine, exchange(server.url(), bytes(32 << 20))))
        assert await settled(lambda: server.connections)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        home = engine._loops[asyncio.get_running_loop()]
        assert await settled(lambda: not home._transports)


async def test_a_reply_that_is_closed_wakes_its_reader(engine: AsyncEngine) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED + b"3\r\none\r\n")
        assert wire.is_left()

    with serving(say) as server:
        response = await engine.handle_async_request(exchange(server.url()))
        pieces = aiter(response.stream)  # type: ignore[arg-type]
        assert await anext(pieces) == b"one"
        reading = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        await response.stream.aclose()  # type: ignore[union-attr]
        with pytest.raises(httpx.ReadError):
            await asyncio.wait_for(reading, 10)
        with pytest.raises(httpx.ReadError):
            await anext(pieces)
        assert await asyncio.to_thread(server.ended.acquire, timeout=10)


# --- time


async def test_a_limit_is_not_rounded_up(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, delays = asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at

    def noted(when: float, *args: Any, **more: Any) -> asyncio.TimerHandle:
        delays.append(when - loop.time())
        return call_at(when, *args, **more)

    with serving(answering(OK)) as server:
        monkeypatch.setattr(loop, "call_at", noted)
        deadline = time.monotonic() + 9.25
        request = exchange(server.url(), connect=7.25, read=8.25, deadline=deadline)
        assert await send(engine, request) == b"ok"
    found = {
        limit for limit in (7.25, 8.25, 9.25) for delay in delays if limit - 0.2 < delay <= limit
    }
    assert found == {7.25, 8.25, 9.25}


async def test_a_reply_that_nobody_reads_ends_with_its_deadline(engine: AsyncEngine) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED + b"3\r\none\r\n")
        assert wire.is_left()

    with serving(say) as server:
        request = exchange(server.url(), deadline=time.monotonic() + 0.3)
        response = await engine.handle_async_request(request)
        assert await asyncio.to_thread(server.ended.acquire, timeout=10)
        with pytest.raises(httpx.ReadTimeout, match="deadline"):
            await anext(aiter(response.stream))  # type: ignore[arg-type]


# --- what aiohttp does by itself


async def test_a_reader_is_woken_where_the_parser_fails(engine: AsyncEngine) -> None:
    go_on = threading.Event()

    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED + b"3\r\none\r\n")
        go_on.wait(10)
        wire.send(b"no size\r\n")
        wire.is_left()

    with serving(say) as server:
        response = await engine.handle_async_request(exchange(server.url(), read=60.0))
        pieces = aiter(response.stream)  # type: ignore[arg-type]
        assert await anext(pieces) == b"one"
        reading = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(httpx.RemoteProtocolError, match="not what HTTP"):
            await asyncio.wait_for(reading, 10)


@pytest.mark.parametrize("resets", [False, True], ids=["ends", "resets"])
async def test_a_reader_that_is_late_gets_what_came_before_the_connection_broke(
    engine: AsyncEngine, resets: bool
) -> None:
    go_on = threading.Event()

    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED, b"3\r\none\r\n")
        go_on.wait(10)
        if resets:
            wire.reset()

    with serving(say) as server:
        response = await engine.handle_async_request(exchange(server.url()))
        stream: Any = response.stream
        assert await settled(lambda: stream._payload.total_bytes == 3)
        go_on.set()
        assert await settled(lambda: stream._payload.exception() is not None)
        pieces = aiter(stream)
        assert await anext(pieces) == b"one"
        with pytest.raises(httpx.ReadError if resets else httpx.RemoteProtocolError):
            await anext(pieces)
        with pytest.raises(httpx.TransportError):
            await anext(pieces)


@pytest.mark.parametrize("framing", [b"content-length: 33554432", b"connection: close"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_a_server_is_held_back_while_the_loop_runs_and_its_reply_is_not_read(
    tls: Tls, framing: bytes, encrypted: bool
) -> None:
    sent = [0]

    def pour(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % framing)
        for _ in range(128):
            wire.send(bytes(1 << 18))
            sent[0] += 1

    engine = AsyncEngine(lambda: tls.client)
    with serving(pour, tls.server if encrypted else None) as server:
        response = await engine.handle_async_request(exchange(server.url(), read=0.3))
        seen = -1
        while seen != sent[0]:  # until nothing moves any more, and longer than the read limit
            seen = sent[0]
            await asyncio.sleep(0.4)
        assert sent[0] < 128
        body = b"".join([piece async for piece in response.stream])  # type: ignore[union-attr]
        assert len(body) == 33554432
        await engine.aclose()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_a_deadline_ends_a_reply_that_is_held_back(tls: Tls, encrypted: bool) -> None:
    def pour(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            wire.send(bytes(1 << 18))

    engine = AsyncEngine(lambda: tls.client)
    with serving(pour, tls.server if encrypted else None) as server:
        request = exchange(server.url(), deadline=time.monotonic() + 0.5)
        response = await engine.handle_async_request(request)
        assert await asyncio.to_thread(server.ended.acquire, timeout=10)
        with pytest.raises(httpx.ReadTimeout, match="deadline"):
            await anext(aiter(response.stream))  # type: ignore[arg-type]


@pytest.mark.parametrize("late", [False, True], ids=["read at once", "read late"])
async def test_a_reset_is_no_end_of_a_body_without_a_length(
    engine: AsyncEngine, late: bool
) -> None:
    go_on = threading.Event()

    def say(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\none")
        go_on.wait(10)
        wire.reset()

    with serving(say) as server:
        response = await engine.handle_async_request(exchange(server.url()))
        stream: Any = response.stream
        pieces = aiter(stream)
        if late:
            assert await settled(lambda: stream._payload.total_bytes == 3)
            go_on.set()
            assert await settled(stream._payload.is_eof)
        assert await anext(pieces) == b"one"
        go_on.set()
        for _ in range(2):
            with pytest.raises(httpx.ReadError):
                await anext(pieces)


async def test_a_reply_that_ends_with_the_beginning_of_another_closes_its_connection(
    engine: AsyncEngine,
) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(OK + b"HTTP/1.1 200 OK\r\ncontent-len")
        assert wire.is_left()

    with serving(say) as server:
        assert await send(engine, exchange(server.url())) == b"ok"
        assert await asyncio.to_thread(server.ended.acquire, timeout=10)


@pytest.mark.parametrize("more", [b"HTTP/1.1 2", OK, b"rubbish"], ids=["half", "reply", "rubbish"])
async def test_what_an_idle_connection_has_heard_while_the_loop_ran_answers_no_request(
    engine: AsyncEngine, more: bytes
) -> None:
    go_on = threading.Event()

    def say(wire: Wire) -> None:
        number = len(wire.server.connections)
        wire.request()
        wire.send(OK.replace(b"ok", b"%02d" % number))
        if number == 1:
            go_on.wait(10)
            wire.send(more)
        wire.is_left()

    with serving(say) as server:
        assert await send(engine, exchange(server.url())) == b"01"
        (transport,) = engine._loops[asyncio.get_running_loop()]._transports.values()
        heard: list[bytes] = []
        protocol: Any = transport.get_protocol()
        received = protocol.data_received

        def note(data: bytes) -> None:
            heard.append(data)
            received(data)

        protocol.data_received = note
        go_on.set()
        assert await settled(lambda: heard)
        assert await send(engine, exchange(server.url())) == b"02"


async def test_the_connection_used_last_serves_next(engine: AsyncEngine) -> None:
    with serving(numbered) as server:
        opened = [await engine.handle_async_request(exchange(server.url())) for _ in range(3)]
        for turn in (1, 0, 2):
            assert [piece async for piece in opened[turn].stream] == [b"%02d" % (turn + 1)]  # type: ignore[union-attr]
        assert await send(engine, exchange(server.url())) == b"03"
        again = [await engine.handle_async_request(exchange(server.url())) for _ in range(3)]
        found = [[piece async for piece in each.stream] for each in again]  # type: ignore[union-attr]
        assert found == [[b"03"], [b"01"], [b"02"]]
        assert len(server.connections) == 3


async def test_a_whole_body_gives_its_connection_back_with_its_last_bytes(
    engine: AsyncEngine,
) -> None:
    with serving(answering(CHUNKED + b"2\r\nok\r\n0\r\n\r\n")) as server:
        for _ in range(3):
            response = await engine.handle_async_request(exchange(server.url()))
            stream: Any = response.stream
            assert await settled(stream._payload.is_eof)
            assert await anext(aiter(stream)) == b"ok"
        assert len(server.connections) == 1


async def test_many_calls_at_once(engine: AsyncEngine) -> None:
    with serving(answering(OK)) as server:
        found = await asyncio.gather(*[send(engine, exchange(server.url())) for _ in range(200)])
        assert found == [b"ok"] * 200
        home = engine._loops[asyncio.get_running_loop()]
        assert await settled(lambda: len(home._transports) == 64)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("taken", [0, 1 << 20], ids=["at once", "later"])
async def test_an_answer_that_came_before_a_write_failed_is_read(
    taken: int, encrypted: bool, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers and leaves right before a write, whether the engine's or the loop's."""
    leave = threading.Event()

    def refuse(wire: Wire) -> None:
        left = taken - len(wire.head())
        while left > 0:
            left -= len(wire.sock.recv(min(left, 1 << 16)))
        while not leave.wait(0.01):  # a full socket would let the engine write no more
            assert wire.sock.recv(1 << 12)
        wire.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nless")

    class Watched(async_socket._Socket):
        sent = 0

        def _write(self, write: Any, *args: Any) -> int:
            if self.sent > taken + (1 << 16) and not leave.is_set():
                leave.set()
                assert server.ended.acquire(timeout=10)
            size = super()._write(write, *args)
            self.sent += size
            return size

    monkeypatch.setattr(async_socket, "_Socket", Watched)
    engine = AsyncEngine(lambda: tls.client)
    with serving(refuse, tls.server if encrypted else None) as server:
        response = await engine.handle_async_request(exchange(server.url(), bytes(16 << 20)))
        assert leave.is_set()
        assert response.status_code == 413
        assert await response.aread() == b"less"
    await engine.aclose()


@pytest.mark.parametrize("name", ["_conns", "_parser", "_ssl_protocol"])
async def test_what_has_no_public_name_may_have_another(
    name: str, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later aiohttp or asyncio may rename it: everything that is not about it goes on."""
    real = getattr

    def without(thing: Any, asked: str, *default: Any) -> Any:
        return default[0] if asked == name else real(thing, asked, *default)

    monkeypatch.setattr(async_connections, "getattr", without, raising=False)
    engine = AsyncEngine(lambda: tls.client)
    with serving(answering(OK), tls.server) as server:
        for _ in range(3):
            assert await send(engine, exchange(server.url(), bytes(1 << 20))) == b"ok"
        assert len(server.connections) == 1
        await engine.aclose()
        assert await asyncio.to_thread(server.ended.acquire, timeout=10)
        # Without its list of idle connections aiohttp's connector warns where it is not closed.
        await engine._loops[asyncio.get_running_loop()]._connector.close()


def test_where_a_loop_reads_ahead_it_is_given_time_to_hear_of_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on Windows, where a socket does not show what has come."""
    monkeypatch.setattr(async_connections, "_READS_AHEAD", True)
    monkeypatch.setattr(async_connections, "is_readable", lambda _: False)

    go_on = threading.Event()

    def say(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        go_on.wait(10)
        go_on.clear()

    engine, loop = AsyncEngine(no_tls), asyncio.new_event_loop()
    with serving(say) as server:
        for _ in range(3):
            assert loop.run_until_complete(send(engine, exchange(server.url()))) == b"ok"
            go_on.set()
            assert server.ended.acquire(timeout=10)  # while the loop rests
    loop.close()


async def test_the_servers_that_are_remembered_are_not_without_number(
    engine: AsyncEngine,
) -> None:
    with serving(answering(OK)) as server:
        assert await send(engine, exchange(server.url())) == b"ok"
        home = engine._loops[asyncio.get_running_loop()]
        for number in range(200):
            home._server(httpx.URL(f"http://host-{number}.example/"), no_tls)
        assert len(home._servers) <= 64
        assert await send(engine, exchange(server.url())) == b"ok"
        assert len(server.connections) == 1


# --- loops


async def test_closing_an_engine_leaves_calls_alone(engine: AsyncEngine) -> None:
    go_on = threading.Event()
    with serving(halves(go_on, b"one", b"two")) as server:
        response = await engine.handle_async_request(exchange(server.url()))
        waiting = asyncio.ensure_future(send(engine, exchange(server.url())))
        assert await settled(lambda: len(server.requests) == 2)
        await engine.aclose()
        go_on.set()
        assert b"".join([piece async for piece in response.stream]) == b"onetwo"  # type: ignore[union-attr]
        assert await waiting == b"onetwo"


async def test_a_reply_outlives_its_engine() -> None:
    go_on = threading.Event()

    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED + b"3\r\none\r\n")
        go_on.wait(10)
        wire.send(b"3\r\ntwo\r\n0\r\n\r\n")
        assert wire.is_left()

    with serving(say) as server:
        response = await AsyncEngine(no_tls).handle_async_request(exchange(server.url()))
        gc.collect()
        pieces = aiter(response.stream)  # type: ignore[arg-type]
        assert await anext(pieces) == b"one"
        go_on.set()
        assert b"".join([piece async for piece in pieces]) == b"two"
        del pieces, response
        assert await asyncio.to_thread(server.ended.acquire, timeout=10)


async def test_what_could_not_connect_says_why_without_the_words_around_it(
    engine: AsyncEngine, tls: Tls
) -> None:
    stranger = AsyncEngine(ssl.create_default_context)
    failing = pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED")
    with serving(answering(OK), tls.server) as server, failing as caught:
        await send(stranger, exchange(server.url()))
    assert "object at" not in str(caught.value)


def test_loops_do_not_share_connections() -> None:
    engine = AsyncEngine(no_tls)
    with serving(numbered) as server:
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        for loop, number in ((first, b"01"), (second, b"02"), (first, b"01"), (second, b"02")):
            assert loop.run_until_complete(send(engine, exchange(server.url()))) == number
        first.run_until_complete(engine.aclose())
        assert server.ended.acquire(timeout=10)
        assert second.run_until_complete(send(engine, exchange(server.url()))) == b"02"
        for loop in (first, second):
            loop.close()
        assert server.ended.acquire(timeout=10)
    assert not engine._loops


def test_loops_in_threads_make_one_context_and_are_forgotten(tls: Tls) -> None:
    made: list[ssl.SSLContext] = []
    meeting = threading.Barrier(6)
    failures: list[BaseException] = []

    def make() -> ssl.SSLContext:
        made.append(tls.client)
        return tls.client

    engine = AsyncEngine(make)

    def work(server: RawServer) -> None:
        try:
            for _ in range(4):
                meeting.wait(20)
                assert asyncio.run(send(engine, exchange(server.url()))) == b"ok"
        except BaseException as error:  # noqa: BLE001 -- a thread's failure fails the test
            failures.append(error)

    with serving(answering(OK), tls.server) as server:
        threads = [threading.Thread(target=work, args=(server,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures
        assert len(made) == 1
        assert len(server.connections) == 24
    assert not engine._loops


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_uvloop_serves(tls: Tls, encrypted: bool) -> None:
    uvloop = pytest.importorskip("uvloop", reason="only some have it")

    def say(wire: Wire) -> None:
        while request := wire.request():
            body = request.partition(b"\r\n\r\n")[2]
            wire.send(CHUNKED, b"%x\r\n%s\r\n" % (len(body), body), b"0\r\n\r\n")

    async def calls(server: RawServer) -> None:
        engine = AsyncEngine(lambda: tls.client)
        for size in (3, 4 << 20):
            assert await send(engine, exchange(server.url(), bytes(size))) == bytes(size)
        assert len(server.connections) == 1

    def work(server: RawServer) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(calls(server))

    with serving(say, tls.server if encrypted else None) as server:
        await asyncio.to_thread(work, server)


async def test_an_address_that_is_none_of_http_is_refused(engine: AsyncEngine) -> None:
    for address in ("ftp://127.0.0.1/", "/path"):
        with pytest.raises(httpx.UnsupportedProtocol, match=re.escape("http://")):
            await engine.handle_async_request(httpx.Request("GET", address))


async def test_a_host_that_no_name_can_be_is_an_error_of_connecting(engine: AsyncEngine) -> None:
    for host in ("a" * 70 + ".example", "127.1", "2130706433"):
        with pytest.raises(httpx.ConnectError):
            await engine.handle_async_request(exchange(f"http://{host}:9/"))
