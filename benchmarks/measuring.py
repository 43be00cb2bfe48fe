"""Measuring: the CPU time of this process, contestants in turn, ratios within one run.

The machine may be busy with other things. So the contestants take turns round by round, each round
gives a ratio of its own, and the median of those ratios is what counts: whatever slows a round
slows both sides of its ratio.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

__all__ = [
    "Measured",
    "OnLoop",
    "Times",
    "Work",
    "growth",
    "in_turn",
    "measure",
    "medians",
    "ratio",
    "repeated",
    "verdict",
]

Work = Callable[[], Any]
# CPU microseconds of a unit, by contestant, one number a round
Times = Mapping[str, list[float]]


class Measured(NamedTuple):
    """What came of a row.

    Attributes:
        cpu: CPU microseconds of one unit, by contestant; for the reader, never compared.
        ratios: what is compared with the record, by kind (see recorded.py).
    """

    cpu: dict[str, float]
    ratios: dict[str, float]


class OnLoop:
    """Makes works of coroutine functions; all run on the same event loop, as in a program."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def __call__(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> Work:
        """The work that runs the function to its end."""
        return lambda: self.loop.run_until_complete(function())


def repeated(times: int, works: Mapping[str, Work]) -> dict[str, Work]:
    """Each work so many times in a turn; the result is that of its last time."""

    def repeat(work: Work) -> Work:
        return lambda: [work() for _ in range(times)][-1]

    return {name: repeat(work) for name, work in works.items()}


def measure(work: Work, units: int) -> float:
    """CPU microseconds of one unit."""
    gc.collect()
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / units * 1e6


def in_turn(works: Mapping[str, Work], units: int, rounds: int) -> Times:
    """CPU microseconds of a unit of each contestant, round by round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(measure(work, units))
    return times


def ratio(times: Times, over: str, *under: str) -> float:
    """Median of the rounds' ratios: one contestant over the sum of others."""
    sums = [sum(turn) for turn in zip(*(times[name] for name in under), strict=True)]
    ratios: list[float] = [a / b for a, b in zip(times[over], sums, strict=True)]
    return statistics.median(ratios)


def medians(times: Times) -> dict[str, float]:
    """Median of each contestant."""
    return {name: statistics.median(found) for name, found in times.items()}


def growth(short: Work, long: Work, rounds: int) -> Measured:
    """How many times as much the long work costs as the short one, garbage collector on."""
    short()  # what happens once only, such as connecting, belongs to neither
    times = in_turn({"short": short, "long": long}, 1, rounds)
    return Measured(medians(times), {"growth": ratio(times, "long", "short")})


def verdict(met: bool) -> str:
    """How a goal stands."""
    return "met" if met else "MISSED"
