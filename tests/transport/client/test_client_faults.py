"""Whatever a server does: a result or an error of ours, in bounded time and memory."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelscope_transport import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ChatResult,
    Client,
    ConfigurationError,
    ContextLengthError,
    EmptyReplyError,
    InvalidRequestError,
    ModelNotServedError,
    ModelScopeError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnexpectedReplyError,
)
from modelscope_transport.emulator import LocalService, Pause, Raw, Reply
from tests.transport.callers import AsyncCaller, Caller, chat_request, settled
from tests.transport.http.raw_server import Wire, serving

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
# Waits of a retry are chance; a bound on time is generous, since two cores are shared.
SLACK = 3.0


def calls_of(caller: Caller) -> list[Callable[..., Any]]:
    return [caller.chat, caller.stream, caller.embed]


# --- again, or not


def test_a_request_that_was_surely_not_accepted_is_sent_again(caller: Caller) -> None:
    for call in calls_of(caller):
        before = caller.requests
        caller.service.next("reset_before_reply", "reset_before_reply", "honest")
        call()
        assert caller.requests == before + 3


@pytest.mark.parametrize("scenario", ["close_before_reply", "garbage", "drop:0", "short_body"])
def test_a_request_that_may_have_been_accepted_is_not_paid_for_twice(
    caller: Caller, scenario: str
) -> None:
    caller.service.next(scenario)
    with pytest.raises(APIConnectionError) as caught:
        caller.chat()
    assert caller.requests == 1
    assert caught.value.reason == "broken_connection"
    assert "may have been counted" in str(caught.value)


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("reset_before_reply", APIConnectionError),
        ("server_error", ServerError),
        ("bad_gateway", ServerError),
        ("html_502", ServerError),
        ("unavailable", ServerError),
        ("gateway_timeout", ServerError),
        ("request_timeout", ServerError),
        ("shell", EmptyReplyError),
        ("no_choices", EmptyReplyError),
        ("empty_body", EmptyReplyError),
        ("empty_object", EmptyReplyError),
        ("burst_in_200", RateLimitError),
        ("throttled", RateLimitError),
    ],
)
def test_what_a_moment_may_heal_is_tried_three_times(
    caller: Caller, scenario: str, kind: type[ModelScopeError]
) -> None:
    caller.service.next(*[scenario] * 3)
    with pytest.raises(kind) as caught:
        caller.chat()
    assert caller.requests == 3
    assert caught.value.details.attempts == 3


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("no_provider", ModelNotServedError),
        ("context_length", ContextLengthError),
        ("authentication_failed", AuthenticationError),
        ("not_found", ModelNotServedError),
        ("wrong_task", InvalidRequestError),
        ("html", UnexpectedReplyError),
        ("truncated_json", UnexpectedReplyError),
        ("deep_json", UnexpectedReplyError),
    ],
)
def test_what_cannot_succeed_is_asked_once(
    caller: Caller, scenario: str, kind: type[ModelScopeError]
) -> None:
    for count, call in enumerate(calls_of(caller), 1):
        caller.service.next(scenario)
        with pytest.raises(kind):
            call()
        assert caller.requests == count


def test_a_wait_that_is_asked_for_is_kept_to(caller: Caller) -> None:
    caller.service.next("throttled:1")
    begun = time.monotonic()
    caller.chat()
    assert 1 <= time.monotonic() - begun < 1 + SLACK
    assert caller.requests == 2


def test_a_wait_past_the_deadline_is_an_error_at_once(caller: Caller) -> None:
    caller.service.next("throttled:3600")
    begun = time.monotonic()
    with pytest.raises(RateLimitError, match="3600 s"):
        caller.chat()
    assert time.monotonic() - begun < SLACK
    assert caller.requests == 1


# --- time


def dripping(head: bytes, *, every: float = 0.1, drop: bytes = b" ") -> Raw:
    def steps() -> Iterator[Any]:
        yield head
        while True:
            yield drop
            yield Pause(every)

    return Raw(steps())


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
DRIPS = {
    "before the head": lambda: Raw([Pause(float("inf"))]),
    "in the head": lambda: dripping(b"HTTP/1.1 200 OK\r\nx: ", drop=b"x"),
    "in a body of some length": lambda: dripping(HEAD + b"content-length: 100000\r\n\r\n"),
    "in a body without a length": lambda: dripping(HEAD + b"connection: close\r\n\r\n"),
    "in a body of chunks": lambda: dripping(
        HEAD + b"transfer-encoding: chunked\r\n\r\n", drop=b"1\r\n \r\n"
    ),
    "before the first event": lambda: dripping(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", drop=b": x\n\n"
    ),
}


@pytest.mark.parametrize("place", DRIPS)
@pytest.mark.parametrize("warm", [False, True], ids=["new connection", "used connection"])
def test_a_server_that_drips_is_left_at_the_deadline(
    caller: Caller, place: str, warm: bool
) -> None:
    if warm:
        caller.chat()
    caller.service.next(DRIPS[place]())
    begun = time.monotonic()
    with pytest.raises(APITimeoutError) as caught:
        caller.chat(timeout=0.5)
    assert 0.5 <= time.monotonic() - begun < 0.5 + SLACK
    assert caught.value.details.attempts == 1, "it may have been charged"


def test_a_stream_that_drips_is_cut_at_the_deadline(caller: Caller) -> None:
    caller.service.next("slow:0.1")
    begun = time.monotonic()
    with pytest.raises(StreamInterruptedError, match="deadline") as caught:
        caller.stream(timeout=0.7)
    assert 0.7 <= time.monotonic() - begun < 0.7 + SLACK
    assert caught.value.partial is not None
    assert caught.value.partial.choice.finish_reason is None


@pytest.fixture
def impatient(caller: Caller) -> Iterator[Caller]:
    """A user whose client takes three tenths of a second of silence for a loss."""
    with caller.but(idle_timeout=0.3) as user:
        yield user


def test_silence_in_the_middle_of_a_stream_keeps_what_had_arrived(impatient: Caller) -> None:
    impatient.service.next("stall")
    begun = time.monotonic()
    with pytest.raises(StreamInterruptedError) as caught:
        impatient.stream()
    assert time.monotonic() - begun < 0.3 + SLACK
    assert caught.value.partial is not None
    assert caught.value.partial.text


def test_silence_instead_of_a_reply_is_a_timeout(impatient: Caller) -> None:
    impatient.service.next("silence")
    with pytest.raises(APITimeoutError):
        impatient.chat()
    assert impatient.requests == 1


def test_the_deadline_ends_the_waiting_between_attempts(caller: Caller) -> None:
    impatient = caller.but(max_retries=5)
    impatient.chat()  # what is loaded once is not the second attempt's time
    caller.service.next(*["throttled:1"] * 5)
    begun = time.monotonic()
    with pytest.raises(RateLimitError):
        impatient.chat(timeout=1.9)  # the second attempt has most of a second
    assert time.monotonic() - begun < 1.9
    assert caller.requests == 1 + 2


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_redirect_is_not_followed(caller: Caller, status: int, elsewhere: bool) -> None:
    with LocalService() as other:
        there = other.root_url if elsewhere else caller.service.root_url
        for call in calls_of(caller):
            caller.service.next(Reply(status, b"", {"location": f"{there}/v1/x?secret=1"}))
            with pytest.raises(UnexpectedReplyError) as caught:
                call()
            assert there in str(caught.value)
            assert "secret" not in f"{caught.value} {caught.value.details}"
        assert other.requests == []
        assert caller.requests == 3


# --- certificates


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")
@pytest.mark.parametrize("name", ["localhost", "elsewhere.example"])
def test_a_certificate_of_nobodys_is_refused_before_a_word(tmp_path: Path, name: str) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}"]
    subprocess.run(command, capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with _listening(context) as (port, heard):
        client = Client("ms-1", base_url=f"https://localhost:{port}/v1", max_retries=0)
        with pytest.raises(APIConnectionError, match=r"(?i)certificate"):
            client.chat(chat_request())
        with pytest.raises(APIConnectionError, match=r"(?i)certificate"):
            asyncio.run(client.aio.chat(chat_request()))
    assert heard == []


def test_a_server_without_tls_hears_no_word() -> None:
    with _listening(None) as (port, heard):
        client = Client("ms-1", base_url=f"https://127.0.0.1:{port}/v1", max_retries=0, timeout=5)
        with pytest.raises(APIConnectionError):
            client.chat(chat_request())
    assert b"ms-1" not in b"".join(heard)
    assert b"POST" not in b"".join(heard)


@contextmanager
def _listening(context: ssl.SSLContext | None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that notes what it hears, within TLS where there is a context, and hangs up."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:
                    return
                with plain:
                    plain.settimeout(5)
                    try:
                        wire = context.wrap_socket(plain, server_side=True) if context else plain
                        heard.append(wire.recv(65_536))
                        wire.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                        wire.close()
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], [part for part in heard if part] if context else heard
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


# --- size


@contextmanager
def at_most(mebibytes: int) -> Iterator[None]:
    """Hold this process, the local service in it included, to so much more memory."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mebibytes << 20


