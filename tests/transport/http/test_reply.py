"""An open reply: its bytes, its bounds, its end, sync and async."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from modelscope_transport._cancellation import finish_anyway
from modelscope_transport.http.async_reply import AsyncOpenReply
from modelscope_transport.http.decompression import UnreadableBodyError
from modelscope_transport.http.reply import DRAIN, OpenReply

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
MEBIBYTE = bytes(1 << 20)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The bytes of a reply, as an engine of either kind gives them."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.closed = list(pieces), 0
        self.drained: list[float] = []

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    def close(self) -> None:
        self.closed += 1

    def drain(self, seconds: float) -> None:
        self.drained.append(seconds)


class AsyncBody(Body):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def aclose(self) -> None:
        self.closed += 1

    async def drain(self, seconds: float) -> None:  # type: ignore[override]
        self.drained.append(seconds)


class Sync:
    """A reply of a sync engine."""

    def __init__(self, *pieces: bytes, headers: dict[str, str] = JSON, status: int = 200) -> None:
        self.body = Body(*pieces)
        self.reply = OpenReply(httpx.Response(status, headers=headers, stream=self.body))

    def first(self) -> bytes:
        return self.reply.first()

    def read(self) -> bytes:
        return self.reply.read()

    def rest(self) -> list[bytes]:
        return list(self.reply.chunks)

    def drain(self) -> None:
        self.reply.drain()

    def close(self) -> None:
        self.reply.close()

    def end(self) -> None:
        self.close()


class Async(Sync):
    """A reply of an async engine, in a loop of its own."""

    reply: Any

    def __init__(self, *pieces: bytes, headers: dict[str, str] = JSON, status: int = 200) -> None:
        self.body = AsyncBody(*pieces)
        self.loop = asyncio.new_event_loop()
        self.reply = AsyncOpenReply(httpx.Response(status, headers=headers, stream=self.body))

    def first(self) -> bytes:
        return bytes(self.loop.run_until_complete(self.reply.first()))

    def read(self) -> bytes:
        return bytes(self.loop.run_until_complete(self.reply.read()))

    def rest(self) -> list[bytes]:
        async def all_of_it() -> list[bytes]:
            return [data async for data in self.reply.chunks]

        return self.loop.run_until_complete(all_of_it())

    def drain(self) -> None:
        self.loop.run_until_complete(self.reply.drain())

    def close(self) -> None:
        self.loop.run_until_complete(self.reply.aclose())

    def end(self) -> None:
        self.close()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def opened(request: pytest.FixtureRequest) -> Iterator[Any]:
    made: list[Any] = []

    def make(*args: Any, **kwargs: Any) -> Any:
        made.append(request.param(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.end()


# --- a whole body


def test_a_body_is_read_whole(opened: Any) -> None:
    assert opened(b"a", b"", b"b").read() == b"ab"


def test_a_compressed_body_is_read_plain(opened: Any) -> None:
    packed = gzip.compress(b"abc")
    headers = {**JSON, "content-encoding": "gzip"}
    assert opened(packed[:5], packed[5:], headers=headers).read() == b"abc"


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_body_of_a_wrong_compression_is_refused(opened: Any, encoding: str) -> None:
    with pytest.raises(UnreadableBodyError):
        opened(b"{}", headers={**JSON, "content-encoding": encoding}).read()


def test_a_body_is_bounded_whatever_the_status(opened: Any) -> None:
    for status in (200, 500):
        with pytest.raises(UnreadableBodyError, match="more than 32 MiB"):
            opened(*[MEBIBYTE] * 33, status=status).read()


# --- a stream


def test_of_a_stream_the_first_payload_is_given_and_the_others_wait(opened: Any) -> None:
    played = opened(b"data: a\n", b"\ndata: b\n\ndata: c\n\ndata:", b" d\n\n", headers=EVENTS)
    assert played.reply.is_stream
    assert played.first() == b"a"
    assert played.reply.pending == [b"b", b"c"]
    assert played.reply.events.feed(b"".join(played.rest())) == [b"d"]


@pytest.mark.parametrize("pieces", [(), (b": keep-alive\n\n",), (b"data: \n\n",)])
def test_a_stream_without_a_payload(opened: Any, pieces: tuple[bytes, ...]) -> None:
    assert opened(*pieces, headers=EVENTS).first() == b""


def test_a_first_payload_that_lacks_its_end(opened: Any) -> None:
    assert opened(b"data: {}", headers=EVENTS).first() == b"{}"


def test_a_first_event_without_end_is_refused(opened: Any) -> None:
    with pytest.raises(UnreadableBodyError, match="an event of more than one MiB"):
        opened(b"data: ", MEBIBYTE, headers=EVENTS).first()


def test_a_stream_of_a_wrong_compression_is_refused(opened: Any) -> None:
    with pytest.raises(UnreadableBodyError, match="broken compression"):
        opened(b"data: {}\n\n", headers={**EVENTS, "content-encoding": "gzip"}).first()


def test_a_stream_may_be_longer_than_a_body(opened: Any) -> None:
    event = b"data: " + bytes(1 << 19) + b"\n\n"
    played = opened(*[event] * 80, headers=EVENTS)
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
def test_what_is_a_stream(opened: Any, headers: dict[str, str], status: int, stream: bool) -> None:
    assert opened(headers=headers, status=status).reply.is_stream is stream


@pytest.mark.parametrize("status", [199, 300, 404, 500])
def test_only_a_status_of_success_is_good(opened: Any, status: int) -> None:
    assert not opened(status=status).reply.is_good
    assert opened(status=204).reply.is_good


def test_headers_are_read_in_lower_case(opened: Any) -> None:
    headers = [(b"X-Request-Id", b"\xfc")]
    assert opened(headers=headers).reply.headers == {"x-request-id": "ü"}


# --- the end


@pytest.mark.parametrize("read", [True, False])
def test_closing_lets_go_of_the_reply_of_the_engine(opened: Any, read: bool) -> None:
    played = opened(b"a")
    if read:
        played.read()
    assert played.body.closed == 0, "whose connection it is, closes it"
    played.close()
    assert played.body.closed == 1


def test_a_stream_is_drained_for_a_bounded_time(opened: Any) -> None:
    played = opened(b"data: a\n\n", headers=EVENTS)
    played.first()
    played.drain()
    assert played.body.drained == [DRAIN]


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
