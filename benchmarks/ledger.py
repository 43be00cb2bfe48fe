"""What the ledger costs, beside a call without one, in the same run.

    python benchmarks/ledger.py [--repetitions 9] [--pairs 300] [--processes 16]

Four questions, each against its goal:

* how long *reserve and settle* take, the two questions of every call, in each store: for one
  process; for many that share two pools and make some calls a second each; and for many that do
  nothing else and never pause, which is more than any service answers;
* what the ledger and the limiter add to a call's CPU time: to a call to a stub server in another
  process (stub.py), the client's work alone; and to a call to the project's local service in this
  process, both sides together. The same call without either is made in turn with it;
* how long 100 calls at once take in an event loop where the Redis is 200 ms away, there and back;
* how long it takes until a call is refused whose pool is known to be spent. No request is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
# the packages stand beside this folder
sys.path[0] = str(ROOT)

from benchmarks import stub  # noqa: E402
from benchmarks.measuring import measure, repeated, verdict  # noqa: E402
from modelscope_transport import (  # noqa: E402
    ChatRequest,
    Client,
    Message,
    QuotaExceededError,
)
from modelscope_transport.emulator import LocalService  # noqa: E402
from modelscope_transport.quota import (  # noqa: E402
    Closing,
    Ledger,
    QuotaBlock,
    RedisLedger,
    Reservation,
    next_reset,
    open_ledger,
)

MODEL = stub.MODEL
HELLO = ChatRequest(model=MODEL, messages=(Message("user", "Hello"),))
CALLS = 100
REFUSALS = 200
# Seconds between the calls of one of many processes: together they spend a day's allowance within
# a second.
_PAUSE = 0.02
# CPU microseconds that the default ledger and the limiter may add to a call.
_MOST_ADDED = {"call": 60.0, "async call": 80.0}


class Store(NamedTuple):
    """A ledger to measure.

    Attributes:
        name: as the table shows it.
        address: as `open_ledger` takes it; ``None`` where it cannot be had here.
        goal: most milliseconds at percentile 99 of many processes; ``None``: one process alone.
    """

    name: str
    address: str | None
    goal: float | None


@contextmanager
def stores() -> Iterator[list[Store]]:
    """A memory, a file, and a real Redis where this machine has one."""
    with tempfile.TemporaryDirectory() as folder:
        memory = Store("memory", "memory", None)
        file = Store("SQLite", str(Path(folder, "ledger.sqlite3")), 5.0)
        program = shutil.which("redis-server")
        if program is None:
            yield [memory, file, Store("Redis", None, 10.0)]
            return
        from tests.transport.quota.redis_server import RedisServer

        server = RedisServer(program, Path(folder))
        server.start()
        try:
            yield [memory, file, Store("Redis", server.url, 10.0)]
        finally:
            server.stop()


# --- reserve and settle -----------------------------------------------------------------------


def pair(ledger: Ledger) -> None:
    """What every call that goes well asks of the ledger."""
    given = ledger.reserve("me", MODEL)
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=True))


def pairs(ledger: Ledger, count: int, pause: float = 0.0) -> tuple[list[float], float]:
    """Milliseconds of each of so many pairs, and CPU microseconds of one."""
    times, begun = [], time.process_time()
    for _ in range(count):
        if pause:
            time.sleep(random.uniform(0, 2 * pause))
        started = time.perf_counter()
        pair(ledger)
        times.append((time.perf_counter() - started) * 1e3)
    return times, (time.process_time() - begun) / count * 1e6


def opened(address: str) -> Ledger:
    """The ledger, and a first pair made."""
    ledger = open_ledger(address)
    assert ledger is not None
    pair(ledger)
    return ledger


def worker(address: str, count: int, pause: float) -> None:
    """One of many processes: begin when a line comes, then tell what was measured."""
    ledger = opened(address)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(pairs(ledger, count, pause)), flush=True)


def crowd(address: str, processes: int, count: int, pause: float) -> tuple[list[float], float]:
    """`pairs` of many processes at once: all their times, and the median of their CPU."""
    command = [sys.executable, __file__, "--worker", address]
    command += ["--pairs", str(count), "--pause", str(pause)]
    runners = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for runner in runners:
        assert runner.stdout is not None
        runner.stdout.readline()
    for runner in runners:
        assert runner.stdin is not None
        runner.stdin.write("\n")
        runner.stdin.flush()
    told = [json.loads(runner.communicate()[0]) for runner in runners]
    return [it for times, _ in told for it in times], statistics.median(cpu for _, cpu in told)


def percentile(times: Sequence[float], percent: float) -> float:
    """The time that so many per cent of the times do not exceed."""
    return sorted(times)[min(len(times) - 1, int(len(times) * percent / 100))]


def report_pairs(
    store: Store, who: str, times: Sequence[float], cpu: float, goal: float | None = None
) -> None:
    """One line of the first table."""
    middle, late = percentile(times, 50), percentile(times, 99)
    words = [f"p50 <= 1 ms: {verdict(middle <= 1)}"]
    if goal is not None:
        words.append(f"p99 <= {goal:g} ms: {verdict(late <= goal)}")
    print(
        f"{store.name:8} {who:14} {middle:8.3f} {late:8.3f} {max(times):8.1f} {cpu:8.1f}   "
        f"{', '.join(words)}",
        flush=True,
    )


def report_missing(store: Store) -> None:
    """The line of a store that cannot be had."""
    print(f"{store.name:8} not installed: no redis-server on this machine")


# --- its share of a call ----------------------------------------------------------------------


def calls(url: str, address: str | None, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    """The same call, sync and async, with a ledger and the adaptive limiter, or with neither."""
    ledger = None if address is None else open_ledger(address)
    concurrency: Any = None if address is None else "adaptive"
    client = Client("ms-bench", base_url=url, ledger=ledger, concurrency=concurrency)
    return {
        "call": lambda: client.chat(HELLO),
        "async call": lambda: loop.run_until_complete(client.aio.chat(HELLO)),
    }


def report_share(
    store: Store, slot: str, url: str, loop: asyncio.AbstractEventLoop, repetitions: int
) -> None:
    """The lines of the second table: a call with the ledger, and one without, in turn."""
    without, with_ledger = calls(url, None, loop), calls(url, store.address, loop)
    for name in without:
        contest = repeated(CALLS, {"without": without[name], "with": with_ledger[name]})
        for work in contest.values():
            work()
        turns = [[measure(work, CALLS) for work in contest.values()] for _ in range(repetitions)]
        plain, counted = (statistics.median(column) for column in zip(*turns, strict=True))
        # by turn: the machine's mood changes between turns more than within one
        added = statistics.median(counted - plain for plain, counted in turns)
        most = _MOST_ADDED[name]
        held = f"<= {most:g} us: {verdict(added <= most)}" if store.name == "SQLite" else ""
        print(
            f"{store.name:8} {slot:13} {name:10} {plain:9.1f} {counted:9.1f} {added:8.1f}   {held}",
            flush=True,
        )


# --- a Redis that is far away -----------------------------------------------------------------


async def report_distance(address: str, url: str) -> None:
    """The line of the third table: 100 calls at once, with the ledger beyond 200 ms."""
    from tests.transport.quota.far_away import far_away

    port = int(address.rpartition(":")[2].partition("/")[0])
    async with far_away(port, 0.1) as far:
        ledger = RedisLedger(f"redis://127.0.0.1:{far}/0?patience=20")
        client = Client("ms-bench", base_url=url, ledger=ledger, concurrency=None).aio
        await client.chat(HELLO)
        begun = time.perf_counter()
        await asyncio.gather(*(client.chat(HELLO) for _ in range(100)))
        took = time.perf_counter() - begun
        print(
            f"Redis    {'async call':10} {took:9.2f} s   <= 1 s: {verdict(took <= 1)}", flush=True
        )
        await client.aclose()
        await ledger.aclose()
        ledger.close()


# --- a refusal --------------------------------------------------------------------------------


def report_refusals(store: Store, url: str, loop: asyncio.AbstractEventLoop) -> None:
    """The lines of the last table: how long a spent pool's error takes."""
    assert store.address is not None
    ledger = open_ledger(store.address)
    assert ledger is not None
    client = Client("ms-bench", base_url=url, ledger=ledger)
    given = ledger.reserve(client.account, MODEL)
    assert isinstance(given, Reservation)
    until = next_reset(time.time()).timestamp()
    block = QuotaBlock(scope="account", model=None, blocked_until=until)
    ledger.settle(given, Closing(charged=False, block=block))
    works: dict[str, Callable[[], Any]] = {
        "call": lambda: client.chat(HELLO),
        "async call": lambda: loop.run_until_complete(client.aio.chat(HELLO)),
    }
    for name, work in works.items():
        times = [refused(work) for _ in range(REFUSALS)]
        late = percentile(times, 99)
        print(
            f"{store.name:8} {name:10} {percentile(times, 50):9.3f} {late:9.3f}   "
            f"p99 < 5 ms: {verdict(late < 5)}",
            flush=True,
        )
    ledger.forget()


