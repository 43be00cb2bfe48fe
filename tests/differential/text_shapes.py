"""Streams of text, of thoughts, and those that fail."""

from __future__ import annotations

import json
from typing import Any

from .foreign_server import DONE, event
from .shape_parts import (
    BODY,
    ROLE,
    TEXT,
    THOUGHTS,
    USAGE,
    USED,
    Row,
    end,
    row,
    said,
)

__all__ = ["failures", "texts", "thoughts"]


def texts() -> list[Row]:
    plain = [ROLE, *BODY, end()]
    u: dict[str, Any] = {"text": TEXT, "usage": (9, 4)}
    vllm, sglang = (
        "vllm-project/vllm, entrypoints/openai/serving_chat",
        "sgl-project/sglang, entrypoints/openai/serving_chat.py",
    )
    continuous = [{**it, "usage": {**USED, "completion_tokens": n}} for n, it in enumerate(plain)]
    return [
        row("openai/text", "platform.openai.com, streaming", *plain, USAGE, DONE, **u),
        row(
            "openai/null-usage",
            "platform.openai.com, include_usage",
            *[{**it, "usage": None} for it in plain],
            USAGE,
            DONE,
            **u,
        ),
        row(
            "openai/obfuscation",
            "vercel/ai#12607",
            *[{**it, "obfuscation": "xx"} for it in plain],
            USAGE,
            DONE,
            **u,
        ),
        row(
            "azure/filter-first",
            "meilisearch/meilisearch#6477",
            {**event(), "id": "", "model": "", "prompt_filter_results": []},
            *plain,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "azure/filter-without-delta",
            "microsoft/autogen#6465",
            ROLE,
            *BODY,
            {
                **event(),
                "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}],
            },
            end(),
            USAGE,
            DONE,
            **u,
        ),
        row("vllm/text", vllm, ROLE, *BODY, end(content=""), USAGE, DONE, **u),
        row(
            "vllm/usage-on-every-chunk",
            f"{vllm}, continuous_usage_stats",
            *continuous,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "vllm/stop-reason",
            vllm,
            ROLE,
            *BODY,
            {
                **event(),
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": ""},
                        "logprobs": None,
                        "finish_reason": "stop",
                        "stop_reason": None,
                        "token_ids": None,
                    }
                ],
            },
            USAGE,
            DONE,
            **u,
        ),
        row(
            "sglang/nulls",
            sglang,
            *[
                event(
                    {"role": None, "content": part, "reasoning_content": None, "tool_calls": None}
                )
                for part in ("Two ", "and three.")
            ],
            end(content=None),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "sglang/matched-stop",
            sglang,
            ROLE,
            *BODY,
            {
                **event(),
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": None},
                        "finish_reason": "stop",
                        "matched_stop": 151645,
                    }
                ],
            },
            USAGE,
            DONE,
            **u,
        ),
        row(
            "dynamo/comments",
            "ai-dynamo/dynamo, annotations",
            b": keep-alive\n\n",
            *plain,
            b"event: llm_metrics\n: [4]\n\n",
            USAGE,
            DONE,
            **u,
        ),
        row(
            "llamacpp/null-first",
            "ggml-org/llama.cpp, tools/server",
            event({"role": "assistant", "content": None}),
            *BODY,
            end(),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "llamacpp/timings",
            "openai-php/client#780",
            ROLE,
            *[{**it, "timings": {"predicted_n": 4}} for it in BODY],
            {**end(), "timings": {"predicted_n": 4}},
            USAGE,
            DONE,
            **u,
        ),
        row(
            "ollama/role-on-each",
            "ollama/ollama, openai/openai.go",
            *[event({"role": "assistant", "content": part}) for part in ("Two ", "and three.")],
            event({"role": "assistant", "content": ""}, "stop"),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "gemini/usage-with-text",
            "ai.google.dev, openai compatibility",
            {
                **event({"role": "assistant", "content": "Two "}),
                "usage": {**USED, "completion_tokens": 2},
            },
            {**event({"role": "assistant", "content": "and three."}, "stop"), "usage": USED},
            DONE,
            **u,
        ),
        row(
            "gemini/one-chunk",
            "ai.google.dev, openai compatibility",
            {**event({"role": "assistant", "content": TEXT}, "stop"), "usage": USED},
            DONE,
            **u,
        ),
        row(
            "dashscope/text",
            "help.aliyun.com, DashScope openai mode",
            event({"content": "", "role": "assistant"}),
            *BODY,
            end(content=""),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "deepseek/usage-at-finish",
            "api-docs.deepseek.com, chat completion",
            ROLE,
            *BODY,
            {
                **end(content=""),
                "usage": {**USED, "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 9},
            },
            DONE,
            **u,
        ),
        row(
            "deepseek/keep-alive",
            "api-docs.deepseek.com, rate limit",
            b": keep-alive\n\n" * 3,
            *plain,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "openrouter/processing",
            "openrouter.ai, api streaming",
            b": OPENROUTER PROCESSING\n\n",
            *plain,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "openrouter/native-finish",
            "openrouter.ai, api overview",
            ROLE,
            *BODY,
            {
                **event(),
                "choices": [
                    {
                        "index": 0,
                        "delta": {"role": "assistant", "content": ""},
                        "finish_reason": "stop",
                        "native_finish_reason": "STOP",
                    }
                ],
            },
            {**event({"role": "assistant", "content": ""}), "usage": USED},
            DONE,
            **u,
        ),
        row(
            "groq/x-groq",
            "console.groq.com, api reference",
            {**ROLE, "x_groq": {"id": "req_1"}},
            *BODY,
            {**end(), "x_groq": {"id": "req_1", "usage": USED}, "usage": USED},
            DONE,
            **u,
        ),
        row(
            "litellm/usage-beside-empty-delta",
            "BerriAI/litellm, streaming_handler.py",
            ROLE,
            *BODY,
            end(),
            {**event({}), "usage": USED},
            DONE,
            **u,
        ),
        row(
            "glm/finish-empty-text",
            "adolfousier/opencrabs#1499",
            ROLE,
            *[event({"content": part}, "") for part in ("Two ", "and three.")],
            end(),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "lmstudio/no-space",
            "lmstudio-ai, data lines without a space",
            *[f"data:{json.dumps(it)}\n\n".encode() for it in [*plain, USAGE]],
            b"data:[DONE]\n\n",
            **u,
        ),
        row(
            "dotnet/crlf", "Azure API Management gateways", *plain, USAGE, DONE, newline="\r\n", **u
        ),
        row("proxy/byte-by-byte", "slow reverse proxies", *plain, USAGE, DONE, piece=1, **u),
        row("proxy/one-write", "nginx proxy_buffering", *plain, USAGE, DONE, piece=65536, **u),
        row(
            "proxy/cut-utf8",
            "RFC 3629 over chunked encoding",
            ROLE,
            *said("北京", "和上海 🙂"),
            end(),
            USAGE,
            DONE,
            piece=1,
            text="北京和上海 🙂",
            usage=(9, 4),
        ),
        row(
            "newapi/zero-usage",
            "QuantumNous/new-api, dummy usage in each chunk",
            *[
                {**it, "usage": {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}}
                for it in plain
            ],
            USAGE,
            DONE,
            **u,
        ),
        row("vllm/no-usage", f"{vllm}, without include_usage", *plain, DONE, text=TEXT),
        row("llamacpp/no-done", "old proxies that close after the finish mark", *plain, USAGE, **u),
        row(
            "mistral/length",
            "docs.mistral.ai, finish reasons",
            ROLE,
            *BODY,
            end("length"),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "mistral/model-length",
            "docs.mistral.ai, finish reasons",
            ROLE,
            *BODY,
            end("model_length"),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "sse/retry-and-id",
            "html.spec.whatwg.org, server-sent events",
            b"retry: 1000\nid: 7\n\n",
            *plain,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "sse/event-names",
            "html.spec.whatwg.org, server-sent events",
            *[f"event: message\ndata: {json.dumps(it)}\n\n".encode() for it in [*plain, USAGE]],
            DONE,
            **u,
        ),
    ]


