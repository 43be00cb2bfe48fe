"""Chat on the wire: ``POST /chat/completions``, whole and streamed.

The shapes are the recorded ones: a choice may hold ``delta`` and ``message`` at once, any field
may be null, ``created`` is in milliseconds (recorded 2025-09-27); every chunk of a stream carries
a dummy usage and the true one comes last, with empty ``choices`` (recorded 2026-10).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..types import (
    ChatChoice,
    ChatDelta,
    ChatResult,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from .outcomes import Failure, describe, read_failure

__all__ = ["ChatDecoder", "Opening", "decode"]


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(Struct):
    id: str | None = None
    index: int | None = None
    function: _Function | None = None


class _Body(Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    delta: _Body | None = None
    message: _Body | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Details(Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Envelope(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    error: Any = None
    errors: Any = None
    request_id: Any = None


# Not strict: "0" passes for 0. What a field of another type would mean is on no record.
_envelope = msgspec.json.Decoder(_Envelope, strict=False)


def _open(body: bytes) -> _Envelope | Failure:
    """One parse of a body or payload; whatever is no answer comes back as a failure."""
    try:
        envelope = _envelope.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        failure = read_failure(body)
        return msgspec.structs.replace(failure, unreadable=True)
    if envelope.error or envelope.errors:
        return describe(envelope.error or envelope.errors, request_id=envelope.request_id)
    return envelope


def decode(body: bytes, answer_tool: str | None = None) -> ChatResult | Failure:
    """A whole answer, or what the body says instead.

    Args:
        body: the reply's body.
        answer_tool: name of the tool whose arguments stand for the answer's text.
    """
    envelope = _open(body)
    if isinstance(envelope, Failure):
        return envelope
    if not envelope.choices:
        # The "empty shell": HTTP 200, choices null, everything zero (modelscope/modelscope#1801).
        return Failure("", request_id=_text(envelope.request_id), empty=True)
    choices = tuple(_choice(choice, answer_tool) for choice in envelope.choices)
    if not any(_has_content(choice) or choice.finish_reason for choice in choices):
        return Failure("", request_id=_text(envelope.request_id), empty=True)
    return ChatResult(
        choices=choices,
        usage=_usage(envelope.usage),
        response_id=envelope.id,
        model=envelope.model,
        created=_seconds(envelope.created),
    )


def _choice(choice: _Choice, answer_tool: str | None) -> ChatChoice:
    body = choice.message or choice.delta or _Body()
    text = _content(body.content)
    calls = tuple(
        ToolCall(call.id or f"call_{index}", _name(call), _arguments(call))
        for index, call in enumerate(body.tool_calls or ())
    )
    finish_reason = choice.finish_reason or None
    answers = [call.arguments for call in calls if call.name == answer_tool]
    if answers:
        text, calls = answers[0], tuple(call for call in calls if call.name != answer_tool)
        if finish_reason == "tool_calls" and not calls:
            finish_reason = "stop"
    return ChatChoice(
        text=text,
        reasoning=body.reasoning_content or body.reasoning or "",
        tool_calls=calls,
        finish_reason=finish_reason,
        logprobs=choice.logprobs,
        refusal=body.refusal or None,
    )


def _has_content(choice: ChatChoice) -> bool:
    return bool(choice.text or choice.reasoning or choice.tool_calls or choice.refusal)


class ChatDecoder:
    """Payloads of one stream in, deltas out: ``feed`` each payload, ``finish`` at the end.

    A delta of ``None`` means that the payload held nothing for the user.

    Args:
        answer_tool: name of the tool whose arguments stand for the answer's text.

    Attributes:
        done: whether ``[DONE]`` has come.
        finished: whether a finish mark has come; without it the stream was cut.
    """

    __slots__ = (
        "_answer_tool",
        "_answers",
        "_called",
        "_introduced",
        "_last_call",
        "_places",
        "_usage",
        "done",
        "finished",
    )

    def __init__(self, answer_tool: str | None = None) -> None:
        """Start before the first payload."""
        self._answer_tool = answer_tool
        self._answers: list[int] = []
        self._called = False
        self.done = False
        self.finished = False
        self._introduced = False
        self._usage: _Usage | None = None
        self._places: dict[str, int] = {}
        self._last_call = -1

    def feed(self, payload: bytes) -> ChatDelta | Failure | None:
        """The delta in a payload, or what the payload says instead."""
        if payload == b"[DONE]":
            self.done = True
            return None
        try:
            envelope = _envelope.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            frame = payload.strip()
            if frame.startswith(b"{"):
                # A stream that ends within its first payload has given nothing yet.
                nothing = str(error) == "Input data was truncated" and not self._introduced
                said = "a payload that is no JSON of the service's"
                return Failure(said, empty=nothing, unreadable=True)
            self.done = self.done or frame == b"[DONE]"
            return None  # a frame that is no object: one public client guards against them
        usage = envelope.usage
        if usage is not None and usage.completion_tokens:  # without it, it is the dummy
            self._usage = usage
        if envelope.choices:
            return self._delta(envelope, envelope.choices[0])
        if envelope.error or envelope.errors:
            return describe(envelope.error or envelope.errors, request_id=envelope.request_id)
        # ``choices: []`` brings the usage; ``choices: null`` at the start is the empty shell.
        if envelope.choices is None and not self._introduced:
            return Failure("", request_id=_text(envelope.request_id), empty=True)
        return None

    def _delta(self, envelope: _Envelope, choice: _Choice) -> ChatDelta | None:
        body = choice.delta or choice.message
        finish_reason = None if self.finished else choice.finish_reason or None
        if finish_reason is not None:
            self.finished = True
        response_id = model = None
        if not self._introduced:
            self._introduced = True
            response_id, model = envelope.id, envelope.model
        if body is None:
            if finish_reason is None and response_id is None and model is None:
                return None
            return ChatDelta(finish_reason=finish_reason, response_id=response_id, model=model)
        content = body.content
        text = content if type(content) is str else _content(content)
        reasoning = body.reasoning_content or body.reasoning or ""
        calls = self._call_deltas(body.tool_calls) if body.tool_calls else ()
        if self._answer_tool is not None:
            text, calls = self._answer(text, calls)
            if finish_reason == "tool_calls" and not self._called:
                finish_reason = "stop"
        if not (text or reasoning or calls or finish_reason or body.refusal or response_id):
            return None
        return ChatDelta(
            text,
            reasoning,
            calls,
            finish_reason,
            None,
            choice.logprobs,
            body.refusal or "",
            response_id,
            model,
        )

    def _call_deltas(self, calls: list[_Call]) -> tuple[ToolCallDelta, ...]:
        return tuple(
            [
                ToolCallDelta(
                    self._place(call, place, len(calls)) if call.index is None else call.index,
                    call.id or None,
                    _name(call) or None,
                    _arguments(call),
                )
                for place, call in enumerate(calls)
            ]
        )

    def _answer(
        self, text: str, calls: tuple[ToolCallDelta, ...]
    ) -> tuple[str, tuple[ToolCallDelta, ...]]:
        """The answer's text where it comes as a call, and the calls that are none of it."""
        answers = self._answers
        answers += [call.index for call in calls if call.name == self._answer_tool]
        others = tuple([call for call in calls if call.index not in answers])
        self._called = self._called or bool(others)
        if len(others) < len(calls):  # a second answer is no part of the first
            text = "".join([call.arguments for call in calls if call.index == answers[0]])
        return text, others

    def _place(self, call: _Call, place: int, side_by_side: int) -> int:
        """Which call a piece without an index belongs to: public clients guard against those."""
        if call.id in self._places:
            return self._places[call.id]
        if call.id or _name(call):
            self._last_call += 1
            if call.id:
                self._places[call.id] = self._last_call
            return self._last_call
        return place if side_by_side > 1 else max(self._last_call, 0)

    def finish(self) -> ChatDelta | None:
        """The last delta: token usage, where the service sent it."""
        usage = _usage(self._usage)
        return None if usage is None else ChatDelta(usage=usage)


class Opening(Struct, frozen=True):
    """A stream that began well: its decoder and the delta of its first payload."""

    decoder: ChatDecoder
    first: ChatDelta | None


def _name(call: _Call) -> str:
    return (call.function.name if call.function else None) or ""


def _arguments(call: _Call) -> str:
    arguments = call.function.arguments if call.function else None
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


def _content(content: str | list[Any] | None) -> str:
    """Text of a content, which some servers send as a list of parts."""
    if isinstance(content, list):
        return "".join(
            part["text"]
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content or ""


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None or not (usage.prompt_tokens or usage.completion_tokens):
        return None
    input_tokens, output_tokens = usage.prompt_tokens or 0, usage.completion_tokens or 0
    cached, reasoning = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=usage.total_tokens or input_tokens + output_tokens,
        cached_tokens=cached.cached_tokens if cached else None,
        reasoning_tokens=reasoning.reasoning_tokens if reasoning else None,
    )


def _seconds(created: float | None) -> int | None:
    """The service sends milliseconds (recorded 2025-09-27); upstream servers send seconds."""
    if created is None or not 0 < created < 10**14:
        return None
    return int(created / 1000 if created > 10**11 else created)


def _text(value: Any) -> str | None:
    return str(value) if value else None