def refused(work: Callable[[], Any]) -> float:
    """Milliseconds until the error."""
    begun = time.perf_counter()
    try:
        work()
    except QuotaExceededError:
        return (time.perf_counter() - begun) * 1e3
    raise SystemExit("a spent pool was not refused")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--pause", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.pairs, options.pause)
        return
    loop = asyncio.new_event_loop()
    with stores() as found, stub.running() as server, LocalService() as service:
        url = server.url("whole-1")
        print(
            f"{'ledger':8} {'processes':14} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} "
            f"{'CPU us':>8}   reserve and settle"
        )
        for store in found:
            if store.address is None:
                report_missing(store)
                continue
            report_pairs(store, "1", *pairs(opened(store.address), 10 * options.pairs))
            for pause in (_PAUSE, 0.0) if store.goal is not None else ():
                who = f"{options.processes}, {f'{1 / pause:g}/s each' if pause else 'no pause'}"
                many = crowd(store.address, options.processes, options.pairs, pause)
                report_pairs(store, who, *many, store.goal)
        print(f"\n{'ledger':8} {'CPU us, to':13} {'':10} {'without':>9} {'with':>9} {'added':>8}")
        here = [store for store in found if store.address is not None]
        for slot, address in (("stub", url), ("local service", service.base_url)):
            for store in here:
                report_share(store, slot, address, loop, options.repetitions)
            service.requests.clear()
        print(f"\n{'ledger':8} 100 calls at once, 200 ms there and back")
        for store in here:
            if store.name == "Redis" and store.address is not None:
                loop.run_until_complete(report_distance(store.address, url))
        print(f"\n{'ledger':8} {'refused':10} {'p50 ms':>9} {'p99 ms':>9}   no request is sent")
        for store in here:
            report_refusals(store, url, loop)
    loop.close()


if __name__ == "__main__":
    main()
