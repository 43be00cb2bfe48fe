"""Makes a ChatRequest of the options of a call, in LlamaIndex's or the OpenAI client's words.

Laws of this file: pure; a table, no ladder. An option that no row knows is refused: what this
package has no name for goes in ``extra_body``, where its user means it to be sent as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llama_index.core.tools.types import BaseTool, ToolMetadata
from pydantic import BaseModel

from modelscope_transport.errors import InvalidRequestError
from modelscope_transport.language import marked as _N
from modelscope_transport.language import translated as _
from modelscope_transport.types import (
    ChatRequest,
    Message,
    NamedTool,
    ResponseFormat,
    ToolChoice,
    ToolSpec,
)

from ._argument_tables import CALL, CALL_HINT
from ._arguments import settle, several
from ._convert import sendable_name

__all__ = [
    "chat_request",
    "check_options",
    "json_schema_format",
    "original_names",
    "settled",
    "tool_option",
]


def chat_request(
    model: str, messages: tuple[Message, ...], options: Mapping[str, Any]
) -> ChatRequest:
    """The request for one call.

    Args:
        model: model ID, unless the options name another.
        messages: the conversation.
        options: options by their own names, see `settled`; ``None`` is the service's own default.

    Raises:
        InvalidRequestError: an option that cannot be read.
    """
    # send_reasoning=None leaves it to the model's profile whether thoughts go back.
    known: dict[str, Any] = {"model": model, "send_reasoning": None}
    body: dict[str, Any] = {}
    for name, value in options.items():
        if value is None or name in _INTERNAL:
            continue
        if (read := _READERS.get(name)) is not None:
            try:
                value = read(value)
            except (TypeError, ValueError) as error:
                raise InvalidRequestError(
                    _("The option {name} cannot be read from a {name2}: {error}.").format(
                        name=name, name2=type(value).__name__, error=error
                    )
                ) from error
        (known if name in _FIELDS else body)[name] = value
    body.update(known.pop("extra_body", {}))
    return ChatRequest(messages=messages, extra_body=body or None, **known)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options of every call that no call can have.

    Raises:
        ConfigurationError: an option that is not known or cannot be taken.
    """
    settle(options, _PLAIN, CALL, owner="additional_kwargs", hint=CALL_HINT)


