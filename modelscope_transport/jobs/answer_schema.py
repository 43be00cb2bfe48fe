"""Structured answers of a job: the form that is asked for, and whether an answer has it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..answer_text import check_form, read_answer
from ..errors import ConfigurationError
from ..language import translated as _
from ..types import ResponseFormat

__all__ = ["AnswerSchema"]


class AnswerSchema:
    """A schema that every answer of a job must have.

    Args:
        schema: a pydantic model, a dataclass, a ``TypedDict``, a ``msgspec.Struct``, or a JSON
            schema as a mapping. Of a mapping only the kind of the value and its ``required``
            fields are checked; of a class, everything.

    Attributes:
        form: what a request is sent with.

    Raises:
        ConfigurationError: ``schema`` is none of these.
    """

    def __init__(self, schema: Any) -> None:
        """Read the schema."""
        self._accept: Callable[[Any], Any]
        if isinstance(schema, Mapping):
            described: Mapping[str, Any] = schema
            self._accept = functools.partial(check_form, schema=schema)
        elif hasattr(schema, "model_json_schema") and hasattr(schema, "model_validate"):
            described = schema.model_json_schema()
            self._accept = schema.model_validate
        else:
            described = _described(schema)
            self._accept = _converter(schema)
        name = described.get("title") or getattr(schema, "__name__", "answer")
        self.form = ResponseFormat("json_schema", str(name), described)

    def read(self, text: str) -> Any:
        """The object in the text of an answer: an instance of the class, or plain JSON values.

        Raises:
            ValueError: no object in it fits the schema.
        """
        return read_answer(text, self._accept)

    def read_json(self, text: str) -> str:
        """The same as JSON text, with the values that the model wrote.

        Raises:
            ValueError: no object in it fits the schema.
        """

        def keep(value: Any) -> Any:
            self._accept(value)
            return value

        return msgspec.json.encode(read_answer(text, keep)).decode()


def _described(schema: Any) -> dict[str, Any]:
    """The JSON schema of a class: itself at the top, as pydantic writes it, not a reference."""
    try:
        (whole,), parts = msgspec.json.schema_components([schema], ref_template="#/$defs/{name}")
    except TypeError as error:
        raise ConfigurationError(
            _(
                "schema= takes a pydantic model, a dataclass, a TypedDict, a msgspec.Struct or "
                "a JSON schema as a mapping, and got {schema!r}: {error}"
            ).format(schema=schema, error=error)
        ) from None
    own = parts.pop(getattr(schema, "__name__", ""), None)
    return {**(own or whole), **({"$defs": parts} if parts else {})}


def _converter(schema: Any) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            return msgspec.convert(value, schema)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None

    return convert
