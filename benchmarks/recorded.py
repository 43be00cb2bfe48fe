"""The record: which ratios were measured when, which are aimed at, and when a row has lost.

A row loses a ratio that falls short of its recorded one by more than `TOLERANCE`. A target that is
missed is shown and loses nothing: the record holds what was reached, the target what is wanted.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "KINDS",
    "TOLERANCE",
    "Entry",
    "Goal",
    "falls_short",
    "lost",
    "meets",
    "read",
    "unrecorded",
    "write",
]

TOLERANCE = 0.25


class Kind(NamedTuple):
    """A kind of ratio.

    Attributes:
        words: as the report shows it.
        more_is_better: whether a larger one is the better one.
    """

    words: str
    more_is_better: bool = False


KINDS = {
    "of_floor": Kind("of the floor"),
    "less_than_peer": Kind("times less than the peer", more_is_better=True),
    "of_raw": Kind("of the bare engine"),
    "less_than_httpx": Kind("times less than httpx", more_is_better=True),
    "of_aiohttp": Kind("of bare aiohttp"),
    "of_httpx": Kind("of httpx"),
    "wall_of_ideal": Kind("of the ideal wall time"),
    "growth": Kind("times the short one"),
    "of_framework": Kind("of the framework's import"),
    "http_libraries_loaded": Kind("HTTP libraries loaded"),
}


class Goal(NamedTuple):
    """What a ratio is compared with.

    Attributes:
        recorded: what was measured; ``None``: nothing yet.
        target: what is aimed at; ``None``: nothing.
    """

    recorded: float | None = None
    target: float | None = None


class Entry(NamedTuple):
    """A row of the record.

    Attributes:
        measured: date and machine, in words.
        goals: by kind of ratio.
    """

    measured: str
    goals: Mapping[str, Goal]


def falls_short(kind: str, value: float, recorded: float, tolerance: float = TOLERANCE) -> bool:
    """Whether a ratio is worse than its recorded one by more than the tolerance."""
    if KINDS[kind].more_is_better:
        return value < recorded * (1 - tolerance)
    return value > recorded * (1 + tolerance)


def meets(kind: str, value: float, target: float) -> bool:
    """Whether a ratio reaches its target."""
    return value >= target if KINDS[kind].more_is_better else value <= target


def lost(
    goals: Mapping[str, Goal], ratios: Mapping[str, float], tolerance: float = TOLERANCE
) -> list[str]:
    """The kinds in which a row has lost: they fall short of the record, or were not measured."""
    return [
        kind
        for kind, goal in goals.items()
        if goal.recorded is not None
        and (kind not in ratios or falls_short(kind, ratios[kind], goal.recorded, tolerance))
    ]


def unrecorded(goals: Mapping[str, Goal], ratios: Mapping[str, float]) -> list[str]:
    """The kinds that were measured and have nothing to be compared with."""
    return [kind for kind in ratios if goals.get(kind, Goal()).recorded is None]


def read(path: Path) -> dict[str, Entry]:
    """The record of a file, by row.

    Raises:
        KeyError: a ratio of a kind that there is not.
    """
    entries = {}
    for name, table in tomllib.loads(path.read_text("utf-8")).items():
        measured = table.pop("measured", "")
        entries[name] = Entry(measured, {kind: Goal(**goal) for kind, goal in table.items()})
        for kind in table:
            KINDS[kind]
    return entries


def write(path: Path, entries: Mapping[str, Entry]) -> None:
    """Write the record, in the order given."""
    blocks = [_HEAD, *(_block(name, entry) for name, entry in entries.items())]
    path.write_text("\n".join(blocks), "utf-8")


def _block(name: str, entry: Entry) -> str:
    lines = [f'["{name}"]']
    if entry.measured:
        lines.append(f'measured = "{entry.measured}"')
    lines += [f"{kind} = {{ {_pairs(goal)} }}" for kind, goal in entry.goals.items()]
    return "".join(f"{line}\n" for line in lines)


def _pairs(goal: Goal) -> str:
    known: Iterable[tuple[str, float | None]] = goal._asdict().items()
    return ", ".join(f"{word} = {value:.4g}" for word, value in known if value is not None)


_HEAD = """\
# Ratios of one run, by row: what was recorded, and what is aimed at. `make bench` compares with
# them; `python -m benchmarks --record` writes what it measures. The targets are written by hand.
# What each kind of ratio means, and which way is better, stands in benchmarks/recorded.py.
"""
