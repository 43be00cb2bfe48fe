"""An HTTP client of the user's own is used as it is, and is the user's to close."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from modelscope_transport import (
    APIConnectionError,
    APITimeoutError,
    ChatResult,
    Client,
    RateLimitError,
    StreamInterruptedError,
    UnexpectedReplyError,
)
from modelscope_transport.emulator import LocalService
from tests.transport.callers import chat_request
from tests.transport.recorded import sample

GOOD = sample("chat/whole").reply.body
EVENTS = sample("streams/null_fields").wire
ANSWER = "人工智能是让机器模拟人类智能行为的技术。"


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces that notes when it is closed, and breaks off where it is told to."""

    def __init__(self, *pieces: bytes, broken: bool = False) -> None:
        self.pieces, self.broken, self.closed = pieces, broken, 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.broken:
            raise httpx.ReadError("reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Given:
    """A user whose client sends through an httpx client of their own, sync and async."""

    def __init__(self, *answers: Any, **options: Any) -> None:
        self.seen: list[httpx.Request] = []
        self.answers = iter(answers)
        transport = httpx.MockTransport(self._answer)
        self.http = httpx.Client(transport=transport, **options)
        self.http_async = httpx.AsyncClient(transport=transport, **options)
        self.client = Client(
            "ms-1",
            base_url="https://h.example/v1",
            http_client=self.http,
            http_async_client=self.http_async,
            max_retries=0,
            ledger=None,
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]


def ok(body: Any = GOOD, kind: str = "application/json") -> httpx.Response:
    return httpx.Response(
        200,
        headers={"content-type": kind},
        stream=body if isinstance(body, Pieces) else Pieces(body),
    )


def events(body: Pieces) -> httpx.Response:
    return ok(body, "text/event-stream")


def both(given: Given) -> list[Any]:
    return [given.client.chat, lambda request: asyncio.run(given.client.aio.chat(request))]


def test_a_call_goes_through_the_given_client() -> None:
    given = Given(ok(), ok())
    for chat in both(given):
        assert chat(chat_request()).text == ANSWER
    first, second = given.seen
    assert first.url == second.url == "https://h.example/v1/chat/completions"
    assert first.headers["authorization"] == "Bearer ms-1"
    assert json.loads(first.content) == json.loads(second.content)


def test_a_stream_goes_through_the_given_client_and_is_closed() -> None:
    bodies = [Pieces(EVENTS[:700], EVENTS[700:]) for _ in range(2)]
    given = Given(*map(events, bodies))
    stream = given.client.stream_chat(chat_request())
    assert stream.origin.attempts == 1
    assert "".join(delta.text for delta in stream) == "1+1=2"

    async def read() -> ChatResult:
        stream = await given.client.aio.stream_chat(chat_request())
        assert stream.origin.attempts == 1
        async for _ in stream:
            pass
        return stream.result()

    assert asyncio.run(read()).text == "1+1=2"
    assert [body.closed for body in bodies] == [1, 1]


def test_a_stream_that_breaks_keeps_what_had_arrived() -> None:
    given = Given(*(events(Pieces(EVENTS[:900], broken=True)) for _ in range(2)))
    with pytest.raises(StreamInterruptedError, match="reset"):
        list(given.client.stream_chat(chat_request()))

    async def read() -> None:
        async for _ in await given.client.aio.stream_chat(chat_request()):
            pass

    with pytest.raises(StreamInterruptedError, match="reset"):
        asyncio.run(read())


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (httpx.ConnectError("no"), APIConnectionError),
        (httpx.ReadTimeout("slow"), APITimeoutError),
        (httpx.PoolTimeout("full"), APITimeoutError),
        (httpx.RemoteProtocolError("garbage"), APIConnectionError),
        (httpx.TooManyRedirects("round"), APIConnectionError),
        (httpx.UnsupportedProtocol("what"), APIConnectionError),
        (httpx.DecodingError("what"), APIConnectionError),
    ],
)
def test_what_the_given_client_raises_becomes_ours(
    failure: Exception, kind: type[Exception]
) -> None:
    for chat in both(Given(failure, failure)):
        with pytest.raises(kind) as caught:
            chat(chat_request())
        assert str(failure) in str(caught.value)


