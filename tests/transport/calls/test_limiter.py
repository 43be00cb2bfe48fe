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

from modelscope_transport.calls.limiter import Gate, Place


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

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self._places: dict[str, Place | None] = {}
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()

    def come(self, name: str) -> None:
        waiting = len(self.gate._waiting)
        before = len(self.inside)

        def enter() -> None:
            place = self.gate.step_in() or self.gate.wait(soon())
            with self._changed:
                self._places[name] = place
                self.inside.append(name)
                self._changed.notify_all()

        self._threads.append(in_thread(enter))
        self.until(lambda: len(self.inside) > before or len(self.gate._waiting) > waiting)

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            while not holds():
                self._changed.wait(0.001)

    def leave(self, name: str) -> None:
        place = self._places[name]
        assert place is not None
        place.leave()


# ------------------------------------------------------------------------------- coming and going


def test_first_come_first_served() -> None:
    crowd = Crowd(Gate(1))
    for name in ("a", "b", "c"):
        crowd.come(name)
    assert crowd.inside == ["a"]

    crowd.leave("a")
    crowd.until(lambda: crowd.inside == ["a", "b"])
    crowd.leave("b")
    crowd.until(lambda: crowd.inside == ["a", "b", "c"])
    crowd.leave("c")
    assert crowd.gate.inside == 0


def test_nobody_overtakes_those_who_wait() -> None:
    crowd = Crowd(Gate(1))
    crowd.come("a")
    crowd.come("b")
    crowd.leave("a")
    crowd.come("c")
    crowd.until(lambda: "b" in crowd.inside)
    assert crowd.inside == ["a", "b"]


def test_a_place_is_given_back_once() -> None:
    gate = Gate(2)
    place = gate.step_in()
    assert place is not None
    place.leave()
    place.leave()
    assert gate.inside == 0


def test_a_place_that_is_dropped_is_given_back() -> None:
    gate = Gate(1)
    place = gate.step_in()
    assert gate.inside == 1
    del place
    gc.collect()
    assert gate.inside == 0


def test_who_waits_too_long_goes_without() -> None:
    crowd = Crowd(Gate(1))
    crowd.come("a")
    assert crowd.gate.wait(past()) is None
    crowd.leave("a")
    assert crowd.gate.step_in() is not None


def test_any_number_comes_in_where_there_is_no_limit() -> None:
    crowd = Crowd(Gate(math.inf))
    for name in "abcdefgh":
        crowd.come(name)
    assert crowd.gate.inside == 8


# ---------------------------------------------------------------------- nobody waits for himself


def test_who_holds_a_place_gets_another_at_once() -> None:
    gate = Gate(1)
    streaming, nested = gate.step_in(), gate.step_in()
    assert streaming is not None
    assert nested is not None


async def test_a_task_that_holds_a_place_gets_another_at_once() -> None:
    gate = Gate(1)
    places = [gate.step_in(), gate.step_in()]
    assert None not in places


async def test_a_thread_that_runs_a_loop_is_not_made_to_wait() -> None:
    gate = Gate(1)
    crowd = Crowd(gate)
    crowd.come("a")
    assert gate.wait(soon()) is not None  # else the loop would stand still for twenty seconds


# --------------------------------------------------------------------------------- event loops


async def test_tasks_come_in_one_by_one() -> None:
    gate, order = Gate(1), []

    async def call(name: str) -> None:
        place = gate.step_in() or await gate.await_(soon())
        assert place is not None
        order.append(name)
        assert gate.inside == 1
        await asyncio.sleep(0)
        place.leave()

    await asyncio.gather(*(call(name) for name in "abcde"))
    assert order == list("abcde")


