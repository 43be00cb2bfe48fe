"""The ways of asking: each adapter, sync and async, for a whole answer, a stream or vectors.

A way gives the answer as text, so that one expectation serves them all; two vectors that are right
give the text of the honest answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_modelscope import ChatModelScope, ModelScopeEmbeddings
from langchain_modelscope import errors as langchain_errors
from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from llamaindex_modelscope import errors as llamaindex_errors
from modelscope_transport import Client

__all__ = ["ADAPTERS", "CHAT", "EMBEDDING", "WAYS"]

CHAT = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
TEXTS = ["one", "two"]

ADAPTERS = {"langchain": langchain_errors.NATIVE, "llamaindex": llamaindex_errors.NATIVE}


def _seen(vectors: list[list[float]]) -> str:
    return "Hello" if vectors == [[1.0, 0.0], [0.0, 1.0]] else repr(vectors)


def _langchain_whole(client: Client) -> str:
    return ChatModelScope(model=CHAT, client=client).invoke("Hello").text


def _langchain_stream(client: Client) -> str:
    return "".join(piece.text for piece in ChatModelScope(model=CHAT, client=client).stream("Hi"))


def _langchain_vectors(client: Client) -> str:
    return _seen(ModelScopeEmbeddings(model=EMBEDDING, client=client).embed_documents(TEXTS))


async def _langchain_awhole(client: Client) -> str:
    return (await ChatModelScope(model=CHAT, client=client).ainvoke("Hello")).text


async def _langchain_astream(client: Client) -> str:
    model = ChatModelScope(model=CHAT, client=client)
    return "".join([piece.text async for piece in model.astream("Hello")])


async def _langchain_avectors(client: Client) -> str:
    model = ModelScopeEmbeddings(model=EMBEDDING, client=client)
    return _seen(await model.aembed_documents(TEXTS))


def _llamaindex_whole(client: Client) -> str:
    return ModelScope(CHAT, client=client).complete("Hello").text


def _llamaindex_stream(client: Client) -> str:
    text = ""
    for response in ModelScope(CHAT, client=client).stream_complete("Hello"):
        text = response.text
    return text


def _llamaindex_vectors(client: Client) -> str:
    return _seen(ModelScopeEmbedding(EMBEDDING, client=client).get_text_embedding_batch(TEXTS))


async def _llamaindex_awhole(client: Client) -> str:
    return (await ModelScope(CHAT, client=client).acomplete("Hello")).text


async def _llamaindex_astream(client: Client) -> str:
    text = ""
    async for response in await ModelScope(CHAT, client=client).astream_complete("Hello"):
        text = response.text
    return text


async def _llamaindex_avectors(client: Client) -> str:
    model = ModelScopeEmbedding(EMBEDDING, client=client)
    return _seen(await model.aget_text_embedding_batch(TEXTS))


Way = Callable[[Client], str] | Callable[[Client], Awaitable[str]]

WAYS: dict[tuple[str, str, str], Any] = {
    ("langchain", "sync", "whole"): _langchain_whole,
    ("langchain", "sync", "stream"): _langchain_stream,
    ("langchain", "sync", "vectors"): _langchain_vectors,
    ("langchain", "async", "whole"): _langchain_awhole,
    ("langchain", "async", "stream"): _langchain_astream,
    ("langchain", "async", "vectors"): _langchain_avectors,
    ("llamaindex", "sync", "whole"): _llamaindex_whole,
    ("llamaindex", "sync", "stream"): _llamaindex_stream,
    ("llamaindex", "sync", "vectors"): _llamaindex_vectors,
    ("llamaindex", "async", "whole"): _llamaindex_awhole,
    ("llamaindex", "async", "stream"): _llamaindex_astream,
    ("llamaindex", "async", "vectors"): _llamaindex_avectors,
}
