"""Structured output: the three ways to an object of a schema."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import (
    BaseOutputParser,
    JsonOutputKeyToolsParser,
    JsonOutputParser,
    PydanticOutputParser,
    PydanticToolsParser,
)
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel

__all__ = ["Method", "structured_output"]

Method = Literal["function_calling", "json_schema", "json_mode"]


def structured_output(
    model: BaseChatModel,
    schema: Any,
    method: Method,
    include_raw: bool,
    strict: bool | None,
    kwargs: dict[str, Any],
) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
    """A model whose answers are objects of the schema.

    Raises:
        ValueError: an unknown method, or no schema where one is needed.
    """
    if schema is None and method != "json_mode":
        raise ValueError(f"method {method!r} needs a schema")
    described = {"ls_structured_output_format": {"kwargs": {"method": method}, "schema": schema}}
    asked: Runnable[LanguageModelInput, Any]
    if method == "function_calling":
        tool = convert_to_openai_tool(schema, strict=strict)
        name = tool["function"]["name"]
        asked = model.bind_tools(
            [tool], tool_choice=name, parallel_tool_calls=False, **described, **kwargs
        )
        parser = _tool_parser(schema, name)
    elif method == "json_schema":
        asked = model.bind(response_format=_form(schema, strict), **described, **kwargs)
        parser = _text_parser(schema)
    elif method == "json_mode":
        asked = model.bind(response_format={"type": "json_object"}, **described, **kwargs)
        parser = _text_parser(schema)
    else:
        raise ValueError(
            f"method {method!r} is none of 'function_calling', 'json_schema', 'json_mode'"
        )
    if not include_raw:
        return asked | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=asked) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")


def _form(schema: Any, strict: bool | None) -> dict[str, Any]:
    function = convert_to_openai_tool(schema, strict=strict)["function"]
    form = {"name": function["name"], "schema": function["parameters"]}
    for name in ("description", "strict"):
        if name in function:
            form[name] = function[name]
    return {"type": "json_schema", "json_schema": form}


def _is_pydantic(schema: Any) -> bool:
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def _tool_parser(schema: Any, name: str) -> BaseOutputParser[Any]:
    if _is_pydantic(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _text_parser(schema: Any) -> BaseOutputParser[Any]:
    return (
        PydanticOutputParser(pydantic_object=schema) if _is_pydantic(schema) else JsonOutputParser()
    )
