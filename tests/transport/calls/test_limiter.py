"""How many calls to one model are on their way at once."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import threading
import time
from collections.abc import Callable

import pytest

from modelscope_transport.calls.admission import Concurrency, Limiters
from modelscope_transport.calls.limiter import ConcurrencyLimiter, Slot


def soon() -> float:
    return time.monotonic() + 20


def past() -> float:
    return time.monotonic() - 1


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class Crowd:
    """Callers in threads of their own, who come in one after another and stay until told."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.limiter = limiter
        self.inside: list[str] = []
        self._places: dict[str, Slot | None] = {}
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()

    def come(self, name: str) -> None:
        waiting = len(self.limiter._waiting)
        before = len(self.inside)

        def enter() -> None:
            slot = self.limiter.try_acquire() or self.limiter.acquire(soon())
            with self._changed:
                self._places[name] = slot
                self.inside.append(name)
                self._changed.notify_all()

        self._threads.append(in_thread(enter))
        self.until(lambda: len(self.inside) > before or len(self.limiter._waiting) > waiting)

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            while not holds():
                self._changed.wait(0.001)

    def release(self, name: str) -> None:
        slot = self._places[name]
        assert slot is not None
        slot.release()


# ------------------------------------------------------------------------------- coming and going


def test_who_has_given_its_slot_back_waits_like_the_others() -> None:
    limiter = ConcurrencyLimiter(1)
    first = limiter.try_acquire()
    assert first is not None
    first.release()
    crowd = Crowd(limiter)
    crowd.come("another")
    assert limiter.try_acquire() is None
    assert limiter.inside == 1
    crowd.release("another")


def test_first_come_first_served() -> None:
    crowd = Crowd(ConcurrencyLimiter(1))
    for name in ("a", "b", "c"):
        crowd.come(name)
    assert crowd.inside == ["a"]

    crowd.release("a")
    crowd.until(lambda: crowd.inside == ["a", "b"])
    crowd.release("b")
    crowd.until(lambda: crowd.inside == ["a", "b", "c"])
    crowd.release("c")
    assert crowd.limiter.inside == 0


def test_nobody_overtakes_those_who_wait() -> None:
    crowd = Crowd(ConcurrencyLimiter(1))
    crowd.come("a")
    crowd.come("b")
    crowd.release("a")
    crowd.come("c")
    crowd.until(lambda: "b" in crowd.inside)
    assert crowd.inside == ["a", "b"]


def test_a_place_is_given_back_once() -> None:
    limiter = ConcurrencyLimiter(2)
    slot = limiter.try_acquire()
    assert slot is not None
    slot.release()
    slot.release()
    assert limiter.inside == 0


def test_a_place_that_is_dropped_is_given_back() -> None:
    limiter = ConcurrencyLimiter(1)
    slot = limiter.try_acquire()
    assert limiter.inside == 1
    del slot
    gc.collect()
    assert limiter.inside == 0


def test_who_waits_too_long_goes_without() -> None:
    crowd = Crowd(ConcurrencyLimiter(1))
    crowd.come("a")
    assert crowd.limiter.acquire(past()) is None
    crowd.release("a")
    assert crowd.limiter.try_acquire() is not None


@pytest.mark.parametrize(
    ("concurrency", "size"), [(None, math.inf), (3, 3), ("adaptive", 1)], ids=str
)
def test_the_users_word_becomes_a_number_of_slots(concurrency: Concurrency, size: float) -> None:
    limiters = Limiters(concurrency)
    assert limiters.of("a/b").size == size
    assert limiters.of("a/b") is limiters.of("a/b")
    assert limiters.of("c/d") is not limiters.of("a/b")


def test_any_number_comes_in_where_there_is_no_limit() -> None:
    crowd = Crowd(ConcurrencyLimiter(math.inf))
    for name in "abcdefgh":
        crowd.come(name)
    assert crowd.limiter.inside == 8


# ---------------------------------------------------------------------- nobody waits for himself


def test_who_holds_a_place_gets_another_at_once() -> None:
    limiter = ConcurrencyLimiter(1)
    streaming, nested = limiter.try_acquire(), limiter.try_acquire()
    assert streaming is not None
    assert nested is not None


async def test_a_task_that_holds_a_place_gets_another_at_once() -> None:
    limiter = ConcurrencyLimiter(1)
    slots = [limiter.try_acquire(), limiter.try_acquire()]
    assert None not in slots


async def test_a_thread_that_runs_a_loop_is_not_made_to_wait() -> None:
    limiter = ConcurrencyLimiter(1)
    crowd = Crowd(limiter)
    crowd.come("a")
    assert limiter.acquire(soon()) is not None  # else the loop would stand still for twenty seconds


# --------------------------------------------------------------------------------- event loops


async def test_tasks_come_in_one_by_one() -> None:
    limiter, order = ConcurrencyLimiter(1), []

    async def call(name: str) -> None:
        slot = limiter.try_acquire() or await limiter.acquire_async(soon())
        assert slot is not None
        order.append(name)
        assert limiter.inside == 1
        await asyncio.sleep(0)
        slot.release()

    await asyncio.gather(*(call(name) for name in "abcde"))
    assert order == list("abcde")


