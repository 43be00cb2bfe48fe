"""Maps arguments, by the names that users bring along, to the names that the classes have.

Laws of this file: pure; tables of `Argument` rows, no ladder. A name that no field and no row has
is refused, and so is a value that would have no effect although its user expects one: nothing is
ignored in silence. The rows themselves are in `_argument_tables`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from modelscope_transport.errors import ConfigurationError, InvalidRequestError
from modelscope_transport.language import translated as _

__all__ = ["Argument", "alias", "by_name", "refused", "settle", "several", "taken", "unused"]

Fate = Literal["taken", "alias", "unused", "refused"]


@dataclass(frozen=True)
class Argument:
    """What becomes of one argument.

    Attributes:
        name: as the user writes it.
        fate: ``"taken"`` as it is; ``"alias"`` of another; ``"unused"``: accepted, since what it
            asks for is so in any case; ``"refused"``, with what to write instead.
        now: what to write now: of an alias the name it stands for, of the others a sentence.
        harmless: values that a refused argument may have, since they ask for nothing.
        convert: turns an alias's value into that of the name it stands for.
    """

    name: str
    fate: Fate
    now: str = ""
    harmless: tuple[Any, ...] = ()
    convert: Callable[[Any], Any] | None = None


def taken(name: str, note: str = "") -> Argument:
    """An argument of the same name and meaning."""
    return Argument(name, "taken", note)


def alias(name: str, target: str, convert: Callable[[Any], Any] | None = None) -> Argument:
    """Another name for an argument."""
    return Argument(name, "alias", target, convert=convert)


def unused(name: str, why: str) -> Argument:
    """An argument that may be given and changes nothing."""
    return Argument(name, "unused", why)


def refused(name: str, instead: str, *harmless: Any) -> Argument:
    """An argument that cannot be taken."""
    return Argument(name, "refused", instead, harmless)


def by_name(*rows: Argument) -> dict[str, Argument]:
    """The rows as a table."""
    return {row.name: row for row in rows}


_Refusal = type[ConfigurationError] | type[InvalidRequestError]


def settle(
    given: Mapping[str, Any],
    known: Collection[str],
    rows: Mapping[str, Argument],
    *,
    owner: str,
    hint: str = "",
    error: _Refusal = ConfigurationError,
) -> dict[str, Any]:
    """The arguments under their own names, without those that change nothing.

    Args:
        given: arguments as the user wrote them.
        known: names that are taken as they are.
        rows: what is known of other names.
        owner: who takes them, as a message says it: ``"ModelScope"``.
        hint: a sentence that follows the refusal of an unknown name.
        error: class of the refusal.

    Raises:
        ConfigurationError, InvalidRequestError: an argument that cannot be taken.
    """
    settled: dict[str, Any] = {}
    source: dict[str, str] = {}
    for name, value in given.items():
        row = rows.get(name)
        target = name
        if row is not None and row.fate == "unused":
            continue
        if row is not None and row.fate == "refused":
            if value is None or value in row.harmless:
                continue
            raise error(
                _("{owner} takes no {name!r}: {now}").format(
                    owner=_(owner), name=name, now=_(row.now)
                )
            )
        if row is not None and row.fate == "alias":
            target, value = row.now, _converted(row, value, error)
            if value is None:
                continue
        elif name not in known and (row is None or row.fate != "taken"):
            raise error(_unknown(owner, name, [*known, *rows]) + _(hint))
        # an argument that is None does not conflict with its alias
        if settled.get(target) is not None and value is not None:
            raise error(
                _("{source} and {name} are one argument: pass one of them.").format(
                    source=source[target], name=name
                )
            )
        if settled.get(target) is None:
            settled[target], source[target] = value, name
    return settled


def _converted(row: Argument, value: Any, error: _Refusal) -> Any:
    if row.convert is None or value is None:
        return value
    try:
        return row.convert(value)
    except (TypeError, ValueError, KeyError) as cause:
        raise error(
            _("{name} cannot be read: {cause}. Write {now} instead.").format(
                name=row.name, cause=cause, now=row.now
            )
        ) from cause


_NEAR: Final = 0.7


def _unknown(owner: str, name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    if near:
        said = _("{owner} takes no {name!r}; perhaps {near}.")
        return said.format(owner=_(owner), name=name, near=near[0])
    return _("{owner} takes no {name!r}.").format(owner=_(owner), name=name)


def several(texts: str | Sequence[str]) -> tuple[str, ...]:
    """The texts; a lone one is not taken for a sequence of its letters."""
    return (texts,) if isinstance(texts, str) else tuple(texts)
