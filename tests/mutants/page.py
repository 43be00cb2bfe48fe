"""Writes docs/proof/mutants.txt from the last results, with the reason why a change survives."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

__all__ = ["RESULTS", "write_page"]

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parents[1] / "docs" / "proof" / "mutants.txt"
LEAST = 0.92

_OPENING = """\
# Do the tests notice a change?

`make mutants` changes the code in one place, runs the tests that execute the changed line, and
counts the changes that no test notices. The changes are a sample, drawn with a fixed seed. Tests
that have noticed a change pass on the unchanged code, in the same copy of the project.

| part | changes possible | tried | noticed | date | machine |
|---|---|---|---|---|---|
"""


def write_page() -> int:
    """Write the page; how many parts have too many survivors."""
    reasons = tomllib.loads((HERE / "survivors.toml").read_text(encoding="utf-8"))
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    lines, poor = [], 0
    for name, found in results.items():
        survivors = found["survivors"] + found["undecided"]
        share = 1 - len(survivors) / found["tried"]
        poor += share < LEAST
        lines.append(
            f"| {name} | {found['of']} | {found['tried']} | {share:.0%} | {found['date']} "
            f"| {found['machine']} |"
        )
        print(lines[-1])
    lines += ["", "## What no test notices, and why", ""]
    for found in results.values():
        for shown in found["survivors"]:
            lines.append(f"- `{shown}`: {reasons.get(shown, 'not yet looked at')}")
        lines += [f"- `{shown}`: its test failed without it, too" for shown in found["undecided"]]
    PAGE.write_text(_OPENING + "\n".join(lines) + "\n", encoding="utf-8")
    return poor
