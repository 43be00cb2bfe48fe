"""The cells of the ledger: their names, their units and on which page they stand.

A store keeps numbers, texts and small tables by the name of a cell, see ``steps.py``. This table is
the only place where such a name is written or read. A name is the kind's word, then the values of
its key, separated by blanks; only the last value may hold blanks itself.

The page of a day holds what was spent on it; the lasting page ("") holds all else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

__all__ = [
    "ACCOUNT",
    "ASK_AGAIN_AT",
    "BALANCE",
    "BLOCK",
    "BLOCKED_UNTIL",
    "CALLS",
    "CELL_KINDS",
    "CLASS_CALLS",
    "DAY",
    "EARNINGS",
    "LIMIT",
    "LOTS",
    "LOTS_VERSION",
    "LOT_SPENT",
    "MAGICUBES",
    "OBSERVED_AT",
    "PRICE",
    "RATE",
    "REFUSALS",
    "REFUSED_AT",
    "SERVICE_TIME",
    "SHARE",
    "SHARE_VERSION",
    "UNIT",
    "UNSETTLED",
    "CellKind",
]

ACCOUNT = ""
"""The pool that all models of an account are charged to, in calls. A model's pool is its ID."""
BALANCE = "@magicubes"
"""The account's Magicubes, as a pool that may be too small for one price and not for another."""

Unit = Literal["calls", "tenths", "seconds", "count", "text", "table"]


class CellKind(NamedTuple):
    """One kind of cell.

    Attributes:
        word: how its name begins.
        unit: of its value: ``"calls"``, ``"tenths"`` of a Magicube, ``"seconds"`` since the epoch,
            ``"count"``, ``"text"``, or ``"table"``: JSON.
        key: what the rest of its name says; empty for a kind of which there is one cell.
        adds_up: whether what several processes counted apart is added, not replaced.
    """

    word: str
    unit: Unit
    key: tuple[str, ...] = ()
    adds_up: bool = False

    def name(self, *key: object) -> str:
        """The name of one cell."""
        if len(key) == 1:  # most are; this is on the way of every call
            return f"{self.word} {key[0]}"
        return " ".join((self.word, *map(str, key)))

    def read(self, name: str) -> tuple[str, ...] | None:
        """The key in a name; ``None`` for the name of another kind."""
        parts = name.split(" ", len(self.key))
        return tuple(parts[1:]) if parts[0] == self.word and len(parts) > len(self.key) else None

    def all_in(self, page: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Key and value of each cell of this kind on a page."""
        for name, value in page.items():
            key = self.read(name)
            if key is not None:
                yield key, value


# On the page of a day.
CALLS = CellKind("calls", "calls", ("pool",), adds_up=True)
UNSETTLED = CellKind("unsettled", "calls", ("bucket", "model"), adds_up=True)
MAGICUBES = CellKind("magicubes", "tenths", adds_up=True)
CLASS_CALLS = CellKind("class", "calls", ("class",), adds_up=True)

# On the lasting page.
DAY = CellKind("day", "text")  # the newest day that the service's clock has shown
SERVICE_TIME = CellKind("time", "seconds")  # the latest time that the service has told
UNIT = CellKind("unit", "text")  # "calls" or "magicubes": the rule that was last seen in force
LIMIT = CellKind("limit", "calls", ("pool",))
OBSERVED_AT = CellKind("observed", "seconds", ("pool",))  # when the service told the pool's number
BLOCKED_UNTIL = CellKind("until", "seconds", ("pool",))
PRICE = CellKind("price", "tenths", ("pool",))  # the block holds for calls of this price or above
BLOCK = CellKind("block", "table", ("pool",))
REFUSALS = CellKind("refusals", "count", ("model",))  # unexplained ones, one after another
REFUSED_AT = CellKind("refused", "seconds", ("model",))
LOTS = CellKind("lots", "table")  # [[name, size in tenths, end in seconds or null], ...]
LOTS_VERSION = CellKind("version", "count", adds_up=True)
LOT_SPENT = CellKind("lot", "tenths", ("lot",), adds_up=True)
RATE = CellKind("rate", "tenths", ("class",))  # the service's price of a call
EARNINGS = CellKind("earnings", "table")  # [observed at, [[rule, a day, earned today], ...]]
ASK_AGAIN_AT = CellKind("ask", "seconds", ("question",))  # not before, by any process

# On the page of shared concurrency, see shares.py.
SHARE = CellKind("share", "table", ("model",))
SHARE_VERSION = CellKind("shares", "count", ("model",), adds_up=True)

CELL_KINDS = {kind.word: kind for kind in list(vars().values()) if isinstance(kind, CellKind)}
