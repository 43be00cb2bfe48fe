"""The arguments of the constructors, for type checkers and editors.

Pydantic tells them one name for each field. Users write others as well (``model_name``,
``stop_sequences``), so the arguments stand here once more; a test compares them with the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.language_models import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import SecretStr

from modelscope_transport.client import Client

__all__ = ["ChatArguments", "ConnectionArguments", "EmbeddingArguments"]


class ConnectionArguments(TypedDict, total=False):
    """Those of every class, beside the model."""

    api_key: SecretStr | str | Callable[[], str] | None
    base_url: str | None
    account: str | None
    timeout: float | None
    request_timeout: float | None
    max_retries: int | None
    connect_timeout: float | None
    idle_timeout: float | None
    proxy: SecretStr | str | None
    fallback_models: Sequence[str]
    default_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
    client: Client | None
    http_client: Any
    http_async_client: Any


class ChatArguments(ConnectionArguments, total=False):
    """Those of `ChatModelScope`."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    max_tokens: int | None
    max_completion_tokens: int | None
    stop: list[str] | str | None
    stop_sequences: list[str] | str | None
    seed: int | None
    n: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repetition_penalty: float | None
    logit_bias: Mapping[int, float] | Mapping[str, float] | None
    logprobs: bool | None
    top_logprobs: int | None
    reasoning_effort: str | None
    enable_thinking: bool | None
    thinking_budget: int | None
    send_reasoning: bool | None
    think_tags: bool
    promote_reasoning_only: bool
    streaming: bool | None
    stream_usage: bool
    include_response_headers: bool
    model_kwargs: dict[str, Any]
    # LangChain's own
    name: str | None
    cache: BaseCache | bool | None
    verbose: bool
    callbacks: Callbacks
    tags: list[str] | None
    metadata: dict[str, Any] | None
    custom_get_token_ids: Callable[[str], list[int]] | None
    rate_limiter: BaseRateLimiter | None
    disable_streaming: bool | Literal["tool_calling"]
    output_version: str | None
    profile: ModelProfile | None


class EmbeddingArguments(ConnectionArguments, total=False):
    """Those of `ModelScopeEmbeddings`."""

    dimensions: int | None
    query_instruction: str
    document_instruction: str
    batch_size: int | None
    chunk_size: int | None
    show_progress_bar: bool
    concurrency: int
    on_progress: Callable[[int, int], None] | None
