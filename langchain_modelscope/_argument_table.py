"""The arguments of other classes, word by word: what each is called here, or what to write instead.

Data only; `_arguments` reads it, and the page for those who come from another class prints it.
"""

from __future__ import annotations

from typing import NamedTuple

from modelscope_transport.language import marked as _N

__all__ = ["CALL", "CHAT", "CONNECTION", "EMBEDDINGS", "Argument"]


class Argument(NamedTuple):
    """A word that another class takes.

    Attributes:
        word: the argument there.
        now: the argument here that it is read as; empty where it is refused.
        of: who has it.
        instead: what to write where it is refused.
    """

    word: str
    now: str
    of: str
    instead: str = ""


# Who has a word: langchain-openai 1.7.3, langchain-groq 1.1.3, langchain-litellm 0.11.2 and
# langchain-modelscope-integration 0.1.1, from their sources, read 2026-11-28.
_O, _G, _L = "ChatOpenAI", "ChatGroq", "ChatLiteLLM"
_M, _E = "ModelScopeChatEndpoint", "OpenAIEmbeddings"
_OPENAI_ALONE = _N("OpenAI's own service has it. Leave it out")
_NO_KEY = _N("pass the ModelScope token as api_key")
_HTTP = _N("pass an httpx.Client as http_client, an httpx.AsyncClient as http_async_client")


def _table(*rows: tuple[str, str, str] | tuple[str, str, str, str]) -> dict[str, Argument]:
    return {row[0]: Argument(*row) for row in rows}


CONNECTION = _table(
    ("model", "model", f"{_O}, {_G}, {_L}, {_M}"),
    ("model_name", "model", f"{_O}, {_G}, {_L}, {_M}"),
    ("api_key", "api_key", f"{_O}, {_G}, {_L}, {_M}"),
    ("openai_api_key", "api_key", f"{_O}, {_L}"),
    ("groq_api_key", "api_key", _G),
    ("modelscope_sdk_token", "api_key", _M),
    ("modelscope_api_key", "api_key", _N("this package")),
    ("base_url", "base_url", f"{_O}, {_G}, {_M}"),
    ("openai_api_base", "base_url", _O),
    ("groq_api_base", "base_url", _G),
    ("api_base", "base_url", f"{_L}, {_M}"),
    ("modelscope_api_base", "base_url", _N("this package")),
    ("account", "account", _N("this package")),
    ("timeout", "timeout", f"{_O}, {_G}"),
    ("request_timeout", "timeout", f"{_O}, {_G}, {_L}"),
    ("max_retries", "max_retries", f"{_O}, {_G}, {_L}"),
    ("connect_timeout", "connect_timeout", _N("this package")),
    ("idle_timeout", "idle_timeout", _N("this package")),
    ("proxy", "proxy", _N("this package")),
    ("openai_proxy", "proxy", _O),
    ("groq_proxy", "proxy", _G),
    ("default_headers", "default_headers", f"{_O}, {_G}"),
    ("extra_headers", "default_headers", _L),
    ("extra_body", "extra_body", _O),
    ("http_client", "http_client", f"{_O}, {_G}"),
    ("http_async_client", "http_async_client", f"{_O}, {_G}"),
    ("client", "client", f"{_O}, {_G}, {_L}"),
    ("async_client", "", f"{_O}, {_G}", _HTTP),
    ("root_client", "", _O, _HTTP),
    ("root_async_client", "", _O, _HTTP),
    ("http_socket_options", "", _O, _HTTP),
    (
        "default_query",
        "",
        f"{_O}, {_G}",
        _N("the service reads no query; fields go into extra_body"),
    ),
    ("openai_organization", "", _O, _N("the service has no organizations. Leave it out")),
    ("organization", "", f"{_O}, {_L}", _N("the service has no organizations. Leave it out")),
    ("azure_api_key", "", _L, _NO_KEY),
    ("anthropic_api_key", "", _L, _NO_KEY),
    ("replicate_api_key", "", _L, _NO_KEY),
    ("cohere_api_key", "", _L, _NO_KEY),
    ("openrouter_api_key", "", _L, _NO_KEY),
    ("huggingface_api_key", "", _L, _NO_KEY),
    ("together_ai_api_key", "", _L, _NO_KEY),
    ("custom_llm_provider", "", _L, _N("write the provider into the model: owner/name:Provider")),
    ("base_model", "", _L, _N("pass model, and profile where its abilities are others")),
)
"""Arguments of the constructors of all classes here."""

