"""What becomes of each argument of the classes that users come from; the docs print these rows.

Sources: the signatures and fields of ``OpenAI`` and ``OpenAILike`` (llama-index-llms-openai 0.8.3,
llama-index-llms-openai-like 0.8.1), of ``chat.completions.create`` and ``embeddings.create``
(openai 2.54), of ``OpenAIEmbedding``, ``OpenAILikeEmbedding``, ``DashScopeEmbedding``,
``SiliconFlowEmbedding``, ``OllamaEmbedding``, of the rerankers of Cohere, DashScope, Jina,
SiliconFlow, Voyage, SentenceTransformers and of ``LLMRerank``, and of the older packages
``llama-index-llms-modelscope`` and ``llama-index-embeddings-modelscope`` 0.7.0.
"""

from __future__ import annotations

from typing import Any, Final

from modelscope_transport.language import marked as _N
from modelscope_transport.language import translated as _

from ._arguments import Argument, alias, by_name, refused, taken, unused

__all__ = ["CALL", "CALL_HINT", "EMBEDDING", "EMBEDDING_CALL", "LLM", "RERANK"]

CALL_HINT: Final = _N(" A field of the request's body that has no name here goes in extra_body.")
"""What follows the refusal of an option of a call that no row knows."""

_LOCAL = _N(
    "it configures a model that runs on this machine. Here the service runs it; leave it out, or "
    "keep llama-index-llms-modelscope for a local model."
)
_IN_BODY = _N(
    "it is a feature of OpenAI's own service, which this one does not have. Leave it out, or send "
    "it all the same in extra_body."
)
_CLIENT = _N(
    "calls do not go through the OpenAI client. Pass http_client=httpx.Client(…) and "
    "async_http_client=, or client=modelscope_transport.Client(…)."
)
_TEXT_ONLY = _N(
    "the service's chat models answer in text. For images, see ModelScopeImageToolSpec."
)
_ONE_POOL = _N("connections are shared and safe over threads and event loops")


def _usage_wanted(options: dict[str, Any]) -> bool:
    further = options.keys() - {"include_usage"}
    if further:
        raise ValueError(_("it holds {names}").format(names=", ".join(sorted(further))))
    return bool(options.get("include_usage", True))


def _schema_mode(wanted: bool) -> str | None:
    return "json_schema" if wanted else None


_REACH: Final = (
    taken("api_key", _N("or an environment variable such as MODELSCOPE_API_KEY")),
    alias("api_base", "base_url"),
    taken("timeout", _N("the total deadline of a call, retries and stream included; 600 s")),
    taken("max_retries", _N("2 by default")),
    taken("default_headers"),
    taken("http_client"),
    taken("async_http_client"),
    taken("callback_manager"),
    unused("reuse_client", _ONE_POOL),
    unused("api_version", _N("the service has one version, which is part of its address")),
)

# --- ModelScope(…) -----------------------------------------------------------------------------

LLM: Final[dict[str, Argument]] = by_name(
    taken("model"),
    alias("model_name", "model"),
    *_REACH,
    taken(
        "temperature", _N("unset by default, so that the model's own holds; OpenAILike sends 0.1")
    ),
    taken("max_tokens", _N("thoughts included")),
    alias("max_new_tokens", "max_tokens"),
    alias("max_completion_tokens", "max_tokens"),
    taken("top_p"),
    taken("top_k"),
    taken("min_p"),
    taken("repetition_penalty"),
    taken("frequency_penalty"),
    taken("presence_penalty"),
    taken("seed"),
    taken("stop"),
    taken("logprobs"),
    taken("top_logprobs", _N("sent together with logprobs=True")),
    taken("logit_bias"),
    taken("reasoning_effort"),
    taken(
        "additional_kwargs", _N("its names are checked; what they do not know goes in extra_body")
    ),
    taken("extra_body"),
    taken("context_window", _N("known for most models")),
    taken("is_function_calling_model", _N("known for most models")),
    refused(
        "is_chat_model",
        _N("the service only answers chats, and complete() sends its prompt as one. Leave it out."),
        True,
    ),
    alias("should_use_structured_outputs", "structured_output_mode", _schema_mode),
    unused("tokenizer", _N("it only bounds the answers of models that do not chat")),
    taken("strict"),
    refused("modalities", _TEXT_ONLY, ["text"]),
    refused("audio_config", _TEXT_ONLY),
    refused("openai_client", _CLIENT),
    refused("async_openai_client", _CLIENT),
    taken("system_prompt"),
    taken("messages_to_prompt"),
    taken("completion_to_prompt"),
    taken("pydantic_program_mode"),
    taken("output_parser"),
    taken("query_wrapper_prompt"),
    taken("rate_limiter"),
    *(
        refused(name, _LOCAL)
        for name in ("device_map", "dtype", "model_revision", "task_name", "tokenizer_kwargs")
    ),
    refused("model_kwargs", _N("options of every call go in additional_kwargs."), {}),
    refused("generate_kwargs", _N("options of every call go in additional_kwargs."), {}),
    refused("provider", _N("write it into the model ID: model='owner/name:Provider'.")),
)

# --- llm.chat(…) and additional_kwargs --------------------------------------------------------

