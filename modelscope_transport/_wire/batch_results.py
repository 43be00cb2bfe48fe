"""Results in OpenAI's batch files: an answer as the body that the service would have sent.

Source of the form: platform.openai.com/docs/api-reference/batch (request-output).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..answers import ChatChoice, ChatResult, EmbeddingResult, Usage
from . import chat as chat_wire
from . import embeddings as embeddings_wire
from .chat_messages import encode_calls
from .outcomes import Failure

__all__ = ["LineError", "Response", "ResultLine", "answer_body", "read_answer"]


class Response(Struct, kw_only=True):
    """What came back for a line."""

    status_code: int
    request_id: str
    body: dict[str, Any]


class LineError(Struct, kw_only=True, omit_defaults=True):
    """Why a line has no answer. ``reason`` and ``retryable`` are ours."""

    code: str
    message: str
    reason: str | None = None
    retryable: bool = False


class ResultLine(Struct, kw_only=True):
    """A line of the output. Both fields of the outcome are always there, one of them null."""

    id: str
    custom_id: str
    response: Response | None
    error: LineError | None


def answer_body(answer: ChatResult | EmbeddingResult) -> dict[str, Any]:
    """The body that the service would have sent with an answer."""
    if isinstance(answer, EmbeddingResult):
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(answer.vectors)
            ],
            "model": answer.model,
            "usage": _usage(answer.usage),
        }
    return {
        "id": answer.response_id or "",
        "object": "chat.completion",
        "created": answer.created or 0,
        "model": answer.model,
        "choices": [_choice(index, choice) for index, choice in enumerate(answer.choices)],
        "usage": _usage(answer.usage),
    }


def _choice(index: int, choice: ChatChoice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or (None if choice.tool_calls else ""),
    }
    if choice.refusal is not None:
        message["refusal"] = choice.refusal
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = encode_calls(choice.tool_calls)
    return {
        "index": index,
        "message": message,
        "finish_reason": choice.finish_reason,
        "logprobs": choice.logprobs,
    }


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }


def read_answer(body: dict[str, Any]) -> ChatResult | EmbeddingResult | None:
    """The answer of a result's body; ``None`` where it holds none."""
    data = body.get("data")
    whole = msgspec.json.encode(body)
    answer: ChatResult | EmbeddingResult | Failure
    if isinstance(data, list):
        answer = embeddings_wire.decode(whole, count=len(data))
    else:
        answer = chat_wire.decode(whole)
    return None if isinstance(answer, Failure) else answer
