"""The ledger in event loops: the same answers, and no thread for each call that waits."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import time
import weakref
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport.quota import (
    Budget,
    Closing,
    Ledger,
    QuotaBlock,
    RedisLedger,
    Reservation,
    SQLiteLedger,
)
from tests.transport.quota.far_away import far_away
from tests.transport.quota.redis_server import RedisServer

QWEN = "Qwen/Qwen3-8B"


async def spend(ledger: Ledger, account: str, budget: Budget | None = None) -> bool:
    given = await ledger.areserve(account, QWEN, budget=budget)
    if isinstance(given, QuotaBlock):
        return False
    await ledger.asettle(given, Closing(charged=True))
    return True


async def test_parallel_calls_of_a_loop_never_exceed_a_budget(ledger: Ledger, account: str) -> None:
    granted = await asyncio.gather(*(spend(ledger, account, Budget(calls=20)) for _ in range(60)))
    assert sum(granted) == 20
    assert await ledger.ablocked(account, QWEN) is None


async def test_a_reservation_that_is_cancelled_is_given_back(ledger: Ledger, account: str) -> None:
    await ledger.areserve(account, QWEN)
    tasks = [asyncio.ensure_future(ledger.areserve(account, QWEN)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    kept = sum(isinstance(one, Reservation) for one in done)
    async with asyncio.timeout(20):
        while ledger.history(account, 1)[0].calls != 1 + kept:  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0.01)


def test_each_loop_has_a_connection_of_its_own(redis_server: RedisServer, account: str) -> None:
    ledger = RedisLedger(redis_server.url)
    for _ in range(3):
        assert asyncio.run(spend(ledger, account))
    assert ledger.history(account, 1)[0].calls == 3


# asyncio warns, rightly, of the socket that the loop left open
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_only_closed_is_not_kept(redis_server: RedisServer, account: str) -> None:
    ledger = RedisLedger(redis_server.url)
    gone = []
    for _ in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(spend(ledger, account))
        loop.close()
        gone.append(weakref.ref(loop))
        del loop
    assert asyncio.run(spend(ledger, account))
    gc.collect()
    assert [loop for loop in gone if loop() is not None] == []
    assert ledger.history(account, 1)[0].calls == 4


async def test_a_server_far_away_holds_no_threads(redis_server: RedisServer, account: str) -> None:
    """200 ms there and back, 100 calls at once."""
    async with far_away(redis_server.port, 0.1) as port:
        ledger = RedisLedger(f"redis://127.0.0.1:{port}/0", patience=20)
        await spend(ledger, account)
        before, begun = threading.active_count(), time.perf_counter()
        given = await asyncio.gather(*(spend(ledger, account) for _ in range(100)))
        took = time.perf_counter() - begun
        assert sum(given) == 100
        assert threading.active_count() <= before + 1
        assert took < 100 * 0.2 / 4  # four threads would take this long
        await ledger.aclose()
        ledger.close()


def test_patience_is_settable_and_named_when_it_ends(
    redis_server: RedisServer, account: str
) -> None:
    from modelscope_transport import ConfigurationError

    ledger = RedisLedger(f"{redis_server.url}?patience=0.2")
    ledger.quotas(account)
    begun = time.perf_counter()
    with redis_server.frozen(), pytest.raises(ConfigurationError, match=r"within 0\.2 s"):
        ledger.reserve(account, QWEN)
    assert time.perf_counter() - begun < 10
    with pytest.raises(ConfigurationError, match="patience"):
        RedisLedger("redis://127.0.0.1:1/0?patience=soon")


async def test_a_file_that_nobody_writes_costs_an_event_loop_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, threads = SQLiteLedger(tmp_path / "ledger.sqlite3"), 0

    def count(process: int) -> Executor:
        nonlocal threads
        threads += 1
        return executor

    with ThreadPoolExecutor(1) as executor:
        monkeypatch.setattr("modelscope_transport.quota.runner._threads", count)
        for _ in range(600):
            assert await spend(ledger, "me")
    (use,) = SQLiteLedger(tmp_path / "ledger.sqlite3").history("me", 1)
    assert use.calls == 600
    assert threads < 60  # the first ones, one each second, and one of 256


async def test_a_loop_needs_no_thread_where_others_read_and_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks, finds what another process has written, and is not held up by a busy thread."""
    path = tmp_path / "ledger.sqlite3"
    ledger, other = SQLiteLedger(path), SQLiteLedger(path)
    for _ in range(3):
        assert await spend(ledger, "me")
    store: Any = ledger._runner.store
    threads: list[int] = []
    with ThreadPoolExecutor(1) as executor:

        def count(process: int) -> Executor:
            threads.append(process)
            return executor

        monkeypatch.setattr("modelscope_transport.quota.runner._threads", count)
        assert await ledger.ablocked("me", QWEN) is None
        other.reserve("me", "Qwen/Qwen3-32B")
        other.report("me", 100.0)
        assert await spend(ledger, "me")
        with getattr(store, "_store", store)._lock:
            assert await spend(ledger, "me")
            assert await ledger.ablocked("me", QWEN) is None
    assert not threads
    (use,) = other.history("me", 1)
    assert use.calls == 6


