"""What the stream shapes are made of: chunks, pieces of calls, and the truth beside them.

The truth of a shape stands beside it: text, thoughts, tool calls, usage. An adapter is right where
it gives the truth, whole and streamed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .foreign_server import Shape, event

__all__ = [
    "ADD",
    "ARGS",
    "BODY",
    "MUL",
    "OWN",
    "ROLE",
    "TEXT",
    "THOUGHTS",
    "USAGE",
    "USED",
    "Row",
    "calls",
    "end",
    "row",
    "said",
    "tool",
]

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """A shape and what it says.

    Attributes:
        shape: what the server sends.
        text: the answer's text.
        thoughts: its thoughts.
        calls: name and arguments of its tool calls.
        usage: tokens in and out, or ``None``.
        fails: whether the answer is an error.
    """

    shape: Shape
    text: str = ""
    thoughts: str = ""
    calls: tuple[Call, ...] = ()
    usage: tuple[int, int] | None = None
    fails: bool = False


OWN = "written here"
"""The source of a shape that no engine is known to send, but that the protocol allows."""

USED = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
USAGE = event(usage=USED)  # choices: []
ADD: Call = ("add", {"a": 2, "b": 3})
MUL: Call = ("multiply", {"a": 2, "b": 3})
ARGS = json.dumps(ADD[1])
TEXT, THOUGHTS = "Two and three.", "Let me see."


def tool(
    index: int | None,
    id: str | None = None,
    name: str | None = None,
    arguments: Any = "",
    **further: Any,
) -> dict[str, Any]:
    """A piece of a tool call; what is ``None`` is left out."""
    function = {
        key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None
    }
    piece: dict[str, Any] = {"type": "function", "function": function, **further}
    if index is not None:
        piece["index"] = index
    if id is not None:
        piece["id"] = id
    return piece


def calls(
    *pieces: dict[str, Any], finish_reason: str | None = None, **delta: Any
) -> dict[str, Any]:
    return event({**delta, "tool_calls": list(pieces)}, finish_reason)


def said(*parts: str, **further: Any) -> list[dict[str, Any]]:
    return [event({"content": part, **further}) for part in parts]


def end(reason: str = "stop", **delta: Any) -> dict[str, Any]:
    return event(dict(delta), reason)


ROLE = event({"role": "assistant", "content": ""})
BODY = said("Two ", "and three.")


def row(
    name: str,
    source: str,
    *stream: Any,
    newline: str = "\n",
    piece: int = 0,
    data: str = "data: ",
    **truth: Any,
) -> Row:
    shape = Shape(name, source, stream=tuple(stream), newline=newline, piece=piece, data=data)
    return Row(shape, **truth)
