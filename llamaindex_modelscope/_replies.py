"""Converts the transport's answers to LlamaIndex's.

Laws of this file: no I/O. A streamed message is built by a push object (`GrowingMessage`), whose
last message equals that of a whole answer. ``raw`` is a plain dictionary in the field names that
tracing tools look for; ids, finish reason and token usage are all in the last one of a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    LogProb,
    ThinkingBlock,
    ToolCallBlock,
)

from modelscope_transport.answers import ChatDelta, ChatResult, Origin, ToolCallDelta, Usage
from modelscope_transport.types import made_up_id

from ._fast import Makers, makers

__all__ = ["GrowingMessage", "to_chat_response", "to_completion_response"]


def to_chat_response(result: ChatResult, names: Mapping[str, str]) -> ChatResponse:
    """A whole answer.

    Args:
        result: what the service answered.
        names: the tools' own names by the names that were sent.
    """
    choice, make = result.choice, makers()
    blocks: list[ContentBlock] = []
    if choice.reasoning:
        blocks.append(make.thinking(choice.reasoning))
    usable = any(call.invalid is None for call in choice.tool_calls)
    text = _shown(choice.text, choice.refusal, usable)
    if text or not (choice.reasoning or usable):
        blocks.append(make.text(text))
    calls: list[dict[str, Any]] = []
    invalid: list[dict[str, Any]] = []
    for call in choice.tool_calls:
        name = names.get(call.name, call.name)
        if call.invalid is not None:
            invalid.append(_invalid_call(call.id, name, call.arguments, call.invalid))
            continue
        blocks.append(make.tool_call(call.id, name, call.arguments))
        calls.append(_call(call.id, name, call.arguments))
    beside = {"tool_calls": calls, "invalid_tool_calls": invalid, "refusal": choice.refusal}
    raw: dict[str, Any] = {
        "id": result.response_id,
        "model": result.model,
        "created": result.created,
        "finish_reason": choice.finish_reason,
    }
    return make.response(
        blocks,
        {name: value for name, value in beside.items() if value},
        None,
        _close(raw, result.usage),
        _logprobs(choice.logprobs),
        _about(result.usage, result.origin),
    )


def to_completion_response(response: ChatResponse) -> CompletionResponse:
    """The same answer as a completion: its text, and what else the message held."""
    return CompletionResponse(
        text=response.message.content or "",
        additional_kwargs={**response.message.additional_kwargs, **response.additional_kwargs},
        raw=response.raw,
        logprobs=response.logprobs,
        delta=response.delta,
    )


class GrowingMessage:
    """Deltas in, the message so far out: ``add`` each delta, then ``finish`` once.

    A delta with nothing to show gives no response; what it says goes into the next.

    Args:
        names: the tools' own names by the names that were sent.
        origin: where the answer comes from.
    """

    def __init__(self, names: Mapping[str, str], origin: Origin) -> None:
        self._names = names
        self._origin = origin
        self._make = makers()
        self._raw: dict[str, Any] = {"id": None, "model": origin.model}
        self._text = ""
        self._reasoning = ""
        self._thinking: ThinkingBlock | None = None
        self._calls: dict[int, _GrowingCall] = {}
        self._refusal = ""
        self._usage: Usage | None = None

    def add(self, delta: ChatDelta) -> ChatResponse | None:
        """Take in the next delta; the message so far, if it has grown."""
        if delta.response_id is not None:
            self._raw["id"] = delta.response_id
        if delta.model is not None:
            self._raw["model"] = delta.model
        if delta.finish_reason is not None:
            self._raw["finish_reason"] = delta.finish_reason
        if delta.usage is not None:
            self._usage = delta.usage
        self._refusal += delta.refusal
        text, reasoning, calls = delta.text, delta.reasoning, delta.tool_calls
        if not (text or reasoning or calls):
            return None
        self._text += text
        additional_kwargs: dict[str, Any] = {}
        if reasoning:
            self._reasoning += reasoning
            self._thinking = self._make.thinking(self._reasoning)
            additional_kwargs["thinking_delta"] = reasoning
        for piece in calls:
            self._add_call(piece)
        return self._response(
            text,
            self._raw.copy(),
            _logprobs(delta.logprobs) if delta.logprobs else None,
            additional_kwargs,
        )

    def finish(self) -> ChatResponse:
        """The whole message, with its usage and its origin; its ``delta`` is a refusal or empty."""
        usable = any(call.invalid is None for call in self._calls.values())
        delta = "" if self._text else _shown("", self._refusal, usable)
        self._text += delta
        raw = _close(self._raw, self._usage)
        return self._response(delta, raw, None, _about(self._usage, self._origin))

    def _add_call(self, piece: ToolCallDelta) -> None:
        call = self._calls.get(piece.index)
        if call is None:
            call = self._calls[piece.index] = _GrowingCall(piece.index)
        call.add(piece)

    def _response(
        self,
        delta: str,
        raw: dict[str, Any],
        logprobs: list[list[LogProb]] | None,
        additional_kwargs: dict[str, Any],
    ) -> ChatResponse:
        make = self._make
        blocks: list[ContentBlock] = []
        if self._thinking is not None:
            blocks.append(self._thinking)
        calls = [call for _, call in sorted(self._calls.items())] if self._calls else []
        usable = [call for call in calls if call.invalid is None]
        if self._text or not (self._thinking or usable):
            blocks.append(make.text(self._text))
        message_kwargs: dict[str, Any] = {}
        if usable:
            blocks.extend([call.block(make, self._names) for call in usable])
            message_kwargs["tool_calls"] = [
                _call(call.id, self._names.get(call.name, call.name), call.arguments)
                for call in usable
            ]
        if len(usable) < len(calls):
            message_kwargs["invalid_tool_calls"] = [
                _invalid_call(
                    call.id, self._names.get(call.name, call.name), call.arguments, call.invalid
                )
                for call in calls
                if call.invalid is not None
            ]
        if self._refusal:
            message_kwargs["refusal"] = self._refusal
        return make.response(blocks, message_kwargs, delta, raw, logprobs, additional_kwargs)


class _GrowingCall:
    """One tool call of a stream, under the name that the service knows."""

    __slots__ = ("_block", "arguments", "id", "invalid", "name")

    def __init__(self, index: int) -> None:
        self.id = made_up_id(index)  # until the service gives one
        self.name = ""
        self.arguments = ""
        self.invalid: str | None = None
        self._block: ToolCallBlock | None = None

    def add(self, piece: ToolCallDelta) -> None:
        if piece.id:
            self.id = piece.id
        if piece.name:
            self.name += piece.name
        self.arguments += piece.arguments
        self.invalid = piece.invalid or self.invalid
        self._block = None

    def block(self, make: type[Makers], names: Mapping[str, str]) -> ToolCallBlock:
        if self._block is None:
            name = names.get(self.name, self.name)
            self._block = make.tool_call(self.id, name, self.arguments)
        return self._block


def _shown(text: str, refusal: str | None, usable: bool) -> str:
    """The text of an answer; a refusal where it has neither text nor a call.

    Nothing in core looks for a refusal beside the text: an engine would say "Empty Response".
    """
    return text or ("" if usable else refusal or "")


def _invalid_call(call_id: str, name: str, arguments: str, error: str) -> dict[str, Any]:
    """A call that must not be made: no block, where agents and programs look for calls."""
    return {"id": call_id, "name": name, "arguments": arguments, "error": error}


def _call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    # Core looks for a list here to see that an answer has calls, and counts its tokens.
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _close(raw: dict[str, Any], usage: Usage | None) -> dict[str, Any]:
    """``raw`` of a complete answer. Without usage the key is left out: core then estimates."""
    closed = {**raw, "finish_reason": raw.get("finish_reason")}
    if usage is not None:
        closed["usage"] = {
            **_counts(usage),
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }
    return closed


def _about(usage: Usage | None, origin: Origin | None) -> dict[str, Any]:
    """What is known of a complete answer beside itself: token counts, and where it comes from."""
    known: dict[str, Any] = dict(_counts(usage))
    if origin is not None:
        known["modelscope"] = origin.as_metadata()
    return known


def _counts(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return {}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }


def _logprobs(logprobs: Mapping[str, Any] | None) -> list[list[LogProb]] | None:
    """For each token its likeliest alternatives, itself where none were asked for."""
    tokens = (logprobs or {}).get("content")
    if not isinstance(tokens, list):
        return None
    try:
        return [
            [_logprob(one) for one in (token.get("top_logprobs") or [token])]
            for token in tokens
            if isinstance(token, Mapping)
        ]
    except (TypeError, ValueError, AttributeError):
        # log probabilities in an unknown form must not cost the answer that they come with
        return None


def _logprob(one: Mapping[str, Any]) -> LogProb:
    return LogProb(
        token=str(one.get("token") or ""),
        logprob=one.get("logprob") or 0.0,
        bytes=one.get("bytes") or [],
    )
