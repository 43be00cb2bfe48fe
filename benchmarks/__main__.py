"""All rows, beside what was recorded; status 1 where one of them has lost.

    python -m benchmarks                          everything
    python -m benchmarks --smoke                  the cheap rows, in about two minutes
    python -m benchmarks --only "LangChain: a"    rows whose name contains this
    python -m benchmarks --record                 write what is measured into recorded.toml

Each row runs in a process of its own, so that its numbers do not depend on what ran before; the
server that answers runs in another one, on another core. A row that has lost is measured once more,
and counts as lost if it loses again. Only ratios are compared, and only those within one run.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

from benchmarks import recorded, stub
from benchmarks.isolation import isolated, pin_server
from benchmarks.measuring import Measured
from benchmarks.recorded import KINDS, Entry, Goal
from benchmarks.row import Row, all_rows, measured_apart

RECORD = Path(__file__).with_name("recorded.toml")
ROUNDS = 7


def report(row: Row, result: Measured | str, goals: dict[str, Goal], tolerance: float) -> list[str]:
    """Print a row beside its record; the kinds of ratio in which it has lost."""
    if isinstance(result, str):
        print(f"{row.name}\n    failed: {result}", flush=True)
        result = Measured({}, {})
    else:
        cpu = ", ".join(f"{name} {value:,.1f}" for name, value in result.cpu.items())
        print(f"{row.name}\n    CPU us a {row.unit}: {cpu}", flush=True)
    lost = recorded.lost(goals, result.ratios, tolerance)
    for kind, goal in ({kind: Goal() for kind in result.ratios} | goals).items():
        line = _beside(kind, result.ratios.get(kind), goal)
        print(f"    {line} {'LOST' if kind in lost else ''}".rstrip(), flush=True)
    return lost


def _beside(kind: str, value: float | None, goal: Goal) -> str:
    shown = "-" if value is None else f"{value:.3g}"
    was = "not recorded" if goal.recorded is None else f"recorded {goal.recorded:.3g}"
    aimed = met = ""
    if goal.target is not None:
        aimed = f"target {'>=' if KINDS[kind].more_is_better else '<='} {goal.target:g}"
        if value is not None:
            met = "met" if recorded.meets(kind, value, goal.target) else "missed"
    return f"{shown:>6} {KINDS[kind].words:26} {was:16} {aimed:18} {met:7}"


def machine() -> str:
    """Date and machine, in words."""
    version = ".".join(platform.python_version_tuple()[:2])
    today = datetime.datetime.now(datetime.UTC).date()
    return f"{today}, {os.cpu_count()} cores, {platform.system()}, Python {version}"


def keep(entries: dict[str, Entry], row: Row, result: Measured, note: str) -> None:
    """Record what was measured, and leave the targets as they are."""
    goals = dict(entries[row.name].goals) if row.name in entries else {}
    for kind, value in result.ratios.items():
        goals[kind] = Goal(value, goals.get(kind, Goal()).target)
    words = f"{machine()}, {note}" if note else machine()
    entries[row.name] = Entry(words, goals)


def options_given() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="only what is cheap and steady")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each contestant")
    parser.add_argument("--recorded", type=Path, default=RECORD, help="file to compare with")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=recorded.TOLERANCE,
        help="part by which a row may fall short; more where other work shares the cores",
    )
    parser.add_argument(
        "--record", nargs="?", const="", metavar="NOTE", help="write what is measured into the file"
    )
    return parser.parse_args()


def main() -> int:
    """Measure, print, and compare or record."""
    options = options_given()
    entries = recorded.read(options.recorded) if options.recorded.exists() else {}
    named = [row for row in all_rows() if options.only in row.name]
    chosen = [row for row in named if row.smoke or not options.smoke]
    lost, new = [], []
    with isolated(), stub.running() as server:
        pin_server(server.process)
        for row in chosen:
            goals = dict(entries[row.name].goals) if row.name in entries else {}
            result = measured_apart(row.name, server, options.rounds)
            short = report(row, result, goals, options.tolerance)
            if short and options.record is None:
                print("    it has lost, so it is measured once more:", flush=True)
                result = measured_apart(row.name, server, options.rounds)
                short = report(row, result, goals, options.tolerance)
            if isinstance(result, Measured):
                if recorded.unrecorded(goals, result.ratios):
                    new.append(row.name)
                if options.record is not None:
                    keep(entries, row, result, options.record)
                    recorded.write(options.recorded, entries)
            if short:
                lost.append(row.name)
    if options.record is not None:
        return 0
    return conclude(len(chosen), lost, new, options.tolerance)


def conclude(rows: int, lost: list[str], new: list[str], tolerance: float) -> bool:
    """Print the outcome; the command's status."""
    print(f"{rows} rows, {len(lost)} lost by more than {tolerance:.0%}", flush=True)
    for name in lost:
        print(f"lost: {name}")
    for name in new:
        print(f'nothing recorded: python -m benchmarks --record --only "{name}"')
    return bool(lost or new or not rows)


if __name__ == "__main__":
    sys.exit(main())
