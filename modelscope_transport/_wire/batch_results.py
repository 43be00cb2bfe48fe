"""Results in OpenAI's batch files: an answer as the body that the service would have sent.

Source of the form: platform.openai.com/docs/api-reference/batch (request-output).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..answers import ChatChoice, ChatResult, EmbeddingResult, Usage
from . import chat as chat_wire
from . import embeddings as embeddings_wire
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


class _AnswerFunction(Struct):
    name: str
    arguments: str


class _AnswerCall(Struct):
    id: str
    function: _AnswerFunction
    type: str = "function"


class _AnswerMessage(Struct, kw_only=True, omit_defaults=True):
    role: str
    content: str | None
    refusal: str | None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[_AnswerCall] | UnsetType = UNSET


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
    calls = [
        _AnswerCall(call.id, _AnswerFunction(call.name, call.arguments))
        for call in choice.tool_calls
    ]
    message = _AnswerMessage(
        role="assistant",
        content=choice.text or (None if calls else ""),
        refusal=choice.refusal,
        reasoning_content=choice.reasoning or UNSET,
        tool_calls=calls or UNSET,
    )
    return {
        "index": index,
        "message": msgspec.to_builtins(message),
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
