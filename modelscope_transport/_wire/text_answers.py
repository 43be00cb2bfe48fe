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
from typing import Any, TypeVar

from msgspec.structs import replace

from ..answer_text import check_form, read_answer
from ..answers import ChatChoice, ChatDelta, ToolCallDelta
from ..language import translated as _
from ..types import ChatRequest, NamedTool, ToolCall, ToolSpec, made_up_id

__all__ = ["TextAnswer", "forced_tools"]

Said = TypeVar("Said", bound=ChatDelta | ChatChoice)


class TextAnswer:
    """Pieces of an answer in, those to pass on out: ``feed`` each, then ``close`` with the last."""

    def __init__(self, request: ChatRequest) -> None:
        form = request.response_format
        self._schema = None if form is None else form.schema or {"type": ["object", "array"]}
        self._tools = forced_tools(request)
        self._text: list[str] = []
        self._is_called = False
        self._is_held = form is not None

    def feed(self, said: Said) -> Said:
        """The next piece, with the text that can be passed on now."""
        self._is_called = self._is_called or bool(said.tool_calls)
        self._text.append(said.text)
        if not self._is_held:
            return said
        text = "".join(self._text)
        self._is_held = not text.lstrip().startswith(("{", "["))
        return replace(said, text="" if self._is_held else text)

    def close(self, last: Said) -> Said:
        """The last piece, or a whole answer: with the text in its form, or the call in it."""
        last = self.feed(last)
        text = "".join(self._text)
        if self._is_held:
            last = replace(last, text=text if self._is_called else _in_form(text, self._schema))
        call = None if self._is_called else _call_in(text, self._tools)
        if call is None:
            return last
        piece = ToolCallDelta(0, call.id, call.name, call.arguments)
        return replace(last, tool_calls=(piece if isinstance(last, ChatDelta) else call,))


def forced_tools(request: ChatRequest) -> tuple[ToolSpec, ...]:
    """The tools of which a request demands a call; empty where the model may choose."""
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
