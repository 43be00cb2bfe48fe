"""An HTTP client of the user's own is used as it is, and is the user's to close."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import httpx2
import pytest

from modelscope_transport import (
    APIConnectionError,
    APITimeoutError,
    ChatResult,
    Client,
    ConfigurationError,
    ImageRequest,
    RateLimitError,
    StreamInterruptedError,
    UnexpectedReplyError,
)
from modelscope_transport.emulator import LocalService, Reply
from modelscope_transport.http import channel
from modelscope_transport.http.deadlines import watch
from modelscope_transport.http.guarded import _TunnelLimit
from tests.transport.callers import chat_request
from tests.transport.http.raw_server import (
    CHUNKED,
    Wire,
    answering,
    chunk,
    serving,
)
from tests.transport.recorded import sample

GOOD = sample("chat/whole").reply.body
EVENTS = sample("streams/null_fields").wire
PNG = b"\x89PNG\r\n\x1a\nrest"
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


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
def test_a_connection_that_other_requests_share_is_not_cut(late: bool) -> None:
    shared, other_end = socket.socketpair()

    class Network:
        def get_extra_info(self, name: str) -> Any:
            return shared if name == "socket" else None

    class Shared(Pieces):
        """Of HTTP/2, and it goes on after the answer's end."""

        def __iter__(self) -> Iterator[bytes]:
            yield from self.pieces
            begun = time.monotonic()
            while late and time.monotonic() - begun < 30:
                yield b": go on\n\n"
            raise AssertionError("read to its end")

    extensions = {"http_version": b"HTTP/2", "network_stream": Network()}
    end = b"" if late else b"data: [DONE]\n\n"
    reply = httpx.Response(
        200,
        headers={"content-type": "text/event-stream"},
        stream=Shared(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', end),
        extensions=extensions,
    )
    with shared, other_end, Given(reply).http as http:
        client = Client("ms-1", base_url="https://h.example/v1", http_client=http, ledger=None)
        stream = client.stream_chat(chat_request(timeout=0.5 if late else 60.0))
        if late:
            with pytest.raises(StreamInterruptedError, match="deadline"):
                list(stream)
        else:
            assert "".join(delta.text for delta in stream) == "a"
        shared.sendall(b"open")
        assert other_end.recv(4) == b"open"


@pytest.mark.parametrize("call", ["sync", "async"])
@pytest.mark.parametrize("way", ["httpx", "httpx2", "proxy"])
def test_a_stream_that_ends_without_done_ends_at_once(way: str, call: str) -> None:
    last = {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n")
    reply = head + chunk(b"data: %s\n\n" % json.dumps(last).encode()) + chunk(b"")

    async def read(through: dict[str, Any]) -> None:
        async with getattr(
            sys.modules.get(way), "AsyncClient", contextlib.AsyncExitStack
        )() as given:
            http = {} if way == "proxy" else {"http_async_client": given}
            client = Client("ms-1", ledger=None, **through, **http)
            for _ in range(2):
                async for _ in await client.aio.stream_chat(chat_request()):
                    pass

    def streams(through: dict[str, Any]) -> None:
        if call == "async":
            asyncio.run(read(through))
            return
        kind: Any = getattr(sys.modules.get(way), "Client", contextlib.ExitStack)
        with kind() as given:
            http = {} if way == "proxy" else {"http_client": given}
            client = Client("ms-1", ledger=None, **through, **http)
            for _ in range(2):
                list(client.stream_chat(chat_request()))
            client.close()

    with serving(answering(reply)) as server:
        through = {"base_url": server.url()}
        if way == "proxy":
            through = {"base_url": "http://127.0.0.1:1/v1", "proxy": server.url()}
        reader = threading.Thread(target=streams, args=(through,), daemon=True)
        reader.start()
        reader.join(20)
        assert not reader.is_alive()
        assert len(server.requests) == 2
        assert len(server.connections) == 1


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_a_new_connection_is_watched_unless_other_requests_may_share_it(protocol: str) -> None:
    class Encrypted(socket.socket):
        def selected_alpn_protocol(self) -> str:
            return protocol

    with Encrypted() as sock, httpx.Client() as http:
        guard = watch(None, time.monotonic() + 60)
        _TunnelLimit(guard, http.build_request("GET", "https://h.example")).follow(sock)
        assert guard.sock is (None if protocol == "h2" else sock)
        guard.cancel()


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


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("reply", ["silence", "slow:0.3"])
async def test_a_call_that_is_cancelled_twice_gives_its_place_in_the_pool_back(
    service: LocalService, reply: str, turns: int
) -> None:
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(limits=limits) as http:
        client = Client(
            service.token, base_url=service.base_url, http_async_client=http, ledger=None, timeout=5
        )
        begun = asyncio.Event()

        async def call() -> None:
            async for _ in await client.aio.stream_chat(chat_request(timeout=60)):
                begun.set()

        service.next(reply)
        task = asyncio.create_task(call())
        if reply != "silence":
            await begun.wait()
        while not service.requests:  # noqa: ASYNC110 - the service is in another thread
            await asyncio.sleep(0.001)
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        assert (await client.aio.chat(chat_request())).text


# --- what is theirs, of either library

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


def through(service: LocalService, library: Any, call: str, **theirs: Any) -> Client:
    """Make one call through a client of theirs, sync or async, and return ours."""
    hooks = theirs.pop("hooks", {})
    ours = {"api_key": service.token, "base_url": service.base_url, "ledger": None}

    async def in_a_loop() -> Client:
        async with library.AsyncClient(**theirs, event_hooks=awaitable(hooks)) as http:
            client = Client(http_async_client=http, **ours)
            await client.aio.chat(chat_request())
            return client

    if call == "async":
        return asyncio.run(in_a_loop())
    with library.Client(**theirs, event_hooks=hooks) as http:
        client = Client(http_client=http, **ours)
        client.chat(chat_request())
        return client


def awaitable(hooks: dict[str, list[Any]]) -> dict[str, list[Any]]:
    def of(hook: Any) -> Any:
        async def call(value: Any) -> None:
            hook(value)

        return call

    return {name: [of(hook) for hook in found] for name, found in hooks.items()}


@LIBRARIES
@pytest.mark.parametrize("call", ["sync", "async"])
def test_their_headers_cookies_query_and_hooks_hold(
    service: LocalService, library: Any, call: str
) -> None:
    seen: list[Any] = []
    through(
        service,
        library,
        call,
        headers={"X-Team": "blue", "User-Agent": "theirs/1"},
        cookies={"session": "abc"},
        params={"tenant": "7"},
        hooks={"request": [seen.append], "response": [seen.append]},
    )
    (request,) = service.requests
    assert request.headers["x-team"] == "blue"
    assert request.headers["user-agent"] == "theirs/1"
    assert request.headers["cookie"] == "session=abc"
    assert [type(each).__name__ for each in seen] == ["Request", "Response"]
    assert seen[0].url.params["tenant"] == "7"


@LIBRARIES
@pytest.mark.parametrize("call", ["sync", "async"])
@pytest.mark.parametrize("theirs", [{"auth": ("me", "word")}, {"headers": {"Authorization": "x"}}])
def test_the_token_is_ours_whatever_their_auth_says(
    service: LocalService, library: Any, call: str, theirs: dict[str, Any]
) -> None:
    through(service, library, call, **theirs)
    (request,) = service.requests
    assert request.headers["authorization"] == f"Bearer {service.token}"


@LIBRARIES
@pytest.mark.parametrize("name", ["ConnectError", "ReadTimeout", "TooManyRedirects", "InvalidURL"])
def test_an_error_of_either_library_becomes_ours(library: Any, name: str) -> None:
    def fail(request: Any) -> Any:
        raise getattr(library, name)("no way")

    transport = library.MockTransport(fail)
    client = Client(
        "ms-1",
        base_url="https://h.example/v1",
        http_client=library.Client(transport=transport),
        http_async_client=library.AsyncClient(transport=transport),
        max_retries=0,
        ledger=None,
    )
    with pytest.raises(APIConnectionError, match="no way"):
        client.chat(chat_request())
    with pytest.raises(APIConnectionError, match="no way"):
        asyncio.run(client.aio.chat(chat_request()))


@LIBRARIES
@pytest.mark.parametrize("sent", [False, True], ids=["unsent", "sent"])
def test_a_client_that_cannot_send_is_told_in_a_sentence(library: Any, sent: bool) -> None:
    def fail(request: Any) -> Any:
        if sent and not asyncio.iscoroutinefunction(trace := request.extensions["trace"]):
            trace("http11.send_request_headers.started", {"request": request})
        raise RuntimeError("Event loop is closed")

    http = library.Client(transport=library.MockTransport(fail))
    client = Client(
        "ms-1",
        base_url="https://h.example/v1",
        http_client=http,
        http_async_client=library.AsyncClient(transport=library.MockTransport(fail)),
        max_retries=0,
        ledger=None,
    )
    with pytest.raises(APIConnectionError, match=r"loop is closed.*used in one loop") as caught:
        client.chat(chat_request())
    assert caught.value.reason == ("broken_connection" if sent else "no_connection")
    with pytest.raises(APIConnectionError, match=r"loop is closed.*used in one loop"):
        asyncio.run(client.aio.chat(chat_request()))
    http.close()
    with pytest.raises(APIConnectionError, match=r"has been closed.*pass one that is open"):
        client.chat(chat_request())


@LIBRARIES
def test_a_stream_of_another_event_loop_breaks_in_a_sentence_and_is_closed_in_silence(
    library: Any,
) -> None:
    class Elsewhere(library.AsyncByteStream):  # type: ignore[misc, name-defined]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
            raise RuntimeError("is bound to a different event loop")

        async def aclose(self) -> None:
            raise RuntimeError("Event loop is closed")

    def answer(request: Any) -> Any:
        head = {"content-type": "text/event-stream"}
        return library.Response(200, headers=head, stream=Elsewhere())

    http = library.AsyncClient(transport=library.MockTransport(answer))
    client = Client("ms-1", base_url="https://h.example/v1", http_async_client=http, ledger=None)

    async def read() -> None:
        async with await client.aio.stream_chat(chat_request()) as stream:
            async for _ in stream:
                pass

    with pytest.raises(StreamInterruptedError, match=r"different event loop.*one loop") as caught:
        asyncio.run(read())
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a"


@LIBRARIES
@pytest.mark.parametrize("call", ["sync", "async"])
@pytest.mark.parametrize("reads", [False, True], ids=["unread", "read"])
def test_a_reply_that_their_hook_makes_an_error_of_is_judged_as_a_reply(
    service: LocalService, library: Any, call: str, reads: bool
) -> None:
    def refuse(response: Any) -> None:
        response.raise_for_status()

    def read(response: Any) -> Any:
        return response.aread() if call == "async" else response.read()

    async def read_and_refuse(response: Any) -> None:
        await read(response)
        refuse(response)

    refused = {"error": {"message": "no", "code": "of_theirs"}}
    service.next(Reply(429, json.dumps(refused).encode(), {"retry-after": "3600"}))
    hooks: list[Any] = [refuse]
    ours = {"api_key": service.token, "base_url": service.base_url, "ledger": None}
    if call == "async":

        async def chat() -> None:
            found = read_and_refuse if reads else awaitable({"response": hooks})["response"][0]
            async with library.AsyncClient(event_hooks={"response": [found]}) as http:
                await Client(http_async_client=http, **ours).aio.chat(chat_request())

    else:

        def chat() -> None:  # type: ignore[misc]
            found = [read, refuse] if reads else hooks
            with library.Client(event_hooks={"response": found}) as http:
                Client(http_client=http, **ours).chat(chat_request())

    with pytest.raises(RateLimitError) as caught:
        asyncio.run(chat()) if call == "async" else chat()  # type: ignore[func-returns-value]
    assert caught.value.details.retry_after == 3600
    assert caught.value.details.server_message == ("no" if reads else None)


@LIBRARIES
def test_their_own_headers_cookies_and_query_go_to_no_address_that_a_reply_names(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    replies = iter(
        [
            {"task_status": "SUCCEED", "task_id": "1"},
            {"task_status": "SUCCEED", "output_images": ["https://images.example/a.png?sign=x"]},
        ]
    )

    def answer(request: Any) -> Any:
        seen.append(request)
        told = next(replies, None)
        return library.Response(200, json=told) if told else library.Response(200, content=PNG)

    monkeypatch.setattr(channel, "_addresses", lambda *_: ["93.184.216.34"])
    http = library.Client(
        transport=library.MockTransport(answer),
        headers={"Authorization": "Bearer ms-1", "X-Key": "theirs"},
        cookies={"session": "theirs"},
        params={"tenant": "theirs"},
    )
    client = Client("ms-1", base_url="https://h.example/v1", http_client=http, ledger=None)
    request = ImageRequest(model="some/painter", prompt="a cat", poll_interval=0.001)
    assert client.draw(request).images[0].data == PNG
    *own, foreign = seen
    assert all(it.headers["x-key"] == it.url.params["tenant"] == "theirs" for it in own)
    assert str(foreign.url) == "https://images.example/a.png?sign=x"
    assert foreign.headers["host"] == "images.example"
    assert not {"authorization", "x-key", "cookie"} & set(foreign.headers)


@pytest.mark.parametrize(
    ("argument", "client", "told"),
    [
        ("http_client", httpx.AsyncClient(), "Pass it as http_async_client"),
        ("http_client", httpx2.AsyncClient(), "Pass it as http_async_client"),
        ("http_async_client", httpx.Client(), "Pass it as http_client"),
        ("http_client", object(), "must be an httpx.Client"),
        ("http_client", httpx.Client, "must be an httpx.Client"),
        ("http_async_client", "client", "must be an httpx.AsyncClient"),
    ],
)
def test_a_wrong_kind_of_client_is_refused_in_one_sentence(
    argument: str, client: Any, told: str
) -> None:
    user = Client("ms-1", base_url="https://h.example/v1", ledger=None, **{argument: client})
    with pytest.raises(ConfigurationError, match=told) as caught:
        user.chat(chat_request())
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 200


def test_a_client_that_inherits_from_theirs_is_one_too() -> None:
    class Mine(httpx.Client):
        pass

    given = Mine(transport=httpx.MockTransport(lambda request: ok()))
    client = Client("ms-1", base_url="https://h.example/v1", http_client=given, ledger=None)
    assert client.chat(chat_request()).text == ANSWER


@pytest.mark.parametrize("way", ["given", "proxy"])
def test_a_stream_that_is_closed_wakes_the_thread_that_reads_it(way: str) -> None:
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n")
    first = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'

    def say(wire: Wire) -> None:
        wire.request()
        wire.send(head + chunk(first))
        assert wire.is_left()

    with serving(say) as server, httpx.Client(trust_env=False) as given:
        through: dict[str, Any] = {"base_url": server.url(), "http_client": given}
        if way == "proxy":
            through = {"base_url": "http://127.0.0.1:1/v1", "proxy": server.url()}
        client = Client("ms-test", ledger="off", **through)
        stream = client.stream_chat(chat_request())
        deltas = iter(stream)
        assert next(deltas).text == "a"

        def read() -> None:
            with contextlib.suppress(StreamInterruptedError):
                next(deltas)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        begun = time.monotonic()
        # until it is where httpx's backend waits for the socket
        while sys._current_frames()[reader.ident or 0].f_code.co_name != "read":
            assert time.monotonic() - begun < 10
            time.sleep(0)
        stream.close()
        reader.join(10)
        assert not reader.is_alive()
        client.close()
