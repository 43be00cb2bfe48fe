"""Code as users of LlamaIndex write it, for mypy --strict; nothing here is run."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, assert_type

from llama_index.core import Settings, SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    LLMMetadata,
    TextBlock,
)
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from llama_index.core.utils import retry_on_exceptions_with_backoff
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from pydantic import BaseModel, SecretStr
from workflows.errors import WorkflowRuntimeError

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeEmbedding,
    ModelScopeError,
    ModelScopeImageToolSpec,
    ModelScopeOutputParserError,
    ModelScopePipelineToolSpec,
    ModelScopeProgressEvent,
    ModelScopeQuotaExceededError,
    ModelScopeRateLimiter,
    ModelScopeRateLimitError,
    ModelScopeRerank,
    ModelScopeRetryPolicy,
    aload,
    errors_to_retry,
    load,
)
from modelscope_transport import Client, ErrorDetails


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


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
            account="team",
            temperature=0,
            top_p=0.9,
            max_tokens=100,
            stop=["end"],
            seed=7,
            context_window=32_000,
            is_function_calling_model=True,
            structured_output_mode="json_schema",
            strict=True,
            enable_thinking=False,
            thinking_budget=200,
            think_tags=True,
            promote_reasoning_only=True,
            send_reasoning=True,
            additional_kwargs={"top_k": 5},
            extra_body={"user": "me"},
            system_prompt="Be brief.",
            rate_limiter=ModelScopeRateLimiter(20),
            pydantic_program_mode=PydanticProgramMode.DEFAULT,
        ),
    ]


async def call(llm: ModelScope) -> None:
    """The eight endpoints."""
    messages = [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(blocks=[TextBlock(text="What is it?"), ImageBlock(url="https://x.test/a.png")]),
    ]
    assert_type(llm.chat(messages), ChatResponse)
    assert_type(llm.chat(messages, temperature=0.2), ChatResponse)
    assert_type(llm.complete("Hello"), CompletionResponse)
    for response in llm.stream_chat(messages):
        assert_type(response, ChatResponse)
        assert_type(response.delta, str | None)
    for completion in llm.stream_complete("Hello"):
        assert_type(completion, CompletionResponse)
    assert_type(await llm.achat(messages), ChatResponse)
    assert_type(await llm.acomplete("Hello"), CompletionResponse)
    async for response in await llm.astream_chat(messages):
        assert_type(response, ChatResponse)
    async for completion in await llm.astream_complete("Hello"):
        assert_type(completion, CompletionResponse)
    assert_type(llm.metadata, LLMMetadata)
    assert_type(llm.model, str)
    assert_type(llm.to_payload(), dict[str, Any])


async def tools(llm: ModelScope) -> None:
    """Tools, structure, agents."""
    offered = [FunctionTool.from_defaults(add)]
    response = llm.chat_with_tools(
        offered,
        user_msg="Add 1 and 2.",
        chat_history=[ChatMessage(content="Hello")],
        tool_required=True,
        tool_choice="add",
        allow_parallel_tool_calls=True,
        strict=False,
    )
    assert_type(response, ChatResponse)
    assert_type(await llm.achat_with_tools(offered, user_msg="Add."), ChatResponse)
    assert_type(llm.get_tool_calls_from_response(response), list[ToolSelection])
    prompt = PromptTemplate("Tell a joke about {topic}.")
    assert_type(llm.structured_predict(Joke, prompt, topic="cats"), Joke)
    assert_type(await llm.astructured_predict(Joke, prompt, topic="cats"), Joke)
    assert_type(
        llm.structured_output, Literal["function_calling", "json_schema", "json_object", "text"]
    )
    assert_type(llm.as_structured_llm(Joke), StructuredLLM)
    agent = FunctionAgent(tools=[add], llm=llm)
    await agent.run("Add 1 and 2.")
    base: LLM = llm
    calling: FunctionCallingLLM = llm
    base.predict(prompt, topic="cats")
    calling.predict_and_call(offered, user_msg="Add 1 and 2.")


def errors(llm: ModelScope) -> dt.datetime | None:
    """Errors: ours, the transport's, LlamaIndex's."""
    try:
        retry_on_exceptions_with_backoff(lambda: llm.complete("Hello"), errors_to_retry())
    except ModelScopeQuotaExceededError as error:
        assert_type(error.scope, Literal["account", "model"] | None)
        assert_type(error.alternatives, tuple[str, ...])
        native: WorkflowRuntimeError = error
        raise native from None
    except ModelScopeRateLimitError as error:
        assert_type(error.retry_after, float | None)
    except ModelScopeError as error:
        assert_type(error.details, ErrorDetails)
        return error.details.resets_at
    return None


class Translate(Workflow):
    """A workflow that waits as long as the service asks."""

    @step(retry_policy=ModelScopeRetryPolicy(max_retries=2))
    async def translate(self, event: StartEvent) -> StopEvent:
        """Translate a text."""
        answer = await ModelScope("Qwen/Qwen3-8B").acomplete(f"Translate: {event.text}")
        return StopEvent(result=answer.text)


async def embed() -> Embedding:
    """Embeddings, an index, a pipeline."""
    embed_model = ModelScopeEmbedding(
        "Qwen/Qwen3-Embedding-0.6B",
        api_key="ms-token",
        dimensions=512,
        query_instruction="Query: ",
        text_instruction="Text: ",
        embed_batch_size=10,
        num_workers=2,
        account="team",
        timeout=30,
        max_retries=1,
        extra_body={"user": "me"},
        rate_limiter=ModelScopeRateLimiter(20),
    )
    assert_type(embed_model.get_text_embedding("a"), list[float])
    assert_type(embed_model.get_text_embedding_batch(["a"], show_progress=True), list[Embedding])
    assert_type(await embed_model.aget_text_embedding_batch(["a"]), list[Embedding])
    base: BaseEmbedding = embed_model
    Settings.embed_model = base
    Settings.llm = ModelScope("Qwen/Qwen3-8B")
    documents = SimpleDirectoryReader("texts").load_data()
    IngestionPipeline(transformations=[SentenceSplitter(), embed_model]).run(documents=documents)
    index = VectorStoreIndex.from_documents(documents, embed_model=embed_model)
    index.as_query_engine(node_postprocessors=[ModelScopeRerank("Qwen/Qwen3-8B")])
    return await embed_model.aget_query_embedding("a")


def other_tasks() -> None:
    """Classes of further tasks."""
    ModelScopeImageToolSpec(
        "Qwen/Qwen-Image",
        api_key="ms-token",
        size="1024x1024",
        negative_prompt="text",
        seed=7,
        steps=20,
        guidance=4.5,
        loras={"own/style": 1.0},
        shows_image=True,
        poll_interval=2,
        timeout=60,
        fallback_models=["own/x"],
        extra_body={"user": "me"},
        client=Client("ms-token"),
    )
    ModelScopePipelineToolSpec("own/x", task="translation", parameters={"beam": 2}, timeout=5)
    FunctionAgent(
        tools=[*ModelScopeImageToolSpec(model="Qwen/Qwen-Image").to_tool_list()],
        llm=ModelScope("Qwen/Qwen3-8B"),
    )
    assert_type(load("Qwen/Qwen3-8B", "chat", api_key="ms-token"), ModelScope)
    assert_type(load("Qwen/Qwen3-Embedding-0.6B", "embedding"), ModelScopeEmbedding)
    assert_type(load("Qwen/Qwen-Image", "image"), ModelScopeImageToolSpec)
    assert_type(load("Qwen/Qwen3-8B", "rerank"), ModelScopeRerank)
    assert_type(load("own/x", "translation", timeout=5), ModelScopePipelineToolSpec)
    assert_type(load("Qwen/Qwen3-Embedding-0.6B", api_key="ms-token"), Any)


async def load_async() -> None:
    """The same in an event loop."""
    assert_type(await aload("Qwen/Qwen3-8B", "chat", api_key="ms-token"), ModelScope)
    assert_type(await aload("Qwen/Qwen3-8B"), Any)


def moved() -> list[Any]:
    """Arguments in the words of the classes that users come from."""
    llm = ModelScope(
        model="Qwen/Qwen3-8B",
        api_base="https://api-inference.modelscope.cn/v1",
        api_key="ms-token",
        is_chat_model=True,
        is_function_calling_model=True,
        reuse_client=True,
        tokenizer="Qwen/Qwen3-8B",
        should_use_structured_outputs=True,
        max_new_tokens=9,
        top_k=20,
        min_p=0.0,
        repetition_penalty=1.05,
        frequency_penalty=0.1,
        presence_penalty=0.1,
        logprobs=True,
        top_logprobs=2,
        logit_bias={"1": 1.0},
        reasoning_effort="low",
    )
    assert_type(llm.model_name, str)
    assert_type(llm.api_base, str)
    assert_type(llm.max_retries, int | None)
    llm.model = "Qwen/Qwen3-32B"
    llm.temperature = 0.5
    return [
        llm,
        ModelScopeEmbedding(model="Qwen/Qwen3-Embedding-0.6B", additional_kwargs={"user": "me"}),
        ModelScopeEmbedding(
            "Qwen/Qwen3-Embedding-0.6B",
            base_url="https://api-inference.modelscope.cn/v1",
            default_headers={"x-team": "red"},
            fallback_models=["own/x"],
            client=Client("ms-token"),
        ),
        ModelScopeRerank(model="Qwen/Qwen3-8B", max_documents=50, max_characters=900),
        ModelScopeRerank(model="Qwen/Qwen3-8B", top_n=3, keep_retrieval_score=True, proxy="none"),
        ModelScopeOutputParserError("No.", raw_answer="{").raw_answer,
        ModelScopeProgressEvent(tool="draw_image", model="a/b", state="started"),
    ]
