"""Every way of asking a model, and every way of embedding: each to its end, sync and async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding

QUESTION = "What is 3 + 4?"
MESSAGES = [ChatMessage(QUESTION)]
PROMPT = PromptTemplate(QUESTION)
TEXTS = ["one", "two", "three", "four", "five"]


class Sum(BaseModel):
    """A sum."""

    total: int


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)


@dataclass(frozen=True)
class Endpoint:
    """One way of asking a model.

    Attributes:
        name: the method.
        run: calls it; the last that it gives, or a coroutine of that.
        reaches: which of the eight methods then does the work.
    """

    name: str
    run: Callable[[ModelScope], Any]
    reaches: str

    @property
    def streams(self) -> bool:
        return "stream" in self.reaches

    def ask(self, llm: ModelScope) -> Any:
        """Ask, in an event loop of its own where one is needed."""
        last = self.run(llm)
        return asyncio.run(last) if inspect.iscoroutine(last) else last


async def last_of(stream: Awaitable[AsyncIterator[Any]]) -> Any:
    """The last that an async stream gives."""
    return [response async for response in await stream][-1]


EIGHT = [
    Endpoint("chat", lambda llm: llm.chat(MESSAGES), "chat"),
    Endpoint("achat", lambda llm: llm.achat(MESSAGES), "achat"),
    Endpoint("stream_chat", lambda llm: list(llm.stream_chat(MESSAGES))[-1], "stream_chat"),
    Endpoint("astream_chat", lambda llm: last_of(llm.astream_chat(MESSAGES)), "astream_chat"),
    Endpoint("complete", lambda llm: llm.complete(QUESTION), "complete"),
    Endpoint("acomplete", lambda llm: llm.acomplete(QUESTION), "acomplete"),
    Endpoint(
        "stream_complete", lambda llm: list(llm.stream_complete(QUESTION))[-1], "stream_complete"
    ),
    Endpoint(
        "astream_complete",
        lambda llm: last_of(llm.astream_complete(QUESTION)),
        "astream_complete",
    ),
]

WITH_TOOLS = [
    Endpoint("chat_with_tools", lambda llm: llm.chat_with_tools([ADD], QUESTION), "chat"),
    Endpoint("achat_with_tools", lambda llm: llm.achat_with_tools([ADD], QUESTION), "achat"),
    Endpoint(
        "stream_chat_with_tools",
        lambda llm: list(llm.stream_chat_with_tools([ADD], QUESTION))[-1],
        "stream_chat",
    ),
    Endpoint(
        "astream_chat_with_tools",
        lambda llm: last_of(llm.astream_chat_with_tools([ADD], QUESTION)),
        "astream_chat",
    ),
    Endpoint("predict_and_call", lambda llm: llm.predict_and_call([ADD], QUESTION), "chat"),
    Endpoint("apredict_and_call", lambda llm: llm.apredict_and_call([ADD], QUESTION), "achat"),
]

STRUCTURED = [
    Endpoint("structured_predict", lambda llm: llm.structured_predict(Sum, PROMPT), "chat"),
    Endpoint("astructured_predict", lambda llm: llm.astructured_predict(Sum, PROMPT), "achat"),
    Endpoint(
        "stream_structured_predict",
        lambda llm: list(llm.stream_structured_predict(Sum, PROMPT))[-1],
        "stream_chat",
    ),
    Endpoint(
        "astream_structured_predict",
        lambda llm: last_of(llm.astream_structured_predict(Sum, PROMPT)),
        "astream_chat",
    ),
    Endpoint(
        "as_structured_llm.chat", lambda llm: llm.as_structured_llm(Sum).chat(MESSAGES), "chat"
    ),
    Endpoint(
        "as_structured_llm.achat", lambda llm: llm.as_structured_llm(Sum).achat(MESSAGES), "achat"
    ),
]

ENDPOINTS = [*EIGHT, *WITH_TOOLS, *STRUCTURED]


def is_right(endpoint: Endpoint, last: Any) -> bool:
    """Whether the scripted service's answer came through."""
    if endpoint in EIGHT:
        return QUESTION in str(getattr(last, "message", last))
    if "chat_with_tools" in endpoint.name:
        return [call.tool_name for call in _tool_calls(last)] == ["add"]
    if "predict_and_call" in endpoint.name:
        return str(last) == "7"
    made = getattr(last, "raw", last)
    return isinstance(made, Sum) and made.total == 3


def _tool_calls(response: Any) -> list[Any]:
    return [block for block in response.message.blocks if block.block_type == "tool_call"]


@dataclass(frozen=True)
class EmbeddingEndpoint:
    """One way of embedding, `TEXTS` where it takes several.

    Attributes:
        name: the method.
        run: calls it; what it gives, or a coroutine of that.
        many: whether it takes several texts.
    """

    name: str
    run: Callable[[ModelScopeEmbedding], Any]
    many: bool = False

    def ask(self, embed_model: ModelScopeEmbedding) -> Any:
        """Embed, in an event loop of its own where one is needed."""
        vectors = self.run(embed_model)
        return asyncio.run(vectors) if inspect.iscoroutine(vectors) else vectors


EMBEDDING_ENDPOINTS = [
    EmbeddingEndpoint("get_query_embedding", lambda model: model.get_query_embedding("one")),
    EmbeddingEndpoint("aget_query_embedding", lambda model: model.aget_query_embedding("one")),
    EmbeddingEndpoint("get_text_embedding", lambda model: model.get_text_embedding("one")),
    EmbeddingEndpoint("aget_text_embedding", lambda model: model.aget_text_embedding("one")),
    EmbeddingEndpoint(
        "get_text_embedding_batch", lambda model: model.get_text_embedding_batch(TEXTS), many=True
    ),
    EmbeddingEndpoint(
        "aget_text_embedding_batch",
        lambda model: model.aget_text_embedding_batch(TEXTS),
        many=True,
    ),
]
