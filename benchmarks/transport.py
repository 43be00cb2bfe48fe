"""Rows of the HTTP engines alone: what a change of engine would bring.

    python -m benchmarks --only engine

Ours stands beside the engine that it is built on and beside httpx's clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import stub
from benchmarks.engines import (
    Aiohttp,
    AsyncHttpxClient,
    HttpClient,
    HttpxClient,
    OurAsync,
    OurSync,
)
from benchmarks.measuring import Measured, OnLoop, Work, in_turn, medians, ratio, repeated
from benchmarks.row import Row

__all__ = ["rows"]

Makers = dict[str, Callable[[str], Any]]
SYNC: Makers = {
    "http.client": HttpClient,
    "httpx": HttpxClient,
    "httpx2": partial(HttpxClient, module="httpx2"),
    "ours": OurSync,
}
ASYNC: Makers = {
    "aiohttp": Aiohttp,
    "httpx": AsyncHttpxClient,
    "httpx2": partial(AsyncHttpxClient, module="httpx2"),
    "ours": OurAsync,
}
CALLS, PACED, AT_ONCE = 100, 200, 500


def made(makers: Makers, url: str) -> dict[str, Any]:
    """The engines of one kind; one that is not installed takes no part."""
    engines = {}
    for name, make in makers.items():
        try:
            engines[name] = make(url)
        except ModuleNotFoundError as error:
            print(f"  {name} takes no part: {error}", flush=True)
    return engines


def contest(works: dict[str, Work], units: int, rounds: int, raw: str) -> Measured:
    """All engines in turn, and ours beside the one it is built on and beside httpx."""
    sizes = {name: work() for name, work in works.items()}
    if len(set(sizes.values())) > 1:
        raise RuntimeError(f"the engines do not read the same: {sizes}")
    times = in_turn(works, units, rounds)
    ratios = {}
    if "ours" in works:
        ratios["of_raw"] = ratio(times, "ours", raw)
        ratios["less_than_httpx"] = ratio(times, "httpx", "ours")
    return Measured(medians(times), ratios)


def alone(
    reply: str, way: str, units: int, *, turns: int = 1
) -> Callable[[stub.Running, int], Measured]:
    """A row of the sync engines: ``way`` is ``"call"`` or ``"stream"``."""

    def measured(server: stub.Running, rounds: int) -> Measured:
        engines = made(SYNC, server.url(reply))
        works = {name: getattr(engine, way) for name, engine in engines.items()}
        return contest(repeated(turns, works), units, rounds, "http.client")

    return measured


def on_loop(
    reply: str, way: str, units: int, *, turns: int = 1, at_once: int = 1
) -> Callable[[stub.Running, int], Measured]:
    """A row of the async engines: as `alone`, or so many at once."""

    async def crowd(do: Callable[[], Any]) -> int:
        return sum(await asyncio.gather(*(do() for _ in range(at_once))))

    def measured(server: stub.Running, rounds: int) -> Measured:
        engines, runs = made(ASYNC, server.url(reply)), OnLoop()
        does = {name: getattr(engine, way) for name, engine in engines.items()}
        if at_once > 1:
            does = {name: partial(crowd, do) for name, do in does.items()}
        works = repeated(turns, {name: runs(do) for name, do in does.items()})
        # httpx's clients take seconds for a crowd
        most = 3 if at_once > 1 else rounds
        try:
            return contest(works, units, min(rounds, most), "aiohttp")
        finally:
            for engine in engines.values():
                runs(engine.close)()

    return measured


def rows() -> Iterator[Row]:
    """All of them."""
    burst, paced = "text-2000", f"text-{PACED}-every-2"
    for title, engines in (("sync engine", alone), ("async engine", on_loop)):
        calls = engines("whole-1", "call", CALLS, turns=CALLS)
        yield Row(f"{title}: call", "call", calls, smoke=True)
        yield Row(f"{title}: burst", "chunk", engines(burst, "stream", 2000), smoke=True)
        yield Row(f"{title}: paced 2 ms", "chunk", engines(paced, "stream", PACED))
    crowd = on_loop("whole-1-after-100", "call", AT_ONCE, at_once=AT_ONCE)
    yield Row(f"async engine: {AT_ONCE} at once", "call", crowd)
