"""One answer with thoughts, text and two parallel tool calls, in the form on record.

The payloads carry the nulls, the dummy usage and the trailing usage that public clients recorded
of the service in 2026-10.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelscope_transport.emulator import DONE, Reply, Stream

THOUGHTS = ("Two ", "cities.")
TEXT = ("Let me ", "look: 北京 ", "first.")
CALLS = (
    ("call_a", "weather", '{"city": "北京"}', {"city": "北京"}),
    ("call_b", "weather", '{"city": "Paris", "days": 2}', {"city": "Paris", "days": 2}),
)
USAGE = {"prompt_tokens": 34, "completion_tokens": 26, "total_tokens": 60}
BLOCKS: list[dict[str, Any]] = [
    {"type": "reasoning", "reasoning": "".join(THOUGHTS)},
    {"type": "text", "text": "".join(TEXT)},
    *({"type": "tool_call", "id": id_, "name": name, "args": args} for id_, name, _, args in CALLS),
]


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """One payload of a stream; the fields that the delta does not set are null."""
    nulls = dict.fromkeys(("role", "content", "reasoning_content", "tool_calls", "function_calls"))
    return {
        "id": "chatcmpl-mixed",
        "model": "local",
        "choices": [{"index": 0, "delta": nulls | delta, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 34, "completion_tokens": 0, "total_tokens": 34},
    }


def call(index: int, arguments: str | None, **head: Any) -> dict[str, Any]:
    """A piece of a tool call."""
    function = {"name": head.pop("name", None), "arguments": arguments}
    return {"index": index, "id": None, "type": "function", **head, "function": function}


def stream(*, together: bool = False) -> Stream:
    """The answer in pieces; ``together`` puts thoughts and text into the same deltas."""
    return Stream(list(_events(together)))


def _events(together: bool) -> Iterator[Any]:
    yield chunk(role="assistant", content="")
    if together:
        thoughts = (*THOUGHTS, "")
        for thought, text in zip(thoughts, TEXT, strict=True):
            yield chunk(reasoning_content=thought, content=text)
    else:
        yield from (chunk(reasoning_content=thought, content="") for thought in THOUGHTS)
        yield from (chunk(content=text) for text in TEXT)
    halves = [(arguments[:6], arguments[6:]) for _, _, arguments, _ in CALLS]
    for index, (id_, name, _, _) in enumerate(CALLS):  # text beside the first call's head
        yield chunk(tool_calls=[call(index, halves[index][0], id=id_, name=name)])
    for index, (_, rest) in enumerate(halves):
        yield chunk(tool_calls=[call(index, rest)])
    yield chunk("tool_calls")
    yield {"id": "chatcmpl-mixed", "model": "local", "choices": [], "usage": USAGE}
    yield DONE


def reply() -> Reply:
    """The same answer in one piece."""
    calls = [
        call(index, arguments, id=id_, name=name)
        for index, (id_, name, arguments, _) in enumerate(CALLS)
    ]
    message = {
        "role": "assistant",
        "content": "".join(TEXT),
        "reasoning_content": "".join(THOUGHTS),
        "tool_calls": calls,
    }
    choice = {"index": 0, "message": message, "delta": None, "finish_reason": "tool_calls"}
    body = {"id": "chatcmpl-mixed", "model": "local", "choices": [choice], "usage": USAGE}
    return Reply(200, body)
