"""Further streams of engines and gateways, read in their code or in reports that show the bytes."""

from __future__ import annotations

import json
from typing import Any

from .foreign_server import DONE, event
from .shape_parts import (
    ADD,
    ARGS,
    BODY,
    MUL,
    OWN,
    ROLE,
    TEXT,
    THOUGHTS,
    USAGE,
    USED,
    Row,
    calls,
    end,
    row,
    said,
    tool,
)

__all__ = ["engine_rows"]

_SGLANG = "sgl-project/sglang python/sglang/srt/entrypoints/openai/serving_chat.py"
_LLAMA = "ggml-org/llama.cpp tools/server/server-task.cpp"
_SAYS: dict[str, Any] = {"text": TEXT, "usage": (9, 4)}
_ONE: dict[str, Any] = {"calls": (ADD,), "usage": (9, 4)}
_TWO: dict[str, Any] = {"calls": (ADD, MUL), "usage": (9, 4)}
_THINKS: dict[str, Any] = {**_SAYS, "thoughts": THOUGHTS}
_CALLED = end("tool_calls")
_HEAD, _OTHER = tool(0, "a", "add", ""), tool(0, "b", "multiply", "")


def engine_rows() -> list[Row]:
    """Their texts, thoughts, calls and failures."""
    return [*_texts(), *_gateway_texts(), *_thoughts(), *_calls(), *_gateway_calls(), *_failures()]


def _texts() -> list[Row]:
    nulls = {"function_call": None, "tool_calls": None, "role": "assistant", "refusal": None}
    return [
        row("vllm/text-with-finish", "vllm-project/vllm#36944",
            ROLE, BODY[0], event({"content": "and three."}, "length"), USAGE, DONE, **_SAYS),
        row("sglang/extension", _SGLANG,
            ROLE, *BODY, end(), event(sglext={"cached_tokens_details": None}), USAGE, DONE,
            **_SAYS),
        row("sglang/abort", _SGLANG, ROLE, *BODY, end("abort"), USAGE, DONE, **_SAYS),
        row("sglang/gateway-role-on-each", "sgl-project/sglang#19895",
            *said("Two ", "and three.", role="assistant", reasoning_content=None),
            end(), USAGE, DONE, **_SAYS),
        row("dynamo/nulls", "ai-dynamo/dynamo#3729",
            *said("Two ", "and three.", **nulls, reasoning_content=None),
            end(content=None, **nulls), b"event: llm_metrics\n" + _line(USAGE), DONE, **_SAYS),
        row("dynamo/two-finishes", "ai-dynamo/dynamo#4154",
            ROLE, *BODY, end(), end(), USAGE, DONE, **_SAYS),
        row("llamacpp/progress-first", _LLAMA,
            {**event({"role": "assistant", "content": None}), "prompt_progress": {"total": 9}},
            event({"role": "assistant", "content": None}), *BODY, end(), USAGE, DONE, **_SAYS),
        row("llamacpp/bare-colon", "coder/coder#28185",
            b":\n\n", ROLE, BODY[0], b":\n\n", BODY[1], end(), USAGE, DONE, **_SAYS),
        row("llamacpp/usage-at-finish",
            "g0t4/ask-openai.nvim lua/ask-openai/rewrites/harmony/NOTES.md",
            event({"role": "assistant", "content": None}), *BODY,
            {**end(), "usage": USED, "timings": {"predicted_n": 4}}, DONE, **_SAYS),
    ]  # fmt: skip


