"""Whatever comes in: a result or one of our errors, and nothing else.

The suite tries a few examples of each property; ``make fuzz`` goes on with new ones for as long as
it is told. A failure prints the example, and ``@reproduce_failure`` brings it back.
"""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelscope_transport import (
    ChatRequest,
    ChatResult,
    Client,
    ConfigurationError,
    EmbeddingResult,
    Message,
    ModelScopeError,
)
from modelscope_transport._sse import EventDecoder
from modelscope_transport._wire import chat, embeddings
from modelscope_transport._wire.failure_table import Kind
from modelscope_transport._wire.failures import Verdict, judge
from modelscope_transport._wire.outcomes import Failure, Reply, read_failure
from tests.fuzz.readers import ANSWERS, READERS
from tests.fuzz.shapes import bodies, events, headers, pieces_of, vector_bodies

TOKEN = "ms-5f1e2d3c-ca9a-4b1e-8a7c-5c0ffee5c0de"
MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"

# A hang is ended by the time limit of the whole test: a single example may wait for a busy machine.
tried = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
cuts = st.lists(st.integers(0, 1 << 16), max_size=6)


# --- server-sent events


def split(pieces: list[bytes]) -> list[bytes]:
    decoder = EventDecoder()
    return [payload for piece in pieces for payload in decoder.feed(piece)] + decoder.close()


@tried
@given(events | st.binary(max_size=200), cuts)
def test_events_are_the_same_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    assert split(pieces_of(data, cuts)) == split([data])


# --- decoding


@tried
@given(bodies)
def test_a_whole_answer_is_a_result_or_a_failure(body: bytes) -> None:
    decoded = chat.decode(body)
    assert isinstance(decoded, ChatResult | Failure)
    if isinstance(decoded, ChatResult):
        assert decoded.choices
        assert isinstance(decoded.text, str)
        decoded.text.encode()  # no lone surrogate comes through


@tried
@given(vector_bodies)
def test_vectors_are_whole_or_a_failure(body: bytes) -> None:
    decoded = embeddings.decode(body, count=2)
    assert isinstance(decoded, EmbeddingResult | Failure)
    if isinstance(decoded, EmbeddingResult):
        assert len(decoded.vectors) == 2
        assert len({len(vector) for vector in decoded.vectors}) == 1


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@tried
@given(bodies)
def test_each_reader_gives_an_answer_or_a_failure_that_is_judged(
    read: Callable[[bytes], Any], body: bytes
) -> None:
    found = read(body)
    if isinstance(found, Failure):
        verdict = judge(Reply(200, {}, body), found, model=MODEL)
        assert isinstance(verdict.error(attempts=1), ModelScopeError)
    else:
        assert isinstance(found, ANSWERS)


# --- judging


@tried
@given(st.integers(100, 599), headers, bodies, st.booleans())
def test_a_refusal_is_judged_and_shows_no_token(
    status: int, headers: dict[str, str], body: bytes, streaming: bool
) -> None:
    failure = read_failure(body.replace(b"message", TOKEN.encode()))
    verdict = judge(
        Reply(status, headers, body, streaming),
        failure,
        model=MODEL,
        redact=lambda text: text.replace(TOKEN, "***"),
    )
    assert isinstance(verdict, Verdict)
    assert verdict.kind is not Kind.GOOD
    error = verdict.error(attempts=1)
    assert isinstance(error, ModelScopeError)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.details) == (type(error), str(error), error.details)
    assert TOKEN not in f"{error} {error.details}"


# --- a call, whole and streamed, sync and async


def _outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    try:
        return ("answer", call())
    except ModelScopeError as error:
        partial = error.details.partial
        return (type(error), str(error), partial.text if partial else None)


REQUEST = ChatRequest(model=MODEL, messages=(Message("user", "Hello"),))


async def _astreamed(client: Client) -> str:
    stream = await client.aio.stream_chat(REQUEST)
    return "".join([delta.text async for delta in stream])


class _Cut(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Any:
        return iter(self._pieces)

    async def __aiter__(self) -> Any:
        for piece in self._pieces:
            yield piece


@tried
@given(
    st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 404, 429, 500]),
    st.sampled_from(["application/json", "text/event-stream", "text/html", ""]),
    bodies | events,
    cuts,
)
def test_sync_and_async_calls_end_alike(
    status: int, kind: str, body: bytes, cuts: list[int]
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            status, headers={"content-type": kind}, stream=_Cut(pieces_of(body, cuts))
        )

    transport = httpx.MockTransport(answer)
    with httpx.Client(transport=transport) as sync:
        client = Client(
            TOKEN,
            base_url="http://127.0.0.1:9/v1",
            ledger=None,
            max_retries=0,
            http_client=sync,
            http_async_client=httpx.AsyncClient(transport=transport),
        )
        whole = _outcome(lambda: client.chat(REQUEST).text)
        streamed = _outcome(lambda: "".join(delta.text for delta in client.stream_chat(REQUEST)))
        async_whole = _outcome(lambda: asyncio.run(client.aio.chat(REQUEST)).text)
        async_streamed = _outcome(lambda: asyncio.run(_astreamed(client)))
    assert whole == async_whole
    assert streamed == async_streamed
    assert TOKEN not in f"{whole} {streamed}"


# --- settings

_addresses = st.one_of(
    st.text(max_size=30),
    st.builds(
        "{}://{}{}".format,
        st.sampled_from(["http", "https", "HTTPS", "ftp", "file"]),
        st.text(max_size=20) | st.sampled_from(["localhost", "[::1]", "u:p@host", "host:99999"]),
        st.sampled_from(["", "/v1", "/v1/", "/../x", "?a=b", "#c"]),
    ),
)


@tried
@given(
    st.none() | st.text(max_size=30) | st.sampled_from([TOKEN, f" {TOKEN}\n", f"{TOKEN}\r\nx: y"]),
    st.none() | _addresses,
    st.none() | _addresses,
    st.one_of(st.none(), st.floats(), st.integers(-1, 10**40), st.text(max_size=3)),
)
def test_settings_are_taken_or_refused_in_words(
    token: Any, address: Any, proxy: Any, timeout: Any
) -> None:
    given = {"base_url": address, "proxy": proxy, "timeout": timeout}
    options = {name: value for name, value in given.items() if value is not None}
    try:
        client = Client(token, ledger=None, **options)
    except ConfigurationError as error:
        shown = str(error)
        assert len(shown) > 20
        assert "\n" not in shown.strip()
    else:
        shown = f"{client!r} {client.base_url}"
    assert TOKEN not in shown
    assert "u:p@" not in shown
