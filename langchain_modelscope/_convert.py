"""LangChain's options as a request of the transport's; its messages are `_messages`'.

Laws of this file: pure, and it changes nothing that it is given. What LangChain leaves open
(dictionaries in several dialects) is read here and nowhere else. The way back is `_answers`'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from modelscope_transport.errors import InvalidRequestError
from modelscope_transport.language import translated as _
from modelscope_transport.types import (
    ChatRequest,
    NamedTool,
    ResponseFormat,
    ToolChoice,
    ToolSpec,
)

from ._arguments import read_timeout
from ._messages import to_messages
from ._schemas import form_of

__all__ = ["is_answer", "names_of", "read_tool_choice", "to_request"]

_FIELDS = frozenset(ChatRequest.__struct_fields__) - {"messages"}


def to_request(messages: Sequence[BaseMessage], options: Mapping[str, Any]) -> ChatRequest:
    """A request for the transport.

    Args:
        messages: the conversation.
        options: fields of `ChatRequest` in LangChain's dialects; ``None`` leaves a field out.
            Names that are no fields are switches of LangChain's, and are not sent.

    Raises:
        InvalidRequestError: something that cannot be sent.
    """
    known = {
        name: value for name, value in options.items() if value is not None and name in _FIELDS
    }
    known["send_reasoning"] = options.get("send_reasoning")  # None is a choice too
    if "response_format" in known:
        known["response_format"] = _response_format(known["response_format"], options.get("strict"))
    for name, read in _DIALECTS.items():
        if name in known:
            known[name] = read(known[name])
    if "tool_choice" in known:
        names = [tool.name for tool in known.get("tools", ())]
        known["tool_choice"] = read_tool_choice(known["tool_choice"], names)
    return ChatRequest(messages=to_messages(messages), **known)


def _several(texts: str | Sequence[str]) -> tuple[str, ...]:
    """The texts; a lone one is not taken for a sequence of its letters."""
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _tools(tools: Sequence[Any]) -> tuple[ToolSpec, ...]:
    return tuple([_tool(tool) for tool in tools])


def _tool(tool: Any) -> ToolSpec:
    described = (
        tool if isinstance(tool, dict) and "function" in tool else convert_to_openai_tool(tool)
    )
    function = described.get("function")
    if function is None:
        raise InvalidRequestError(
            _(
                "The tool {get!r} is another provider's own. ModelScope calls functions only."
            ).format(get=described.get("type"))
        )
    return ToolSpec(
        function["name"],
        function.get("description", ""),
        function.get("parameters", {}),
        function.get("strict"),
    )


def names_of(tools: Sequence[Any]) -> list[str]:
    """Names of tools.

    Raises:
        InvalidRequestError: one is another provider's own.
    """
    return [tool.name for tool in _tools(tools)]


def read_tool_choice(choice: Any, names: Sequence[str]) -> ToolChoice | None:
    """A tool choice in any of LangChain's dialects.

    Args:
        choice: ``"auto"``, ``"none"``, ``"any"`` or ``"required"`` or ``True``, the name of a
            tool, a dictionary that names one, or ``None`` or ``False`` for no choice.
        names: tools on offer.

    Raises:
        InvalidRequestError: a choice that is none of these.
    """
    if isinstance(choice, dict):
        named = choice.get("function") or choice
        choice = named.get("name") or choice.get("type")
    if choice is None or choice is False:
        return None
    if choice is True or choice == "any" or choice == "required":
        return "required"
    if choice in names:
        return NamedTool(choice)
    if choice == "auto" or choice == "none":
        return choice  # type: ignore[no-any-return]
    raise InvalidRequestError(
        _(
            "tool_choice {choice!r} is neither auto, none, any, required nor one of "
            "the tools: {names}."
        ).format(choice=choice, names=", ".join(names) or _("there are none"))
    )


def is_answer(tool: Any) -> bool:
    """Whether a tool runs nothing: it is the form of an agent's answer (``ToolStrategy``)."""
    return isinstance(tool, StructuredTool) and tool.func is None and tool.coroutine is None


def _response_format(form: Any, strict: bool | None) -> ResponseFormat | None:
    if isinstance(form, dict) and form.get("type") == "text":
        return None
    if isinstance(form, dict) and form.get("type") == "json_object":
        return ResponseFormat("json_object")
    read = form_of(form, strict)
    return ResponseFormat(
        "json_schema", read["name"], read["schema"], read.get("description"), read.get("strict")
    )


_DIALECTS: dict[str, Callable[[Any], Any]] = {
    "stop": _several,
    "fallback_models": _several,
    "timeout": read_timeout,
    "tools": _tools,
}
