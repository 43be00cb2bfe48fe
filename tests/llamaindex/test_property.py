"""Whatever a server says: a valid response or an error of ours, through every endpoint.

The errors that LlamaIndex's core catches as a model's wrong words never come out (errors.py tells
what it makes of them). ``HYPOTHESIS_PROFILE=thorough`` tries fifty times as hard.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.tools import FunctionTool

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding, ModelScopeError
from llamaindex_modelscope.errors import ModelScopeOutputParserError
from tests.transport.recorded import Sample, samples

MISREAD = (ValueError, TypeError, AttributeError, LookupError, RuntimeError, OSError)
MESSAGES = [ChatMessage(content="Hello")]
TEXTS = ["one", "two", "three"]

_examples = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 1


def tried(times: int) -> Callable[[Any], Any]:
    return settings(derandomize=True, deadline=None, max_examples=times * _examples)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TOOLS = [FunctionTool.from_defaults(add, name="my.add")]


# --- a server in this process


@dataclass
class Answer:
    """What the server says, in these pieces."""

    status: int
    kind: str | None
    pieces: list[bytes]

    def headers(self) -> dict[str, str]:
        return {} if self.kind is None else {"content-type": self.kind}


_accounts = itertools.count()


def token() -> str:
    """A new account: what one example says of its allowance is not the next one's business."""
    return f"ms-{next(_accounts):08d}-0000-4000-8000-000000000000"


def reach(answer: Answer) -> dict[str, Any]:
    def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(answer.status, headers=answer.headers(), content=iter(answer.pieces))

    async def pieces() -> AsyncIterator[bytes]:
        for piece in answer.pieces:
            yield piece

    async def areply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(answer.status, headers=answer.headers(), content=pieces())

    return {
        "api_key": token(),
        "base_url": "http://127.0.0.1:9/v1",
        "max_retries": 0,
        "http_client": httpx.Client(transport=httpx.MockTransport(reply)),
        "async_http_client": httpx.AsyncClient(transport=httpx.MockTransport(areply)),
    }


# --- every endpoint


async def _whole(stream: Any) -> list[Any]:
    return [response async for response in await stream]


def chats(llm: ModelScope) -> Iterator[Callable[[], Any]]:
    yield lambda: [llm.chat(MESSAGES)]
    yield lambda: [llm.complete("Hello")]
    yield lambda: list(llm.stream_chat(MESSAGES))
    yield lambda: list(llm.stream_complete("Hello"))
    yield lambda: [llm.chat_with_tools(TOOLS, user_msg="Hello")]
    yield lambda: list(llm.stream_chat_with_tools(TOOLS, user_msg="Hello"))


def achats(llm: ModelScope) -> Iterator[Callable[[], Any]]:
    yield lambda: _one(llm.achat(MESSAGES))
    yield lambda: _one(llm.acomplete("Hello"))
    yield lambda: _whole(llm.astream_chat(MESSAGES))
    yield lambda: _whole(llm.astream_complete("Hello"))
    yield lambda: _one(llm.achat_with_tools(TOOLS, user_msg="Hello"))
    yield lambda: _whole(llm.astream_chat_with_tools(TOOLS, user_msg="Hello"))


async def _one(answer: Any) -> list[Any]:
    return [await answer]


def try_chats(answer: Answer) -> None:
    with asyncio.Runner() as runner:
        _try_chats(answer, runner)


def _try_chats(answer: Answer, runner: asyncio.Runner) -> None:
    for endpoint in range(6):  # a model for each, since it learns of its account
        # An account for each: what the first call learns of it would decide the second.
        llm = ModelScope("some/model", **reach(answer))
        call = list(chats(llm))[endpoint]
        acall = list(achats(ModelScope("some/model", **reach(answer))))[endpoint]
        told, atold = outcome(call), outcome(lambda acall=acall: runner.run(acall()))
        assert repr(told) == repr(atold), "sync and async differ"  # repr: NaN equals itself there
        if isinstance(told, tuple):
            assert not issubclass(told[0], MISREAD)
            continue
        for response in told:
            check_response(llm, response)


def outcome(call: Callable[[], Any]) -> Any:
    """What came out: responses, or an error of ours. Any other goes on and fails the test."""
    try:
        return call()
    except ModelScopeError as error:
        return type(error), error.details.reason


