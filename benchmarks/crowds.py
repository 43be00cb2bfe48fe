"""Many calls and many streams at once, through an adapter's default objects.

The default limit of concurrency starts with one call and learns how many the service takes. These
rows measure what comes after that: against a server that takes all, the first crowds are left out.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from benchmarks import stub
from benchmarks.engines import Aiohttp, AsyncHttpxClient
from benchmarks.measuring import Measured, OnLoop, Times, Work, in_turn, medians, ratio

__all__ = ["calls_at_once", "calls_beside_httpx", "streams_at_once"]

CALLS, STREAMS = 1000, 500
# Crowds until the limit has grown, and the seconds after which one of them counts as failed.
_FIRST, _MOST = 3, 60.0

Do = Callable[[Any], Awaitable[Any]]


async def _crowd(do: Callable[[], Any], count: int) -> None:
    async with asyncio.timeout(_MOST), asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(do())


def _warmed(work: Work) -> Work:
    for _ in range(_FIRST):
        work()
    return work


def calls_at_once(model: Any, ask: Do, url: str, rounds: int) -> Measured:
    """CPU of calls at once, over that of bare aiohttp."""
    runs, plain = OnLoop(), Aiohttp(url)
    works = {
        "ours": _warmed(runs(partial(_crowd, partial(ask, model), CALLS))),
        "aiohttp": _warmed(runs(partial(_crowd, plain.call, CALLS))),
    }
    times = in_turn(works, CALLS, rounds)
    runs(plain.close)()
    return Measured(medians(times), {"of_aiohttp": ratio(times, "ours", "aiohttp")})


def calls_beside_httpx(model: Any, ask: Do, url: str, ideal: float, rounds: int) -> Measured:
    """The same calls: their wall time over the ideal, and their CPU over that of httpx.

    httpx takes some 18 s of CPU for it, more than all others together, so it has one round.
    """
    runs = OnLoop()
    ours = _warmed(runs(partial(_crowd, partial(ask, model), CALLS)))
    times, wall = _timed(ours, CALLS, ideal, rounds)
    plain = AsyncHttpxClient(url)
    httpx = in_turn({"httpx": runs(partial(_crowd, plain.call, CALLS))}, CALLS, 1)
    runs(plain.close)()
    cpu = medians({**times, **httpx})
    return Measured(cpu, {"of_httpx": cpu["ours"] / cpu["httpx"], "wall_of_ideal": wall})


def streams_at_once(model: Any, read: Do, reply: stub.Reply, rounds: int) -> Measured:
    """Wall time of paced streams at once, over the ideal."""
    ours = _warmed(OnLoop()(partial(_crowd, partial(read, model), STREAMS)))
    times, wall = _timed(ours, STREAMS * reply.pieces, reply.seconds, rounds)
    return Measured(medians(times), {"wall_of_ideal": wall})


def _timed(work: Work, units: int, ideal: float, rounds: int) -> tuple[Times, float]:
    """CPU microseconds of each round, and the median of wall time over the ideal."""
    walls = []

    def timed() -> None:
        begun = time.perf_counter()
        work()
        walls.append((time.perf_counter() - begun) / ideal)

    times = in_turn({"ours": timed}, units, rounds)
    return times, statistics.median(walls)