CALL: Final[dict[str, Argument]] = by_name(
    taken("model", _N("another model for one call")),
    taken("temperature"),
    taken("max_tokens"),
    alias("max_completion_tokens", "max_tokens"),
    alias("max_new_tokens", "max_tokens"),
    taken("top_p"),
    taken("top_k"),
    taken("min_p"),
    taken("repetition_penalty"),
    taken("frequency_penalty"),
    taken("presence_penalty"),
    taken("seed"),
    taken("stop"),
    taken("logprobs"),
    taken("top_logprobs"),
    taken("logit_bias"),
    taken("reasoning_effort"),
    taken("tools"),
    taken("tool_choice"),
    taken("parallel_tool_calls"),
    taken("response_format"),
    taken("user", _N("sent as it is")),
    taken("timeout"),
    taken("extra_body", _N("merged over the object's own")),
    taken("extra_headers", _N("merged over the object's own")),
    refused("extra_query", _N("the service reads no query. Pass the fields in extra_body."), {}),
    alias("stream_options", "stream_usage", _usage_wanted),
    unused("stream", _N("chat() gives one answer and stream_chat() gives it in pieces")),
    unused("formatted", _N("an argument of complete() alone")),
    refused("use_chat_completions", _N("the service only answers chats. Leave it out."), True),
    refused(
        "n", _N("an answer of LlamaIndex holds one message. Call again, or use Client.chat."), 1
    ),
    refused("functions", _N("pass the functions as tools.")),
    refused("function_call", _N("it is called tool_choice now.")),
    refused("modalities", _TEXT_ONLY, ["text"]),
    refused("audio", _TEXT_ONLY),
    refused("messages", _N("the conversation is the first argument.")),
    refused("api_key", _N("it belongs to the object: ModelScope(api_key=…).")),
    *(
        refused(name, _IN_BODY)
        for name in (
            "metadata",
            "moderation",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "verbosity",
            "web_search_options",
        )
    ),
)

# --- ModelScopeEmbedding(…) and its additional_kwargs -----------------------------------------

EMBEDDING: Final[dict[str, Argument]] = by_name(
    taken("model_name"),
    alias("model", "model_name"),
    *_REACH,
    unused("mode", _N("it chose among engines that OpenAI has withdrawn")),
    taken("embed_batch_size", _N("as many as the model takes; OpenAILikeEmbedding sends 10")),
    taken("dimensions"),
    taken("num_workers", _N("requests at once; 1 by default")),
    taken("additional_kwargs"),
    taken("extra_body"),
    taken("query_instruction"),
    taken("text_instruction"),
    taken("embeddings_cache"),
    taken("rate_limiter"),
    refused(
        "encoding_format", _N("the service demands 'float', which is sent. Leave it out."), "float"
    ),
    refused(
        "text_type",
        _N("queries and texts are told apart by query_instruction and text_instruction."),
    ),
    refused("ollama_additional_kwargs", _N("fields of the request's body go in extra_body."), {}),
    refused("client_kwargs", _N("pass timeout, proxy or http_client."), {}),
    refused("openai_client", _CLIENT),
    refused("async_openai_client", _CLIENT),
    *(
        refused(name, _LOCAL)
        for name in (
            "cache_folder",
            "device",
            "keep_alive",
            "max_length",
            "model_kwargs",
            "generate_kwargs",
            "model_revision",
            "sequence_length",
            "task_name",
            "trust_remote_code",
        )
    ),
)

EMBEDDING_CALL: Final[dict[str, Argument]] = by_name(
    taken("dimensions"),
    taken("user", _N("sent as it is")),
    taken("timeout"),
    taken("extra_body", _N("merged over the object's own")),
    taken("extra_headers"),
    refused("extra_query", _N("the service reads no query. Pass the fields in extra_body."), {}),
    refused(
        "encoding_format", _N("the service demands 'float', which is sent. Leave it out."), "float"
    ),
    refused("input", _N("the texts are an argument of the call.")),
    refused("model", _N("it belongs to the object: ModelScopeEmbedding(model_name=…).")),
)

# --- ModelScopeRerank(…) ----------------------------------------------------------------------

_BY_PROMPT = _N("the prompt and the reading of its answer belong to this class. Leave it out.")

RERANK: Final[dict[str, Argument]] = by_name(
    taken("model", _N("a chat model")),
    alias("model_name", "model"),
    *_REACH,
    taken("top_n", _N("all nodes by default, not two")),
    alias("top_k", "top_n"),
    taken("extra_body"),
    taken("keep_retrieval_score"),
    unused("return_documents", _N("nodes keep their texts")),
    unused("truncation", _N("a node longer than max_characters is cut")),
    unused("verbose", _N("traces and callbacks show each call")),
    refused("max_chunks_per_doc", _N("write max_characters=, how much of each node is looked at.")),
    refused("overlap_tokens", _N("write max_characters=, how much of each node is looked at.")),
    refused("choice_batch_size", _N("write max_documents=, how many nodes one call looks at.")),
    refused("llm", _N("pass the model's ID: model='owner/name'.")),
    refused("api_url", _N("write base_url=, the address of the whole service.")),
    *(
        refused(name, _BY_PROMPT)
        for name in (
            "choice_select_prompt",
            "format_node_batch_fn",
            "parse_choice_select_answer_fn",
            "rankgpt_rerank_prompt",
        )
    ),
    *(
        refused(name, _LOCAL)
        for name in ("cache_folder", "cross_encoder_kwargs", "device", "trust_remote_code")
    ),
)