def check_response(llm: ModelScope, response: Any) -> None:
    response.model_dump_json()
    if isinstance(response, CompletionResponse):
        assert isinstance(response.text, str)
        return
    assert isinstance(response, ChatResponse)
    assert response.message.blocks
    assert isinstance(response.raw, dict)
    json.dumps(response.raw)
    invalid = response.message.additional_kwargs.get("invalid_tool_calls")
    try:
        calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    except ModelScopeOutputParserError:
        assert invalid
        return
    for call in calls:
        assert isinstance(call.tool_kwargs, dict)


def try_embeddings(answer: Answer) -> None:
    with asyncio.Runner() as runner:
        _try_embeddings(answer, runner)


def _try_embeddings(answer: Answer, runner: asyncio.Runner) -> None:
    def embed_model() -> ModelScopeEmbedding:
        return ModelScopeEmbedding("some/model", **reach(answer))

    calls: list[tuple[int, Callable[[], Any]]] = [
        (1, lambda: [embed_model().get_query_embedding("one")]),
        (1, lambda: [embed_model().get_text_embedding("one")]),
        (3, lambda: embed_model().get_text_embedding_batch(TEXTS)),
        (1, lambda: [runner.run(embed_model().aget_query_embedding("one"))]),
        (1, lambda: [runner.run(embed_model().aget_text_embedding("one"))]),
        (3, lambda: runner.run(embed_model().aget_text_embedding_batch(TEXTS))),
    ]
    for count, call in calls:
        vectors = outcome(call)
        if isinstance(vectors, list):
            assert len(vectors) == count
            assert all(vector and len(vector) == len(vectors[0]) for vector in vectors)
            assert all(type(number) is float for vector in vectors for number in vector)


# --- what it says