def _gateway_texts() -> list[Row]:
    finish = end()
    finish["choices"][0]["usage"] = USED
    filtered = event()
    filtered["choices"] = [{"index": 0, "finish_reason": None, "content_filter_results": {}}]
    numbered = [f"id: {n}\n".encode() + _line(it) for n, it in enumerate([ROLE, *BODY])]
    return [
        row("azure/filter-after-finish", "langchain-ai/langchain#18977",
            ROLE, *BODY, end(), {**filtered, "id": "", "model": ""}, USAGE, DONE, **_SAYS),
        row("kimi/usage-in-the-choice", "northes/go-moonshot#17",
            ROLE, *BODY, finish, DONE, **_SAYS),
        row("llmgateway/ping-between", "theopenco/llmgateway#2334",
            *numbered[:2], b": ping\n\n", numbered[2], end(), USAGE, DONE, **_SAYS),
        row("omniroute/empty-chunk-first", "diegosouzapw/OmniRoute#7136",
            event(), event(), ROLE, *BODY, end(), USAGE, DONE, **_SAYS),
        row("manifest/comment-as-data", "mnfst/llm-gateway#2053",
            b"data: : OPENROUTER PROCESSING\n\n", ROLE, *BODY, end(), USAGE, DONE, **_SAYS),
        row("vertex/keep-alive-as-data", "anomalyco/opencode#50871",
            ROLE, BODY[0], b"data: : keepalive\n\n", BODY[1], end(), USAGE, DONE, **_SAYS),
    ]  # fmt: skip


def _thoughts() -> list[Row]:
    split = ("Let me ", "see.")
    return [
        row("vllm/reasoning", "vllm-project/vllm docs/features/reasoning_outputs.md",
            ROLE, *[event({"role": "assistant", "reasoning": part}) for part in split],
            *BODY, end(), USAGE, DONE, **_THINKS),
        row("ollama/reasoning", "ollama/ollama openai/openai.go",
            *[event({"role": "assistant", "content": "", "reasoning": part}) for part in split],
            *said("Two ", "and three.", role="assistant"),
            end(role="assistant", content=""), USAGE, DONE, **_THINKS),
        row("openrouter/reasoning-beside-null", "BerriAI/litellm#8193",
            *[event({"role": "assistant", "content": None, "refusal": None, "reasoning": part})
              for part in split],
            *BODY, end(), USAGE, DONE, **_THINKS),
        row("dashscope/thoughts", "karthink/gptel#592",
            *[event({"reasoning_content": part, "role": "assistant"}) for part in split],
            *said("Two ", "and three.", role="assistant"), end(), USAGE, DONE, data="data:",
            **_THINKS),
        row("kimi/thoughts-to-the-end",
            "ENTERPILOT/GoModel tests/contract/testdata/kimi/chat_completion_stream.txt",
            event({"role": "assistant", "content": None}),
            *[event({"reasoning_content": part}) for part in split],
            end("length"), USAGE, DONE, data="data:", thoughts=THOUGHTS, usage=(9, 4)),
    ]  # fmt: skip


def _calls() -> list[Row]:
    def both(id_later: Any, *ids: str) -> list[Any]:
        """Two calls at one index, their arguments in a piece of its own."""
        found: list[Any] = []
        for call_id, head in zip(ids, (_HEAD, _OTHER), strict=True):
            later = call_id if id_later is True else id_later
            piece = {**tool(0, later, None, ARGS), "function": {"name": None, "arguments": ARGS}}
            found += [calls({**head, "id": call_id}), calls(piece)]
        return found

    return [
        row("vllm/equal-indices-empty-ids", "InternLM/lmdeploy#3412",
            ROLE, *both("", "a", "b"), _CALLED, USAGE, DONE, **_TWO),
        row("sglang/equal-indices-ids-repeated", "InternLM/lmdeploy#3412",
            ROLE, *both(True, "0", "1"), _CALLED, USAGE, DONE, **_TWO),
        row("vllm/arguments-with-finish", "vllm-project/vllm-ascend#8327",
            ROLE, calls(_HEAD), calls(tool(0, None, None, ARGS), finish_reason="tool_calls"),
            USAGE, DONE, **_ONE),
        row("vllm/two-in-one-delta", "vllm-project/vllm#53965",
            ROLE, calls(tool(0, "a", "add", ARGS), tool(1, "b", "multiply", ARGS)), _CALLED,
            USAGE, DONE, **_TWO),
        row("vmlx/empty-deltas-first", "jjang-ai/vmlx#219",
            ROLE, *[{**event({}), "tool_call_generating": True}] * 3,
            calls(tool(0, "a", "add", ARGS)), _CALLED, USAGE, DONE, **_ONE),
        row("dynamo/no-finish", "ai-dynamo/dynamo#10513",
            ROLE, calls(tool(0, "a", "add", ARGS)), USAGE, DONE, **_ONE),
    ]  # fmt: skip