async def test_a_cancelled_task_takes_no_place() -> None:
    limiter = ConcurrencyLimiter(1)
    crowd = Crowd(limiter)
    crowd.come("a")
    waiting = asyncio.create_task(limiter.acquire_async(soon()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    crowd.release("a")
    assert limiter.inside == 0


async def test_a_task_cancelled_in_the_moment_of_its_admission_gives_its_place_back() -> None:
    limiter = ConcurrencyLimiter(1)
    crowd = Crowd(limiter)
    crowd.come("a")
    waiting = asyncio.create_task(limiter.acquire_async(soon()))
    await asyncio.sleep(0)
    crowd.release("a")  # admits the task, which has not run since
    assert limiter.inside == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert limiter.inside == 0


async def test_a_task_that_waits_too_long_goes_without() -> None:
    crowd = Crowd(ConcurrencyLimiter(1))
    crowd.come("a")
    assert await crowd.limiter.acquire_async(time.monotonic() + 0.01) is None
    assert await crowd.limiter.acquire_async(past()) is None
    crowd.release("a")
    assert crowd.limiter.inside == 0


def test_several_loops_and_threads_share_a_gate() -> None:
    limiter, most = ConcurrencyLimiter(2), 0

    async def call() -> None:
        nonlocal most
        slot = limiter.try_acquire() or await limiter.acquire_async(soon())
        assert slot is not None
        most = max(most, limiter.inside)
        await asyncio.sleep(0.001)
        slot.release()

    async def calls() -> None:
        await asyncio.gather(*(call() for _ in range(20)))

    def sync_calls() -> None:
        for _ in range(20):
            slot = limiter.try_acquire() or limiter.acquire(soon())
            assert slot is not None
            slot.release()

    threads = [in_thread(lambda: asyncio.run(calls())) for _ in range(3)]
    threads += [in_thread(sync_calls) for _ in range(3)]
    for thread in threads:
        thread.join()
    assert limiter.inside == 0
    assert most == 2


def test_a_slot_comes_back_while_this_very_thread_is_in_the_limiter() -> None:
    limiter = ConcurrencyLimiter(1)
    slot = limiter.try_acquire()
    assert slot is not None

    def collect() -> None:
        with limiter._lock:  # as when the collector drops a stream at a moment of its own
            slot.release()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    again = limiter.try_acquire()
    assert again is not None
    assert limiter.inside == 1


def test_what_a_task_of_a_closed_loop_holds_comes_back() -> None:
    limiter = ConcurrencyLimiter(2)

    async def hold() -> None:
        held.append(await limiter.acquire_async(soon()))
        await asyncio.Event().wait()

    held: list[Slot | None] = []
    loop = asyncio.new_event_loop()
    holding = loop.create_task(hold())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    first, second = (limiter.acquire(soon()) for _ in range(2))
    assert first is not None
    assert second is not None
    assert limiter.inside == 2
    assert held[0] is not None
    held[0].release()  # late, and for nothing
    assert limiter.inside == 2
    holding.get_coro().close()
    holding._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_loop_that_was_closed_blocks_nobody() -> None:
    limiter = ConcurrencyLimiter(1)
    crowd = Crowd(limiter)
    crowd.come("a")
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(limiter.acquire_async(soon()))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    crowd.release("a")
    assert limiter.inside == 0
    assert limiter.try_acquire() is not None
    waiting.get_coro().close()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_with_an_empty_gate() -> None:
    limiter = ConcurrencyLimiter(1)
    slot = limiter.try_acquire()
    child = os.fork()
    if child == 0:
        os._exit(0 if limiter.inside == 0 and limiter.try_acquire() is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert slot is not None
    assert limiter.inside == 1


# ------------------------------------------------------------------------------------- learning


def fill(limiter: ConcurrencyLimiter) -> list[Slot]:
    """Take every slot, and leave somebody waiting."""
    slots = []
    while limiter.inside < limiter.size:
        slot = limiter.try_acquire()
        assert slot is not None
        slots.append(slot)
    return slots


def succeed(limiter: ConcurrencyLimiter, times: int) -> None:
    """So many calls that fill the limiter and are taken."""
    for _ in range(times):
        slots = fill(limiter)
        slots[0].record_success()
        for slot in slots:
            slot.release()


def test_a_gate_starts_with_one_place_and_grows_by_success() -> None:
    limiter = ConcurrencyLimiter()
    assert limiter.size == 1
    succeed(limiter, 5)
    assert limiter.size == 6


def test_success_without_a_crowd_teaches_nothing() -> None:
    limiter = ConcurrencyLimiter()
    succeed(limiter, 3)
    slot = limiter.try_acquire()
    assert slot is not None
    slot.record_success()
    assert limiter.size == 4


def test_a_call_that_was_too_fast_halves_the_gate_once_for_all_of_its_time() -> None:
    limiter = ConcurrencyLimiter()
    succeed(limiter, 7)
    slots = fill(limiter)
    for slot in slots[4:]:
        slot.record_refusal()
    assert limiter.size == 4


def test_what_proved_too_many_is_tried_again_after_many_successes_only() -> None:
    limiter = ConcurrencyLimiter()
    succeed(limiter, 3)
    for slot in fill(limiter):
        slot.record_refusal()
    assert limiter.size == 2
    succeed(limiter, 2)
    assert limiter.size == 3  # 4 were too many
    succeed(limiter, 31)
    assert limiter.size == 3
    succeed(limiter, 1)
    assert limiter.size == 4


def test_a_gate_of_one_stays_one() -> None:
    limiter = ConcurrencyLimiter()
    slot = limiter.try_acquire()
    assert slot is not None
    slot.record_refusal()
    assert limiter.size == 1


def test_a_gate_of_a_given_size_keeps_it() -> None:
    limiter = ConcurrencyLimiter(3)
    slots = fill(limiter)
    slots[0].record_success()
    slots[1].record_refusal()
    assert limiter.size == 3
