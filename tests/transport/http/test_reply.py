"""An open reply: its bytes, its bounds, its connection's way home, in both colours."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from modelscope_transport.http.deadlines import watch
from modelscope_transport.http.decompression import UnreadableBodyError
from modelscope_transport.http.reply import (
    Arrived,
    AsyncExchange,
    Exchange,
    finish_anyway,
    lower,
)

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
MEBIBYTE = bytes(1 << 20)


class FakeBody:
    """The bytes of a reply, in both colours."""

    def __init__(self, pieces: Any) -> None:
        self.pieces, self.closed = list(pieces), 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class FakePool:
    """A pool of the sync colour."""

    def __init__(self) -> None:
        self.given: list[object] = []

    def give(self, connection: object) -> Any:
        self.given.append(connection)


class FakeLoopPool(FakePool):
    """A pool of the async colour."""

    async def give(self, connection: object) -> None:
        self.given.append(connection)


class Sync:
    """Plays the sync colour."""

    def __init__(self, *pieces: bytes, headers: dict[str, str] = JSON, status: int = 200) -> None:
        self.body, self.pool = FakeBody(pieces), FakePool()
        reply = Arrived(status, headers, self.body)
        self.exchange: Any = Exchange(reply, self.pool, "connection", watch(None, 1e9))  # type: ignore[arg-type]

    def first(self) -> bytes:
        return bytes(self.exchange.first())

    def read(self) -> bytes:
        return bytes(self.exchange.read())

    def rest(self) -> list[bytes]:
        return list(self.exchange.chunks)

    def close(self) -> None:
        self.exchange.close()


class Async(Sync):
    """Plays the async colour, in a loop of its own."""

    def __init__(self, *pieces: bytes, headers: dict[str, str] = JSON, status: int = 200) -> None:
        self.body, self.pool = FakeBody(pieces), FakeLoopPool()
        reply = Arrived(status, headers, self.body)
        self.loop = asyncio.new_event_loop()

        async def opened() -> AsyncExchange:
            return AsyncExchange(reply, self.pool, "connection", 1e9)  # type: ignore[arg-type]

        self.exchange = self.loop.run_until_complete(opened())

    def first(self) -> bytes:
        return bytes(self.loop.run_until_complete(self.exchange.first()))

    def read(self) -> bytes:
        return bytes(self.loop.run_until_complete(self.exchange.read()))

    def rest(self) -> list[bytes]:
        async def all_of_it() -> list[bytes]:
            return [data async for data in self.exchange.chunks]

        return self.loop.run_until_complete(all_of_it())

    def close(self) -> None:
        self.loop.run_until_complete(self.exchange.aclose())


@pytest.fixture(params=[Sync, Async])
def colour(request: pytest.FixtureRequest) -> Iterator[Any]:
    made: list[Any] = []

    def make(*args: Any, **kwargs: Any) -> Any:
        made.append(request.param(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.close()
        if isinstance(each, Async):
            each.loop.run_until_complete(each.loop.shutdown_asyncgens())
            each.loop.close()


# --- a whole body


def test_a_body_is_read_whole(colour: Any) -> None:
    assert colour(b"a", b"", b"b").read() == b"ab"


def test_a_compressed_body_is_read_plain(colour: Any) -> None:
    packed = gzip.compress(b"abc")
    headers = {**JSON, "content-encoding": "gzip"}
    assert colour(packed[:5], packed[5:], headers=headers).read() == b"abc"


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_body_of_a_wrong_compression_is_refused(colour: Any, encoding: str) -> None:
    with pytest.raises(UnreadableBodyError):
        colour(b"{}", headers={**JSON, "content-encoding": encoding}).read()


def test_a_body_is_bounded_whatever_the_status(colour: Any) -> None:
    for status in (200, 500):
        with pytest.raises(UnreadableBodyError, match="more than 32 MiB"):
            colour(*[MEBIBYTE] * 33, status=status).read()


# --- a stream


def test_of_a_stream_the_first_payload_is_given_and_the_others_wait(colour: Any) -> None:
    played = colour(b"data: a\n", b"\ndata: b\n\ndata: c\n\ndata:", b" d\n\n", headers=EVENTS)
    assert played.exchange.is_stream()
    assert played.first() == b"a"
    assert played.exchange.pending == [b"b", b"c"]
    assert played.exchange.events.feed(b"".join(played.rest())) == [b"d"]


@pytest.mark.parametrize("pieces", [(), (b": keep-alive\n\n",), (b"data: \n\n",)])
def test_a_stream_without_a_payload(colour: Any, pieces: tuple[bytes, ...]) -> None:
    assert colour(*pieces, headers=EVENTS).first() == b""


def test_a_first_payload_that_lacks_its_end(colour: Any) -> None:
    assert colour(b"data: {}", headers=EVENTS).first() == b"{}"


def test_a_first_event_without_end_is_refused(colour: Any) -> None:
    with pytest.raises(UnreadableBodyError, match="an event of more than one MiB"):
        colour(b"data: ", MEBIBYTE, headers=EVENTS).first()


def test_a_stream_of_a_wrong_compression_is_refused(colour: Any) -> None:
    with pytest.raises(UnreadableBodyError, match="broken compression"):
        colour(b"data: {}\n\n", headers={**EVENTS, "content-encoding": "gzip"}).first()


def test_a_stream_may_be_longer_than_a_body(colour: Any) -> None:
    event = b"data: " + bytes(1 << 19) + b"\n\n"
    played = colour(*[event] * 80, headers=EVENTS)
    played.first()
    assert len(played.rest()) == 79


@pytest.mark.parametrize(
    ("headers", "status", "stream"),
    [
        (EVENTS, 200, True),
        ({"content-type": "Text/Event-Stream"}, 200, True),
        (EVENTS, 500, False),
        (JSON, 200, False),
        ({}, 200, False),
    ],
)
def test_what_is_a_stream(colour: Any, headers: dict[str, str], status: int, stream: bool) -> None:
    assert colour(headers=headers, status=status).exchange.is_stream() is stream


def test_headers_are_read_in_lower_case() -> None:
    assert lower([(b"X-Request-Id", b"\xfc")]) == {"x-request-id": "ü"}


# --- the end


async def test_at_its_deadline_a_stream_is_closed_and_its_reader_woken() -> None:
    closed = asyncio.Event()

    class Endless(FakeBody):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            await closed.wait()

        async def aclose(self) -> None:
            closed.set()

    reply = Arrived(200, JSON, Endless(()))
    exchange = AsyncExchange(reply, None, None, time.monotonic() + 0.05)
    assert await exchange.read() == b"a"
    assert exchange.late()
    await exchange.aclose()


# --- the way home


@pytest.mark.parametrize("read", [True, False])
def test_a_connection_goes_home_once(colour: Any, read: bool) -> None:
    played = colour(b"a")
    if read:
        played.read()
    played.close()
    played.close()
    assert played.pool.given == ["connection"]
    assert played.body.closed == 1


def test_only_what_has_passed_is_late(colour: Any) -> None:
    played = colour()
    assert played.exchange.late() is None
    played.exchange.deadline = 0
    assert "deadline" in played.exchange.late()


async def test_a_closing_is_finished_though_its_caller_is_cancelled_twice() -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def closing() -> None:
        begun.set()
        await go_on.wait()
        done.set()

    caller = asyncio.create_task(finish_anyway(closing()))
    await begun.wait()
    for _ in range(2):
        caller.cancel()
        await asyncio.wait([caller])
    assert caller.cancelled()
    go_on.set()
    await done.wait()
