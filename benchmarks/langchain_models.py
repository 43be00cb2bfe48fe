"""LangChain's contestants: ChatModelScope, ChatOpenAI and a model that does nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from benchmarks import stub
from benchmarks.adapter import BATCH, CONVERSATION, TEXTS, Adapter, message
from benchmarks.measuring import Work
from langchain_modelscope import ChatModelScope, ModelScopeEmbeddings

__all__ = ["ADAPTER"]

HISTORY: list[BaseMessage] = [
    (HumanMessage, AIMessage)[at % 2](message(at)) for at in range(CONVERSATION)
]
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
FRAMEWORK = """
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
"""
OURS = """
from langchain_modelscope import ChatModelScope
ChatModelScope(model="owner/name", api_key="ms-bench")
"""
PEER = """
from langchain_openai import ChatOpenAI
ChatOpenAI(model="owner/name", api_key="ms-bench")
"""


class Idle(BaseChatModel):
    """LangChain around a model that makes its chunks and does nothing else.

    Args:
        deltas: what it says, as fields of its chunks.
    """

    deltas: list[dict[str, Any]]

    @property
    def _llm_type(self) -> str:
        return "idle"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Hello there."))])

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for delta in self.deltas:
            yield ChatGenerationChunk(message=AIMessageChunk(**delta))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for delta in self.deltas:
            yield ChatGenerationChunk(message=AIMessageChunk(**delta))


class IdleEmbeddings(Embeddings):
    """LangChain around vectors that are there."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The same vector for each."""
        return [stub.VECTOR for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        """The vector."""
        return stub.VECTOR


class LangChain(Adapter):
    """ChatModelScope, ChatOpenAI and a model that does nothing."""

    imports = (FRAMEWORK, OURS, PEER)

    def ours(self, url: str) -> ChatModelScope:
        return ChatModelScope(model=stub.MODEL, api_key="ms-bench", base_url=url)

    def peer(self, url: str) -> ChatOpenAI:
        return ChatOpenAI(model=stub.MODEL, api_key="ms-bench", base_url=url, stream_usage=True)  # type: ignore[arg-type]

    def idle(self, reply: stub.Reply) -> Idle:
        if reply.kind == "tools":
            calls = [
                {"name": None, "args": piece, "id": None, "index": 0}
                for piece in stub.arguments(reply.pieces)
            ]
            return Idle(deltas=[{"content": "", "tool_call_chunks": [call]} for call in calls])
        return Idle(deltas=[{"content": word} for word in stub.words(reply.pieces)])

    def embeddings(self, url: str) -> dict[str, Work]:
        ours = ModelScopeEmbeddings(model=EMBEDDING, api_key="ms-bench", base_url=url)
        peer = OpenAIEmbeddings(
            model=EMBEDDING,
            api_key="ms-bench",  # type: ignore[arg-type]
            base_url=url,
            chunk_size=BATCH,
            check_embedding_ctx_length=False,  # without it, token ids are sent and not texts
        )
        models: dict[str, Embeddings] = {"ours": ours, "peer": peer, "idle": IdleEmbeddings()}
        return {name: partial(model.embed_documents, TEXTS) for name, model in models.items()}

    def ask(self, model: Any) -> Any:
        return model.invoke("Hello")

    def converse(self, model: Any) -> Any:
        return model.invoke(HISTORY)

    async def aask(self, model: Any) -> Any:
        return await model.ainvoke("Hello")

    def read(self, model: Any) -> Any:
        return list(model.stream("Hello"))

    async def aread(self, model: Any) -> Any:
        return [chunk async for chunk in model.astream("Hello")]

    def own(self, model: Any) -> None:
        """Around it, LangChain's ``stream`` keeps all chunks to the end."""
        deque(model._stream([HumanMessage("Hello")]), maxlen=0)

    def said(self, result: Any) -> object:
        if not isinstance(result, list):
            return result.text, ""
        pieces = (piece["args"] for chunk in result for piece in chunk.tool_call_chunks)
        return "".join(chunk.text for chunk in result), "".join(it for it in pieces if it)


ADAPTER = LangChain()
