"""An object of a schema, read from the text of an answer: for models that cannot be forced to it.

Such a model writes its JSON between sentences, in a code fence, after its thoughts, or as the tool
call that its server did not recognise. Both adapters read it here, and so read it alike.

Laws of this file: pure. Only a complete JSON value counts, and only one that the caller's own check
accepts; of several the last, since models draft first. A value that was cut off is never completed
or searched for smaller ones inside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from .language import translated as _

__all__ = [
    "begun",
    "check_form",
    "escaped",
    "json_values",
    "read_answer",
    "resolved",
    "without_thoughts",
]

T = TypeVar("T")

_THOUGHTS_END = "</think>"
_THOUGHTS_START = "<think>"
# Not strict: models write line breaks inside strings.
_DECODER = json.JSONDecoder(strict=False)
_OF_OBJECTS = frozenset({"properties", "required"})
_SCALAR = re.compile(r"true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\"(?:[^\"\\\n]|\\.)*\"")

# Not every brace of a sentence: what follows that of an object is a name, or has not come yet.
_BEGINNING = re.compile(r'(?:\A|```\w*)\s*\[|\{(?=\s*(?:["}]|\Z))')
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_WHITE = (("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r"))


def read_answer(text: str, accept: Callable[[Any], T], *, tool: str | None = None) -> T:
    """The last JSON value of an answer that is accepted.

    Args:
        text: text of the answer; thoughts between ``<think>`` and ``</think>`` are cut.
        accept: turns a JSON value into the object that is wanted, or raises ``ValueError`` (as
            pydantic's ``ValidationError`` is one).
        tool: name of the tool whose arguments the object is. A value
            ``{"name": tool, "arguments": …}`` then stands for its arguments.

    Returns:
        What ``accept`` returned.

    Raises:
        ValueError: there is not complete JSON value, or none is accepted; the message says which,
            and ``__cause__`` is what ``accept`` raised for the last one.
    """
    refused: ValueError | None = None
    for value in json_values(text):
        for candidate in _unwrapped(value, tool):
            try:
                return accept(candidate)
            except ValueError as error:
                refused = refused or error
    if refused is None:
        raise ValueError(_("The answer holds no complete JSON value."))
    raise ValueError(
        _("No JSON value of the answer fits the schema: {refused}").format(refused=refused)
    ) from refused


def json_values(text: str) -> Iterator[Any]:
    """The complete JSON values of an answer's text, the last first.

    An object or a list counts wherever it stands. A string, a number, ``true``, ``false`` or
    ``null`` counts where it is all that stands on its line. A value inside another does not count.
    """
    whole = text.strip()
    try:
        yield _DECODER.decode(whole)
        return
    except (ValueError, RecursionError):
        pass
    yield from reversed(
        [value for _, value in sorted(_found(without_thoughts(whole)), key=lambda it: it[0])]
    )


def check_form(value: Any, schema: Mapping[str, Any]) -> Any:
    """The value, where it has the outer form of a JSON schema: its type, its required keys.

    It is no validator: it tells an answer from another value in the same text. A schema without a
    type that speaks of properties is taken to mean an object.

    Raises:
        ValueError: the type is another, or a required key is missing; of ``anyOf``, for each.
    """
    _check(value, schema, schema)
    return value


def _check(value: Any, schema: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
    schema = resolved(schema, whole)
    if "enum" in schema and value not in schema["enum"]:
        raise ValueError(
            _("{value!r} is not one of {schema}").format(value=value, schema=schema["enum"])
        )
    wanted = schema.get("type", "object" if _OF_OBJECTS & schema.keys() else None)
    kinds = [wanted] if isinstance(wanted, str) else wanted or []
    if kinds and not any(_is_of(kind, value) for kind in kinds):
        raise ValueError(_("a value of type {names} is wanted").format(names=" or ".join(kinds)))
    if isinstance(value, dict):
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            raise ValueError(_("missing: {names}").format(names=", ".join(missing)))
    for part in schema.get("allOf", ()):
        _check(value, part, whole)
    for word in ("anyOf", "oneOf"):
        problems = [_problem(value, choice, whole) for choice in schema.get(word, ())]
        if problems and None not in problems:
            raise ValueError(" / ".join(map(str, problems)))


def _problem(value: Any, schema: Mapping[str, Any], whole: Mapping[str, Any]) -> ValueError | None:
    try:
        _check(value, schema, whole)
    except ValueError as error:
        return error
    return None


def resolved(schema: Any, whole: Mapping[str, Any]) -> dict[str, Any]:
    """A schema, with what its ``$ref`` names inside of the whole schema in the place of it."""
    if not isinstance(schema, Mapping):
        return {}  # ``true``: any value
    rest = dict(schema)
    _, local, path = str(rest.pop("$ref", "")).partition("#/")
    if not local:
        return dict(schema)
    found: Any = whole
    for name in path.split("/"):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return {**resolved(found, whole), **rest}


# --- before the end ---------------------------------------------------------------------------


def begun(text: str) -> str:
    """What has come of an object or a list in a text that is still growing; empty: nothing yet."""
    said = text.lstrip()
    if not said.startswith(("{", "[")):
        said = without_thoughts(said)
    found = _BEGINNING.search(said)
    return said[found.end() - 1 :] if found else ""


def escaped(text: str) -> str:
    """JSON as strict readers take it: models write line breaks inside strings."""
    return _STRING.sub(_escaped, text)


def _escaped(string: re.Match[str]) -> str:
    text = string.group()
    for raw, escape in _WHITE:
        text = text.replace(raw, escape)
    return text


# --- where values stand -----------------------------------------------------------------------


def without_thoughts(text: str) -> str:
    """The text without thoughts; a server may have cut off the tag that opens them."""
    _, closed, said = text.rpartition(_THOUGHTS_END)
    if closed:
        return said
    return "" if text.startswith(_THOUGHTS_START) else text


def _found(text: str) -> Iterator[tuple[int, Any]]:
    """Values and where they begin: objects and lists, then scalars on lines of their own."""
    place, covered = 0, list[tuple[int, int]]()
    while (start := _next_opening(text, place)) is not None:
        try:
            value, place = _DECODER.raw_decode(text, start)
        except RecursionError:  # a model that repeats its brackets without end: as one that is cut
            covered.append((start, len(text)))
            break
        except ValueError as error:
            wrong_at = getattr(error, "pos", start)
            if _is_cut(text, wrong_at):
                covered.append((start, len(text)))
                break
            # A value that went wrong later than at its first character is a broken one: what
            # stands in its first part is a part of it.
            place = max(start + 1, wrong_at)
        else:
            covered.append((start, place))
            yield start, value
    for line in re.finditer(r"[^\n]+", text):
        scalar = line.group().strip()
        inside = any(start <= line.start() < end for start, end in covered)
        if not inside and _SCALAR.fullmatch(scalar):
            with suppress(ValueError):  # such as 007, which is no JSON
                yield line.start(), _DECODER.decode(scalar)


def _next_opening(text: str, place: int) -> int | None:
    found = [at for at in (text.find("{", place), text.find("[", place)) if at >= 0]
    return min(found, default=None)


def _is_cut(text: str, wrong_at: int) -> bool:
    """Whether a value goes wrong only because the text ends."""
    rest = text[wrong_at:].strip()
    if not rest:
        return True
    # An unclosed string is reported where it begins.
    return rest.startswith('"') and not re.match(r'"(?:[^"\\]|\\.)*"', rest)


def _unwrapped(value: Any, tool: str | None) -> Iterator[Any]:
    """The arguments of a call that came as text, then the value itself."""
    calls = value if isinstance(value, list) else [value]
    for call in reversed(calls):
        if tool is not None and isinstance(call, dict) and call.get("name") == tool:
            for key in ("arguments", "parameters", "args"):
                if isinstance(call.get(key), dict):
                    yield call[key]
    yield value


def _is_of(kind: str, value: Any) -> bool:
    if kind in ("number", "integer") and isinstance(value, bool):
        return False
    python = _PYTHON.get(kind)
    return python is None or isinstance(value, python)


_PYTHON: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
