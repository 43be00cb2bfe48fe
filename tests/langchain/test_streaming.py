"""Streams as LangChain's core wants them: who decides to stream, what stands on which chunk."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import chat_models
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import ConfigurableField, config
from pydantic import BaseModel

from langchain_modelscope import ModelScopeEmptyReplyError, ModelScopeStreamInterruptedError
from modelscope_transport.calls.retry import RetryPolicy
from modelscope_transport.emulator import DONE, LocalService, Stream
from tests.langchain import mixed
from tests.langchain.conftest import HYBRID, PLAIN, MakeChat


def whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return chunks[0] + chunks[1:]


def said(text: str, finish: str | None = None, **usage: int) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": "local", "choices": [choice], "usage": usage or None}


# ------------------------------------------------------------------------------ whether to stream


@pytest.mark.parametrize(
    ("options", "arguments", "streams"),
    [
        ({}, {}, False),
        ({}, {"stream": True}, True),
        ({}, {"stream": False}, False),
        ({"streaming": True}, {}, True),
        ({"streaming": True}, {"stream": False}, False),
        ({"streaming": True, "disable_streaming": True}, {}, False),
        ({"disable_streaming": "tool_calling"}, {"stream": True}, True),
    ],
    ids=str,
)
async def test_an_invoke_streams_where_that_was_asked_for(
    chat: MakeChat,
    service: LocalService,
    options: dict[str, Any],
    arguments: dict[str, Any],
    streams: bool,
) -> None:
    model = chat(**options)
    answers = [model.invoke("Hello", **arguments), await model.ainvoke("Hello", **arguments)]

    assert answers[0].text == answers[1].text != ""
    assert len(service.requests) == 2
    for answer, request in zip(answers, service.requests, strict=True):
        assert request.body.get("stream", False) is streams
        assert ("stream_options" in request.body) is streams
        assert answer.usage_metadata


def test_with_tools_streaming_can_be_left_out(chat: MakeChat, service: LocalService) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    model = chat(disable_streaming="tool_calling")
    assert len(list(model.stream("Hello"))) > 3
    (called,) = model.bind_tools([add]).stream("Add 2 and 3")

    assert called.tool_calls[0]["args"] == {"a": 2, "b": 3}
    assert [request.body.get("stream", False) for request in service.requests] == [True, False]


def test_a_configured_model_still_streams(chat: MakeChat, service: LocalService) -> None:
    # LangChain makes the other model out of all fields of this one, defaults included
    model = chat().configurable_fields(temperature=ConfigurableField(id="heat"))
    chunks = list(model.stream("Hello", {"configurable": {"heat": 0.5}}))

    assert len(chunks) > 3
    assert service.requests[0].body["stream"] is True
    assert service.requests[0].body["temperature"] == 0.5


def test_an_invoke_that_streams_says_the_same(chat: MakeChat, service: LocalService) -> None:
    streamed = chat(streaming=True).invoke("Hello")
    plain = chat(streaming=False).invoke("Hello")

    assert [bool(request.body.get("stream")) for request in service.requests] == [True, False]
    assert streamed.content == plain.content
    assert streamed.usage_metadata == plain.usage_metadata


def test_streaming_can_be_disabled(chat: MakeChat, service: LocalService) -> None:
    assert len(list(chat(disable_streaming=True).stream("Hello"))) == 1
    assert "stream" not in service.requests[0].body


@pytest.mark.parametrize(
    ("options", "arguments"),
    [({"n": 2}, {}), ({}, {"n": 2}), ({"model_kwargs": {"n": 2}}, {}), ({"n": 1}, {"n": 2})],
    ids=str,
)
async def test_several_answers_come_whole_where_a_stream_is_asked_for(
    chat: MakeChat, service: LocalService, options: dict[str, Any], arguments: dict[str, Any]
) -> None:
    model = chat(streaming=True, **options)
    (streamed,) = model.stream("Hello", **arguments)
    (awaited,) = [chunk async for chunk in model.astream("Hello", **arguments)]
    result = model.generate([[HumanMessage("Hello")]], **arguments)

    assert streamed.text == awaited.text != ""
    assert len(result.generations[0]) == 2
    assert [("stream" in it.body, it.body["n"]) for it in service.requests] == [(False, 2)] * 3


def test_usage_in_streams_can_be_left_out(chat: MakeChat, service: LocalService) -> None:
    joined = whole(list(chat(stream_usage=False).stream("Hello")))
    with_usage = whole(list(chat().stream("Hello")))

    assert "stream_options" not in service.requests[0].body
    assert joined.usage_metadata is None
    assert service.requests[1].body["stream_options"] == {"include_usage": True}
    assert with_usage.usage_metadata


async def test_the_async_ways_take_no_threads(
    chat: MakeChat, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a thread was wanted")

    monkeypatch.setattr(chat_models, "run_in_executor", refuse)
    monkeypatch.setattr(config, "run_in_executor", refuse)
    model = chat()

    answer = await model.ainvoke("Hello")
    streamed = whole([chunk async for chunk in model.astream("Hello")])
    (again,) = await model.abatch(["Hello"])
    assert answer.text == streamed.text == again.text
    assert [bool(request.body.get("stream")) for request in service.requests] == [
        False,
        True,
        False,
    ]


# ------------------------------------------------------------------------------- on which chunk


class Tokens(BaseCallbackHandler):
    def __init__(self) -> None:
        self.texts: list[Any] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.texts.append(token)


async def test_a_callback_hears_every_token_once(chat: MakeChat) -> None:
    for way in ("stream", "astream", "invoke"):
        heard = Tokens()
        model = chat(callbacks=[heard], streaming=True)
        if way == "stream":
            chunks = list(model.stream("Hello"))
        elif way == "astream":
            chunks = [chunk async for chunk in model.astream("Hello")]
        else:
            assert model.invoke("Hello").text == "".join(heard.texts)
            continue
        # the chunk without text that ends a stream is no token to some versions of LangChain
        assert "".join(heard.texts) == whole(chunks).text
        assert [text for text in heard.texts if text] == [it.text for it in chunks if it.text]


class Endings(BaseCallbackHandler):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.told.append(response.generations[0][0].generation_info)


async def test_a_callback_hears_how_a_stream_ended(chat: MakeChat, service: LocalService) -> None:
    tokens = [{"token": text, "logprob": -0.5, "top_logprobs": []} for text in ("Hel", "lo")]
    pieces = [said(token["token"]) for token in tokens]  # type: ignore[arg-type]
    for piece, token in zip(pieces, tokens, strict=True):
        piece["choices"][0]["logprobs"] = {"content": [token]}
    service.next(*[Stream([*pieces, said("", "length"), DONE])] * 4)
    heard = Endings()
    model = chat(callbacks=[heard], streaming=True)

    list(model.stream("Hello"))
    assert [chunk async for chunk in model.astream("Hello")]
    model.invoke("Hello")
    await model.ainvoke("Hello")

    assert heard.told == [{"finish_reason": "length", "logprobs": {"content": tokens}}] * 4


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_what_would_be_added_up_stands_on_one_chunk(
    chat: MakeChat, service: LocalService, version: str
) -> None:
    service.next(mixed.stream())
    chunks = list(chat(output_version=version).stream("Weather?"))

    def bearing(name: str) -> int:
        return sum(name in chunk.response_metadata for chunk in chunks)

    assert {chunk.response_metadata.get("model_provider") for chunk in chunks} == {"modelscope"}
    assert bearing("model_name") == bearing("finish_reason") == bearing("id") == 1
    assert [bool(chunk.usage_metadata) for chunk in chunks].count(True) == 1
    assert [chunk.chunk_position for chunk in chunks].count("last") == 1
    assert chunks[-1].chunk_position == "last"
    assert len({chunk.id for chunk in chunks}) == 1


@pytest.mark.parametrize("joined", [False, True], ids=["stream", "invoke"])
def test_usage_on_every_chunk_is_counted_once(
    chat: MakeChat, service: LocalService, joined: bool
) -> None:
    # as vLLM sends it when asked for continuous usage: a running total
    def counted(number: int, finish: str | None = None) -> dict[str, Any]:
        usage = {"prompt_tokens": 30, "completion_tokens": number, "total_tokens": 30 + number}
        return said(f"{number} ", finish, **usage)

    service.next(Stream([*map(counted, range(1, 10)), counted(10, "stop"), DONE]))
    model = chat()
    answer: AIMessage = (
        model.invoke("Count.", stream=True) if joined else whole(list(model.stream("Count.")))
    )

    assert service.requests[0].body["stream_options"] == {"include_usage": True}
    assert answer.text == "1 2 3 4 5 6 7 8 9 10 "
    assert answer.usage_metadata == {"input_tokens": 30, "output_tokens": 10, "total_tokens": 40}


async def test_an_end_without_usage_is_an_end(chat: MakeChat, service: LocalService) -> None:
    events: list[Any] = [said("Hello "), said("there."), said("", "stop"), DONE]
    service.next(Stream(events), Stream(events), Stream(events))
    model = chat()
    answers = [
        whole(list(model.stream("Hello"))),
        whole([chunk async for chunk in model.astream("Hello")]),
        model.invoke("Hello", stream=True),
    ]
    for answer in answers:
        assert answer.text == "Hello there."
        assert answer.usage_metadata is None
        assert answer.response_metadata["finish_reason"] == "stop"
    assert all(request.body["stream"] is True for request in service.requests)


# -------------------------------------------------------------------------------- nothing in it


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("model", [PLAIN, HYBRID, "Qwen/QwQ-32B"])
async def test_an_empty_success_is_asked_again_then_named(
    chat: MakeChat, service: LocalService, model: str, way: str
) -> None:
    async def ask() -> str:
        it = chat(model)
        it._client._core.policy = RetryPolicy(first_delay=0)
        if way == "invoke":
            return it.invoke("Hello").text
        if way == "ainvoke":
            return (await it.ainvoke("Hello")).text
        if way == "stream":
            return whole(list(it.stream("Hello"))).text
        return whole([chunk async for chunk in it.astream("Hello")]).text

    service.next("shell")
    assert await ask()
    assert len(service.requests) == 2

    service.reset()
    service.next(*["shell"] * 5)
    with pytest.raises(ModelScopeEmptyReplyError) as caught:
        await ask()
    assert len(service.requests) == 3
    assert caught.value.is_retryable
    assert "tool" in str(caught.value)
    assert model in str(caught.value)


class Person(BaseModel):
    """A person that a text tells about."""

    name: str


@pytest.mark.parametrize("form", [None, Person], ids=["text", "object"])
async def test_all_that_came_before_a_stream_broke_is_given_out(
    chat: MakeChat, service: LocalService, form: Any
) -> None:
    model = chat().bind(response_format=form) if form else chat()
    texts = ['{"name": ', '"Ada']
    pieces = [*map(said, texts), {"error": {"message": "engine died", "code": 500}}]
    service.next(Stream(pieces), Stream(pieces))
    seen: list[str] = []

    async def read() -> None:
        async for chunk in model.astream("Hello"):
            seen.append(chunk.text)  # noqa: PERF401 - a list would be lost with the error

    with pytest.raises(ModelScopeStreamInterruptedError):
        seen.extend(chunk.text for chunk in model.stream("Hello"))
    with pytest.raises(ModelScopeStreamInterruptedError) as caught:
        await read()
    assert seen == texts * 2
    assert caught.value.partial is not None
    assert caught.value.partial.text == "".join(texts)
