"""Reads a tool call or a JSON value out of an answer that came as free text instead.

A model that cannot be forced to call a tool, or to keep a JSON schema, writes what it was asked for
between sentences or in a code fence. Whole answers and streams are read alike:

- a forced tool that was not called: the last JSON value that has the form of its arguments becomes
  the call; the text stays;
- a JSON form whose text begins with no bracket: the text is held back, and replaced by the last
  JSON value of that form; where there is none, it is passed on as it is.
"""

from __future__ import annotations

import functools
import json
from typing import Any, cast

from msgspec import structs

from ..answer_text import check_form, read_answer
from ..answers import ChatChoice, ChatDelta, ChatResult, ToolCallDelta
from ..language import translated as _
from ..types import ChatRequest, NamedTool, ToolCall, ToolSpec, made_up_id
from .chat import ChatDecoder
from .outcomes import Failure

__all__ = ["TextAnswer", "formed_answer", "forming_decoder"]


class TextAnswer:
    """Text of one answer in, the text to pass on out: ``add`` each piece, then ``finish`` once.

    Args:
        request: what was asked.
    """

    def __init__(self, request: ChatRequest) -> None:
        form = request.response_format
        self._schema = None if form is None else form.schema or {"type": ["object", "array"]}
        self._tools = _forced(request)
        self._text: list[str] = []
        self._is_called = False
        self._is_held = form is not None

    def add(self, text: str, *, called: bool) -> str:
        """The text that can be passed on now.

        Args:
            text: the next piece.
            called: whether a tool call came with it.
        """
        self._is_called = self._is_called or called
        self._text.append(text)
        if not self._is_held:
            return text
        head = "".join(self._text)
        if not head.lstrip().startswith(("{", "[")):
            return ""
        self._is_held = False
        return head

    def finish(self) -> tuple[str, ToolCall | None]:
        """The text that was held back, in its form where it has one; the call that it holds."""
        text = "".join(self._text)
        held = text if self._is_held else ""
        if self._schema is not None and held and not self._is_called:
            held = _in_form(held, self._schema)
        return held, None if self._is_called else _call_in(text, self._tools)


def _forced(request: ChatRequest) -> tuple[ToolSpec, ...]:
    choice = request.tool_choice
    if choice == "required":
        return request.tools
    if isinstance(choice, NamedTool):
        return tuple(tool for tool in request.tools if tool.name == choice.name)
    return ()


def _in_form(text: str, schema: Any) -> str:
    try:
        value = read_answer(text, lambda value: check_form(value, schema))
    except ValueError:
        return text
    return json.dumps(value, ensure_ascii=False)


def _call_in(text: str, tools: tuple[ToolSpec, ...]) -> ToolCall | None:
    for tool in tools:
        try:
            value = read_answer(text, functools.partial(_arguments, tool), tool=tool.name)
        except ValueError:
            continue
        return ToolCall(made_up_id(0), tool.name, json.dumps(value, ensure_ascii=False))
    return None


def _arguments(tool: ToolSpec, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise ValueError(_("arguments are an object"))
    unknown = value.keys() - tool.parameters.get("properties", value).keys()
    if unknown:
        raise ValueError(
            _("no arguments of the tool: {names}").format(names=", ".join(sorted(unknown)))
        )
    check_form(value, tool.parameters)
    return value


# --- whole answers and streams ----------------------------------------------------------------


def formed_answer(answer: ChatResult, request: ChatRequest) -> ChatResult:
    """A whole answer to a request, each choice in the form that was asked for."""
    if not _wants_form(request):
        return answer
    return structs.replace(answer, choices=tuple(_formed(it, request) for it in answer.choices))


def _formed(choice: ChatChoice, request: ChatRequest) -> ChatChoice:
    reading = TextAnswer(request)
    text = reading.add(choice.text, called=bool(choice.tool_calls))
    held, call = reading.finish()
    calls = choice.tool_calls if call is None else (call,)
    return structs.replace(choice, text=text + held, tool_calls=calls)


def forming_decoder(decoder: ChatDecoder, request: ChatRequest) -> ChatDecoder:
    """The decoder of a stream that answers a request; what it decodes gets its form."""
    if not _wants_form(request):
        return decoder
    return cast("ChatDecoder", _Decoder(decoder, TextAnswer(request)))


def _wants_form(request: ChatRequest) -> bool:
    return request.response_format is not None or bool(_forced(request))


class _Decoder:
    """A `ChatDecoder` around another one."""

    def __init__(self, decoder: ChatDecoder, reading: TextAnswer) -> None:
        self._decoder = decoder
        self._reading = reading

    @property
    def done(self) -> bool:
        return self._decoder.done

    @property
    def finished(self) -> bool:
        return self._decoder.finished

    def feed(self, payload: bytes) -> ChatDelta | Failure | None:
        delta = self._decoder.feed(payload)
        if not isinstance(delta, ChatDelta):
            return delta
        text = self._reading.add(delta.text, called=bool(delta.tool_calls))
        if text == delta.text:
            return delta
        found = structs.replace(delta, text=text)
        return None if found == ChatDelta() else found

    def finish(self) -> ChatDelta | None:
        last = self._decoder.finish()
        text = "" if last is None else self._reading.add(last.text, called=bool(last.tool_calls))
        held, call = self._reading.finish()
        calls = () if last is None else last.tool_calls
        if call is not None:
            calls = (ToolCallDelta(0, call.id, call.name, call.arguments),)
        found = structs.replace(last or ChatDelta(), text=text + held, tool_calls=calls)
        return None if found == ChatDelta() else found