KINDS = ["application/json", "text/event-stream", "text/html; charset=gbk", None]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "\ud800", "[DONE]", "insufficient balance", "call_0", "length", "stop"])
)
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def shaped(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object of these fields, any of them null."""
    return st.fixed_dictionaries({name: form | st.none() for name, form in fields.items()})


text = st.text(max_size=12)
counts = st.integers(0, 100)
numbers = st.floats(allow_nan=False, allow_infinity=False)
usage = shaped(prompt_tokens=counts, completion_tokens=counts, total_tokens=counts)
function = shaped(
    name=st.sampled_from(["my_add", "add", ""]),
    arguments=text | st.sampled_from(["{}", '{"a": 1}', '{"a": ', "[1]"]),
)
call = shaped(index=st.integers(-2, 3), id=text, type=st.just("function"), function=function)
said = shaped(
    role=st.just("assistant"),
    content=text,
    reasoning_content=text,
    reasoning=text,
    refusal=text,
    tool_calls=st.lists(call, max_size=3),
)
token_log = shaped(token=text, logprob=numbers, bytes=junk, top_logprobs=junk)
choice = st.fixed_dictionaries(
    {
        "message": said,
        "delta": said,
        "finish_reason": st.sampled_from(["stop", "tool_calls", "length", "", None]),
        "logprobs": st.none() | shaped(content=st.lists(token_log, max_size=2)),
    }
)
envelope = st.fixed_dictionaries(
    {
        "choices": st.lists(choice, min_size=1, max_size=2),
        "usage": usage | st.none(),
        "id": text | st.none(),
        "model": text | st.none(),
        "created": st.integers() | numbers | st.none(),
    }
)
vector = st.fixed_dictionaries(
    {
        "embedding": st.lists(st.floats(-1, 1), min_size=2, max_size=2) | st.just("AACAPwAAgD8="),
        "index": st.integers(0, 2) | st.none(),
    }
)
vectors = st.fixed_dictionaries(
    {"data": st.lists(vector, min_size=1, max_size=3), "usage": usage | st.none()}
)


def dumped(value: Any) -> bytes:
    """JSON, also of what Python writes and the standard does not know: NaN, lone surrogates."""
    return json.dumps(value, ensure_ascii=True).encode()


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """Recorded bytes: as they are, cut, with one byte changed, or with one value exchanged."""
    way = draw(st.sampled_from(["whole", "whole", "cut", "byte", "value", "value"]))
    if way == "whole" or not whole:
        return whole
    place = draw(st.integers(0, len(whole) - 1))
    if way == "cut":
        return whole[:place]
    if way == "byte":
        return whole[:place] + draw(st.binary(min_size=1, max_size=2)) + whole[place + 1 :]
    try:
        body = json.loads(whole)
    except ValueError:
        return whole
    return dumped(exchanged(draw, body))


def exchanged(draw: st.DrawFn, value: Any) -> Any:
    """A value with one of those inside it exchanged for junk."""
    if isinstance(value, dict) and value and draw(st.booleans()) is False:
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: exchanged(draw, value[key])}
    if isinstance(value, list) and value and draw(st.booleans()) is False:
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], exchanged(draw, value[place]), *value[place + 1 :]]
    return draw(junk)


def recorded(*folders: str) -> list[Sample]:
    return [one for folder in folders for one in samples(folder)]


statuses = st.sampled_from([200] * 50 + [201, 204, 302, 400, 401, 403, 404, 429, 500, 503])


def in_pieces(draw: st.DrawFn, body: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
    return [body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)])]


@st.composite
def answers(draw: st.DrawFn, form: st.SearchStrategy[Any], *folders: str) -> Answer:
    """A reply in one body."""
    way = draw(st.sampled_from(["shaped", "recorded", "junk", "bytes"]))
    status = draw(statuses)
    if way == "recorded":
        sample = draw(st.sampled_from([one for one in recorded(*folders) if one.body is not None]))
        status = draw(st.sampled_from([sample.status, status]))
        body = draw(spoilt((sample.body or "").encode()))
    elif way == "bytes":
        body = draw(st.binary(max_size=64))
    else:
        body = draw(spoilt(dumped(draw(form))) if way == "shaped" else junk.map(dumped))
    return Answer(status, draw(st.sampled_from(KINDS)), in_pieces(draw, body))


@st.composite
def streams(draw: st.DrawFn) -> Answer:
    """A reply of server-sent events."""
    if draw(st.booleans()):
        sample = draw(
            st.sampled_from([one for one in recorded("streams", "failures") if one.events])
        )
        payloads = [draw(spoilt(event.encode())) for event in sample.events or ()]
    else:
        payloads = [*draw(st.lists(envelope.map(dumped), min_size=1, max_size=4)), b"[DONE]"]
        place = draw(st.integers(0, len(payloads) - 1))
        payloads[place] = draw(spoilt(payloads[place]) | st.binary(max_size=32) | junk.map(dumped))
    end = draw(st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n"]))
    before = draw(st.sampled_from([b"data: ", b"data:", b": note\n\ndata: ", b"event: x\ndata: "]))
    body = b"".join(before + payload + end for payload in payloads)
    status = draw(statuses)
    return Answer(status, draw(st.sampled_from(KINDS[1::-1])), in_pieces(draw, body))


HUGE = {
    "deep": b"[" * 100_000,
    "deep in a stream": b"data: " + b'{"choices":' * 50_000 + b"\n\n",
    "long text": dumped({"choices": [{"message": {"content": "x" * 300_000}}]}),
    "many choices": dumped({"choices": [{"message": {"content": "x"}}] * 2_000}),
    "long event": b"data: " + b"x" * 2_000_000,
    "long number": b'{"created": ' + b"9" * 100_000 + b"}",
    "many calls": dumped({"choices": [{"message": {"tool_calls": [{}] * 500}}]}),
    "nothing": b"",
    "not UTF-8": b'{"choices": [{"message": {"content": "\xff\xfe"}}]}',
    "not UTF-8 in a stream": b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
    "lone surrogate": b'{"choices": [{"message": {"content": "\\ud800"}}]}',
    "lone surrogate in a stream": b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n',
}


@tried(40)
@given(answer=answers(envelope, "chat", "failures"))
def test_any_body_as_a_chat(answer: Answer) -> None:
    try_chats(answer)


@tried(50)
@given(answer=streams())
@example(Answer(200, "text/event-stream", [b""]))
def test_any_stream_as_a_chat(answer: Answer) -> None:
    try_chats(answer)


@tried(50)
@given(answer=answers(vectors, "embeddings", "failures"))
def test_any_body_as_embeddings(answer: Answer) -> None:
    try_embeddings(answer)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("body", HUGE)
def test_bodies_of_odd_sizes(body: str, kind: str) -> None:
    answer = Answer(200, kind, [HUGE[body]])
    try_chats(answer)
    try_embeddings(answer)
