"""LlamaIndex's contestants: ModelScope, OpenAILike, and their embeddings."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.embeddings.openai_like import OpenAILikeEmbedding  # type: ignore[import-untyped]
from llama_index.llms.openai_like import OpenAILike

from benchmarks import stub
from benchmarks.adapter import BATCH, CONVERSATION, TEXTS, Adapter, message
from benchmarks.idle_llamaindex import Idle, IdleEmbedding
from benchmarks.measuring import Work
from llamaindex_modelscope import ModelScope, ModelScopeEmbedding

__all__ = ["ADAPTER"]

QUESTION = [ChatMessage("Hello")]
HISTORY = [
    ChatMessage(message(at), role="assistant" if at % 2 else "user") for at in range(CONVERSATION)
]
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
FRAMEWORK = """
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.function_calling import FunctionCallingLLM
"""
OURS = """
from llamaindex_modelscope import ModelScope
ModelScope("owner/name", api_key="ms-bench")
"""
PEER = """
from llama_index.llms.openai_like import OpenAILike
OpenAILike("owner/name", api_key="ms-bench", api_base="http://127.0.0.1:1/v1")
"""


class LlamaIndex(Adapter):
    """ModelScope, OpenAILike and a model that does nothing."""

    imports = (FRAMEWORK, OURS, PEER)

    def ours(self, url: str) -> ModelScope:
        return ModelScope(model=stub.MODEL, api_key="ms-bench", base_url=url)

    def peer(self, url: str) -> OpenAILike:
        return OpenAILike(
            model=stub.MODEL,
            api_key="ms-bench",
            api_base=url,
            is_chat_model=True,
            is_function_calling_model=True,
            additional_kwargs={"stream_options": {"include_usage": True}},
        )

    def idle(self, reply: stub.Reply) -> Idle:
        say = stub.arguments if reply.kind == "tools" else stub.words
        return Idle(kind=reply.kind, pieces=say(reply.pieces))

    def embeddings(self, url: str) -> dict[str, Work]:
        size: dict[str, Any] = {"embed_batch_size": BATCH}
        models: dict[str, BaseEmbedding] = {
            "ours": ModelScopeEmbedding(EMBEDDING, api_key="ms-bench", base_url=url, **size),
            "peer": OpenAILikeEmbedding(EMBEDDING, api_key="ms-bench", api_base=url, **size),
            "idle": IdleEmbedding(**size),
        }
        return {
            name: partial(model.get_text_embedding_batch, TEXTS) for name, model in models.items()
        }

    def ask(self, model: Any) -> Any:
        return model.chat(QUESTION)

    def converse(self, model: Any) -> Any:
        return model.chat(HISTORY)

    async def aask(self, model: Any) -> Any:
        return await model.achat(QUESTION)

    def read(self, model: Any) -> Any:
        """The last response; the others are let go, as by a program that prints them."""
        return deque(model.stream_chat(QUESTION), maxlen=1)[0]

    async def aread(self, model: Any) -> Any:
        last = None
        async for response in await model.astream_chat(QUESTION):
            last = response
        return last

    def own(self, model: Any) -> None:
        """LlamaIndex keeps nothing around it."""
        deque(model.stream_chat(QUESTION), maxlen=0)

    def said(self, result: Any) -> object:
        calls = [block for block in result.message.blocks if isinstance(block, ToolCallBlock)]
        return result.message.content or "", "".join(str(call.tool_kwargs) for call in calls)


ADAPTER = LlamaIndex()
