"""One answer in all its numbers, whole and in pieces, for whoever reads numbers."""

from __future__ import annotations

from typing import Any

from modelscope_transport.emulator import DONE, Reply, Stream

from .endpoints import Endpoint

MODEL = "Qwen/Qwen3.5-122B-A10B"  # it thinks
ANSWER_ID = "chatcmpl-7"
SERVED = "local/qwen"  # the name that the answer bears
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"a": 3, "b": 4}'},
}


def answer(
    endpoint: Endpoint, *, with_tools: bool = False, usage: dict[str, Any] | None = USAGE
) -> Reply | Stream:
    """The same answer, whole or in pieces; the usage comes in a piece of its own, as on record."""
    head: dict[str, Any] = {"id": ANSWER_ID, "model": SERVED}
    reason = "tool_calls" if with_tools else "stop"
    message: dict[str, Any] = {"content": "Seven.", "reasoning_content": "3 and 4."}
    if with_tools:
        message = {"content": None, "tool_calls": [CALL]}
    if not endpoint.streams:
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return Reply(200, {**head, "created": 1, "choices": [choice], "usage": usage})
    pieces = [{name: value} for name, value in reversed(message.items())] + [{}]
    return Stream(
        [
            *(
                {
                    **head,
                    "choices": [
                        {"index": 0, "delta": piece, "finish_reason": None if piece else reason}
                    ],
                }
                for piece in pieces
            ),
            {**head, "choices": [], "usage": usage},
            DONE,
        ]
    )