@pytest.mark.parametrize(
    "scenario", ["gzip_bomb:60", "endless_body"], ids=["bomb", "body without end"]
)
def test_a_body_without_end_is_refused(caller: Caller, scenario: str) -> None:
    with at_most(64):
        caller.service.next(scenario)
        with pytest.raises(UnexpectedReplyError, match="more than"):
            caller.chat()
    assert caller.requests == 1
    assert caller.chat().text, "the next call is none the worse for it"


def test_an_error_body_without_end_is_still_the_error(caller: Caller) -> None:
    def steps() -> Iterator[bytes]:
        yield b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n"
        while True:
            yield b"a" * 65_536

    caller.service.next(Raw(steps()))
    with pytest.raises(AuthenticationError):
        caller.chat()


def test_an_event_without_end_is_refused(caller: Caller) -> None:
    for call in (caller.chat, caller.stream):
        with at_most(12):
            caller.service.next("endless_line")
            with pytest.raises(UnexpectedReplyError, match="an event of more than one MiB"):
                call()
    assert caller.requests == 2


def test_a_compressed_bomb_in_a_stream_is_refused(caller: Caller) -> None:
    import zlib

    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = squeeze.compress(b"data: " + bytes(40 << 20)) + squeeze.flush()
    with at_most(64):
        caller.service.next(Reply(200, bomb, {**EVENTS, "content-encoding": "gzip"}))
        with pytest.raises(UnexpectedReplyError):
            caller.stream()