def settled(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of a call by their own names, aliases replaced.

    Raises:
        InvalidRequestError: one that is not known or cannot be taken, or two that are one.
    """
    if options.keys() <= _PLAIN:  # nearly always: nothing to rename
        return options
    return settle(
        options, _PLAIN, CALL, owner=_N("A call"), hint=CALL_HINT, error=InvalidRequestError
    )


def _tools(tools: Sequence[Any]) -> tuple[ToolSpec, ...]:
    return tuple([_tool(tool) for tool in tools])


def _tool(tool: Any) -> ToolSpec:
    if isinstance(tool, ToolSpec):
        return tool
    if isinstance(tool, BaseTool):
        tool = tool_option(tool)
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not function.get("name"):
        raise InvalidRequestError(
            _(
                "tools holds {name!r} where a LlamaIndex tool or an OpenAI tool "
                "dictionary with a function and its name is needed."
            ).format(name=type(tool).__name__)
        )
    return ToolSpec(
        name=function["name"],
        description=function.get("description") or "",
        parameters=function.get("parameters") or {},
        strict=function.get("strict"),
    )


_CHOICES: Final[dict[str, ToolChoice]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}


def _tool_choice(choice: Any) -> ToolChoice:
    named = choice
    if isinstance(choice, Mapping):
        function = choice.get("function")
        named = (function if isinstance(function, Mapping) else choice).get("name")
        if named is None:
            choice = choice.get("type")  # {"type": "any"}, as other services have it
    if isinstance(choice, str) and choice in _CHOICES:
        return _CHOICES[choice]
    if not isinstance(named, str) or not named:
        raise InvalidRequestError(
            _(
                "tool_choice is {choice!r}; it must be 'auto', 'none', 'required', 'any', "
                "the name of a tool, or a dictionary with one of them as OpenAI or "
                "Anthropic write it."
            ).format(choice=choice)
        )
    return NamedTool(sendable_name(named))


def _response_format(form: Any) -> ResponseFormat | None:
    if isinstance(form, ResponseFormat):
        return form
    if isinstance(form, type) and issubclass(form, BaseModel):
        return json_schema_format(form)
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return ResponseFormat("json_object")
    given = form.get("json_schema") if kind == "json_schema" else None
    if not isinstance(given, Mapping) or not isinstance(given.get("schema"), Mapping):
        raise InvalidRequestError(
            _(
                "response_format must be a pydantic class, or a dictionary of the type "
                "'text', 'json_object' or 'json_schema' with its schema."
            )
        )
    return ResponseFormat(
        "json_schema",
        name=given.get("name") or "answer",
        schema=given["schema"],
        description=given.get("description"),
        strict=given.get("strict"),
    )


def json_schema_format(form: type[BaseModel], *, strict: bool | None = None) -> ResponseFormat:
    """The ``response_format`` that asks for an answer that fits a pydantic class."""
    schema = form.model_json_schema()
    return ResponseFormat(
        "json_schema",
        name=sendable_name(form.__name__),
        schema=schema,
        description=schema.get("description"),
        strict=strict,
    )


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "extra_body": dict,
    "extra_headers": dict,
    "fallback_models": several,
    "response_format": _response_format,
    "stop": several,
    "tool_choice": _tool_choice,
    "tools": _tools,
}

# Options that one method of the class passes to another: the tools' own names.
_INTERNAL: Final = frozenset({"tool_names"})
_FIELDS: Final = frozenset(ChatRequest.__struct_fields__) - {"messages"}
# The options' own names: fields of the request, and fields of the body that are sent as they are.
_PLAIN: Final = (_FIELDS | _INTERNAL | {*CALL}) - {
    row.name for row in CALL.values() if row.fate != "taken"
}


# --- LlamaIndex's tools -----------------------------------------------------------------------


def tool_option(tool: BaseTool, *, strict: bool = False) -> dict[str, Any]:
    """A tool as an OpenAI dictionary: the form in which options, events and traces hold it.

    Args:
        tool: the tool.
        strict: whether the server must keep to the schema.
    """
    meta = tool.metadata
    parameters = _parameters(meta)
    function: dict[str, Any] = {
        "name": sendable_name(meta.get_name()),
        "description": meta.description,
        "parameters": parameters,
    }
    if strict:
        function["strict"] = True
        function["parameters"] = {**parameters, "additionalProperties": False}
    return {"type": "function", "function": function}


def original_names(tools: Sequence[BaseTool]) -> dict[str, str]:
    """The tools' own names by the names that are sent, where the two differ.

    Raises:
        InvalidRequestError: two tools would be sent under the same name.
    """
    names: dict[str, str] = {}
    for tool in tools:
        own = tool.metadata.get_name()
        if names.setdefault(sendable_name(own), own) != own:
            raise InvalidRequestError(
                _(
                    "The tools {names!r} and {own!r} have the same name once the characters "
                    "that a name cannot hold are replaced. Rename one."
                ).format(names=names[sendable_name(own)], own=own)
            )
    return {sent: own for sent, own in names.items() if sent != own}


_SCHEMAS: Final[dict[type[BaseModel], dict[str, Any]]] = {}
_MOST_SCHEMAS: Final = 512


def _parameters(meta: ToolMetadata) -> dict[str, Any]:
    """The schema of a tool's arguments, generated once for each class of arguments.

    An agent sends its tools with every step, and generating a schema costs more than the rest of
    a call together.
    """
    form = meta.fn_schema
    if form is None or type(meta) is not ToolMetadata:
        return meta.get_parameters_dict()
    schema = _SCHEMAS.get(form)
    if schema is None:
        if len(_SCHEMAS) >= _MOST_SCHEMAS:
            _SCHEMAS.clear()
        schema = _SCHEMAS[form] = meta.get_parameters_dict()
    return copy.deepcopy(schema)  # events and subclasses may change it
