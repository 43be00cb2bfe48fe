"""Structured output never ends in silence: each answer, by each way, is one object or one error.

Whatever the model writes, a call, a stream and their async twins of both frameworks read the same
out of it; an answer that holds no object of the class raises, and says what the model wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel, RootModel

from langchain_modelscope import ChatModelScope
from llamaindex_modelscope import ModelScope

from .foreign_server import DONE, ForeignServer, Shape, event


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


class Ages(RootModel[list[int]]):
    """Ages of people."""


class Age(RootModel[int]):
    """An age."""


class Answer(NamedTuple):
    """What a model writes, and what it means.

    Attributes:
        text: what it writes.
        means: the object; or the names of the error's class, in LangChain and LlamaIndex.
        kind: the class that was asked for.
        finish: how it ended.
    """

    text: str
    means: Any
    kind: Any = Person
    finish: str = "stop"


ADA, OBJECT = Person(name="Ada", age=36), '{"name": "Ada", "age": 36}'
NONE = ("OutputParserException", "ModelScopeOutputParserError")
ANSWERS = {
    "valid": Answer(OBJECT, ADA),
    "fenced": Answer(f"```json\n{OBJECT}\n```", ADA),
    "sentences around": Answer(f"Here it is: {OBJECT}. Anything else {{?", ADA),
    "thoughts before": Answer(f'<think>{{"name": "Bob", "age": 1}}</think>\n{OBJECT}', ADA),
    "two values": Answer(f'{{"name": "Bob", "age": 1}}\n{OBJECT}', ADA),
    "another value behind": Answer(f'{OBJECT}\n{{"note": 1}}', ADA),
    "list": Answer("They are [36, 7].", Ages([36, 7]), Ages),
    "scalar": Answer("36", Age(36), Age),
    "cut": Answer(OBJECT[:-4], NONE, finish="length"),
    "wrong object": Answer('{"name": "Ada"}', NONE),
    "prose": Answer("I would rather not say.", NONE),
    "empty": Answer("", NONE),
}
# the strategies of both: LangChain's method, LlamaIndex's mode
STRATEGIES = {
    "tool": ("function_calling", "function_calling"),
    "schema": ("json_schema", "json_schema"),
    "JSON": ("json_mode", "json_object"),
    "by the model": (None, None),
    "text": (None, "text"),
}
MODEL = "engine/any"


@pytest.fixture(scope="module")
def server() -> Iterator[ForeignServer]:
    with ForeignServer() as running:
        yield running


def play(server: ForeignServer, answer: Answer, *, as_call: bool) -> None:
    """Answer so, whole and streamed: as text, or as the arguments of a call of the tool."""
    parts = [answer.text[at : at + 5] for at in range(0, len(answer.text), 5)]
    deltas: list[dict[str, Any]] = [{"content": part} for part in parts]
    if as_call:
        head = {"index": 0, "id": "a", "type": "function"}
        function = {"name": answer.kind.__name__, "arguments": ""}
        pieces = [{**head, "function": function}]
        pieces += [{"index": 0, "function": {"arguments": part}} for part in parts]
        deltas = [{"tool_calls": [piece]} for piece in pieces]
    stream = (*map(event, deltas), event({}, answer.finish), DONE)
    server.add(Shape(MODEL, "written here", stream=stream))


async def langchain(server: ForeignServer, method: Any, kind: Any) -> dict[str, Any]:
    chat = ChatModelScope(
        model=MODEL, base_url=server.base_url, api_key="ms-none", max_retries=0
    ).with_structured_output(kind, method=method)
    asked = "Answer in JSON."

    async def astream() -> Any:
        return [one async for one in chat.astream(asked)][-1]

    return {
        "invoke": told(lambda: chat.invoke(asked)),
        "stream": told(lambda: list(chat.stream(asked))[-1]),
        "ainvoke": await told_async(chat.ainvoke(asked)),
        "astream": await told_async(astream()),
    }


async def llamaindex(server: ForeignServer, mode: Any, kind: Any) -> dict[str, Any]:
    llm = ModelScope(
        MODEL,
        base_url=server.base_url,
        api_key="ms-none",
        max_retries=0,
        structured_output_mode=mode,
    )
    asked = PromptTemplate("Answer in JSON.")

    async def astream() -> Any:
        return [one async for one in await llm.astream_structured_predict(kind, asked)][-1]

    return {
        "predict": told(lambda: llm.structured_predict(kind, asked)),
        "stream": told(lambda: list(llm.stream_structured_predict(kind, asked))[-1]),
        "apredict": await told_async(llm.astructured_predict(kind, asked)),
        "astream": await told_async(astream()),
    }


def told(call: Any) -> Any:
    """The object, or the name of the error's class."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - which one it is, is what is compared
        return type(error).__name__


async def told_async(call: Any) -> Any:
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - which one it is, is what is compared
        return type(error).__name__


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ANSWERS)
async def test_each_answer_is_one_object_or_one_error(
    server: ForeignServer, name: str, strategy: str
) -> None:
    answer, (method, mode) = ANSWERS[name], STRATEGIES[strategy]
    play(server, answer, as_call=False)
    error = isinstance(answer.means, tuple)

    found = await langchain(server, method, answer.kind)
    assert found == dict.fromkeys(found, answer.means[0] if error else answer.means)
    found = await llamaindex(server, mode, answer.kind)
    assert found == dict.fromkeys(found, answer.means[1] if error else answer.means)


@pytest.mark.parametrize("name", ["valid", "cut", "wrong object", "prose"])
async def test_so_is_each_call_of_the_tool(server: ForeignServer, name: str) -> None:
    answer = ANSWERS[name]
    play(server, answer, as_call=True)
    error = isinstance(answer.means, tuple)

    found = await langchain(server, "function_calling", answer.kind)
    assert found == dict.fromkeys(found, answer.means[0] if error else answer.means)
    found = await llamaindex(server, "function_calling", answer.kind)
    assert found == dict.fromkeys(found, answer.means[1] if error else answer.means)
