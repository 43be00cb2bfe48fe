"""Code as users of LangChain write it, for mypy --strict; nothing here is run."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, assert_type

import httpx
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRetryMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import StdOutCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelError, ModelRateLimitError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel, SecretStr

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeChatEndpoint,
    ModelScopeEmbeddings,
    ModelScopeError,
    ModelScopeImageTool,
    ModelScopePipelineTool,
    ModelScopeQuotaExceededError,
    ModelScopeRateLimitError,
    ModelScopeRerank,
    aload,
    is_retryable,
    load,
    register,
)
from modelscope_transport import Client, ErrorDetails


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def construct() -> list[ChatModelScope]:
    """Every argument, in the types that users have at hand."""
    client = Client("ms-token", timeout=30)
    return [
        ChatModelScope(model="Qwen/Qwen3-8B"),
        ModelScopeChatEndpoint(model="Qwen/Qwen3-8B", api_key="ms-token"),
        ChatModelScope(model="Qwen/Qwen3-8B", api_key=SecretStr("ms-token")),
        ChatModelScope(model_name="Qwen/Qwen3-8B", api_key=lambda: "ms-token"),
        ChatModelScope(
            model="Qwen/Qwen3-8B",
            stop_sequences=["end"],
            max_completion_tokens=100,
            request_timeout=60,
        ),
        ChatModelScope(model="Qwen/Qwen3-8B", client=client, fallback_models=["Qwen/Qwen3-32B"]),
        ChatModelScope(
            model="Qwen/Qwen3-8B",
            base_url="https://api-inference.modelscope.cn/v1",
            timeout=60,
            max_retries=1,
            proxy="http://127.0.0.1:8080",
            temperature=0,
            top_p=0.9,
            max_tokens=100,
            stop=["end"],
            seed=7,
            n=1,
            presence_penalty=0.5,
            frequency_penalty=0.5,
            logprobs=True,
            top_logprobs=2,
            streaming=False,
            stream_usage=True,
            enable_thinking=False,
            thinking_budget=200,
            top_k=20,
            min_p=0.0,
            repetition_penalty=1.05,
            logit_bias={7: -5.0},
            reasoning_effort="low",
            send_reasoning=True,
            include_response_headers=True,
            model_kwargs={"seed": 5},
            extra_body={"user": "me"},
            default_headers={"x-team": "red"},
            connect_timeout=5,
            idle_timeout=30.0,
            account="team",
            http_client=httpx.Client(),
            http_async_client=httpx.AsyncClient(),
            think_tags=True,
            promote_reasoning_only=True,
            name="qwen",
            cache=InMemoryCache(),
            verbose=False,
            callbacks=[StdOutCallbackHandler()],
            tags=["team"],
            metadata={"team": "red"},
            custom_get_token_ids=lambda text: [len(text)],
            rate_limiter=InMemoryRateLimiter(requests_per_second=2),
            disable_streaming="tool_calling",
            output_version="v1",
            profile={"tool_calling": True},
        ),
    ]


async def call(model: ChatModelScope) -> None:
    """Calls, sync and async."""
    assert_type(model.invoke("Hello"), AIMessage)
    assert_type(await model.ainvoke([HumanMessage("Hello")]), AIMessage)
    for chunk in model.stream("Hello"):
        assert_type(chunk, AIMessageChunk)
    async for chunk in model.astream("Hello"):
        assert_type(chunk, AIMessageChunk)
    assert_type(model.model, str)
    assert_type(model.get_num_tokens("Hello"), int)
    chain = ChatPromptTemplate.from_template("{word}") | model | StrOutputParser()
    assert_type(chain.invoke({"word": "Hello"}), str)
    async with model:
        await model.aclose()
    with model:
        model.close()


def tools(model: ChatModelScope) -> None:
    """Tools, structure, agents."""
    choices: list[str | bool | dict[str, Any] | None] = ["any", "add", True, {"type": "any"}, None]
    for choice in choices:
        bound = model.bind_tools([add, Joke], tool_choice=choice, strict=True)
        assert_type(bound.invoke("Hello"), AIMessage)
    methods: list[Literal["function_calling", "json_schema", "json_mode"]] = ["json_schema"]
    for method in methods:
        reader = model.with_structured_output(Joke, method=method, include_raw=False)
        assert_type(reader.invoke("Hello"), dict[str, Any] | BaseModel)
    model.with_structured_output(method="json_mode")
    create_agent(
        model,
        tools=[add],
        middleware=[ModelFallbackMiddleware(model), ModelRetryMiddleware(on_failure="error")],
    )
    base: BaseChatModel = model
    base.with_fallbacks([model])


def errors(model: ChatModelScope) -> dt.datetime | None:
    """Errors: ours, the transport's, LangChain's."""
    try:
        model.invoke("Hello")
    except ModelScopeQuotaExceededError as error:
        assert_type(error.scope, Literal["account", "model"] | None)
        assert_type(error.alternatives, tuple[str, ...])
        return error.resets_at
    except ModelScopeRateLimitError as error:
        assert_type(error.retry_after, float | None)
        limit: ModelRateLimitError = error
        assert_type(is_retryable(limit), bool)
    except ModelScopeError as error:
        assert_type(error.details, ErrorDetails)
    except ModelError as error:
        assert_type(error.is_retryable, bool)
    return None


async def embed() -> list[float]:
    """Embeddings."""
    embeddings = ModelScopeEmbeddings(
        model="Qwen/Qwen3-Embedding-0.6B",
        api_key="ms-token",
        dimensions=512,
        query_instruction="Query: ",
        document_instruction="Text: ",
        batch_size=8,
        concurrency=2,
        show_progress_bar=True,
        on_progress=lambda done, total: None,
    )
    assert_type(embeddings.embed_documents(["a"]), list[list[float]])
    assert_type(embeddings.embed_documents(["a"], chunk_size=10), list[list[float]])
    any_embeddings: Embeddings = embeddings
    InMemoryVectorStore(any_embeddings)
    ModelScopeEmbeddings(model_name="Qwen/Qwen3-Embedding-0.6B", chunk_size=10)
    assert_type(load("Qwen/Qwen3-8B", "chat"), ChatModelScope)
    assert_type(load("own/x", "translation"), ModelScopePipelineTool)
    assert_type(await aload("Qwen/Qwen-Image", "image"), ModelScopeImageTool)
    register()
    return await embeddings.aembed_query("a")


def other_tasks() -> list[Any]:
    """Classes of further tasks."""
    return [
        ModelScopeImageTool(
            model="Qwen/Qwen-Image",
            api_key="ms-token",
            size="1024x1024",
            negative_prompt="text",
            seed=7,
            steps=20,
            guidance=4.5,
            loras={"own/style": 1.0},
            shows_image=True,
            poll_interval=2,
        ),
        ModelScopePipelineTool(model="own/x", task="translation", parameters={"beam": 2}),
        ModelScopeRerank(
            model="Qwen/Qwen3-8B", top_n=3, max_documents=50, max_characters=900, cache=False
        ),
    ]
