"""Frozen values: what comes back, whole and in pieces.

Laws of this file: those of ``types.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, to_builtins

from .types import ToolCall

__all__ = [
    "ChatChoice",
    "ChatDelta",
    "ChatResult",
    "EmbeddingResult",
    "Origin",
    "ToolCallDelta",
    "Usage",
]


class Usage(Struct, frozen=True):
    """Token usage of a call.

    Attributes:
        input_tokens: tokens of the request.
        output_tokens: tokens of the answer, thoughts included.
        total_tokens: both together.
        cached_tokens: those of the input that the service took from its cache; ``None`` if unknown.
        reasoning_tokens: those of the output that are thoughts; ``None`` if unknown.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Origin(Struct, frozen=True):
    """Where an answer came from.

    Attributes:
        model: model ID that answered.
        requested_model: model ID that was asked for.
        fallback_reason: why another model answered, or ``None``.
        request_id: the service's id of the request, where it sent one.
        adjustments: what was sent otherwise than asked, and why; one sentence each.
        attempts: HTTP requests this answer took.
        allowance: what the reply said of the allowance: a mapping of its numbers, or ``None``.
        headers: those of the reply that say something of limits, waits and ids.
    """

    model: str
    requested_model: str
    fallback_reason: str | None = None
    request_id: str | None = None
    adjustments: tuple[str, ...] = ()
    attempts: int = 1
    allowance: Mapping[str, int] | None = None
    headers: Mapping[str, str] = {}

    def as_metadata(self) -> dict[str, Any]:
        """The same as plain data without the headers, for the frameworks' metadata."""
        plain: dict[str, Any] = to_builtins(self)
        del plain["headers"]
        return {**plain, "adjustments": list(self.adjustments)}


class ToolCallDelta(Struct, frozen=True, gc=False):
    """A piece of a streamed tool call: the pieces of one index, joined, are the call.

    Attributes:
        index: number of the call in its answer, from 0, as the calls appear.
        id: the whole id, given once. It may come later than the first piece.
        name: the next piece of the name, nearly always all of it.
        arguments: the next piece of the arguments' JSON text.
        invalid: `ToolCall.invalid`, known when the answer has ended.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    invalid: str | None = None


class ChatDelta(Struct, frozen=True, gc=False):
    """A piece of a streamed answer; never empty: at least one field is set.

    Attributes:
        text: the next piece of the answer's text.
        reasoning: the next piece of the thoughts.
        tool_calls: pieces of tool calls.
        finish_reason: why the answer ended, such as ``"stop"`` or ``"length"``; comes once.
        usage: token usage; comes once, with the last delta.
        logprobs: log probabilities of the tokens in this piece, as the service sends them.
        refusal: the next piece of what a model says that refuses.
        response_id: the service's id of the answer; comes once, with the first delta.
        model: the model as the service names it; comes once, with the first delta.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    logprobs: Mapping[str, Any] | None = None
    refusal: str = ""
    response_id: str | None = None
    model: str | None = None


class ChatChoice(Struct, frozen=True):
    """One complete answer; its fields are those of `ChatDelta`, joined.

    ``finish_reason`` is ``None`` in the part of a broken stream, and where the service gave none.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    logprobs: Mapping[str, Any] | None = None
    refusal: str | None = None


class ChatResult(Struct, frozen=True):
    """The answers to one chat call.

    Attributes:
        choices: as many as the request's ``n``, nearly always one; never empty.
        usage: token usage of the call, where the service told it.
        response_id: the service's id of the answer.
        model: the model as the service names it; for its ID see ``origin.model``.
        created: when the service made it, in seconds since the epoch; ``None`` of a stream.
        origin: where the answer came from.
    """

    choices: tuple[ChatChoice, ...]
    usage: Usage | None = None
    response_id: str | None = None
    model: str | None = None
    created: int | None = None
    origin: Origin | None = None

    @property
    def choice(self) -> ChatChoice:
        """The first answer."""
        return self.choices[0]

    @property
    def text(self) -> str:
        """Text of the first answer."""
        return self.choices[0].text

    @property
    def reasoning(self) -> str:
        """Thoughts of the first answer."""
        return self.choices[0].reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Tool calls of the first answer."""
        return self.choices[0].tool_calls


class EmbeddingResult(Struct, frozen=True):
    """The vectors of an embedding call.

    Attributes:
        vectors: one for each text, in the order of the texts; all of one length.
        usage: token usage of all its requests, where the service told it.
        model: the model as the service names it.
        origin: where the vectors came from.
    """

    vectors: tuple[list[float], ...]
    usage: Usage | None = None
    model: str | None = None
    origin: Origin | None = None