def _gateway_calls() -> list[Row]:
    def without_index(arguments: str, name: str | None = None, **further: Any) -> dict[str, Any]:
        return tool(None, "a" if name else None, name, arguments, **further)

    signed = {"extra_content": {"google": {"thought_signature": "x"}}}
    named_empty = [tool(0, None, "", part) for part in ('{"a": 2,', ' "b": 3}')]
    chunks = [ROLE, calls(_HEAD), *[calls(it) for it in named_empty], _CALLED]
    return [
        row("gemini/pieces-without-index", "open-webui/computer#224",
            calls(without_index('{"a": 2,', "add"), role="assistant"),
            calls(without_index(' "b": 3}')), end("stop"), USAGE, DONE, **_ONE),
        row("gemini/signature-alone", "open-webui/computer#224",
            calls(without_index(ARGS, "add"), role="assistant"),
            event({"role": "assistant", **signed}), end("stop"), USAGE, DONE, **_ONE),
        row("zhipu/call-with-finish", "jeremychone/rust-genai#199",
            ROLE, calls(tool(0, "a", "add", ARGS), finish_reason="tool_calls"), USAGE, DONE,
            **_ONE),
        row("workbuddy/stub-at-finish", "CangShui/workbuddy-gateway#3",
            ROLE, calls(tool(0, "a", "add", ARGS)),
            end("tool_calls", content="", function_call={"name": "", "arguments": ""}),
            USAGE, DONE, **_ONE),
        row("litellm/arguments-as-object", "BerriAI/litellm#37792",
            ROLE, calls(tool(0, "a", "add", ADD[1])), end("stop"), USAGE, DONE, **_ONE),
        row("litellm/new-id-on-each-chunk", "BerriAI/litellm#40040",
            *[{**it, "id": f"chatcmpl-{n}"} for n, it in enumerate(chunks)], USAGE, DONE, **_ONE),
        row("dashscope/empty-function-last",
            "https://www.itsvse.com/forum.php?goto=lastpost&mod=redirect&tid=10981",
            calls(_HEAD, content=None, role="assistant"), calls(tool(0, "", None, ARGS)),
            calls({"index": 0, "id": "", "type": "function", "function": {}}), _CALLED,
            USAGE, DONE, **_ONE),
    ]  # fmt: skip


def _failures() -> list[Row]:
    error = {"error": {"object": "error", "message": "Out of memory.", "code": 500}}
    return [
        row("sglang/error-midway", _SGLANG, ROLE, *BODY, error, DONE, fails=True),
        row("gateway/code-and-message-midway", OWN,
            ROLE, *BODY, {"code": "Throttling", "message": "too fast"}, DONE, fails=True),
        row("gateway/detail-midway", OWN, ROLE, *BODY, {"detail": "timed out"}, DONE, fails=True),
        row("gateway/object-error-midway", OWN,
            ROLE, *BODY, {"object": "error", "message": "out of memory", "code": 500}, DONE,
            fails=True),
        row("gateway/hub-form-midway", OWN,
            ROLE, *BODY, {"Code": 10010205001, "Message": "no", "Success": False}, DONE,
            fails=True),
        row("gateway/error-event-of-text", OWN,
            ROLE, *BODY, b"event: error\ndata: upstream timed out\n\n", DONE, fails=True),
        row("dynamo/error-as-comment", "ai-dynamo/dynamo#8674",
            b"event: error\n: Exception: Failed to load image\n\n", fails=True),
    ]  # fmt: skip


def _line(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()
