"""Deltas in, the answer so far out."""

from __future__ import annotations

from typing import Any

from .answers import ChatChoice, ChatDelta, ChatResult, Origin, ToolCallDelta, Usage
from .types import ToolCall, made_up_id

__all__ = ["ChatAccumulator"]


class _GrowingCall:
    __slots__ = ("arguments", "id", "invalid", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.invalid: str | None = None


class ChatAccumulator:
    """Joins the deltas of one stream: ``add`` each, then ask for the ``result``.

    Tool calls are known by their index, so parallel and interleaved calls come out whole.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _GrowingCall] = {}
        self._logprobs: list[Any] = []
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._response_id: str | None = None
        self._model: str | None = None

    def add(self, delta: ChatDelta) -> None:
        """Take in the next delta."""
        if delta.text:
            self._text.append(delta.text)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for piece in delta.tool_calls:
            self._add_call(piece)
        if delta.logprobs is not None:
            tokens = delta.logprobs.get("content")
            self._logprobs.extend(tokens if isinstance(tokens, list) else ())
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._usage = delta.usage or self._usage
        self._response_id = delta.response_id or self._response_id
        self._model = delta.model or self._model

    def _add_call(self, piece: ToolCallDelta) -> None:
        call = self._calls.get(piece.index)
        if call is None:
            call = self._calls[piece.index] = _GrowingCall()
        call.id = call.id or piece.id or ""
        call.name += piece.name or ""
        call.invalid = piece.invalid or call.invalid
        if piece.arguments:
            call.arguments.append(piece.arguments)

    def result(self, origin: Origin | None = None) -> ChatResult:
        """The answer so far, complete once the stream has ended."""
        calls = tuple(
            ToolCall(call.id or made_up_id(index), call.name, "".join(call.arguments), call.invalid)
            for index, call in sorted(self._calls.items())
        )
        choice = ChatChoice(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=calls,
            finish_reason=self._finish_reason,
            logprobs={"content": self._logprobs} if self._logprobs else None,
            refusal="".join(self._refusal) or None,
        )
        return ChatResult(
            choices=(choice,),
            usage=self._usage,
            response_id=self._response_id,
            model=self._model,
            origin=origin,
        )
