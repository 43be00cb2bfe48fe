"""What a user does first, on the local service and, when asked, on the live one.

A pass on the local service shows that the protocol is kept; it says nothing of a model's wits.
The live class exists only with a token in ``LIVE_TOKEN``, because it spends some twenty calls of
its allowance; it never goes on to the end of it::

    LIVE_TOKEN="$MODELSCOPE_API_KEY" python -m pytest tests/llamaindex/test_acceptance.py -k Live
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock, ToolCallBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from modelscope_transport.emulator import LocalService

from .endpoints import last_of

LIVE_TOKEN = os.environ.get("LIVE_TOKEN")

# core's agents look at fields of their own that pydantic has renamed
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PLAIN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
THINKER = "Qwen/Qwen3.5-122B-A10B"
STREAM_ONLY = "Qwen/QwQ-32B"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
HELLO = [ChatMessage("Say hello in Chinese.")]
SUM = "Please add 3 and 4."


class City(BaseModel):
    """A city."""

    name: str
    country: str


CITY = PromptTemplate("Which city has the {sight}? Answer with its name and its country.")


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)


class _Suite:
    """The same for both services."""

    place: dict[str, Any]

    def llm(self, model: str = PLAIN, **fields: Any) -> ModelScope:
        return ModelScope(model, **self.place, **fields)

    def embed_model(self, **fields: Any) -> ModelScopeEmbedding:
        return ModelScopeEmbedding(EMBEDDING, **self.place, **fields)

    def check_answer(self, answer: Any) -> None:
        assert answer.message.content
        assert answer.raw["finish_reason"] == "stop"
        assert answer.raw["usage"]["prompt_tokens"] > 0
        assert answer.raw["usage"]["completion_tokens"] > 0

    @pytest.mark.parametrize("model", [PLAIN, STREAM_ONLY])
    def test_chat(self, model: str) -> None:
        self.check_answer(self.llm(model).chat(HELLO))

    async def test_achat(self) -> None:
        self.check_answer(await self.llm().achat(HELLO))

    def test_stream(self) -> None:
        responses = list(self.llm().stream_chat(HELLO))
        assert "".join(one.delta or "" for one in responses) == responses[-1].message.content
        self.check_answer(responses[-1])

    async def test_astream(self) -> None:
        self.check_answer(await last_of(self.llm().astream_chat(HELLO)))

    def test_complete(self) -> None:
        assert self.llm(temperature=0, max_tokens=64).complete("Say hello.").text

    def test_thoughts(self) -> None:
        responses = list(self.llm(THINKER).stream_chat(HELLO))
        (thought,) = (
            block for block in responses[-1].message.blocks if isinstance(block, ThinkingBlock)
        )
        pieces = [one.additional_kwargs.get("thinking_delta", "") for one in responses]
        assert "".join(pieces) == thought.content != ""

    @pytest.mark.parametrize("model", [PLAIN, THINKER])
    def test_tools(self, model: str) -> None:
        llm = self.llm(model)
        answer = llm.chat_with_tools([ADD], SUM, tool_required=True)
        (call,) = llm.get_tool_calls_from_response(answer)
        assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 3, "b": 4})

        result = ChatMessage(
            role="tool", content="7", additional_kwargs={"tool_call_id": call.tool_id}
        )
        answer = llm.chat_with_tools([ADD], chat_history=[ChatMessage(SUM), answer.message, result])
        assert "7" in (answer.message.content or "")

    async def test_streamed_tools(self) -> None:
        last = await last_of(self.llm().astream_chat_with_tools([ADD], SUM))
        (call,) = (block for block in last.message.blocks if isinstance(block, ToolCallBlock))
        assert call.tool_name == "add"
        assert last.message.additional_kwargs["tool_calls"]

    async def test_agent(self) -> None:
        assert "7" in str(await FunctionAgent(tools=[ADD], llm=self.llm()).run(SUM))

    @pytest.mark.parametrize("model", [PLAIN, THINKER])
    def test_structured(self, model: str) -> None:
        made = self.llm(model).structured_predict(City, CITY, sight="'West Lake'")
        assert isinstance(made, City)
        assert made.name

    async def test_streamed_structured(self) -> None:
        stream = self.llm().astream_structured_predict(City, CITY, sight="'West Lake'")
        made = await last_of(stream)
        assert isinstance(made, City)

    def test_embeddings(self) -> None:
        embed_model = self.embed_model(dimensions=256)
        texts = ["Paris is the capital of France.", "Dogs bark at night."]
        vectors = embed_model.get_text_embedding_batch(texts)
        query = embed_model.get_query_embedding("the capital of France")
        assert [len(vector) for vector in vectors] == [256, 256]
        near, far = (embed_model.similarity(query, vector) for vector in vectors)
        assert near > far

    async def test_aembeddings(self) -> None:
        vectors = await self.embed_model().aget_text_embedding_batch(["one", "two"])
        assert len(vectors) == 2
        assert len(vectors[0]) == len(vectors[1]) > 0

    def test_index(self) -> None:
        documents = [Document(text="The office is closed on Fridays.")]
        index = VectorStoreIndex.from_documents(
            documents, embed_model=self.embed_model(), transformations=[]
        )
        answer = index.as_query_engine(llm=self.llm()).query("When is the office closed?")
        assert "Friday" in str(answer)
        assert answer.source_nodes


class TestAcceptance(_Suite):
    @pytest.fixture(autouse=True)
    def _on_local_service(self, reach: dict[str, Any], service: LocalService) -> None:
        self.place = reach


if LIVE_TOKEN:

    class TestAcceptanceLive(_Suite):
        pytestmark = pytest.mark.enable_socket
        place = {"api_key": LIVE_TOKEN}  # noqa: RUF012 - never changed
