"""JSON read as leniently as Python's own ``json.loads`` reads it.

msgspec reads first, since it is several times faster; what it refuses is read once more by
``json.loads``: a byte order mark before the body, ``NaN`` and ``Infinity``, and halves of
surrogate pairs, which servers written in JavaScript send when they cut a text in the middle of a
character. A half that never finds its other half becomes U+FFFD, because text that holds one can
be neither printed nor sent. ``usage`` and ``logprobs`` of another form are left out.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

__all__ = ["UNREADABLE", "MendedTexts", "mended", "read_json"]

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `read_json` raises."""

_T = TypeVar("_T")
# What stands beside an answer: in a form that is on no record it is left out, and the answer kept.
_EXTRAS = frozenset({"usage", "logprobs"})
# Fields that are joined over the chunks of a stream, so that a half may wait for its other half.
_JOINED = frozenset({"content", "text", "reasoning_content", "reasoning", "refusal", "arguments"})


def read_json(decoder: msgspec.json.Decoder[_T], body: bytes, *, streamed: bool = False) -> _T:
    """Decode a body or a payload.

    In one that is ``streamed``, halves of surrogate pairs are left in the texts that a stream cuts
    into pieces; `MendedTexts` joins them.

    Raises:
        msgspec.MsgspecError: it is no JSON, or JSON of another form.
        UnicodeDecodeError: it is no text.
        RecursionError: it is nested too deeply.
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        try:
            value = json.loads(body)
        except ValueError:
            raise error from None
        kept = _JOINED if streamed else frozenset()
        value = mended(value, kept)
        try:
            return _converted(decoder, value)
        except msgspec.ValidationError:
            return _converted(decoder, _without_extras(value))


class MendedTexts:
    """Joins halves of surrogate pairs over the pieces of several texts, each text by its key."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        """Start with nothing held back."""
        self._held: dict[Any, str] = {}

    def add(self, key: Any, piece: str) -> str:
        """What is certain of the text so far: a first half at the end waits for the next piece."""
        if not piece:
            return piece
        text = self._held.pop(key, "") + piece
        if "\ud800" <= text[-1] <= "\udbff":
            self._held[key], text = text[-1], text[:-1]
        return _mend(text)

    def close(self, key: Any) -> str:
        """What was held back of a text that has ended."""
        return _mend(self._held.pop(key, ""))


def _converted(decoder: msgspec.json.Decoder[_T], value: Any) -> _T:
    read: _T = msgspec.convert(value, decoder.type, strict=decoder.strict)
    return read


def _without_extras(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_extras(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_extras(item) for name, item in value.items() if name not in _EXTRAS}
    return value


def _mend(text: str) -> str:
    """Halves that stand side by side become one character, others U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mended(value: Any, kept: frozenset[str] = frozenset()) -> Any:
    """A JSON value without halves of surrogate pairs, but for the texts of the keys ``kept``."""
    if isinstance(value, str):
        return _mend(value)
    if isinstance(value, list):
        return [mended(item, kept) for item in value]
    if isinstance(value, dict):
        return {
            _mend(name): item if name in kept and isinstance(item, str) else mended(item, kept)
            for name, item in value.items()
        }
    return value
