"""Streams of text, of thoughts, and those that fail."""

from __future__ import annotations

import json
from typing import Any

from .foreign_server import DONE, event
from .shape_parts import (
    BODY,
    OWN,
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
    vllm = "vllm-project/vllm vllm/entrypoints/openai/chat_completion/serving.py"
    sglang = "sgl-project/sglang python/sglang/srt/entrypoints/openai/serving_chat.py"
    continuous = [{**it, "usage": {**USED, "completion_tokens": n}} for n, it in enumerate(plain)]
    return [
        row(
            "openai/text",
            "openai/openai-python src/openai/types/chat/chat_completion_chunk.py",
            *plain,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "openai/null-usage",
            "openai/openai-python src/openai/types/chat/chat_completion_stream_options_param.py",
            *[{**it, "usage": None} for it in plain],
            USAGE,
            DONE,
            **u,
        ),
        row(
            "openai/obfuscation",
            "openai/openai-python src/openai/types/chat/chat_completion_stream_options_param.py",
            *[{**it, "obfuscation": "xx"} for it in plain],
            USAGE,
            DONE,
            **u,
        ),
        row(
            "azure/filter-first",
            "openai/openai-python#1677",
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
            vllm,
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
            "pollinations/pollinations#1895",
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
            "ai-dynamo/dynamo#1516",
            b": keep-alive\n\n",
            *plain,
            b"event: llm_metrics\n: [4]\n\n",
            USAGE,
            DONE,
            **u,
        ),
        row(
            "llamacpp/null-first",
            "ggml-org/llama.cpp tools/server/server-task.cpp",
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
            "ollama/ollama openai/openai.go",
            *[event({"role": "assistant", "content": part}) for part in ("Two ", "and three.")],
            event({"role": "assistant", "content": ""}, "stop"),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "gemini/usage-with-text",
            "ogx-ai/ogx#5122",
            {
                **event({"role": "assistant", "content": "Two "}),
                "usage": {**USED, "completion_tokens": 2},
            },
            {**event({"role": "assistant", "content": "and three."}, "stop"), "usage": USED},
            DONE,
            **u,
        ),
        row(
            "dashscope/text",
            "karthink/gptel#592",
            *said("Two ", "and three.", role="assistant"),
            end(),
            USAGE,
            DONE,
            data="data:",
            **u,
        ),
        row(
            "deepseek/usage-at-finish",
            "CaiZongyuan/agentscope-nextjs-ai-demo backend/docs/example-completions.md",
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
            "https://api-docs.deepseek.com/quick_start/rate_limit",
            b": keep-alive\n\n" * 3,
            *plain,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "openrouter/processing",
            "mnfst/llm-gateway#2053",
            b": OPENROUTER PROCESSING\n\n",
            *plain,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "openrouter/native-finish",
            "reVrost/go-openrouter#43",
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
            "vercel/ai packages/groq/src/groq-chat-language-model.test.ts",
            {**ROLE, "x_groq": {"id": "req_1"}},
            *BODY,
            {**end(), "x_groq": {"id": "req_1", "usage": USED}},
            USAGE,
            DONE,
            **u,
        ),
        row(
            "xai/usage-beside-empty-delta",
            "BerriAI/litellm#17136",
            ROLE,
            *BODY,
            end(),
            {**event({}), "usage": USED},
            DONE,
            **u,
        ),
        row(
            "ollama/empty-finish",
            "ollama/ollama#4357",
            ROLE,
            *[event({"content": part}, "") for part in ("Two ", "and three.")],
            end(),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "kimi/no-space",
            "ENTERPILOT/GoModel tests/contract/testdata/kimi/chat_completion_stream.txt",
            *plain,
            USAGE,
            DONE,
            data="data:",
            **u,
        ),
        row(
            "sse/crlf",
            "https://html.spec.whatwg.org/multipage/server-sent-events.html",
            *plain,
            USAGE,
            DONE,
            newline="\r\n",
            **u,
        ),
        row("proxy/byte-by-byte", OWN, *plain, USAGE, DONE, piece=1, **u),
        row("proxy/one-write", OWN, *plain, USAGE, DONE, piece=65536, **u),
        row(
            "proxy/cut-utf8",
            OWN,
            ROLE,
            *said("北京", "和上海 🙂"),
            end(),
            USAGE,
            DONE,
            piece=1,
            text="北京和上海 🙂",
            usage=(9, 4),
        ),
        row("vllm/no-usage", vllm, *plain, DONE, text=TEXT),
        row(
            "mistral/length",
            "laravel/ai#955",
            ROLE,
            *BODY,
            end("length"),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "mistral/model-length",
            "laravel/ai#955",
            ROLE,
            *BODY,
            end("model_length"),
            USAGE,
            DONE,
            **u,
        ),
        row(
            "sse/retry-and-id",
            "openai/openai-python#2721",
            b"retry: 1000\nid: 7\n\n",
            *plain,
            USAGE,
            DONE,
            **u,
        ),
        row(
            "sse/event-names",
            "https://html.spec.whatwg.org/multipage/server-sent-events.html",
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
            "vllm-project/vllm docs/features/reasoning_outputs.md",
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
            "pollinations/pollinations#1895",
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
            "CaiZongyuan/agentscope-nextjs-ai-demo backend/docs/example-completions.md",
            event({"role": "assistant", "content": None, "reasoning_content": ""}),
            *both,
            *turned,
            end(content="", reasoning_content=None),
            event(usage=details),
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
            OWN,
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
            "vllm-project/vllm vllm/entrypoints/openai/chat_completion/serving.py",
            error,
            DONE,
            fails=True,
        ),
        row(
            "vllm/error-midway",
            "vllm-project/vllm vllm/entrypoints/openai/chat_completion/serving.py",
            ROLE,
            *BODY,
            error,
            DONE,
            fails=True,
        ),
        row("proxy/cut", OWN, ROLE, *BODY, fails=True),
    ]
