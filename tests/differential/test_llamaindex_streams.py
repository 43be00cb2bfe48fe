"""Every stream shape through ModelScope and OpenAILike: equal, or better with the reason.

Ours must give the truth of a shape, streamed and whole. Theirs gives it too (equal), or the row
stands in `BETTER` with what they lose; a row there that is equal by now fails as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ThinkingBlock
from llama_index.llms.openai_like import OpenAILike

from llamaindex_modelscope import ModelScope, ModelScopeError

from .foreign_server import ForeignServer
from .shapes import ROWS, Row

_COMMENT = "an event without data is an error"
_DATA = "a comment that a gateway sends as data is an error"
_LOST = "the second call of a chunk is lost"
_MERGED = "two calls become one with both names"
BETTER: dict[str, str] = {
    "dynamo/comments": _COMMENT,
    "sse/retry-and-id": _COMMENT,
    "dynamo/equal-indices": _MERGED,
    "gemini/equal-indices": _MERGED,
    "litellm/ollama-indices": _MERGED,
    "ollama/equal-indices": _MERGED,
    "ollama/two-no-index": _LOST,
    "vllm/two-in-one-delta": _LOST,
    "vllm/equal-indices-empty-ids": _MERGED,
    "sglang/equal-indices-ids-repeated": _MERGED,
    "llmgateway/ping-between": _COMMENT,
    "manifest/comment-as-data": _DATA,
    "vertex/keep-alive-as-data": _DATA,
    "kimi/usage-in-the-choice": "token usage that stands in the choice is lost",
    "hermes/name-on-each-piece": "the tool is called addaddadd",
    "gateway/interleaved": "calls whose pieces come in turns are cut up",
    "proxy/cut": "half an answer is taken for a whole one",
}
HELLO = [ChatMessage(content="Hello")]

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.shape.name)


@pytest.fixture(scope="module")
def server() -> Iterator[ForeignServer]:
    with ForeignServer([row.shape for row in ROWS]) as running:
        yield running


def ours(server: ForeignServer, model: str) -> Any:
    return ModelScope(model, base_url=server.base_url, api_key="ms-none", max_retries=0, timeout=20)


def theirs(server: ForeignServer, model: str) -> Any:
    return OpenAILike(
        model=model,
        api_base=server.base_url,
        api_key="none",
        max_retries=0,
        timeout=20,
        is_chat_model=True,
        is_function_calling_model=True,
    )


def truth(row: Row) -> Any:
    if row.fails:
        return "error"
    return {
        "text": row.text,
        "thoughts": row.thoughts,
        "calls": list(row.calls),
        "usage": row.usage,
    }


def told(llm: Any, response: ChatResponse) -> Any:
    """What a user can read of an answer, in the form of the truth."""
    calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    ids = [call.tool_id for call in calls]
    distinct = len(set(ids)) == len(ids) and all(ids)
    thoughts = [one for one in response.message.blocks if isinstance(one, ThinkingBlock)]
    used = response.additional_kwargs
    counts = (used.get("prompt_tokens"), used.get("completion_tokens"))
    return {
        "text": response.message.content or "",
        "thoughts": "".join(one.content or "" for one in thoughts),
        "calls": [(call.tool_name, call.tool_kwargs) for call in calls] if distinct else "ids",
        "usage": None if counts == (None, None) else counts,
    }


def streamed(llm: Any) -> Any:
    """The last response of a stream, which holds the whole message; its deltas make its text."""
    try:
        responses = list(llm.stream_chat(HELLO))
        found = told(llm, responses[-1])
    except Exception:  # noqa: BLE001 - whatever it is, it is no answer
        return "error"
    if "".join(response.delta or "" for response in responses) != found["text"]:
        return "deltas"
    return found


def whole(llm: Any) -> Any:
    try:
        return told(llm, llm.chat(HELLO))
    except Exception:  # noqa: BLE001 - whatever it is, it is no answer
        return "error"


@each_row
async def test_ours_gives_what_the_shape_says(server: ForeignServer, row: Row) -> None:
    llm = ours(server, row.shape.name)
    assert streamed(llm) == truth(row)
    assert whole(llm) == truth(row)
    if row.fails:
        with pytest.raises(ModelScopeError):
            await llm.achat(HELLO)
        return
    responses = [one async for one in await llm.astream_chat(HELLO)]
    assert told(llm, responses[-1]) == truth(row)
    assert told(llm, await llm.achat(HELLO)) == truth(row)


@each_row
def test_theirs_is_equal_or_the_reason_stands_here(server: ForeignServer, row: Row) -> None:
    found = streamed(theirs(server, row.shape.name))
    assert (found == truth(row)) is (row.shape.name not in BETTER), found


def test_there_are_enough_rows() -> None:
    assert len(ROWS) >= 60
    assert set(BETTER) <= {row.shape.name for row in ROWS}
