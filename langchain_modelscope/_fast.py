"""Chunks of a stream without their constructors, which cost more than all else done with them.

``AIMessageChunk(…)`` and ``ChatGenerationChunk(…)`` together validate what we know to be right
(10 µs a chunk), and look for a JSON object in every fragment of a tool call's arguments (43 µs).
Here a chunk is made as pydantic itself makes a copy: a new object with the fields of a template.
That leans on pydantic's layout, so the first use compares chunks of both makes, and where they
differ, or anything goes wrong, every chunk comes from the constructors.

``AIMessageChunk.model_construct`` does not help: it costs 70 times the constructor.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import BaseModel

__all__ = ["build", "chunk_builder"]

Pieces = list[ToolCallChunk]


def build(
    text: str, additional: dict[str, Any], metadata: dict[str, Any], pieces: Pieces, **ending: Any
) -> ChatGenerationChunk:
    """A chunk by the constructors.

    Args:
        text: piece of the answer's text.
        additional: ``additional_kwargs``.
        metadata: ``response_metadata``.
        pieces: pieces of tool calls.
        **ending: further fields of the message.
    """
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=text,
            additional_kwargs=additional,
            response_metadata=metadata,
            tool_call_chunks=pieces,
            **ending,
        )
    )


def chunk_builder() -> Callable[[str, dict[str, Any], dict[str, Any], Pieces], ChatGenerationChunk]:
    """What makes the chunks of a stream: the short way, or `build` where that is not proven.

    Both make the same chunk, which keeps the objects it is given and does not copy them.
    """
    return _assemble if _is_proven() else build


# What sets the slots of every pydantic object, looked up once. A pydantic without these slots
# gives None here, and then nothing is proven.
_fill_fields, _fill_names, _fill_extra, _fill_private = (
    getattr(BaseModel.__dict__.get(slot), "__set__", None)
    for slot in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)
_new = object.__new__
_MESSAGE = AIMessageChunk(content="")
_MESSAGE_FIELDS = dict(_MESSAGE.__dict__)
_CHUNK_FIELDS = dict(ChatGenerationChunk(message=_MESSAGE).__dict__)


def _made(kind: Any, fields: dict[str, Any], names: set[str]) -> Any:
    one = _new(kind)
    _fill_fields(one, fields)  # type: ignore[misc]
    _fill_names(one, names)  # type: ignore[misc]
    _fill_extra(one, None)  # type: ignore[misc]
    _fill_private(one, None)  # type: ignore[misc]
    return one


def _assemble(
    text: str, additional: dict[str, Any], metadata: dict[str, Any], pieces: Pieces
) -> ChatGenerationChunk:
    calls: list[Any] = []
    invalid: list[Any] = []
    for piece in pieces:
        args = piece["args"]
        if not args:
            call: Any = {
                "name": piece["name"] or "",
                "args": {},
                "id": piece["id"],
                "type": "tool_call",
            }
            calls.append(call)
        elif args[0] in "{ \t\r\n":
            # this may be the beginning of an object: LangChain's parser must look
            return build(text, additional, metadata, pieces)
        else:
            bad = {"name": piece["name"], "args": args, "id": piece["id"], "error": None}
            invalid.append({**bad, "type": "invalid_tool_call"})
    fields = {
        **_MESSAGE_FIELDS,
        "content": text,
        "additional_kwargs": additional,
        "response_metadata": metadata,
        "tool_call_chunks": pieces,
        "tool_calls": calls,
        "invalid_tool_calls": invalid,
    }
    message = _made(AIMessageChunk, fields, {"content", "response_metadata"})
    of_chunk = {**_CHUNK_FIELDS, "text": text, "message": message}
    chunk: ChatGenerationChunk = _made(ChatGenerationChunk, of_chunk, {"message"})
    return chunk


# --- the proof --------------------------------------------------------------------------------


@functools.cache
def _is_proven() -> bool:
    """Whether chunks of both makes are equal: compared, added, dumped, pickled and copied."""
    try:
        pairs = [
            (build(*_sample(kind)), _assemble(*_sample(kind))) for kind in ("text", "call", "end")
        ]
        return all(_is_equal(made, short) for made, short in pairs) and _is_equal(
            functools.reduce(lambda total, pair: total + pair[0], pairs[1:], pairs[0][0]),
            functools.reduce(lambda total, pair: total + pair[1], pairs[1:], pairs[0][1]),
        )
    except Exception:  # noqa: BLE001 - whatever a future pydantic thinks of this: not proven
        return False


def _sample(kind: str) -> tuple[str, dict[str, Any], dict[str, Any], Pieces]:
    def piece(args: str, name: str | None = None, call_id: str | None = None) -> ToolCallChunk:
        return ToolCallChunk(name=name, args=args, id=call_id, index=0, type="tool_call_chunk")

    if kind == "text":
        return "a", {"reasoning_content": "b"}, {"model_provider": "c"}, []
    if kind == "call":
        return "", {}, {}, [piece("", "d", "e")]
    return "", {}, {}, [piece('f": 1')]


def _is_equal(made: ChatGenerationChunk, short: ChatGenerationChunk) -> bool:
    pairs = [(made, short), (made.message, short.message)]
    return all(
        type(one) is type(other)
        and one == other
        and one.model_dump() == other.model_dump()
        and one.model_dump_json() == other.model_dump_json()
        and pickle.loads(pickle.dumps(other)) == one
        and other.model_copy(deep=True) == one
        for one, other in pairs
    )
