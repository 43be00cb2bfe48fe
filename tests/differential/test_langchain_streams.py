"""Every stream shape through ChatModelScope and ChatOpenAI: equal, or better with the reason.

Ours must give the truth of a shape, streamed and whole. Theirs gives it too (equal), or the row
stands in `BETTER` with what they lose; a row there that is equal by now fails as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from langchain_modelscope import ChatModelScope, ModelScopeError

from .foreign_server import ForeignServer
from .shape_parts import OWN
from .shapes import ROWS, Row

# a file or an issue of a repository, or a page
SOURCE = re.compile(r"[\w.-]+/[\w.-]+(#[0-9]+| [\w./-]+\.[a-z]+)|https://\S+")

_USAGE = "token usage that stands on several chunks is added up"
_COMMENT = "an event without data is an error"
_THOUGHTS = "thoughts are dropped"
_DATA = "a comment that a gateway sends as data is an error"
_HALF = "half an answer is taken for a whole one"
BETTER: dict[str, str] = {
    "vllm/usage-on-every-chunk": _USAGE,
    "gemini/usage-with-text": _USAGE,
    "dynamo/comments": _COMMENT,
    "sse/retry-and-id": _COMMENT,
    "hermes/name-on-each-piece": "the tool is called addaddadd",
    "llmgateway/ping-between": _COMMENT,
    "manifest/comment-as-data": _DATA,
    "vertex/keep-alive-as-data": _DATA,
    "kimi/usage-in-the-choice": "token usage that stands in the choice is lost",
    "vllm/equal-indices-empty-ids": "two calls become one with both names",
    "gemini/pieces-without-index": "the pieces become two calls, neither of them whole",
    "litellm/arguments-as-object": "arguments that are an object are an error",
    "proxy/cut": _HALF,
    "gateway/code-and-message-midway": _HALF,
    "gateway/detail-midway": _HALF,
    "gateway/object-error-midway": _HALF,
    "gateway/hub-form-midway": _HALF,
    "vllm/thoughts": _THOUGHTS,
    "sglang/thoughts": _THOUGHTS,
    "deepseek/thoughts": _THOUGHTS,
    "dashscope/thoughts": _THOUGHTS,
    "llamacpp/thoughts": _THOUGHTS,
    "gateway/thoughts-beside-text": _THOUGHTS,
    "gateway/thoughts-then-call": _THOUGHTS,
    "vllm/reasoning": _THOUGHTS,
    "ollama/reasoning": _THOUGHTS,
    "openrouter/reasoning-beside-null": _THOUGHTS,
    "kimi/thoughts-to-the-end": _THOUGHTS,
}


def row_id(row: Row) -> str:
    return row.shape.name


each_row = pytest.mark.parametrize("row", ROWS, ids=row_id)


@pytest.fixture(scope="module")
def server() -> Iterator[ForeignServer]:
    with ForeignServer([row.shape for row in ROWS]) as running:
        yield running


def ours(server: ForeignServer, model: str) -> Any:
    return ChatModelScope(
        model=model, base_url=server.base_url, api_key="ms-none", max_retries=0, timeout=20
    )


def theirs(server: ForeignServer, model: str) -> Any:
    return ChatOpenAI(
        model=model,
        base_url=server.base_url,
        api_key="none",  # type: ignore[arg-type]
        max_retries=0,
        timeout=20,
        stream_usage=True,
    )


def streamed(model: Any) -> AIMessage:
    first, *others = list(model.stream("Hello"))
    whole: AIMessage = first + others
    return whole


def truth(row: Row, *, whole: bool = False) -> Any:
    if row.fails:
        return "error"
    return {
        "text": row.text,
        "thoughts": row.thoughts,
        "calls": list(row.calls),
        "usage": row.usage,
    }


def seen(call: Any) -> Any:
    """What came: the same form as the truth; an error is one."""
    try:
        message = call()
    except Exception:  # noqa: BLE001 - whatever it is, it is no answer
        return "error"
    used = message.usage_metadata
    ids = [call["id"] for call in message.tool_calls]
    usable = len(set(ids)) == len(ids) and all(ids) and not message.invalid_tool_calls
    return {
        "text": message.text,
        "thoughts": message.additional_kwargs.get("reasoning_content", ""),
        "calls": [(it["name"], it["args"]) for it in message.tool_calls] if usable else "broken",
        "usage": (used["input_tokens"], used["output_tokens"]) if used else None,
    }


@each_row
async def test_ours_gives_what_the_shape_says(server: ForeignServer, row: Row) -> None:
    model = ours(server, row.shape.name)
    joined = model.model_copy(update={"streaming": True})
    found = {
        "stream": seen(lambda: streamed(model)),
        "invoke": seen(lambda: model.invoke("Hello")),
        "joined": seen(lambda: joined.invoke("Hello")),
    }
    assert found == dict.fromkeys(found, truth(row))
    try:
        first, *others = [chunk async for chunk in model.astream("Hello")]
    except ModelScopeError:
        assert row.fails
        return
    whole = first + others
    assert seen(lambda: whole) == truth(row)


@each_row
def test_theirs_is_equal_or_the_reason_stands_here(server: ForeignServer, row: Row) -> None:
    model = theirs(server, row.shape.name)
    found = seen(lambda: streamed(model))
    equal = found == truth(row)
    assert equal is (row.shape.name not in BETTER), found


def test_there_are_enough_rows_and_each_has_a_source() -> None:
    sourced = [row for row in ROWS if row.shape.source != OWN]
    assert len(sourced) >= 90
    assert [row.shape.name for row in sourced if not SOURCE.fullmatch(row.shape.source)] == []
    assert set(BETTER) <= {row.shape.name for row in ROWS}
