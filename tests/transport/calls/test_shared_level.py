"""A limiter that follows a level which all processes of an account share."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelscope_transport.calls.limiter import ConcurrencyLimiter
from modelscope_transport.quota import ConcurrencyShare, Ledger, SQLiteLedger

MODEL = "Qwen/Qwen3-8B"


def soon() -> float:
    return time.monotonic() + 20


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


@pytest.fixture
def limiter(ledger: Ledger) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(open_share=lambda: ledger.share("me", MODEL))


def until(holds: Callable[[], bool]) -> None:
    """Wait for another thread, a moment at a time."""
    waiting = threading.Event()
    end = soon()
    while not holds():
        assert time.monotonic() < end
        waiting.wait(0.005)


def others(ledger: Ledger) -> int:
    """Slots that are held, as another process sees it."""
    share = ledger.share("me", MODEL)
    return share.update(0, 0).others


def test_a_call_gets_a_slot_of_the_shared_level_and_gives_it_back(
    ledger: Ledger, limiter: ConcurrencyLimiter
) -> None:
    before = threading.enumerate()
    assert limiter.try_acquire() is None, "none is had before the ledger was asked"
    slot = limiter.acquire(soon())
    assert slot is not None
    assert others(ledger) == 1
    slot.release()
    until(lambda: others(ledger) == 0)
    until(lambda: not [thread for thread in asking() if thread not in before])


def asking() -> list[threading.Thread]:
    """The threads that ask the ledger."""
    return [thread for thread in threading.enumerate() if thread.name == "modelscope-concurrency"]


def test_a_caller_that_finds_a_free_slot_asks_no_one(ledger: Ledger) -> None:
    asked: list[int] = []

    class Counting(ConcurrencyShare):
        def update(self, wanted: int, inside: int, **learnt: int | None) -> object:  # type: ignore[override]
            asked.append(wanted)
            return super().update(wanted, inside, **learnt)  # type: ignore[arg-type]

    limiter = ConcurrencyLimiter(open_share=lambda: Counting(ledger._books, "me", MODEL))
    slot = limiter.acquire(soon())
    assert slot is not None
    slot.release()
    before = len(asked)
    began = time.monotonic()
    for _ in range(1000):
        slot = limiter.try_acquire()
        assert slot is not None
        slot.record_success()
        slot.release()
    assert len(asked) - before <= 1 + (time.monotonic() - began)  # once a second, by the thread


def test_a_process_waits_for_what_another_holds(
    ledger: Ledger, limiter: ConcurrencyLimiter
) -> None:
    other = ledger.share("me", MODEL)
    assert other.update(1, 1).slots == 1
    assert limiter.acquire(time.monotonic() + 0.2) is None
    threading.Timer(0.1, lambda: other.update(0, 0)).start()
    assert limiter.acquire(soon()) is not None


async def test_an_event_loop_waits_likewise(ledger: Ledger, limiter: ConcurrencyLimiter) -> None:
    other = ledger.share("me", MODEL)
    assert other.update(1, 1).slots == 1
    waiting = asyncio.create_task(limiter.acquire_async(soon()))
    await asyncio.to_thread(until, lambda: limiter.others == 1)
    assert not waiting.done()
    other.update(0, 0)
    assert await waiting is not None


def test_a_refusal_cuts_the_level_of_all(ledger: Ledger, limiter: ConcurrencyLimiter) -> None:
    other = ledger.share("me", MODEL)
    other.update(20, 0)
    assert other.update(20, 1, successes=7).level == 8
    other.update(1, 0)
    slot = limiter.acquire(soon())
    assert slot is not None
    assert not slot.is_alone
    slot.record_refusal()
    until(lambda: other.update(1, 0).level == 4)


def test_a_ledger_that_fails_stops_no_call() -> None:
    asked = threading.Event()

    def broken() -> ConcurrencyShare:
        asked.set()
        raise OSError("disk full")

    limiter = ConcurrencyLimiter(open_share=broken)
    slot = limiter.acquire(soon())
    assert asked.is_set()
    assert slot is not None
    slot.record_success()
    assert limiter.size == 2, "the level is found out alone"


def test_a_ledger_that_answers_again_is_followed_again(ledger: Ledger) -> None:
    broken = threading.Event()
    broken.set()

    def open_share() -> ConcurrencyShare:
        if broken.is_set():
            raise OSError("disk full")
        return ledger.share("me", MODEL)

    limiter = ConcurrencyLimiter(open_share=open_share)
    slot = limiter.acquire(soon())
    broken.clear()
    until(lambda: others(ledger) == 1)
    assert slot is not None
    slot.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_share_of_its_own(ledger: Ledger, limiter: ConcurrencyLimiter) -> None:
    slot = limiter.acquire(soon())
    assert slot is not None
    slot.record_success()
    other = ledger.share("me", MODEL)
    until(lambda: other.update(1, 0).level == 2)
    other.update(0, 0)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            mine = limiter.acquire(soon())
            status = 0 if mine is not None and others(ledger) == 2 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    slot.release()
