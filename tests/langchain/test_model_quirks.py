"""Tools and structure on models of every kind on record, sync and async, whole and streamed."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, NO_SCHEMA, PLAIN, STREAM_ONLY, MakeChat

MODELS = [
    PLAIN,
    HYBRID,
    STREAM_ONLY,
    NO_SCHEMA,
    "Qwen/Qwen3-8B",  # thinks in streams only
    "moonshotai/Kimi-K2.5",  # has a switch of its own and one temperature
    "ZhipuAI/GLM-4.7-Flash",
    "nex-agi/Nex-N2.5-mini",  # nothing is known of it
]
WAYS = ["invoke", "ainvoke", "stream", "astream"]


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def ask(model: Any, way: str, question: str) -> Any:
    """The answer; of a stream, the sum of messages or the last object."""
    if way == "invoke":
        return model.invoke(question)
    if way == "ainvoke":
        return await model.ainvoke(question)
    pieces = (
        list(model.stream(question))
        if way == "stream"
        else [piece async for piece in model.astream(question)]
    )
    if not isinstance(pieces[0], AIMessage):
        return pieces[-1]
    total: Any = pieces[0]
    for piece in pieces[1:]:
        total += piece
    return total


@pytest.mark.parametrize("choice", [None, "any", "add"])
@pytest.mark.parametrize("thinking", [None, True, False])
@pytest.mark.parametrize("name", MODELS)
async def test_a_tool_is_called_on_every_model(
    chat: MakeChat, service: LocalService, name: str, thinking: bool | None, choice: str | None
) -> None:
    model = chat(name, enable_thinking=thinking, max_retries=0, temperature=0.5)
    bound = model.bind_tools([add], tool_choice=choice)
    for way in WAYS:
        answer = await ask(bound, way, "Add 2 and 3")
        assert [call["args"] for call in answer.tool_calls] == [{"a": 2, "b": 3}]
        assert answer.response_metadata["finish_reason"] == "tool_calls"
        assert answer.usage_metadata
    sent = service.requests[-1].body
    assert sent["tools"][0]["function"]["name"] == "add"
    if name in (HYBRID, "Qwen/Qwen3-8B") and choice is not None:
        switch = {**sent, **sent.get("chat_template_kwargs", {})}["enable_thinking"]
        assert switch is False


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("thinking", [None, True, False])
@pytest.mark.parametrize("name", MODELS)
async def test_an_object_comes_from_every_model(
    chat: MakeChat, service: LocalService, name: str, thinking: bool | None, method: Any
) -> None:
    model = chat(name, enable_thinking=thinking, max_retries=0)
    reader = model.with_structured_output(Person, method=method)
    for way in WAYS:
        answer = await ask(reader, way, 'The person is called "Ada", aged 36.')
        assert answer == Person(name="Ada", age=36)
    sent = service.requests[-1].body
    assert ("response_format" in sent) is (method == "json_schema" and name != NO_SCHEMA)
    assert ("tools" in sent) is ("response_format" not in sent)