CHAT = {
    **CONNECTION,
    **_table(
        ("temperature", "temperature", f"{_O}, {_G}, {_L}, {_M}"),
        ("top_p", "top_p", f"{_O}, {_L}"),
        ("top_k", "top_k", _L),
        ("max_tokens", "max_tokens", f"{_O}, {_G}, {_L}, {_M}"),
        ("max_completion_tokens", "max_tokens", _O),
        ("stop", "stop", f"{_O}, {_G}"),
        ("stop_sequences", "stop", f"{_O}, {_G}"),
        ("seed", "seed", _O),
        ("n", "n", f"{_O}, {_G}, {_L}"),
        ("presence_penalty", "presence_penalty", _O),
        ("frequency_penalty", "frequency_penalty", _O),
        ("logit_bias", "logit_bias", _O),
        ("logprobs", "logprobs", _O),
        ("top_logprobs", "top_logprobs", _O),
        ("reasoning_effort", "reasoning_effort", f"{_O}, {_G}"),
        ("streaming", "streaming", f"{_O}, {_G}, {_L}"),
        ("stream_usage", "stream_usage", _O),
        ("include_response_headers", "include_response_headers", _O),
        ("model_kwargs", "model_kwargs", f"{_O}, {_G}, {_L}"),
        (
            "stream_options",
            "",
            _L,
            _N("stream_usage=True, which is the default, asks for token usage"),
        ),
        ("stream_chunk_timeout", "", _O, _N("timeout bounds the whole call, silence included")),
        ("reasoning", "", _O, _N("use enable_thinking, thinking_budget or reasoning_effort")),
        (
            "reasoning_format",
            "",
            _G,
            _N(
                "thoughts always come in additional_kwargs['reasoning_content'] and in "
                "content_blocks"
            ),
        ),
        ("verbosity", "", _O, _OPENAI_ALONE),
        (
            "tiktoken_model_name",
            "",
            _O,
            _N("pass custom_get_token_ids, a function from text to token ids"),
        ),
        ("num_ctx", "", _L, _N("the service sets the window. Leave it out")),
        ("disabled_params", "", _O, _N("what a model cannot take is left out by its profile")),
        (
            "use_responses_api",
            "",
            f"{_O}, {_L}",
            _N("the service speaks chat completions. Leave it out"),
        ),
        ("use_previous_response_id", "", _O, _N("the service keeps no answers. Send the messages")),
        ("context_management", "", _O, _OPENAI_ALONE),
        ("include", "", _O, _OPENAI_ALONE),
        ("prompt_cache_options", "", _O, _OPENAI_ALONE),
        ("service_tier", "", f"{_O}, {_G}", _OPENAI_ALONE),
        ("store", "", _O, _OPENAI_ALONE),
        ("truncation", "", _O, _N("shorten the messages, as trim_messages does")),
    ),
}
"""Arguments of the chat model's constructor."""

EMBEDDINGS = {
    **CONNECTION,
    **_table(
        ("dimensions", "dimensions", _E),
        ("batch_size", "batch_size", _N("this package")),
        ("chunk_size", "batch_size", _E),
        ("show_progress_bar", "show_progress_bar", _E),
        ("headers", "default_headers", _E),
        ("model_id", "model", _N("ModelScopeEmbeddings of langchain-modelscope-integration")),
        (
            "model_revision",
            "",
            _N("ModelScopeEmbeddings of langchain-modelscope-integration"),
            _N("the service serves one revision. Leave it out"),
        ),
        ("embed", "", _N("ModelScopeEmbeddings of langchain-modelscope-integration"), _HTTP),
        ("deployment", "", _E, _N("pass model")),
        ("openai_api_version", "", _E, _OPENAI_ALONE),
        ("api_version", "", _E, _OPENAI_ALONE),
        ("openai_api_type", "", _E, _OPENAI_ALONE),
        ("embedding_ctx_length", "", _E, _N("split long texts before they are embedded")),
        ("check_embedding_ctx_length", "", _E, _N("texts are sent as they are. Leave it out")),
        ("tiktoken_enabled", "", _E, _N("texts are sent as they are. Leave it out")),
        ("tiktoken_model_name", "", _E, _N("texts are sent as they are. Leave it out")),
        ("allowed_special", "", _E, _N("texts are sent as they are. Leave it out")),
        ("disallowed_special", "", _E, _N("texts are sent as they are. Leave it out")),
        ("skip_empty", "", _E, _N("leave empty texts out")),
        (
            "retry_min_seconds",
            "",
            _E,
            _N("the client chooses its waits; max_retries and timeout bound them"),
        ),
        (
            "retry_max_seconds",
            "",
            _E,
            _N("the client chooses its waits; max_retries and timeout bound them"),
        ),
        ("model_kwargs", "", _E, _N("use extra_body")),
    ),
}
"""Arguments of the embedding model's constructor."""

_AT_CONSTRUCTION = _N("it is an argument of the constructor, not of a call")

CALL = _table(
    *[
        (name, name, f"{_O}, {_G}, {_L}")
        for name in (
            "model",
            "temperature",
            "top_p",
            "max_tokens",
            "stop",
            "seed",
            "n",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "top_logprobs",
            "reasoning_effort",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "response_format",
            "strict",
            "stream",
            "stream_usage",
            "timeout",
            "extra_body",
            "extra_headers",
        )
    ],
    ("model_name", "model", f"{_O}, {_G}, {_L}"),
    ("max_completion_tokens", "max_tokens", _O),
    ("stop_sequences", "stop", f"{_O}, {_G}"),
    ("request_timeout", "timeout", _L),
    (
        "default_headers",
        "",
        f"{_O}, {_G}",
        _N("it is an argument of the constructor, not of a call; a call has extra_headers"),
    ),
    *[
        (name, "", f"{_O}, {_G}, {_L}", _AT_CONSTRUCTION)
        for name in (
            "api_key",
            "base_url",
            "max_retries",
            "proxy",
            "client",
            "http_client",
            "http_async_client",
            "cache",
            "rate_limiter",
            "output_version",
            "disable_streaming",
            "profile",
            "model_kwargs",
            "custom_get_token_ids",
        )
    ],
    ("include_response_headers", "", _O, _AT_CONSTRUCTION),
    (
        "stream_options",
        "",
        f"{_O}, {_L}",
        _N("stream_usage=True, the default, asks for token usage"),
    ),
    ("functions", "", _O, _N("use bind_tools")),
    ("function_call", "", _O, _N("use tool_choice")),
    ("extra_query", "", _O, _N("the service reads no query; fields go into extra_body")),
    ("reasoning", "", _O, _N("use enable_thinking, thinking_budget or reasoning_effort")),
    *[
        (name, "", _O, _OPENAI_ALONE)
        for name in (
            "audio",
            "modalities",
            "moderation",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "user",
            "verbosity",
            "web_search_options",
        )
    ],
)
"""Arguments of a call: of ``invoke``, ``stream`` and so on, of ``bind``, of ``model_kwargs``."""
