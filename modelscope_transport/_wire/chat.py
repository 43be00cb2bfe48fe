"""Chat on the wire: ``POST /chat/completions``, whole and streamed.

The shapes are the recorded ones: a choice may hold ``delta`` and ``message`` at once, any field
may be null, ``created`` is in milliseconds (recorded 2025-09-27); every chunk of a stream carries
a dummy usage and the true one comes last, with empty ``choices`` (recorded 2026-10). An error
counts whatever stands beside it: OpenRouter sends ``choices`` with a finish reason ``"error"``
along with it (openrouter.ai/docs/api/reference/errors-and-debugging, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from .._sse import ErrorEvent
from ..answers import ChatChoice, ChatDelta, ChatResult, ToolCallDelta, Usage
from ..language import translated as _
from ..types import ToolCall, made_up_id
from .answer_tool import AnswerTool
from .lenient_json import UNREADABLE, MendedTexts, read_json
from .outcomes import AnswerBody, Failure, open_body, read_refusal
from .tool_calls import ToolCallPieces, WireCall, arguments_of, name_of, problem_of

__all__ = ["ChatDecoder", "Opening", "decode", "has_content"]


class _Body(Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[WireCall] | None = None


_NOTHING = _Body()


class _Details(Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Choice(Struct):
    delta: _Body | None = None
    message: _Body | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None
    usage: _Usage | None = None  # where Kimi's own service puts it (northes/go-moonshot#17)


class _Envelope(AnswerBody):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None


# Not strict: "0" passes for 0. What a field of another type would mean is on no record.
_envelope = msgspec.json.Decoder(_Envelope, strict=False)


def decode(body: bytes, answer_tool: str | None = None) -> ChatResult | Failure:
    """A whole answer, or what the body says instead; for ``answer_tool`` see `ChatDecoder`."""
    envelope = open_body(_envelope, body)
    if isinstance(envelope, Failure):
        return envelope
    if not envelope.choices:
        # The "empty shell": HTTP 200, choices null, everything zero (modelscope/modelscope#1801).
        return read_refusal(body) or Failure("", request_id=_text(envelope.request_id), empty=True)
    choices = tuple(_choice(choice, answer_tool) for choice in envelope.choices)
    if not any(has_content(choice) or choice.finish_reason for choice in choices):
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
    finish_reason = choice.finish_reason or None
    calls = tuple(_calls(body.tool_calls, finish_reason)) if body.tool_calls else ()
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


def _calls(calls: list[WireCall], finish_reason: str | None) -> Iterator[ToolCall]:
    last = len(calls) - 1
    for index, call in enumerate(calls):
        arguments = arguments_of(call)
        problem = problem_of(arguments, cut=finish_reason == "length" and index == last)
        yield ToolCall(call.id or made_up_id(index), name_of(call), arguments, problem)


def has_content(said: ChatChoice | ChatDelta) -> bool:
    return bool(said.text or said.reasoning or said.tool_calls or said.refusal)


class ChatDecoder:
    """Payloads of one stream in, deltas out: ``feed`` each payload, ``finish`` at the end.

    A delta of ``None`` means that the payload held nothing for the user.

    Args:
        answer_tool: name of the tool whose arguments stand for the answer's text.

    Attributes:
        done: whether ``[DONE]`` has come.
        finished: whether a finish reason has come. A stream that ends with neither was cut.
    """

    __slots__ = (
        "_answer",
        "_calls",
        "_finish_reason",
        "_introduced",
        "_texts",
        "_usage",
        "done",
        "finished",
    )

    def __init__(self, answer_tool: str | None = None) -> None:
        """Start before the first payload."""
        self._answer = None if answer_tool is None else AnswerTool(answer_tool)
        self.done = False
        self.finished = False
        self._finish_reason: str | None = None
        self._introduced = False
        self._usage: _Usage | None = None
        self._calls: ToolCallPieces | None = None
        self._texts: MendedTexts | None = None

    def feed(self, payload: bytes) -> ChatDelta | Failure | None:
        """The delta in a payload, or what the payload says instead."""
        if type(payload) is ErrorEvent:
            return read_refusal(payload)
        if payload == b"[DONE]":
            self.done = True
            return None
        try:
            envelope = _envelope.decode(payload)
        except UNREADABLE:
            read = self._read_again(payload)
            if not isinstance(read, _Envelope):
                return read
            envelope = read
        usage = envelope.usage
        if usage is not None and usage.completion_tokens:  # without them, it is the dummy
            self._usage = usage
        if envelope.error or envelope.errors:
            return envelope.failure()
        if envelope.choices:
            return self._delta(envelope, envelope.choices[0])
        return self._without_choices(envelope, payload)

    def _without_choices(self, envelope: _Envelope, payload: bytes) -> Failure | None:
        # ``choices: []`` brings the usage; ``choices: null`` at the start is the empty shell.
        if envelope.choices is None:
            refusal = read_refusal(payload)
            if refusal is not None:
                return refusal
            if not self._introduced:
                return Failure("", request_id=_text(envelope.request_id), empty=True)
        if self.finished and self._usage is None:
            self._usage = envelope.usage  # the true one, of an answer that has no tokens
        return None

    def _read_again(self, payload: bytes) -> _Envelope | Failure | None:
        """A payload that msgspec refuses, read leniently."""
        frame = payload.strip()
        try:
            envelope = read_json(_envelope, payload, streamed=True)
        except UNREADABLE as error:
            if frame.startswith(b"{"):
                # A stream that ends within its first payload has given nothing yet.
                nothing = str(error) == "Input data was truncated" and not self._introduced
                said = _("a payload that is not JSON as the service sends it")
                return Failure(said, empty=nothing, unreadable=True)
            self.done = self.done or frame == b"[DONE]"
            return None  # a frame that is no object: one public client guards against them
        if self._texts is None:
            self._texts = MendedTexts()
        return envelope

    def _delta(self, envelope: _Envelope, choice: _Choice) -> ChatDelta | None:
        body = choice.delta or choice.message
        finish_reason = None if self.finished else choice.finish_reason or None
        if finish_reason is not None:
            self.finished = True
            self._finish_reason = finish_reason
            self._usage = choice.usage or self._usage
        response_id = model = None
        if not self._introduced:
            self._introduced = True
            response_id, model = envelope.id, envelope.model
        if body is None:
            body = _NOTHING
        content = body.content
        text = content if type(content) is str else _content(content)
        reasoning = body.reasoning_content or body.reasoning or ""
        refusal = body.refusal or ""
        if self._texts is not None:
            text = self._texts.add("text", text)
            reasoning = self._texts.add("reasoning", reasoning)
            refusal = self._texts.add("refusal", refusal)
        calls = self._add_calls(body.tool_calls) if body.tool_calls else ()
        if self._answer is not None:
            if self._calls is not None:
                text, calls = self._answer.sort(text, calls, self._calls, ended=self.finished)
            if finish_reason == "tool_calls" and not self._answer.has_other_calls:
                finish_reason = "stop"
        if not (text or reasoning or calls or finish_reason or refusal or response_id or model):
            return None
        return ChatDelta(
            text,
            reasoning,
            calls,
            finish_reason,
            None,
            choice.logprobs,
            refusal,
            response_id,
            model,
        )

    def _add_calls(self, pieces: list[WireCall]) -> tuple[ToolCallDelta, ...]:
        calls = self._calls
        if calls is None:
            calls = self._calls = ToolCallPieces()
        if self._texts is not None:
            calls.texts = self._texts
        return calls.add(pieces)

    def finish(self) -> ChatDelta | None:
        """The last delta: token usage, where the service sent it, and what only the end shows."""
        usage = _usage(self._usage)
        text = reasoning = refusal = ""
        if self._texts is not None:
            text = self._texts.close("text")
            reasoning = self._texts.close("reasoning")
            refusal = self._texts.close("refusal")
        calls: tuple[ToolCallDelta, ...] = ()
        if self._calls is not None:
            closing = self._calls.close(self._finish_reason)
            if self._answer is not None:
                text, calls = self._answer.sort(text, (), self._calls, ended=True)
                rest, closing = self._answer.sort("", closing, self._calls, ended=True)
                text += rest
            calls += closing
        if usage is None and not (text or reasoning or calls or refusal):
            return None
        return ChatDelta(text, reasoning, calls, usage=usage, refusal=refusal)


class Opening(Struct, frozen=True):
    """A stream that began well: its decoder and the delta of its first payload."""

    decoder: ChatDecoder
    first: ChatDelta | None


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
