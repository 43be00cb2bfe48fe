"""The schema of an answer, in each form that users of LangChain write one in.

Laws of this file: pure, and it changes nothing that it is given. A JSON schema goes to the service
as it is, whatever its root: LangChain's own converters keep only what a function's arguments have.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from modelscope_transport.answer_text import resolved
from modelscope_transport.language import translated as _

__all__ = ["form_of", "function_of", "is_class", "is_object", "object_of", "traced"]

# What tells a JSON schema from a function's description, which has a name.
_WORDS = frozenset({"properties", "items", "enum", "anyOf", "oneOf", "allOf", "$ref"})
_CHOICES = frozenset({"anyOf", "oneOf", "allOf"})
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


def form_of(schema: Any, strict: bool | None = None) -> dict[str, Any]:
    """A schema in the form of OpenAI's ``json_schema``, with description and strictness if known.

    Args:
        schema: a pydantic class, a JSON schema, ``{"name": …, "schema": …}``, the same under
            ``json_schema``, or what LangChain can make a function of.
        strict: whether the answer must keep the schema to the letter, unless that stands in it.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(schema, dict):
        schema = schema.get("json_schema", schema)
        if isinstance(schema.get("schema"), dict):
            form = {"name": "answer", **schema}
        elif _is_json_schema(schema):
            form = _named(schema, strict)
        else:
            form = _of_function(schema, strict)
    elif is_class(schema):
        v2 = hasattr(schema, "model_json_schema")
        described = schema.model_json_schema() if v2 else schema.schema()
        form = _named(resolved(described, described), strict)
    else:
        form = _of_function(schema, strict)
    return form if strict is None else {"strict": strict, **form}


def is_class(schema: Any) -> bool:
    """Whether a schema is a pydantic class, of either version."""
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def object_of(schema: type[BaseModel], value: Any) -> BaseModel:
    """An instance of a class, out of what JSON held.

    Raises:
        ValidationError: it does not fit.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        # A strict class takes a date, an enum or a tuple in the form that JSON has for it, but only
        # from JSON. Where a field is missing, JSON would lack it as well.
        if not any(map(_is_missing, error.errors(include_url=False, include_context=False))):
            with suppress(ValueError):
                return schema.model_validate_json(json.dumps(value))
        raise


def _is_missing(problem: ErrorDetails) -> bool:
    """Whether the object itself lacks a field; inside of it, another choice of a union may fit."""
    return problem["type"] == "missing" and len(problem["loc"]) == 1


def is_object(schema: Any) -> bool:
    """Whether the answer of a schema is an object, as a function's arguments are."""
    described = form_of(schema)["schema"]
    root = resolved(described, described)
    return root.get("type") == "object" or "properties" in root


def function_of(schema: Any, strict: bool | None) -> dict[str, Any]:
    """A tool whose arguments are the answer.

    Raises:
        ValueError: it has no name, or does not describe an object.
    """
    if isinstance(schema, dict):
        if not is_object(schema):
            raise ValueError(
                _(
                    "A function's arguments are an object, and this schema describes none. Use "
                    "method='json_schema'."
                )
            )
        if isinstance(schema.get("json_schema", schema).get("schema"), dict):
            schema = traced(schema)
        elif "title" in schema:
            schema = resolved(schema, schema)
            if "properties" not in schema:  # LangChain would send the name alone
                form = form_of(schema, strict)
                return {"type": "function", "function": {"parameters": form.pop("schema"), **form}}
    return _tool(schema, strict)


def traced(schema: Any) -> Any:
    """Any schema in the form that LangChain can read for a trace: as the parts of a function."""
    if not isinstance(schema, dict):
        return schema
    form = form_of(schema)
    return {**form, "parameters": form["schema"]}


def _is_json_schema(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return not _WORDS.isdisjoint(schema) or isinstance(kind, list) or kind in _TYPES


def _named(schema: dict[str, Any], strict: bool | None) -> dict[str, Any]:
    form = {"name": schema.get("title", "answer"), "schema": _closed(schema) if strict else schema}
    if "description" in schema:
        form["description"] = schema["description"]
    return form


def _of_function(schema: Any, strict: bool | None) -> dict[str, Any]:
    form: dict[str, Any] = dict(_tool(schema, strict)["function"])
    form["schema"] = form.pop("parameters", {"type": "object", "properties": {}})
    return form


def _tool(schema: Any, strict: bool | None) -> dict[str, Any]:
    tool = convert_to_openai_tool(schema, strict=strict)
    must = getattr(schema, "__required_keys__", None)
    if must is not None and not strict:  # a strict service wants all of them
        # LangChain calls the keys of a TypedDict of total=False required too.
        parameters = tool["function"]["parameters"]
        parameters["required"] = [key for key in parameters.get("required", ()) if key in must]
    return tool


def _closed(schema: Any) -> Any:
    """A schema as a strict service wants it: its objects have all their keys, and no others."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {word: _closed(value) for word, value in schema.items()}
    # Where only the choices name properties, to forbid others would forbid all of them.
    if closed.get("type") == "object" and ("properties" in closed or _CHOICES.isdisjoint(closed)):
        closed.setdefault("additionalProperties", False)
        if closed.get("properties"):
            closed["required"] = list(closed["properties"])
    return closed
