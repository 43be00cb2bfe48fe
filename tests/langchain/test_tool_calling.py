"""Tools: offered in every form, chosen in every form, called in every shape the wire has shown."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_modelscope import ModelScopeInvalidRequestError
from modelscope_transport.emulator import DONE, LocalService, Reply, Stream
from tests.langchain import mixed
from tests.langchain.conftest import HYBRID, STREAM_ONLY, MakeChat


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


class Subtract(BaseModel):
    """Subtract two numbers."""

    a: int = Field(description="from this")
    b: int


class Divide(TypedDict):
    """Divide two numbers."""

    a: int
    b: int


ANTHROPIC = {
    "name": "power",
    "description": "Raise a number.",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
}


def total(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole: Any = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


def test_tools_in_every_form(chat: MakeChat, service: LocalService) -> None:
    chat().bind_tools([add, multiply, Subtract, Divide, ANTHROPIC]).invoke("Hello")

    functions = [offered["function"] for offered in service.requests[0].body["tools"]]
    assert [(function["name"], function["description"]) for function in functions] == [
        ("add", "Add two numbers."),
        ("multiply", "Multiply two numbers."),
        ("Subtract", "Subtract two numbers."),
        ("Divide", "Divide two numbers."),
        ("power", "Raise a number."),
    ]
    assert functions[2]["parameters"]["properties"]["a"] == {
        "description": "from this",
        "type": "integer",
    }
    assert all("strict" not in function for function in functions)


CHOICES: list[tuple[Any, Any]] = [
    (None, None),
    (False, None),
    ("auto", "auto"),
    ("none", "none"),
    ("any", "required"),
    ("required", "required"),
    (True, "required"),
    ("multiply", {"type": "function", "function": {"name": "multiply"}}),
    (
        {"type": "function", "function": {"name": "multiply"}},
        {"type": "function", "function": {"name": "multiply"}},
    ),
    (
        {"type": "tool", "name": "multiply"},
        {"type": "function", "function": {"name": "multiply"}},
    ),
    ({"type": "any"}, "required"),
    ({"type": "auto"}, "auto"),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES, ids=str)
def test_a_tool_choice_in_every_form(
    chat: MakeChat, service: LocalService, choice: Any, expected: Any
) -> None:
    answer: AIMessage = chat().bind_tools([add, multiply], tool_choice=choice).invoke("Hello 2 3")

    assert service.requests[0].body.get("tool_choice") == expected
    called = [call["name"] for call in answer.tool_calls]
    if expected == "required":
        assert called
    elif isinstance(expected, dict):
        assert called == ["multiply"]
    else:
        assert not called


def test_a_choice_that_is_no_tool_is_said_at_once(chat: MakeChat) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="add, multiply"):
        chat().bind_tools([add, multiply], tool_choice="divide")


@pytest.mark.parametrize("choice", ["auto", "any", True, "web_search"])
def test_another_providers_own_tool_is_refused_with_a_choice(chat: MakeChat, choice: Any) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="'web_search' is another provider's"):
        chat().bind_tools([add, {"type": "web_search"}], tool_choice=choice)


def test_another_providers_own_tool_is_refused(chat: MakeChat, service: LocalService) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="functions only"):
        chat().bind_tools([{"type": "web_search"}]).invoke("Hello")
    assert not service.requests


def test_no_tools_send_no_tools(chat: MakeChat, service: LocalService) -> None:
    chat().bind_tools([]).invoke("Hello")

    assert not {"tools", "tool_choice"} & set(service.requests[0].body)


@pytest.mark.parametrize("value", [True, False])
def test_strict_and_parallel_tool_calls(chat: MakeChat, service: LocalService, value: bool) -> None:
    bound = chat().bind_tools([add], strict=value, parallel_tool_calls=value)
    bound.invoke("Hello")

    body = service.requests[0].body
    assert body["tools"][0]["function"]["strict"] is value
    assert body["parallel_tool_calls"] is value


def test_a_model_that_cannot_be_forced_is_left_to_choose(
    chat: MakeChat, service: LocalService
) -> None:
    answer = chat(STREAM_ONLY).bind_tools([add], tool_choice="any").invoke("Add 2 and 3")

    assert service.requests[0].body["tool_choice"] == "auto"
    assert answer.tool_calls[0]["args"] == {"a": 2, "b": 3}
    assert any("forced" in said for said in answer.response_metadata["modelscope"]["adjustments"])


def test_an_empty_answer_to_a_forced_tool_is_asked_again_without_thinking(
    chat: MakeChat, service: LocalService
) -> None:
    service.next("shell")
    model = chat("nex-agi/Nex-N2.5-mini").bind_tools([add], tool_choice="any")
    answer = model.invoke("Add 2 and 3")

    first, second = (request.body for request in service.requests)
    assert first["tool_choice"] == "required"
    assert "enable_thinking" not in first
    assert second["enable_thinking"] is False
    assert second["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert answer.tool_calls


# ------------------------------------------------------------------------------ what comes back

SHAPES = [
    "honest",
    "repeated_tool_head",
    "bare_tool_head",
    "tools_in_one_chunk",
    "interleaved_tools",
    "no_tool_type",
    "text_beside_tools",
    "usage_everywhere",
    "two_finishes",
    "one_byte",
    "fragments:7",
    "crlf",
    "comments",
    "many_lines",
    "line_separator",
    "no_done",
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_parallel_calls_in_every_shape_of_stream(
    chat: MakeChat, service: LocalService, shape: str, version: str
) -> None:
    model = chat(HYBRID, output_version=version).bind_tools([add, multiply])
    service.next(shape, shape)
    question = "Add and multiply 北 2 3"

    streamed = total([chunk async for chunk in model.astream(question)])
    again = total(list(model.stream(question)))

    for answer in (streamed, again):
        assert [(call["name"], call["args"]) for call in answer.tool_calls] == [
            ("add", {"a": 2, "b": 3}),
            ("multiply", {"a": 2, "b": 3}),
        ]
        assert len({call["id"] for call in answer.tool_calls}) == 2
        assert not answer.invalid_tool_calls
        assert answer.additional_kwargs["reasoning_content"]
        assert answer.response_metadata["finish_reason"] == "tool_calls"
        assert answer.usage_metadata
        assert answer.usage_metadata["output_tokens"] > 10


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(None, {}), ("", {}), ("null", {}), ("{}", {}), ('{"a": "x\ny"}', {"a": "x\ny"})],
    ids=["none", "empty", "null", "object", "line break"],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
def test_arguments_that_are_still_an_object(
    chat: MakeChat, service: LocalService, arguments: Any, expected: Any, streamed: bool
) -> None:
    answer = answered(chat, service, arguments, streamed)

    assert [call["args"] for call in answer.tool_calls] == [expected]
    assert not answer.invalid_tool_calls


@pytest.mark.parametrize("arguments", ["not JSON", "[1, 2]", '"text"'], ids=str)
@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
def test_arguments_that_are_none_are_invalid_calls(
    chat: MakeChat, service: LocalService, arguments: str, streamed: bool
) -> None:
    answer = answered(chat, service, arguments, streamed)

    assert not answer.tool_calls
    assert [(call["id"], call["name"], call["args"]) for call in answer.invalid_tool_calls] == [
        ("call_1", "add", arguments)
    ]


def answered(chat: MakeChat, service: LocalService, arguments: Any, streamed: bool) -> AIMessage:
    called = mixed.call(0, arguments, id="call_1", name="add")
    if streamed:
        service.next(Stream([mixed.chunk(tool_calls=[called]), mixed.chunk("tool_calls"), DONE]))
        return total(list(chat().stream("Hello")))
    choice = {"message": {"content": None, "tool_calls": [called]}, "finish_reason": "tool_calls"}
    service.next(Reply(200, {"choices": [choice]}))
    return chat().invoke("Hello")


@pytest.mark.parametrize("shape", ["no_tool_id", "no_tool_index", "object_tool_arguments"])
@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
def test_a_call_can_always_be_answered(
    chat: MakeChat, service: LocalService, shape: str, streamed: bool
) -> None:
    service.next(shape)
    model = chat().bind_tools([add])
    asked = "Add 2 and 3"
    answer = total(list(model.stream(asked))) if streamed else model.invoke(asked)

    assert answer.tool_calls[0]["args"] == {"a": 2, "b": 3}
    assert answer.tool_calls[0]["id"]
