"""Bytes over an event loop's own transports, as httpcore wants them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpcore
import pytest

from modelscope_transport.http import _loop_stream
from modelscope_transport.http._loop_stream import LoopBackend
from tests.transport.callers import settled

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[httpcore.AsyncNetworkStream]:
    """A stream to a server that does this with each connection, and then hangs up."""
    over = asyncio.Event()

    async def serve_and_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            over.set()

    server = await asyncio.start_server(serve_and_leave, "127.0.0.1", 0)
    stream = await LoopBackend().connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield stream
    finally:
        await stream.aclose()
        await over.wait()
        server.close()


async def read_all(stream: httpcore.AsyncNetworkStream) -> bytes:
    pieces = []
    while piece := await stream.read(1000, timeout=10):
        pieces.append(piece)
    return b"".join(pieces)


async def test_what_is_written_arrives_and_so_does_the_answer() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))

    async with connected(echo) as stream:
        await stream.write(b"")
        await stream.write(b"hello", timeout=10)
        assert await read_all(stream) == b"hello"
        assert await stream.read(10) == b"", "the end is told again to who asks again"


async def test_no_more_is_given_than_asked_for() -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"abcdef")

    async with connected(say) as stream:
        assert await stream.read(4) == b"abcd"
        assert await stream.read(4) == b"ef"


async def test_silence_is_a_read_that_took_too_long() -> None:
    go_on = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(b"late")

    async with connected(wait) as stream:
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(10, timeout=0.01)
        go_on.set()
        assert await stream.read(10, timeout=10) == b"late", "and harms nothing"


async def test_a_connection_that_is_reset_breaks_the_read() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with connected(reset) as stream:
        with pytest.raises(httpcore.ReadError):
            await stream.read(10, timeout=10)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"anybody?")


async def test_a_reader_who_is_slow_makes_the_server_wait() -> None:
    flood, written = bytes(1 << 16), 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        for _ in range(1000):
            writer.write(flood)
            await writer.drain()
            written += len(flood)

    async with connected(pour) as stream:
        seen = -1
        while seen != written:  # until nothing moves any more
            seen = written
            await asyncio.sleep(0.05)
        assert written < 1000 * len(flood)
        read = 0
        while piece := await stream.read(1 << 20, timeout=10):
            read += len(piece)
        assert read == 1000 * len(flood)


async def test_a_server_that_takes_nothing_stops_the_write() -> None:
    done = asyncio.Event()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await done.wait()

    async with connected(ignore) as stream:
        with pytest.raises(httpcore.WriteTimeout):
            await stream.write(bytes(1 << 26), timeout=0.01)
        done.set()


async def test_an_idle_connection_whose_server_left_is_known_for_it() -> None:
    leave = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leave.wait()

    async with connected(wait) as stream:
        assert not stream.get_extra_info("is_readable")
        leave.set()
        assert await stream.read(10) == b""
        assert stream.get_extra_info("is_readable")


async def test_a_port_that_nobody_listens_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(httpcore.ConnectError, match="127"):
        await LoopBackend().connect_tcp("127.0.0.1", port)


# --- hosts of several addresses


class Net:
    """A network in which some addresses are silent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, silent: list[str], live: list[str]) -> None:
        self.silent, self.asked = silent, list[str]()
        self.loop = asyncio.get_running_loop()
        self.create = self.loop.create_connection
        found = [(socket.AF_INET, 1, 6, "", (host, 1)) for host in [*silent, *live]]

        async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
            return found

        monkeypatch.setattr(self.loop, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(self.loop, "create_connection", self.create_connection)
        monkeypatch.setattr(_loop_stream, "_PATIENCE", (0.001, 0.01, None))

    async def create_connection(self, made: Any, host: str, port: int, **_: Any) -> Any:
        self.asked.append(host)
        if host in self.silent:
            await asyncio.Event().wait()
        if host == "refuses":
            raise ConnectionRefusedError("refused")
        inbox = made()
        inbox.host = host
        return None, inbox


async def test_a_silent_address_gives_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, ["::1"], ["127.0.0.1"])
    stream: Any = await LoopBackend().connect_tcp("host.example", 1, timeout=30)
    assert stream._inbox.host == "127.0.0.1"
    assert net.asked == ["::1", "127.0.0.1"]


async def test_an_address_that_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, ["::1"], ["refuses"])
    with pytest.raises(httpcore.ConnectTimeout):
        await LoopBackend().connect_tcp("host.example", 1, timeout=0.2)
    assert net.asked == ["::1", "refuses", "::1", "::1"]


async def test_where_all_refuse_it_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, [], ["refuses", "refuses"])
    with pytest.raises(httpcore.ConnectError, match="refused"):
        await LoopBackend().connect_tcp("host.example", 1, timeout=30)
    assert net.asked == ["refuses", "refuses"]


async def test_a_single_address_has_all_the_time_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, ["10.0.0.1"], [])
    with pytest.raises(httpcore.ConnectTimeout):
        await LoopBackend().connect_tcp("host.example", 1, timeout=0.05)
    assert net.asked == ["10.0.0.1"]


# --- what befalls a connection


class Slow:
    """A transport that is full, and has sent a little more whenever it is asked."""

    def __init__(self, *unsent: int) -> None:
        self.unsent = list(unsent)
        self.inbox = _loop_stream._Inbox()

    def is_closing(self) -> bool:
        return False

    def write(self, _: bytes) -> None:
        self.inbox.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent.pop(0)


@pytest.mark.parametrize("act", ["read", "write"])
async def test_a_limit_begins_anew_while_what_was_written_goes_out(act: str) -> None:
    inbox, plain, above = _loop_stream._Inbox(), Slow(90, 60, 30, 20, 20), Slow(5, 5, 5, 0, 0)
    inbox.connection_made(plain)  # type: ignore[arg-type]
    inbox.transport, above.inbox = above, inbox
    stream = _loop_stream._LoopStream(inbox)
    with pytest.raises(httpcore.TimeoutException):
        await (stream.read(1, 0.01) if act == "read" else stream.write(b"a picture", 0.01))
    assert plain.unsent == above.unsent == []


async def test_a_connection_that_was_lost_gives_out_what_had_arrived() -> None:
    flood = 4 << 20

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(flood))
        with contextlib.suppress(OSError):
            await writer.drain()

    class Lost:
        """A transport as uvloop has them: one that is closed is not to be touched."""

        def resume_reading(self) -> None:
            raise RuntimeError("the handler is closed")

    async with connected(pour) as stream:
        inbox = stream._inbox  # type: ignore[attr-defined]
        assert await settled(lambda: not inbox._reading)
        sound = inbox.transport
        sound.abort()
        assert await settled(lambda: inbox.is_over)
        inbox.transport = Lost()
        assert len(await read_all(stream)) > _loop_stream._MOST_UNREAD
        inbox.transport = sound


async def test_a_close_that_is_cancelled_has_closed() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with connected(wait) as stream:
        aborted: list[bool] = []
        transport = stream._inbox.transport  # type: ignore[attr-defined]
        sound, transport.abort = transport.abort, lambda: aborted.append(True)
        closing = asyncio.ensure_future(stream.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert aborted
        transport.abort = sound
