"""Models that cannot be forced to answer in a form: an object all the same, or one clear error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, RootModel

from modelscope_transport.emulator import DONE, LocalService, Reply, Stream
from tests.langchain.conftest import PLAIN, MakeChat

UNFORCED = "Qwen/Qwen3-235B-A22B-Thinking-2507"  # always thinks, only streams
ADA = '{"name": "Ada", "age": 36}'
PROSE = f"Here is the person:\n\n```json\n{ADA}\n```\nIs there anything else?"


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


class Ages(RootModel[list[int]]):
    """Ages of people."""


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def says(text: str, finish_reason: str = "stop", **delta: Any) -> Stream:
    parts = [{"content": text[at : at + 4]} for at in range(0, len(text), 4)]
    said = [{"reasoning_content": "Hm, {."}, *parts, *([delta] if delta else [])]
    chunks: list[Any] = [{"choices": [{"delta": part}]} for part in said]
    chunks.append({"choices": [{"delta": {}, "finish_reason": finish_reason}]})
    return Stream([*chunks, DONE])


def calls(arguments: str, finish_reason: str = "tool_calls") -> Stream:
    call = {"index": 0, "id": "a", "function": {"name": "Person", "arguments": arguments}}
    return says("", finish_reason, tool_calls=[call])


async def outcomes(reader: Any) -> list[Any]:
    """What a call, a stream and their twins give: the object, or the error's class and raw text."""

    async def last(chunks: Any) -> Any:
        seen = [chunk async for chunk in chunks]
        return seen[-1] if seen else None

    found: list[Any] = []
    for way in ("invoke", "ainvoke", "stream", "astream"):
        try:
            if way == "invoke":
                found.append(reader.invoke("Who?"))
            elif way == "ainvoke":
                found.append(await reader.ainvoke("Who?"))
            elif way == "stream":
                found.append(list(reader.stream("Who?"))[-1])
            else:
                found.append(await last(reader.astream("Who?")))
        except OutputParserException as error:
            found.append((type(error), error.llm_output))
    return found


METHODS = ["function_calling", "json_schema", None]


@pytest.mark.parametrize("streaming", [None, True])
@pytest.mark.parametrize("method", METHODS)
async def test_the_object_is_read_from_the_text(
    chat: MakeChat, service: LocalService, method: Any, streaming: bool | None
) -> None:
    service.next(*[says(PROSE)] * 4)
    reader = chat(UNFORCED, streaming=streaming).with_structured_output(Person, method=method)
    assert await outcomes(reader) == [Person(name="Ada", age=36)] * 4


@pytest.mark.parametrize(
    "text",
    ["I would rather not say.", '{"name": "Ada"}', f"{ADA[:-4]}", f'{{"people": [{ADA}, {{"na'],
)
@pytest.mark.parametrize("method", METHODS)
async def test_without_an_object_it_is_an_error_with_the_answer_in_it(
    chat: MakeChat, service: LocalService, method: Any, text: str
) -> None:
    service.next(*[says(text, "length")] * 8)
    reader = chat(UNFORCED).with_structured_output(Person, method=method)
    assert await outcomes(reader) == [(OutputParserException, text)] * 4

    raw: Any = await outcomes(
        chat(UNFORCED).with_structured_output(Person, method=method, include_raw=True)
    )
    for answer in raw[:2]:
        assert answer["parsed"] is None
        assert isinstance(answer["parsing_error"], OutputParserException)
        assert answer["raw"].text == text
    for last in raw[2:]:
        assert isinstance(last["parsing_error"], OutputParserException)


@pytest.mark.parametrize("streaming", [None, True])
async def test_arguments_that_were_cut_are_no_object(
    chat: MakeChat, service: LocalService, streaming: bool | None
) -> None:
    cut = '{"name": "Ada", "age": 3'
    service.next(*[calls(cut, "length")] * 4)
    reader = chat(streaming=streaming).with_structured_output(Person)
    for found in await outcomes(reader):
        assert found[0] is OutputParserException
        assert "Ada" in found[1]


async def test_arguments_that_do_not_fit_are_said(chat: MakeChat, service: LocalService) -> None:
    service.next(*[calls('{"name": "Ada"}')] * 4)
    for kind, raw in await outcomes(chat().with_structured_output(Person)):
        assert kind is OutputParserException
        assert "Ada" in raw


def test_lists_are_read_too(chat: MakeChat, service: LocalService) -> None:
    service.next(says("They are [36, 7]."), says("They are [36, 7]."))
    schema = {"title": "Ages", "type": "array", "items": {"type": "integer"}}
    model = chat(UNFORCED)
    assert model.with_structured_output(Ages, method="json_mode").invoke("?") == Ages([36, 7])
    read: Any = model.with_structured_output(schema, method="json_schema").invoke("?")
    assert read == [36, 7]


def test_the_method_follows_the_profile(chat: MakeChat, service: LocalService) -> None:
    chat().with_structured_output(Person).invoke('The person is called "Ada", aged 36.')
    service.next(says(ADA))
    chat(UNFORCED).with_structured_output(Person).invoke("Who?")
    forced, unforced = (request.body for request in service.requests)
    assert forced["tool_choice"]["function"]["name"] == "Person"
    assert ("response_format" in unforced) or unforced["tool_choice"] == "auto"


# ---------------------------------------------------------------------------- tools beside it


