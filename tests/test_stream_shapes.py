"""The stream shapes of real engines, read in every way: each way gives the same answer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import operator
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.tools import FunctionTool

from langchain_modelscope import ChatModelScope
from llamaindex_modelscope import ModelScope
from llamaindex_modelscope.errors import ModelScopeOutputParserError
from modelscope_transport import (
    ChatAccumulator,
    ChatDelta,
    ChatRequest,
    ChatResult,
    Client,
    Message,
)
from modelscope_transport._wire.chat import ChatDecoder, decode
from modelscope_transport.emulator import LocalService, Reply, Stream
from tests.streamed_answers import ANSWERS, Answer, Call
from tests.transport.recorded import Sample, named, samples

GOOD = [recorded for recorded in samples("streams") if recorded.meaning == "good"]
CHAT, STREAM_ONLY = "Qwen/Qwen3-Coder-30B-A3B-Instruct", "Qwen/QwQ-32B"
REQUEST = ChatRequest(model=CHAT, messages=(Message("user", "Hello"),))

_T = TypeVar("_T")
every_shape = pytest.mark.parametrize("recorded", GOOD, ids=named)


@pytest.fixture
def service(modelscope_service: LocalService) -> LocalService:
    return modelscope_service


def as_stream(recorded: Sample) -> Stream:
    return Stream(list(recorded.events or ()))


def as_whole(answer: Answer) -> dict[str, Any]:
    """The same answer as a server gives it in one piece."""
    calls = [
        {
            "id": None if call.id == "call_0" else call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in answer.calls
    ]
    message = {"content": answer.text, "reasoning_content": answer.reasoning, "tool_calls": calls}
    usage = answer.usage
    return {
        "choices": [{"message": message, "finish_reason": answer.finish_reason}],
        "usage": usage
        and {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        },
    }


async def gather(things: AsyncIterator[_T]) -> list[_T]:
    return [thing async for thing in things]


# --- the transport


def of_transport(result: ChatResult) -> Answer:
    choice = result.choice
    calls = [
        Call(
            call.id,
            call.name,
            call.arguments,
            None if call.invalid else json.loads(call.arguments or "{}"),
        )
        for call in choice.tool_calls
    ]
    return Answer(choice.text, tuple(calls), result.usage, choice.finish_reason, choice.reasoning)


def accumulated(deltas: Iterable[ChatDelta]) -> Answer:
    answer = ChatAccumulator()
    for delta in deltas:
        answer.add(delta)
    return of_transport(answer.result())


@every_shape
def test_in_the_transport(recorded: Sample, service: LocalService) -> None:
    expected = ANSWERS[recorded.name]

    whole = decode(json.dumps(as_whole(expected)).encode())
    assert isinstance(whole, ChatResult)
    assert of_transport(whole) == expected

    decoder = ChatDecoder()
    fed = [decoder.feed(event.encode()) for event in recorded.events or ()]
    deltas = [delta for delta in [*fed, decoder.finish()] if isinstance(delta, ChatDelta)]
    assert accumulated(deltas) == expected
    pieces = [piece for delta in deltas for piece in delta.tool_calls]
    for index, call in enumerate(expected.calls):
        own = [piece for piece in pieces if piece.index == index]
        assert [piece.id for piece in own if piece.id] == [call.id]
        assert "".join(piece.name or "" for piece in own) == call.name

    with Client(service.token, base_url=service.base_url) as client:
        service.next(*[as_stream(recorded)] * 3)
        stream = client.stream_chat(REQUEST)
        assert accumulated(stream) == expected
        assert of_transport(stream.result()) == expected

        async def read() -> tuple[Answer, Answer]:
            stream = await client.aio.stream_chat(REQUEST)
            deltas = await gather(aiter(stream))
            return accumulated(deltas), of_transport(stream.result())

        assert asyncio.run(read()) == (expected, expected)
        collected = client.chat(ChatRequest(model=STREAM_ONLY, messages=REQUEST.messages))
        assert of_transport(collected) == expected


# --- LangChain


def check_langchain(message: AIMessage, expected: Answer) -> None:
    usable = [call for call in expected.calls if call.args is not None]
    assert message.text == expected.text
    assert [(call["id"], call["name"], call["args"]) for call in message.tool_calls] == [
        (call.id, call.name, call.args) for call in usable
    ]
    blocks = message.content_blocks
    assert [block["id"] for block in blocks if block["type"] == "tool_call"] == [
        call.id for call in usable
    ]
    thoughts = [block["reasoning"] for block in blocks if block["type"] == "reasoning"]
    assert "".join(thoughts) == expected.reasoning
    cut = [call for call in expected.calls if call.args is None]
    for bad, call in zip(message.invalid_tool_calls, cut, strict=True):
        assert (bad["id"], bad["name"]) == (call.id, call.name)
        arguments = bad["args"] or ""
        # A sum of chunks has one bracket more, which keeps LangChain from reading it.
        assert arguments.startswith(call.arguments)
        assert len(arguments) - len(call.arguments) <= 3
    assert message.response_metadata.get("finish_reason") == expected.finish_reason
    usage = message.usage_metadata
    assert (usage and usage["total_tokens"]) == (expected.usage and expected.usage.total_tokens)


def total(chunks: list[Any]) -> AIMessageChunk:
    joined = functools.reduce(operator.add, chunks)
    assert isinstance(joined, AIMessageChunk)
    return joined


@every_shape
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_in_langchain(recorded: Sample, version: str, service: LocalService) -> None:
    expected = ANSWERS[recorded.name]

    def model(**options: Any) -> ChatModelScope:
        place: dict[str, Any] = {"api_key": service.token, "base_url": service.base_url}
        return ChatModelScope(**{"model": CHAT, "output_version": version, **place, **options})

    async def read() -> list[Any]:
        return await gather(model().astream("Hello"))

    service.next(Reply(200, as_whole(expected)))
    check_langchain(model().invoke("Hello"), expected)
    service.next(*[as_stream(recorded)] * 4)
    ways: list[Callable[[], AIMessage]] = [
        lambda: total(list(model().stream("Hello"))),
        lambda: total(asyncio.run(read())),
        lambda: model(streaming=True).invoke("Hello"),
        lambda: model(model=STREAM_ONLY).invoke("Hello"),
    ]
    for way in ways:
        check_langchain(way(), expected)


# --- LlamaIndex


def said_where_nothing_else_is(expected: Answer) -> contextlib.AbstractContextManager[object]:
    """That an answer of nothing but calls that cannot be made is an error."""
    usable = [call for call in expected.calls if call.args is not None]
    if usable or expected.text or not expected.calls:
        return contextlib.nullcontext()
    return pytest.raises(ModelScopeOutputParserError, match="none that can be made")


def check_llamaindex(response: ChatResponse, expected: Answer, llm: ModelScope) -> None:
    usable = [call for call in expected.calls if call.args is not None]
    message, raw = response.message, response.raw
    assert (message.content or "") == expected.text
    assert [
        (block.tool_call_id, block.tool_name, block.tool_kwargs)
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ] == [(call.id, call.name, call.arguments) for call in usable]
    with said_where_nothing_else_is(expected):
        selected = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
        assert [(call.tool_id, call.tool_name, call.tool_kwargs) for call in selected] == [
            (call.id, call.name, call.args) for call in usable
        ]
    invalid = message.additional_kwargs.get("invalid_tool_calls", [])
    assert [(call["id"], call["name"], call["arguments"]) for call in invalid] == [
        call[:3] for call in expected.calls if call.args is None
    ]
    assert isinstance(raw, dict)
    assert raw["finish_reason"] == expected.finish_reason
    assert raw.get("usage", {}).get("total_tokens") == (
        expected.usage and expected.usage.total_tokens
    )


@every_shape
def test_in_llamaindex(recorded: Sample, service: LocalService) -> None:
    expected = ANSWERS[recorded.name]
    llm = ModelScope(CHAT, api_key=service.token, base_url=service.base_url)
    asked = [ChatMessage(role="user", content="Hello")]

    async def read() -> ChatResponse:
        return (await gather(await llm.astream_chat(asked)))[-1]

    service.next(Reply(200, as_whole(expected)))
    check_llamaindex(llm.chat(asked), expected, llm)
    service.next(*[as_stream(recorded)] * 3)
    check_llamaindex(list(llm.stream_chat(asked))[-1], expected, llm)
    check_llamaindex(asyncio.run(read()), expected, llm)
    collecting = ModelScope(STREAM_ONLY, api_key=service.token, base_url=service.base_url)
    check_llamaindex(collecting.chat(asked), expected, collecting)


@every_shape
def test_a_tool_runs_on_whole_arguments_only(recorded: Sample, service: LocalService) -> None:
    expected = ANSWERS[recorded.name]
    ran: list[tuple[str, dict[str, Any]]] = []

    def add(a: int = 0, b: int = 0) -> None:
        ran.append(("add", {"a": a, "b": b}))

    def multiply(a: int = 0, b: int = 0) -> None:
        ran.append(("multiply", {"a": a, "b": b}))

    def note(text: str = "") -> None:
        ran.append(("note", {"text": text}))

    def now() -> None:
        ran.append(("now", {}))

    # of a model that only streams, so that the pieces decide what runs
    llm = ModelScope(STREAM_ONLY, api_key=service.token, base_url=service.base_url)
    service.next(as_stream(recorded))
    with said_where_nothing_else_is(expected):
        llm.predict_and_call(
            [FunctionTool.from_defaults(each) for each in (add, multiply, note, now)],
            "Hello",
            allow_parallel_tool_calls=True,
            error_on_no_tool_call=False,
        )
    assert ran == [(call.name, call.args) for call in expected.calls if call.args is not None]


def test_half_arguments_alone_are_said_to_be_none(service: LocalService) -> None:
    llm = ModelScope(CHAT, api_key=service.token, base_url=service.base_url)
    service.next(Reply(200, as_whole(ANSWERS["tool_call_cut_within_text"])))
    note = FunctionTool.from_defaults(lambda text: text, name="note")
    with pytest.raises(ValueError, match=r"'note'.*max_tokens"):
        llm.predict_and_call([note], "Hello")
