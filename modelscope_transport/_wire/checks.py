"""Refusals made here, before any request: one sentence each, with the remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import msgspec

from ..catalogue.models import near_names
from ..errors import ConfigurationError, InvalidRequestError, ModelNotServedError
from ..language import translated as _
from ..secret import Secret

__all__ = ["as_plain", "check_headers", "check_model", "check_range", "to_json"]


def as_plain(value: object) -> Any:
    """What a text or number of another class is: LangChain's ``message.text``, numpy's numbers.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return msgspec.to_builtins(value)  # refuses it in msgspec's own words


_encode = msgspec.json.Encoder(enc_hook=as_plain).encode


def check_model(model: str, *, plain: bool = False) -> None:
    """Refuse what cannot be a model ID; a ``plain`` one needs no owner, as of another service.

    Raises:
        ModelNotServedError: no owner, or characters that no ID has.
    """
    owner, slash, name = model.partition("/")
    whole = bool(model) if plain else bool(owner and slash and name)
    if whole and model.isprintable() and " " not in model:
        return
    near = near_names(model)
    said = (
        _("{model!r} is not a model ID. A model ID has the form owner/name; perhaps {near}.")
        if near
        else _(
            "{model!r} is not a model ID. A model ID has the form owner/name, such as {example}."
        )
    )
    raise ModelNotServedError(
        said.format(model=model, near=", ".join(near), example="Qwen/Qwen3-8B")
    )


def check_range(name: str, value: object, least: float, most: float = float("inf")) -> None:
    """Refuse a number outside its range, and what is not a number.

    Raises:
        InvalidRequestError: the value is too small, too large, or no number at all.
    """
    # Written so that a NaN, which compares as False, is refused as well. Frameworks pass call
    # arguments on unchecked, so it may be anything.
    number: Any = value  # Real has no comparison in its type
    if value is None or (isinstance(value, Real) and least <= number <= most):
        return
    said = (
        _("{name} must be between {least:g} and {most:.10g}, and is {value!r}.")
        if most < float("inf")
        else _("{name} must be at least {least:g}, and is {value!r}.")
    )
    raise InvalidRequestError(said.format(name=name, least=least, most=most, value=value))


# RFC 9110: what a name is made of. Some are the connection's own or the client's to say.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_RESERVED = ("authorization", "connection", "content-length", "host", "transfer-encoding")


def check_headers(headers: Mapping[str, object] | None) -> None:
    """Refuse headers that would break the request in two or cannot be sent.

    Raises:
        ConfigurationError: a name or value with a line break or a character outside ASCII, or a
            name that the client says itself.
    """
    for name, value in (headers or {}).items():
        if not _is_plain(name) or not _is_plain(value) or not _HEADER_NAME.fullmatch(name):
            # The value is not shown: it may be a key.
            raise ConfigurationError(
                _(
                    "The header {name!r} cannot be sent: names and values are printable ASCII text."
                ).format(name=name)
            )
        if name.lower() in _RESERVED:
            raise ConfigurationError(
                _(
                    "The header {name!r} is the client's own to send. Leave it out; a token "
                    "goes into api_key."
                ).format(name=name)
            )


def _is_plain(value: object) -> bool:
    # Apart, so that a traceback which shows local variables shows no value.
    text = value.reveal() if isinstance(value, Secret) else value
    return isinstance(text, str) and text.isascii() and text.isprintable()


def to_json(body: Mapping[str, Any]) -> bytes:
    """Write a request's body.

    Raises:
        InvalidRequestError: half a character, an object of the caller's own, a circle.
    """
    try:
        return _encode(body)
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            _(
                "The request cannot be written as JSON: a text holds half a character, {half!r}. "
                'Put text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") in its '
                "place."
            ).format(half=error.object[error.start])
        ) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequestError(
            _("The request cannot be written as JSON: {error}.").format(error=error)
        ) from None