def test_the_given_client_follows_no_redirect_either() -> None:
    there = {"location": "https://elsewhere.example/"}
    given = Given(*(httpx.Response(307, headers=there) for _ in range(2)), follow_redirects=True)
    for chat in both(given):
        with pytest.raises(UnexpectedReplyError, match=r"elsewhere\.example"):
            chat(chat_request())
    assert len(given.seen) == 2


def test_a_refusal_through_the_given_client_closes_its_reply() -> None:
    body = Pieces(sample("failures/rate_limit_of_model_2026").reply.body)
    given = Given(httpx.Response(429, stream=body))
    with pytest.raises(RateLimitError):
        given.client.chat(chat_request())
    assert body.closed == 1


def test_closing_ours_leaves_the_given_one_open() -> None:
    given = Given(ok())
    given.client.close()
    asyncio.run(given.client.aio.aclose())
    assert not given.http.is_closed
    assert not given.http_async.is_closed
    assert given.client.chat(chat_request()).text == ANSWER


def test_the_given_clients_own_connections_are_watched_too() -> None:
    with LocalService() as service, httpx.Client() as http:
        client = Client(service.token, base_url=service.base_url, http_client=http, ledger=None)
        assert client.chat(chat_request()).text
        service.next("slow:0.1")
        with pytest.raises(StreamInterruptedError, match="deadline"):
            list(client.stream_chat(chat_request(timeout=0.5)))
    with LocalService() as service, httpx.Client() as http:
        client = Client(service.token, base_url=service.base_url, http_client=http, ledger=None)
        service.next("one_byte:0.05")
        with pytest.raises(APITimeoutError):
            client.chat(chat_request(timeout=0.5))


def test_a_deadline_in_one_thread_cuts_no_other_threads_call() -> None:
    with LocalService() as service, httpx.Client() as http:
        client = Client(
            service.token,
            base_url=service.base_url,
            http_client=http,
            ledger=None,
            concurrency=None,
            max_retries=0,
        )
        client.chat(chat_request())
        service.next("silence", *["slow:0.02"] * 3)

        def in_vain() -> None:
            with pytest.raises(APITimeoutError):
                client.chat(chat_request(timeout=0.4))

        vain = threading.Thread(target=in_vain)
        vain.start()
        while len(service.requests) < 2:
            pass
        for _ in range(3):
            assert "".join(delta.text for delta in client.stream_chat(chat_request()))
        vain.join()


def test_a_hook_of_theirs_may_read_the_reply() -> None:
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    answers = [httpx.Response(200, headers=packed, stream=Pieces(gzip.compress(GOOD)))]
    given = Given(*answers, event_hooks={"response": [httpx.Response.read]})
    assert given.client.chat(chat_request()).text == ANSWER


def test_a_hook_of_theirs_may_read_the_reply_of_a_true_server() -> None:
    async def aread(response: httpx.Response) -> None:
        await response.aread()

    async def calls(client: Client, http: httpx.AsyncClient) -> str:
        async with http:
            await client.aio.chat(chat_request())
            return (await client.aio.chat(chat_request())).text

    http = httpx.Client(event_hooks={"response": [httpx.Response.read]})
    http_async = httpx.AsyncClient(event_hooks={"response": [aread]})
    with LocalService() as service, http:
        client = Client(
            service.token,
            base_url=service.base_url,
            http_client=http,
            http_async_client=http_async,
            ledger=None,
            timeout=5,
        )
        client.chat(chat_request())
        assert client.chat(chat_request()).text == asyncio.run(calls(client, http_async))


async def test_the_given_async_clients_own_connections_end_with_the_call() -> None:
    with LocalService() as service:
        async with httpx.AsyncClient() as http:
            client = Client(
                service.token, base_url=service.base_url, http_async_client=http, ledger=None
            )
            service.next("slow:0.1")
            stream = await client.aio.stream_chat(chat_request(timeout=0.5))
            with pytest.raises(StreamInterruptedError, match="deadline"):
                async for _ in stream:
                    pass
