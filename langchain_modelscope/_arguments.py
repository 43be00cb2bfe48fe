"""Reads the arguments that users bring along from other classes: taken, read as ours, or refused.

A word that is refused is answered with the right one, and a word in no table is an error that names
the nearest one: nothing gets into a request's body by a misspelling. ``extra_body`` is the one way
for fields that have no argument.

Laws of this file: pure; a message holds names, never a value, which may be a token.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from modelscope_transport.errors import ConfigurationError, InvalidRequestError
from modelscope_transport.language import marked as _N
from modelscope_transport.language import translated as _
from modelscope_transport.types import ChatRequest

from ._argument_table import CALL, Argument

__all__ = ["our_name", "read_call", "read_constructor", "read_timeout"]

# Arguments of LangChain and of this adapter that are not fields of a request, and are not sent.
_SWITCHES = frozenset(
    {
        "stream",
        "streaming",
        "strict",
        "must_call",
        "ls_structured_output_format",
        "structured_output_format",
    }
)
_CALL_NAMES = (frozenset(ChatRequest.__struct_fields__) - {"messages"}) | _SWITCHES


def read_constructor(
    name: str, fields: Collection[str], table: Mapping[str, Argument], given: Mapping[str, Any]
) -> dict[str, Any]:
    """What was given to a constructor, under the names of its fields.

    Args:
        name: the class.
        fields: names and aliases of its fields.
        table: words of other classes.
        given: the arguments.

    Raises:
        ConfigurationError: a word that is refused or unknown, or two words for one argument.
    """
    return _renamed(given, name, fields, table, ConfigurationError, may_repeat=True)


def read_call(given: Mapping[str, Any], place: str = _N("A call")) -> Mapping[str, Any]:
    """The arguments of a call under the names of this package.

    Args:
        given: the arguments.
        place: where they were given, as a message says it.

    Raises:
        InvalidRequestError: a word that is refused or unknown, or two words for one argument.
    """
    if given.keys() <= _CALL_NAMES:
        return given
    return _renamed(given, place, _CALL_NAMES, CALL, InvalidRequestError, may_repeat=False)


def read_timeout(value: Any) -> float:
    """The deadline of a call in seconds, which other classes also take in parts.

    Raises:
        ConfigurationError: it is not a number.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigurationError(
            _(
                "timeout= takes a number of seconds for the whole call, and got a {name}. To the "
                "constructor pass also connect_timeout= for a connection to come up, and "
                "idle_timeout= for silence, in seconds."
            ).format(name=type(value).__name__)
        ) from None


def _renamed(
    given: Mapping[str, Any],
    place: str,
    names: Collection[str],
    table: Mapping[str, Argument],
    error: type[ConfigurationError] | type[InvalidRequestError],
    *,
    may_repeat: bool,
) -> dict[str, Any]:
    """Arguments under our names.

    With ``may_repeat``, an argument may come under two names where both have the same value.
    """
    known: dict[str, Any] = {}
    for word, value in given.items():
        now = word if word in names else our_name(word, table)
        if now is None:
            raise error(_refusal(place, word, table, names))
        # A call's arguments begin with those of bind(), which the call's own may replace.
        seen = given if may_repeat else known
        if word != now and now in seen and not (may_repeat and given[now] == value):
            raise error(
                _("{word}= and {now}= are the same argument. Pass one of them.").format(
                    word=word, now=now
                )
            )
        known[now] = value
    return known


def our_name(word: str, table: Mapping[str, Argument]) -> str | None:
    """Our name of another class's argument; ``None`` where there is none."""
    row = table.get(word)
    return row.now or None if row is not None else None


def _refusal(place: str, word: str, table: Mapping[str, Argument], fields: Collection[str]) -> str:
    row = table.get(word)
    if row is not None:
        return _("{place} takes no {word}=: {instead}.").format(
            place=_(place), word=word, instead=_(row.instead)
        )
    shown = [name for name in (*fields, *table) if name != "must_call"]
    near = difflib.get_close_matches(word, shown, n=1, cutoff=0.7)
    if near and near[0] in table and not table[near[0]].now:
        near = []
    meant = _(" Did you mean {near}=?").format(near=near[0]) if near else ""
    return _(
        "{place} takes no {word}=.{meant} A field of the request that has no argument here goes "
        "into extra_body={{{word!r}: …}}."
    ).format(place=_(place), word=word, meant=meant)
