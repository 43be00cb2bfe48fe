"""Measuring: the CPU time of this process, contestants in turn, ratios against goals.

The machine may be busy with other things: medians of interleaved repetitions are compared, and only
within one run.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Work = Callable[[], Any]


class Goal(NamedTuple):
    """Ratios to reach.

    Attributes:
        peer: at least so many times less than the peer.
        floor: at most so much of the floor.
    """

    peer: float | None = None
    floor: float | None = None


class Workload(NamedTuple):
    """What is done, by whom, and how many units of it a turn has.

    Attributes:
        name: as the table shows it.
        unit: what the microseconds are of.
        units: units in one turn.
        contestants: ``ours``, ``peer``, and the two parts of the floor: ``raw`` and ``idle``.
        goal: ratios to reach.
    """

    name: str
    unit: str
    units: int
    contestants: Mapping[str, Work]
    goal: Goal


def repeated(times: int, works: Mapping[str, Work]) -> dict[str, Work]:
    """Each work so many times in a turn; it answers with its last answer."""

    def repeat(work: Work) -> Work:
        return lambda: [work() for _ in range(times)][-1]

    return {name: repeat(work) for name, work in works.items()}


def measure(work: Work, units: int) -> float:
    """CPU microseconds of one unit."""
    gc.collect()
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / units * 1e6


def compare(
    workload: Workload, repetitions: int, said: Callable[[Any], object]
) -> dict[str, float]:
    """Medians of all contestants, in turn.

    Args:
        workload: what to do.
        repetitions: turns of each.
        said: what there is to compare in an answer, so that nobody is fast by dropping text.
    """
    works = workload.contestants
    answers = {said(works[name]()) for name in works if name != "raw"}
    works["raw"]()
    if len(answers) > 1:
        raise SystemExit(f"{workload.name}: the contestants do not say the same")
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repetitions):
        for name, work in works.items():
            times[name].append(measure(work, workload.units))
    return {name: statistics.median(found) for name, found in times.items()}


def growth(short: Work, long: Work, repetitions: int, *, collecting: bool = False) -> float:
    """How many times as much the long work costs, by default with the garbage collector off.

    With it on, its walks through all that a process has imported and keeps are what grows.
    """
    if not collecting:
        gc.disable()
    try:
        turns = [(measure(short, 1), measure(long, 1)) for _ in range(repetitions)]
    finally:
        gc.enable()
    return statistics.median(it for _, it in turns) / statistics.median(it for it, _ in turns)


def fresh(statements: Mapping[str, str], repetitions: int) -> dict[str, tuple[float, float]]:
    """CPU seconds and MiB of a fresh process after each piece of code, its bytecode at hand.

    Without click, because httpx imports its command line wherever click and rich are installed.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in statements}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        for turn in range(repetitions + 1):
            for name, statement in statements.items():
                script = f"{_BEGIN.format(path=sys.path[0])}\n{statement}\n{_TELL}"
                told = subprocess.run(
                    [sys.executable, "-c", script],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.split()
                if turn:  # the first one compiles
                    found[name].append((float(told[0]), float(told[1])))
    return {
        name: (statistics.median(cpu for cpu, _ in runs), statistics.median(m for _, m in runs))
        for name, runs in found.items()
    }


_BEGIN = """
import sys, time
sys.path[0] = {path!r}
sys.modules["click"] = None
begun = time.process_time()
"""
_TELL = f"""
cpu = time.process_time() - begun
with open("/proc/self/statm") as file:
    print(cpu, int(file.read().split()[1]) * {resource.getpagesize()} / 2**20)
"""


# --- the report -------------------------------------------------------------------------------


def verdict(met: bool) -> str:
    """How a goal stands."""
    return "met" if met else "MISSED"


def head(peer: str) -> None:
    """First line of the table."""
    print(f"{'CPU us':16} {'a':6} {peer:>10} {'floor':>9} {'ours':>9} {'less':>10} {'of floor':>9}")


def report(workload: Workload, cpu: Mapping[str, float]) -> None:
    """One line of the table."""
    floor = cpu["raw"] + cpu["idle"]
    times_less, of_floor = cpu["peer"] / cpu["ours"], cpu["ours"] / floor
    goal, words = workload.goal, []
    if goal.peer is not None:
        words.append(f">= {goal.peer:g} x less: {verdict(times_less >= goal.peer)}")
    if goal.floor is not None:
        words.append(f"<= {goal.floor:g} of the floor: {verdict(of_floor <= goal.floor)}")
    print(
        f"{workload.name:16} {workload.unit:6} {cpu['peer']:10.1f} {floor:9.1f} "
        f"{cpu['ours']:9.1f} {times_less:8.1f} x {of_floor:9.2f}   {', '.join(words)}",
        flush=True,
    )