async def test_a_cancelled_task_takes_no_place() -> None:
    gate = Gate(1)
    crowd = Crowd(gate)
    crowd.come("a")
    waiting = asyncio.create_task(gate.await_(soon()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    crowd.leave("a")
    assert gate.inside == 0


async def test_a_task_cancelled_in_the_moment_of_its_admission_gives_its_place_back() -> None:
    gate = Gate(1)
    crowd = Crowd(gate)
    crowd.come("a")
    waiting = asyncio.create_task(gate.await_(soon()))
    await asyncio.sleep(0)
    crowd.leave("a")  # admits the task, which has not run since
    assert gate.inside == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert gate.inside == 0


async def test_a_task_that_waits_too_long_goes_without() -> None:
    crowd = Crowd(Gate(1))
    crowd.come("a")
    assert await crowd.gate.await_(time.monotonic() + 0.01) is None
    assert await crowd.gate.await_(past()) is None
    crowd.leave("a")
    assert crowd.gate.inside == 0


def test_several_loops_and_threads_share_a_gate() -> None:
    gate, most = Gate(2), 0

    async def call() -> None:
        nonlocal most
        place = gate.step_in() or await gate.await_(soon())
        assert place is not None
        most = max(most, gate.inside)
        await asyncio.sleep(0.001)
        place.leave()

    async def calls() -> None:
        await asyncio.gather(*(call() for _ in range(20)))

    def sync_calls() -> None:
        for _ in range(20):
            place = gate.step_in() or gate.wait(soon())
            assert place is not None
            place.leave()

    threads = [in_thread(lambda: asyncio.run(calls())) for _ in range(3)]
    threads += [in_thread(sync_calls) for _ in range(3)]
    for thread in threads:
        thread.join()
    assert gate.inside == 0
    assert most == 2


def test_a_loop_that_was_closed_blocks_nobody() -> None:
    gate = Gate(1)
    crowd = Crowd(gate)
    crowd.come("a")
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(gate.await_(soon()))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    crowd.leave("a")
    assert gate.inside == 0
    assert gate.step_in() is not None
    waiting.get_coro().close()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_with_an_empty_gate() -> None:
    gate = Gate(1)
    place = gate.step_in()
    child = os.fork()
    if child == 0:
        os._exit(0 if gate.inside == 0 and gate.step_in() is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert place is not None
    assert gate.inside == 1


# ------------------------------------------------------------------------------------- learning


def fill(gate: Gate) -> list[Place]:
    """Take every place, and leave somebody waiting."""
    places = []
    while gate.inside < gate.size:
        place = gate.step_in()
        assert place is not None
        places.append(place)
    return places


def succeed(gate: Gate, times: int) -> None:
    """So many calls that fill the gate and are taken."""
    for _ in range(times):
        places = fill(gate)
        places[0].succeeded()
        for place in places:
            place.leave()


def test_a_gate_starts_with_one_place_and_grows_by_success() -> None:
    gate = Gate()
    assert gate.size == 1
    succeed(gate, 5)
    assert gate.size == 6


def test_success_without_a_crowd_teaches_nothing() -> None:
    gate = Gate()
    succeed(gate, 3)
    place = gate.step_in()
    assert place is not None
    place.succeeded()
    assert gate.size == 4


def test_a_call_that_was_too_fast_halves_the_gate_once_for_all_of_its_time() -> None:
    gate = Gate()
    succeed(gate, 7)
    places = fill(gate)
    for place in places[4:]:
        place.was_too_fast()
    assert gate.size == 4


def test_what_proved_too_many_is_tried_again_after_many_successes_only() -> None:
    gate = Gate()
    succeed(gate, 3)
    for place in fill(gate):
        place.was_too_fast()
    assert gate.size == 2
    succeed(gate, 2)
    assert gate.size == 3  # 4 were too many
    succeed(gate, 31)
    assert gate.size == 3
    succeed(gate, 1)
    assert gate.size == 4


def test_a_gate_of_one_stays_one() -> None:
    gate = Gate()
    place = gate.step_in()
    assert place is not None
    place.was_too_fast()
    assert gate.size == 1


def test_a_gate_of_a_given_size_keeps_it() -> None:
    gate = Gate(3)
    places = fill(gate)
    places[0].succeeded()
    places[1].was_too_fast()
    assert gate.size == 3