def test_tools_may_be_called_before_the_answer(chat: MakeChat, service: LocalService) -> None:
    asked = {"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    for method in ("function_calling", "json_schema"):
        service.next(says("", "tool_calls", tool_calls=[asked]), says(ADA))
        model = chat(UNFORCED)
        reader = model.with_structured_output(Person, method=method, tools=[add], include_raw=True)  # type: ignore[arg-type]
        first: Any = reader.invoke("Who?")
        assert first["raw"].tool_calls[0]["name"] == "add"
        assert (first["parsed"], first["parsing_error"]) == (None, None)
        second: Any = reader.invoke("Who?")
        assert second["parsed"] == Person(name="Ada", age=36)

    service.next(says("", "tool_calls", tool_calls=[asked]))
    alone = chat(UNFORCED).with_structured_output(Person, method="json_schema", tools=[add])
    with pytest.raises(OutputParserException, match=r"called add; include_raw=True"):
        alone.invoke("Who?")


def test_strict_means_nothing_to_json_mode(chat: MakeChat) -> None:
    with pytest.raises(ValueError, match="json_schema"):
        chat().with_structured_output(Person, method="json_mode", strict=True)


# ---------------------------------------------------------------------------- agents

STRATEGIES: list[Any] = [ToolStrategy(Person), ProviderStrategy(Person), Person]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=["tool", "provider", "auto"])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "messages"])
async def test_an_agent_gets_the_same_object(
    chat: MakeChat, service: LocalService, strategy: Any, mode: str
) -> None:
    service.next(says(PROSE))
    agent: Any = create_agent(chat(UNFORCED), tools=[add], response_format=strategy)
    asked = {"messages": [("user", "Who?")]}
    if mode == "invoke":
        state = agent.invoke(asked)
    elif mode == "ainvoke":
        state = await agent.ainvoke(asked)
    else:
        updates = [
            it
            async for kind, it in agent.astream(asked, stream_mode=["messages", "values"])
            if kind == "values"
        ]
        state = updates[-1]
    assert state["structured_response"] == Person(name="Ada", age=36)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=["tool", "provider", "auto"])
async def test_an_agent_without_an_object_does_not_end_in_silence(
    chat: MakeChat, service: LocalService, strategy: Any
) -> None:
    service.next(*[says("I would rather not say.")] * 2)
    agent: Any = create_agent(chat(UNFORCED), response_format=strategy)
    asked = {"messages": [("user", "Who?")]}
    failures = (OutputParserException, StructuredOutputValidationError)
    with pytest.raises(failures, match=r"I would rather not say|parse"):
        agent.invoke(asked)
    with pytest.raises(failures, match=r"I would rather not say|parse"):
        await agent.ainvoke(asked)


@pytest.mark.parametrize("streaming", [None, True])
@pytest.mark.parametrize("tools", [[], [add]], ids=["no tools", "tools"])
@pytest.mark.parametrize(
    ("arguments", "finish_reason"), [('{"name": "Ada", "age": 3', "length"), ("Ada", "tool_calls")]
)
async def test_an_agent_whose_answer_cannot_be_read_says_so_at_once(
    chat: MakeChat,
    service: LocalService,
    arguments: str,
    finish_reason: str,
    tools: list[Any],
    streaming: bool | None,
) -> None:
    service.next(*[calls(arguments, finish_reason)] * 10)
    model = chat(streaming=streaming)
    agent: Any = create_agent(model, tools=tools, response_format=ToolStrategy(Person))
    asked = {"messages": [("user", "Who?")]}
    few = {"recursion_limit": 8}
    for call in range(2):
        with pytest.raises(OutputParserException, match="arguments of Person") as caught:
            _ = await agent.ainvoke(asked, few) if call else agent.invoke(asked, few)
        assert caught.value.llm_output is not None
        assert caught.value.llm_output.startswith(arguments)
    assert len(service.requests) == 2


def test_a_call_that_can_be_made_is_enough(chat: MakeChat, service: LocalService) -> None:
    broken = {"index": 0, "id": "a", "function": {"name": "Person", "arguments": "Ada"}}
    whole = {"index": 1, "id": "b", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    service.next(says("", "tool_calls", tool_calls=[broken, whole]), calls(ADA))
    agent: Any = create_agent(chat(), tools=[add], response_format=ToolStrategy(Person))
    state = agent.invoke({"messages": [("user", "Who?")]})
    assert state["structured_response"] == Person(name="Ada", age=36)


def test_a_form_given_as_a_class_comes_back_parsed(chat: MakeChat, service: LocalService) -> None:
    service.next(says(PROSE), says(PROSE), says("No."))
    model = chat(UNFORCED).bind(response_format=Person)
    whole = model.invoke("Who?")
    first, *others = list(model.stream("Who?"))
    streamed: Any = first + others
    assert whole.additional_kwargs["parsed"] == Person(name="Ada", age=36)
    assert streamed.additional_kwargs["parsed"] == Person(name="Ada", age=36)
    assert json.loads(whole.text) == json.loads(ADA)
    assert "parsed" not in model.invoke("Who?").additional_kwargs


def test_a_plain_forced_tool_stays_what_it_was(chat: MakeChat, service: LocalService) -> None:
    service.next(
        says("I will not."),
        Reply(
            200,
            {
                "choices": [
                    {"message": {"content": 'So: {"a": 1, "b": 2}'}, "finish_reason": "stop"}
                ]
            },
        ),
    )
    assert chat(UNFORCED).bind_tools([add], tool_choice="any").invoke("?").text == "I will not."
    read = chat(PLAIN).bind_tools([add], tool_choice="add").invoke("?")
    assert read.tool_calls[0]["args"] == {"a": 1, "b": 2}