def thoughts() -> list[Row]:
    truth: dict[str, Any] = {"text": TEXT, "thoughts": THOUGHTS, "usage": (9, 4)}
    split = ("Let me ", "see.")
    old = [event({"reasoning_content": part}) for part in split]
    both = [event({"content": None, "reasoning_content": part}) for part in split]
    turned = [
        event({"content": part, "reasoning_content": None}) for part in ("Two ", "and three.")
    ]
    details: dict[str, Any] = {**USED, "completion_tokens_details": {"reasoning_tokens": 2}}
    return [
        row(
            "vllm/thoughts",
            "vllm-project/vllm, docs/features/reasoning_outputs",
            ROLE,
            *old,
            *BODY,
            end(),
            USAGE,
            DONE,
            **truth,
        ),
        row(
            "sglang/thoughts",
            "sgl-project/sglang, separate reasoning",
            ROLE,
            *both,
            *turned,
            end(content=None),
            USAGE,
            DONE,
            **truth,
        ),
        row(
            "deepseek/thoughts",
            "api-docs.deepseek.com, reasoning model",
            event({"role": "assistant", "content": None, "reasoning_content": ""}),
            *both,
            *turned,
            end(content="", reasoning_content=None),
            event(usage=details),
            DONE,
            **truth,
        ),
        row(
            "dashscope/thoughts",
            "help.aliyun.com, deep thinking",
            event({"content": None, "role": "assistant", "reasoning_content": ""}),
            *both,
            *turned,
            end(content="", reasoning_content=None),
            USAGE,
            DONE,
            **truth,
        ),
        row(
            "llamacpp/thoughts",
            "openai-php/client#780",
            event({"role": "assistant", "content": None}),
            *old,
            *BODY,
            end(),
            USAGE,
            DONE,
            **truth,
        ),
        row(
            "gateway/thoughts-beside-text",
            "one delta with both fields",
            ROLE,
            event({"reasoning_content": THOUGHTS, "content": "Two "}),
            event({"content": "and three."}),
            end(),
            USAGE,
            DONE,
            **truth,
        ),
    ]


def failures() -> list[Row]:
    error = {
        "error": {
            "message": "CUDA error",
            "type": "InternalServerError",
            "param": None,
            "code": 500,
        }
    }
    return [
        row(
            "vllm/error-first",
            "vllm-project/vllm, create_streaming_error_response",
            error,
            DONE,
            fails=True,
        ),
        row(
            "vllm/error-midway",
            "vllm-project/vllm, create_streaming_error_response",
            ROLE,
            *BODY,
            error,
            DONE,
            fails=True,
        ),
        row("proxy/cut", "a worker that was killed: no finish mark", ROLE, *BODY, fails=True),
    ]
