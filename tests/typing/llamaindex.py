"""Code as users of LlamaIndex write it, for mypy --strict; nothing here is run."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, assert_type

from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.tools import FunctionTool, ToolSelection
from llama_index.core.utils import ErrorToRetry
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from pydantic import BaseModel, SecretStr
from workflows.errors import WorkflowRuntimeError

from llamaindex_modelscope import (
    ErrorDetails,
    ModelScope,
    ModelScopeEmbedding,
    ModelScopeError,
    ModelScopeQuotaExceededError,
    ModelScopeRateLimiter,
    ModelScopeRateLimitError,
    ModelScopeRerank,
    ModelScopeRetryPolicy,
    errors_to_retry,
)
from modelscope_transport import Client


class City(BaseModel):
    """A city."""

    name: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def construct() -> list[ModelScope]:
    """Every argument, in the types that users have at hand."""
    client = Client("ms-token", timeout=30)
    return [
        ModelScope("Qwen/Qwen3-8B"),
        ModelScope(model="Qwen/Qwen3-8B", api_key="ms-token"),
        ModelScope(model_name="Qwen/Qwen3-8B", api_key=SecretStr("ms-token")),
        ModelScope(model="Qwen/Qwen3-8B", client=client, fallback_models=["Qwen/Qwen3-32B"]),
        ModelScope(
            model="Qwen/Qwen3-8B",
            base_url="https://api-inference.modelscope.cn/v1",
            timeout=60,
            max_retries=1,
            proxy="http://127.0.0.1:8080",
            default_headers={"x-team": "red"},
            temperature=0,
            max_tokens=100,
            top_p=0.9,
            stop=["end"],
            seed=7,
            context_window=4096,
            is_function_calling_model=True,
            enable_thinking=False,
            thinking_budget=200,
            structured_output_mode="json_schema",
            strict=True,
            system_prompt="Be brief.",
            rate_limiter=ModelScopeRateLimiter(20),
            additional_kwargs={"top_k": 5},
            extra_body={"user": "me"},
        ),
    ]


async def call(llm: ModelScope) -> None:
    """The eight endpoints."""
    messages = [ChatMessage("Hello")]
    assert_type(llm.chat(messages), ChatResponse)
    assert_type(llm.chat(messages, temperature=0.2), ChatResponse)
    assert_type(await llm.achat(messages), ChatResponse)
    assert_type(llm.complete("Hello"), CompletionResponse)
    assert_type((await llm.acomplete("Hello")).text, str)
    for response in llm.stream_chat(messages):
        assert_type(response, ChatResponse)
    async for response in await llm.astream_chat(messages):
        assert_type(response.delta, str | None)
    for completion in llm.stream_complete("Hello"):
        assert_type(completion, CompletionResponse)
    async for completion in await llm.astream_complete("Hello"):
        assert_type(completion, CompletionResponse)
    assert_type(llm.metadata, LLMMetadata)
    assert_type(llm.model, str)
    assert_type(llm.quota.remaining, float | None)


async def tools_and_objects(llm: ModelScope) -> City:
    """Tools, structure, agents."""
    tool = FunctionTool.from_defaults(add)
    choices: list[str | dict[str, Any] | None] = ["auto", "add", {"name": "add"}, None]
    for choice in choices:
        answer = llm.chat_with_tools([tool], "3 + 4?", tool_choice=choice, tool_required=True)
        assert_type(llm.get_tool_calls_from_response(answer), list[ToolSelection])
    agent = FunctionAgent(tools=[add], llm=llm)
    print(await agent.run("3 + 4?"))
    prompt = PromptTemplate("Which city has the {sight}?")
    assert_type(llm.structured_predict(City, prompt, sight="West Lake"), City)
    return await llm.astructured_predict(City, prompt, llm_kwargs={"seed": 1}, sight="West Lake")


def as_core_knows_them(llm: ModelScope, embed_model: ModelScopeEmbedding) -> None:
    """Wherever core takes one of its own."""
    bases: tuple[LLM, FunctionCallingLLM, BaseEmbedding] = (llm, llm, embed_model)
    Settings.llm, Settings.embed_model = bases[0], bases[2]
    IngestionPipeline(transformations=[embed_model]).run(documents=[Document(text="a")])
    rerank: BaseNodePostprocessor = ModelScopeRerank("Qwen/Qwen3-8B", top_n=3)
    VectorStoreIndex.from_documents([]).as_query_engine(node_postprocessors=[rerank])
    limiter: BaseRateLimiter = ModelScopeRateLimiter(20)
    llm.rate_limiter = limiter
    assert_type(ModelScope.from_dict(llm.to_dict(), api_key="ms-token"), ModelScope)


async def embed() -> list[float]:
    """Embeddings."""
    embed_model = ModelScopeEmbedding(
        model_name="Qwen/Qwen3-Embedding-0.6B",
        api_key="ms-token",
        dimensions=512,
        query_instruction="Query: ",
        embed_batch_size=20,
        num_workers=2,
    )
    assert_type(embed_model.get_text_embedding_batch(["a"]), list[list[float]])
    assert_type(await embed_model.aget_text_embedding_batch(["a"]), list[list[float]])
    return await embed_model.aget_query_embedding("a")


def errors(llm: ModelScope) -> dt.datetime | None:
    """Errors: ours, and what they are to a workflow."""
    try:
        llm.complete("Hello")
    except ModelScopeQuotaExceededError as error:
        assert_type(error.scope, Literal["account", "model"] | None)
        assert_type(error.alternatives, tuple[str, ...])
        limit: WorkflowRuntimeError = error
        print(limit)
        return error.resets_at
    except ModelScopeRateLimitError as error:
        assert_type(error.retry_after, float | None)
    except ModelScopeError as error:
        assert_type(error.details, ErrorDetails)
    assert_type(errors_to_retry(), list[ErrorToRetry])
    return None


class Asking(Workflow):
    """A workflow whose step tries again."""

    @step(retry_policy=ModelScopeRetryPolicy(max_retries=2, timeout=60))
    async def ask(self, event: StartEvent) -> StopEvent:
        """Ask."""
        return StopEvent(result=str(await ModelScope("Qwen/Qwen3-8B").acomplete("Hello")))