async def test_a_loop_does_not_wait_while_the_file_is_being_closed(tmp_path: Path) -> None:
    """The last one to close it moves what was written into its place, which may take long."""
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite3")
    assert await spend(ledger, "me")
    store: Any = ledger._runner.store
    connection, begun, go_on = store._connection, threading.Event(), threading.Event()

    class Slow:
        def close(self) -> None:
            begun.set()
            go_on.wait()
            connection.close()

    store._connection = Slow()
    with ThreadPoolExecutor(2) as executor:
        closing_it = executor.submit(ledger.close)
        begun.wait()
        try:
            assert executor.submit(store.read_at_once, "me", ("",)).result(timeout=10) is None
        finally:
            go_on.set()
        closing_it.result()
    assert await spend(ledger, "me")
    assert ledger.history("me", 1)[0].calls == 2


async def test_what_rides_with_a_look_is_written_although_the_look_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, go_on = SQLiteLedger(tmp_path / "ledger.sqlite3"), threading.Event()
    assert await spend(ledger, "me")  # its end rides with what comes next
    with ThreadPoolExecutor(1) as executor:
        monkeypatch.setattr("modelscope_transport.quota.runner._threads", lambda _: executor)
        executor.submit(go_on.wait)
        with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            looking = asyncio.ensure_future(ledger.ablocked("me", QWEN))
            await asyncio.sleep(0)
            looking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await looking
        go_on.set()
        assert await ledger.ablocked("me", QWEN) is None
    pages = ledger.export()["me"]
    assert not [name for cells in pages.values() for name in cells if name.startswith("unsettled")]


async def test_what_is_done_at_once_is_never_done_twice(tmp_path: Path) -> None:
    """Two handles, in turn: what one has seen is out of date each time."""
    path = tmp_path / "ledger.sqlite3"
    one, other = SQLiteLedger(path), SQLiteLedger(path)
    budget, granted = Budget(calls=50), 0
    for _ in range(40):
        for ledger in (one, other, other):
            granted += await spend(ledger, "me", budget)
    assert granted == 50
    (use,) = one.history("me", 1)
    assert (use.calls, use.magicubes) == (50, 50)


@pytest.mark.parametrize("offset", range(4))
async def test_the_log_of_a_file_does_not_grow_without_end(tmp_path: Path, offset: int) -> None:
    """Whatever it is that is left to a thread, a look for instance, which writes nothing."""
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite3")
    for _ in range(offset):
        assert await spend(ledger, "me")
    for _ in range(700):
        assert await spend(ledger, "me")
        assert await spend(ledger, "me")
        await ledger.ablocked("me", QWEN)  # writes down how the last one ended, and looks
    assert (tmp_path / "ledger.sqlite3-wal").stat().st_size < 6_000_000


async def test_the_log_does_not_grow_while_the_other_calls_of_a_loop_go_on(tmp_path: Path) -> None:
    """It begins anew only where nobody writes while it is moved into its place."""
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite3")

    async def call_often() -> None:
        for _ in range(400):
            assert await spend(ledger, "me")
            await asyncio.sleep(0)

    await asyncio.gather(*(call_often() for _ in range(20)))
    assert (tmp_path / "ledger.sqlite3-wal").stat().st_size < 6_000_000
