"""Responses without their constructors, which cost more than reading a stream.

``TextBlock(…)``, ``ChatMessage(…)`` and ``ChatResponse(…)`` validate together, for every chunk and
answer, what we know to be right. Here an object is made as pydantic itself makes a copy: a new one
whose fields are put in. That leans on pydantic's layout and on the fields that these classes have,
so the first use compares responses of both makes, and where they differ, or anything goes wrong,
all come from the constructors.

``model_construct`` does not help: it costs more than the constructors.
"""

from __future__ import annotations

import functools
import pickle
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ContentBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import BaseModel

__all__ = ["Makers", "makers"]


class Makers:
    """Makes what responses consist of, with the constructors.

    Each method takes the fields that differ from one object to the next; the object keeps what it
    is given and does not copy it.
    """

    @staticmethod
    def text(text: str) -> TextBlock:
        """A text."""
        return TextBlock(text=text)

    @staticmethod
    def thinking(content: str) -> ThinkingBlock:
        """A thought."""
        return ThinkingBlock(content=content)

    @staticmethod
    def tool_call(tool_call_id: str, tool_name: str, tool_kwargs: str) -> ToolCallBlock:
        """A call, its arguments as far as they have come."""
        return ToolCallBlock(
            tool_call_id=tool_call_id, tool_name=tool_name, tool_kwargs=tool_kwargs
        )

    @staticmethod
    def response(
        blocks: list[ContentBlock],
        message_kwargs: dict[str, Any],
        delta: str | None,
        raw: dict[str, Any],
        logprobs: list[list[LogProb]] | None,
        additional_kwargs: dict[str, Any],
    ) -> ChatResponse:
        """A response with the message so far."""
        return ChatResponse(
            message=ChatMessage(
                role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=message_kwargs
            ),
            delta=delta,
            raw=raw,
            logprobs=logprobs,
            additional_kwargs=additional_kwargs,
        )


def makers() -> type[Makers]:
    """The short way, or the constructors where that is not proven."""
    return _ShortMakers if _is_proven() else Makers


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


def _made(kind: Any, fields: dict[str, Any], names: set[str]) -> Any:
    one = _new(kind)
    _fill_fields(one, fields)  # type: ignore[misc]
    _fill_names(one, names)  # type: ignore[misc]
    _fill_extra(one, None)  # type: ignore[misc]
    _fill_private(one, None)  # type: ignore[misc]
    return one


class _ShortMakers(Makers):
    """The same without constructors, but for a thought, which holds a dictionary of its own."""

    @staticmethod
    def text(text: str) -> TextBlock:
        block: TextBlock = _made(TextBlock, {"block_type": "text", "text": text}, {"text"})
        return block

    @staticmethod
    def tool_call(tool_call_id: str, tool_name: str, tool_kwargs: str) -> ToolCallBlock:
        own = {"tool_call_id": tool_call_id, "tool_name": tool_name, "tool_kwargs": tool_kwargs}
        block: ToolCallBlock = _made(ToolCallBlock, {"block_type": "tool_call", **own}, {*own})
        return block

    @staticmethod
    def response(
        blocks: list[ContentBlock],
        message_kwargs: dict[str, Any],
        delta: str | None,
        raw: dict[str, Any],
        logprobs: list[list[LogProb]] | None,
        additional_kwargs: dict[str, Any],
    ) -> ChatResponse:
        fields = {
            "role": MessageRole.ASSISTANT,
            "additional_kwargs": message_kwargs,
            "blocks": blocks,
        }
        message = _made(ChatMessage, fields, {"role", "additional_kwargs", "blocks"})
        response: ChatResponse = _made(
            ChatResponse,
            {
                "message": message,
                "raw": raw,
                "delta": delta,
                "logprobs": logprobs,
                "additional_kwargs": additional_kwargs,
            },
            {"message", "raw", "delta", "logprobs", "additional_kwargs"},
        )
        return response


# --- the proof --------------------------------------------------------------------------------


@functools.cache
def _is_proven() -> bool:
    """Whether responses of both makes are equal: compared, dumped, pickled and copied."""
    try:
        return all(_is_equal(_sample(Makers, kind), _sample(_ShortMakers, kind)) for kind in "tc")
    except Exception:  # noqa: BLE001 - whatever a future pydantic thinks of this: not proven
        return False


def _sample(make: type[Makers], kind: str) -> ChatResponse:
    raw, logprobs = {"id": "a", "model": "b"}, [[LogProb(token="c", logprob=-0.5)]]
    if kind == "t":
        blocks: list[ContentBlock] = [make.thinking("d"), make.text("e")]
        return make.response(blocks, {}, "e", raw, logprobs, {"thinking_delta": "d"})
    return make.response([make.tool_call("f", "g", "{")], {"tool_calls": [{}]}, "", raw, None, {})


def _is_equal(made: ChatResponse, short: ChatResponse) -> bool:
    blocks = zip(made.message.blocks, short.message.blocks, strict=True)
    pairs: list[tuple[BaseModel, BaseModel]] = [
        (made, short),
        (made.message, short.message),
        *blocks,
    ]
    return all(
        type(one) is type(other)
        and one == other
        and list(one.__dict__) == list(other.__dict__)
        and one.model_fields_set == other.model_fields_set
        and one.model_dump() == other.model_dump()
        and one.model_dump_json() == other.model_dump_json()
        and pickle.loads(pickle.dumps(other)) == one
        and other.model_copy(deep=True) == one
        for one, other in pairs
    )
