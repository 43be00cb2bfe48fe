"""Checks JSON schemas: of a tool's parameters, and of a ``response_format``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def is_schema(value: object) -> bool:
    """Whether a value is a JSON schema, by its well-known keywords; others are not checked."""
    if isinstance(value, bool):
        return True
    return isinstance(value, Mapping) and all(
        fits(value[keyword]) for keyword, fits in _KEYWORDS.items() if keyword in value
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_type(value: Any) -> bool:
    return _is_text(value) or (_are_texts(value) and bool(value))


def _are_schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_schema, value))


def _are_named_schemas(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(is_schema, value.values()))


_KEYWORDS: dict[str, Callable[[Any], bool]] = {
    "$ref": _is_text,
    "type": _is_type,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "required": _are_texts,
    **dict.fromkeys(("title", "description", "format", "pattern"), _is_text),
    **dict.fromkeys(("properties", "$defs", "definitions"), _are_named_schemas),
    **dict.fromkeys(("items", "additionalProperties", "not"), is_schema),
    **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), _are_schemas),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _is_number
    ),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), _is_count),
}