@pytest.mark.parametrize("scenario", ["gzip", "fragments:7", "one_byte:0"])
def test_an_unusual_but_sound_reply_is_read(caller: Caller, scenario: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: caller.chat().choices,
        lambda: caller.stream()[1].choices,
        lambda: caller.embed("a").vectors,
    ]
    for call in calls:
        honest = call()
        caller.service.next(scenario)
        assert call() == honest


# --- what is in it


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"choices":' * 50_000, id="deep objects"),
        pytest.param(b'{"choices":[{"message":{"content":NaN}}]}', id="NaN"),
        pytest.param(b'{"choices":{"a":1}}', id="an object for a list"),
        pytest.param(b'{"choices":[5]}', id="a number for an object"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"\xff\xfe{\x00}", id="another encoding, cut"),
    ],
)
def test_json_of_another_kind_is_refused(caller: Caller, body: bytes) -> None:
    for call in (caller.chat, caller.stream):
        for headers in (JSON, {}, {"content-type": "text/html"}):
            caller.service.next(Reply(200, body, headers))
            with pytest.raises(UnexpectedReplyError):
                call()


def test_of_fields_that_come_twice_the_last_one_counts(caller: Caller) -> None:
    body = b'{"choices":[{"message":{"content":"a","content":"b"},"finish_reason":"stop"}]}'
    caller.service.next(Reply(200, body, JSON))
    assert caller.chat().text == "b"


# --- headers


@pytest.mark.parametrize("scenario", ["huge_header", "many_headers", "huge_header:2000"])
def test_headers_without_measure_are_a_reply_or_a_typed_error(
    caller: Caller, scenario: str
) -> None:
    caller.service.next(*[scenario] * 3)
    told = ""
    try:
        caller.chat()
    except ModelScopeError as error:
        told = str(error)
    assert len(told) < 1000


