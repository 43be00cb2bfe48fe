"""The rows of ``data/failures.toml``: what a reply can mean, and what to do about it."""

from __future__ import annotations

import enum
import functools
import re
import tomllib
from importlib import resources
from typing import Any, Literal

from msgspec import Struct

from .. import errors
from ..errors import ModelScopeError

__all__ = ["Kind", "Row", "failure_rows", "shape_rows"]


class Kind(enum.Enum):
    """What to do about a reply."""

    GOOD = "hand it over"
    AGAIN = "the same attempt may succeed in a moment"
    PAUSED = "all processes leave this model alone for a moment, another model may serve"
    MODEL_SPENT = "this model's allowance is gone, another model may serve"
    PRICE_SPENT = "less is left than this call costs, a cheaper model may serve"
    ACCOUNT_SPENT = "the account's allowance is gone"
    MODEL_GONE = "this model is not served, another may be"
    FINAL = "no attempt can succeed"


# What was asked is refused with these, or inside a success. Under any other status the words may
# be the user's own, which a server repeats when it complains of them.
_REFUSALS = (403, 429)


class Row(Struct, frozen=True):
    """One meaning of a failed reply.

    Attributes:
        name: the row's name, ``reason`` of the error.
        kind: what to do.
        error: class of the error.
        happened: first sentence of the error's message; may name ``{model}``.
        remedy: last sentence: what the user can do.
        proves: what it proves to be spent, and so what the ledger blocks: ``"model"``: the model's
            day; ``"price"``: less is left than the call costs; ``"account"``; or ``"nothing"``.
        unexplained: whether it may mean anything; the ledger then pauses the model for a moment.
        healed: what is tried before the error is raised, for the table of the README.
        pattern: what the text or code must contain; ``None`` fits any.
        statuses: first and last HTTP status it is limited to; ``None`` fits any.
        refusal: whether it is limited to the statuses of a refusal, see `_REFUSALS`.
        source: where the text or status was recorded.
        date: when.
    """

    name: str
    kind: Kind
    error: type[ModelScopeError]
    happened: str
    remedy: str = ""
    proves: Literal["model", "price", "account", "nothing"] = "nothing"
    unexplained: bool = False
    healed: str = ""
    pattern: re.Pattern[str] | None = None
    statuses: tuple[int, int] | None = None
    refusal: bool = False
    source: str = ""
    date: str = ""

    def fits(self, status: int, text: str) -> bool:
        """Whether a reply of this status and text has this meaning."""
        if self.statuses is not None and not self.statuses[0] <= status <= self.statuses[1]:
            return False
        if self.refusal and not (200 <= status < 300 or status in _REFUSALS):
            return False
        return self.pattern is None or self.pattern.search(text) is not None


# Read now, because a failure may be that no file can be opened any more; parsed at the first
# failure, because a call that succeeds should pay nothing for the table.
_TEXT = (
    resources.files(__package__.rpartition(".")[0])
    .joinpath("data/failures.toml")
    .read_text(encoding="utf-8")
)


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads(_TEXT)


def _row(facts: dict[str, Any]) -> Row:
    pattern = facts.get("pattern")
    read = {
        "kind": Kind[facts["kind"].upper()],
        "error": getattr(errors, facts["error"]),
        "pattern": re.compile(pattern, re.IGNORECASE | re.DOTALL) if pattern else None,
        "statuses": tuple(facts.get("statuses", ())) or None,
    }
    return Row(**{**facts, **read})


@functools.cache
def failure_rows() -> tuple[Row, ...]:
    """The rows that a reply's text and status are held against, in order."""
    return tuple(_row(facts) for facts in _table()["failures"])


@functools.cache
def shape_rows() -> dict[str, Row]:
    """The rows for what is seen in a reply's shape, or in its absence, by name."""
    return {name: _row({**facts, "name": name}) for name, facts in _table()["shapes"].items()}
