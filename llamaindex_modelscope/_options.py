"""The options of one call, in the words of LlamaIndex and of the OpenAI client, to a ChatRequest.

Laws of this file: pure; a table, no ladder. An option that no row knows is a field of the
request's body, as users of OpenAI-compatible classes expect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llama_index.core.tools.types import BaseTool, ToolMetadata
from pydantic import BaseModel

from modelscope_transport.errors import InvalidRequestError
from modelscope_transport.types import (
    ChatRequest,
    Message,
    NamedTool,
    ResponseFormat,
    ToolChoice,
    ToolSpec,
)

from ._convert import sendable_name

__all__ = ["chat_request", "json_schema_format", "original_names", "tool_option"]


def chat_request(
    model: str, messages: tuple[Message, ...], options: Mapping[str, Any]
) -> ChatRequest:
    """The request for one call.

    Args:
        model: model ID, unless the options name another.
        messages: the conversation.
        options: options by name; ``None`` leaves one to the service's own default.

    Raises:
        InvalidRequestError: an option that cannot be read.
    """
    known: dict[str, Any] = {"model": model}
    body: dict[str, Any] = {}
    for name, value in options.items():
        if value is None or name in _IGNORED:
            continue
        if name in _PLAIN:
            known[name] = value
        elif (read := _READERS.get(name)) is not None:
            try:
                known[name] = read(value)
            except (TypeError, ValueError) as error:
                raise InvalidRequestError(
                    f"The option {name} cannot be read from a {type(value).__name__}: {error}."
                ) from error
        else:
            body[name] = value
    if known.pop("extra_query", None):
        raise InvalidRequestError(
            "extra_query cannot be sent: the service reads no query. Pass fields of the request "
            "by name or in extra_body."
        )
    body.update(known.pop("extra_body", {}))
    return ChatRequest(messages=messages, extra_body=body or None, **known)


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
            f"tools holds {type(tool).__name__!r} where a LlamaIndex tool or an OpenAI tool "
            "dictionary with a function and its name is needed."
        )
    return ToolSpec(
        name=function["name"],
        description=function.get("description") or "",
        parameters=function.get("parameters") or {},
        strict=function.get("strict"),
    )


def _tool_choice(choice: Any) -> ToolChoice:
    if choice in ("auto", "none", "required"):
        plain: ToolChoice = choice
        return plain
    if choice == "any":
        return "required"
    if isinstance(choice, Mapping):
        choice = (choice.get("function") or choice).get("name")
    if not isinstance(choice, str) or not choice:
        raise InvalidRequestError(
            f"tool_choice is {choice!r}; it must be 'auto', 'none', 'required', the name of a "
            "tool, or an OpenAI dictionary that names one."
        )
    return NamedTool(sendable_name(choice))


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
            "response_format must be a pydantic class, or a dictionary of the type 'text', "
            "'json_object' or 'json_schema' with its schema."
        )
    return ResponseFormat(
        "json_schema",
        name=given.get("name") or "answer",
        schema=given["schema"],
        description=given.get("description"),
        strict=given.get("strict"),
    )


def json_schema_format(form: type[BaseModel], *, strict: bool | None = None) -> ResponseFormat:
    """The wish for an answer that fits a pydantic class."""
    schema = form.model_json_schema()
    return ResponseFormat(
        "json_schema",
        name=sendable_name(form.__name__),
        schema=schema,
        description=schema.get("description"),
        strict=strict,
    )


def _stop(stop: str | Sequence[str]) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop)


_PLAIN: Final = frozenset(
    {
        "enable_thinking",
        "frequency_penalty",
        "logprobs",
        "max_tokens",
        "model",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "promote_reasoning_only",
        "seed",
        "stream_usage",
        "temperature",
        "think_tags",
        "thinking_budget",
        "timeout",
        "top_logprobs",
        "top_p",
    }
)

_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "extra_body": dict,
    "extra_headers": dict,
    "extra_query": dict,
    "fallback_models": tuple,
    "response_format": _response_format,
    "stop": _stop,
    "tool_choice": _tool_choice,
    "tools": _tools,
}

# What other classes take for themselves; it means nothing on the wire.
_IGNORED: Final = frozenset({"formatted", "stream", "tool_names", "use_chat_completions"})


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
    """Names as they travel, to the tools' own, where the two differ.

    Raises:
        InvalidRequestError: two tools share one name on the way.
    """
    names: dict[str, str] = {}
    for tool in tools:
        own = tool.metadata.get_name()
        if names.setdefault(sendable_name(own), own) != own:
            raise InvalidRequestError(
                f"The tools {names[sendable_name(own)]!r} and {own!r} have the same name once the "
                "characters that a name cannot hold are replaced. Rename one."
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
    return schema
