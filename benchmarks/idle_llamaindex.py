"""The other half of the floor: LlamaIndex around models that do nothing but make what they give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LLMMetadata,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection

from benchmarks import stub


class Idle(FunctionCallingLLM):
    """LlamaIndex around a model that makes its responses and does nothing else.

    Args:
        kind: ``"text"``, ``"tools"`` or ``"whole"``.
        pieces: what it says.
    """

    kind: str
    pieces: list[str]

    @property
    def metadata(self) -> LLMMetadata:
        """A chat model that calls tools."""
        return LLMMetadata(
            is_chat_model=True, is_function_calling_model=True, model_name=stub.MODEL
        )

    def _responses(self) -> Iterator[ChatResponse]:
        so_far = ""
        for piece in self.pieces:
            so_far += piece
            block: Any = TextBlock(text=so_far)
            kwargs: dict[str, Any] = {}
            if self.kind == "tools":
                block = ToolCallBlock(tool_call_id="call_1", tool_name="note", tool_kwargs=so_far)
                kwargs["tool_calls"] = [{"id": "call_1", "function": {"arguments": so_far}}]
            message = ChatMessage(role="assistant", blocks=[block], additional_kwargs=kwargs)
            delta = "" if self.kind == "tools" else piece
            yield ChatResponse(message=message, delta=delta, raw={"model": stub.MODEL})

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """Say hello."""
        message = ChatMessage(role="assistant", blocks=[TextBlock(text="Hello there.")])
        return ChatResponse(message=message, raw={"usage": stub.USAGE})

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """Say all pieces."""
        return self._responses()

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """Say hello."""
        message = ChatMessage(role="assistant", blocks=[TextBlock(text="Hello there.")])
        return ChatResponse(message=message, raw={"usage": stub.USAGE})

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """Say all pieces."""

        async def responses() -> Any:
            for response in self._responses():
                yield response

        return responses()

    def _prepare_chat_with_tools(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"messages": kwargs["chat_history"]}

    def get_tool_calls_from_response(self, *args: Any, **kwargs: Any) -> list[ToolSelection]:
        """One call, whose arguments it does not look at."""
        return [ToolSelection(tool_id="call_1", tool_name="note", tool_kwargs={"text": ""})]

    def _never(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    complete = stream_complete = acomplete = astream_complete = _never


class IdleEmbedding(BaseEmbedding):
    """LlamaIndex around vectors that are there."""

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [stub.VECTOR for _ in texts]

    def _get_text_embedding(self, text: str) -> list[float]:
        return stub.VECTOR

    def _get_query_embedding(self, query: str) -> list[float]:
        return stub.VECTOR

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return stub.VECTOR