# --- proxies


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("socks5://127.0.0.1:1", "socksio"),
        ("gopher://127.0.0.1:1", "The proxy cannot be used"),
        ("http://h:port", "The proxy cannot be used"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_said_before_any_request(
    caller: Caller, proxy: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        caller.but(proxy=proxy).chat()
    assert caller.requests == 0


def test_a_proxy_is_used(caller: Caller) -> None:
    user = caller.but(proxy=f"http://127.0.0.1:{_free_port()}", max_retries=0)
    with pytest.raises(APIConnectionError):
        user.chat()
    assert caller.requests == 0
    through = caller.but(proxy=caller.service.root_url)
    assert through.chat().text, "a proxy of plain HTTP is asked for the whole address"
    assert caller.requests == 1
    assert caller.but(proxy="none").chat().text


def test_the_time_to_connect_is_that_of_a_proxys_answer_too(caller: Caller) -> None:
    def drip(wire: Wire) -> None:
        wire.head()
        wire.drip(b"HTTP/1.1 200 " + b"OK" * 200, 0.05)  # each byte would begin the time anew

    with serving(drip) as proxy:
        user = caller.but(
            base_url="https://h.example/v1",
            proxy=proxy.url(),
            connect_timeout=0.3,
            timeout=10,
            max_retries=0,
        )
        begun = time.monotonic()
        with pytest.raises(APITimeoutError):
            user.chat()
        assert time.monotonic() - begun < 5


def test_closing_a_client_ends_no_call_of_another_one_through_the_same_proxy(
    caller: Caller,
) -> None:
    async def read_async(user: Caller, other: Caller) -> str:
        stream = await user.client.aio.stream_chat(chat_request())
        await anext(aiter(stream))
        await other.client.aio.aclose()
        async for _ in stream:
            pass
        assert await settled(lambda: user.service.connections == 0)
        return stream.result().text

    def read_sync(user: Caller, other: Caller) -> str:
        stream = user.client.stream_chat(chat_request())
        next(iter(stream))
        other.client.close()
        assert list(stream)
        assert asyncio.run(settled(lambda: user.service.connections == 0))
        return stream.result().text

    with LocalService(scenario="slow:0.005") as service:
        user, other = (type(caller)(service, proxy=service.root_url) for _ in range(2))
        if isinstance(caller, AsyncCaller):
            assert asyncio.run(read_async(user, other))
        else:
            assert read_sync(user, other)


def test_connections_through_a_proxy_end_with_their_event_loop() -> None:
    with LocalService() as service:
        user = AsyncCaller(service, proxy=service.root_url)
        for _ in range(2):
            assert user.chat().text
            assert asyncio.run(settled(lambda: service.connections == 0))


def test_connections_through_a_proxy_of_a_loop_that_was_only_closed_go_with_the_next_one() -> None:
    with LocalService() as service, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # httpx shows no way to their sockets
        user = AsyncCaller(service, proxy=service.root_url)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(user.client.aio.chat(chat_request()))
        loop.close()
        del loop
        assert service.connections == 1
        assert user.chat().text
        gc.collect()
        assert asyncio.run(settled(lambda: service.connections == 0))


# --- nobody there


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("caller", [Caller, AsyncCaller])
def test_a_host_that_refuses(caller: type[Caller], service: LocalService) -> None:
    user = caller(service, base_url=f"http://127.0.0.1:{_free_port()}/v1", max_retries=1)
    with pytest.raises(APIConnectionError) as caught:
        user.chat()
    told = caught.value.args[0]
    assert told.startswith("No connection to the service.")
    assert told.endswith("Check the network, the base URL and the proxy.")
    assert caught.value.details.attempts == 2
    assert caught.value.status_code is None


@pytest.mark.parametrize("caller", [Caller, AsyncCaller])
def test_a_host_that_no_one_knows(
    caller: type[Caller], service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    user = caller(service, base_url="https://nobody.invalid/v1", max_retries=0)
    with pytest.raises(APIConnectionError, match="Name or service not known"):
        user.chat()


# --- anything at all

GARBAGE = st.binary(max_size=300)
HEADS = st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 429 x\r\nretry-after: 0\r\n\r\n",
        b"HTTP/1.1 500\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 204 No Content\r\n\r\n",
    ]
)
BODIES = st.one_of(
    GARBAGE,
    st.lists(
        st.sampled_from(
            [
                b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
                b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
                b"data: [DONE]\n\n",
                b'data: {"error":"x"}\n\n',
                b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}',
                b"5\r\n",
                b"0\r\n\r\n",
                b"\x1f\x8b",
            ]
        )
        | st.binary(max_size=20),
        max_size=6,
    ).map(b"".join),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADS, BODIES, st.booleans())
def test_any_bytes_are_a_result_or_an_error_of_ours(
    caller: Caller, head: bytes, body: bytes, stream: bool
) -> None:
    caller.service.next(Raw([head, body]))
    user = caller.but(max_retries=0, ledger=None, timeout=20)
    end: object
    try:
        end = user.stream()[1] if stream else user.chat()
    except ModelScopeError as error:
        end = error
    finally:
        caller.service.reset()
        user.client.close()
    assert isinstance(end, ChatResult | ModelScopeError)
