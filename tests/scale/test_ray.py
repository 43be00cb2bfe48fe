"""A data set over two nodes and several days: killed, resumed, on one allowance."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scale.conftest import World

DAY = 86_400
ROWS, ACTORS, WORKERS = 600, 2, 4
SHAPE = {"rows": ROWS, "blocks": 20, "batch": 30, "actors": ACTORS, "workers": WORKERS}

pytestmark = pytest.mark.timeout(900)


def actors() -> list[int]:
    """Processes of the stage's actors, by the name that Ray gives them."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = place.read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::") and b"ChatStage" in command:
            found.append(int(place.parent.name))
    return found


def until(world: World, job: subprocess.Popen[str], number: int) -> None:
    """Wait until so many questions were paid for; a spent day passes at once."""
    deadline = time.monotonic() + 300
    last, since = -1, time.monotonic()
    while len(world.service.requests) < number:
        assert job.poll() is None, (world.folder / "driver.log").read_text()[-3000:]
        assert time.monotonic() < deadline, f"{len(world.service.requests)} of {number}"
        if len(world.service.requests) != last:
            last, since = len(world.service.requests), time.monotonic()
        elif last and time.monotonic() - since > 5:
            world.clock.move(DAY)
            since = time.monotonic()
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc").exists(), reason="actors are found by /proc")
def test_an_actor_and_the_driver_are_killed_and_no_row_is_lost_or_paid_for_twice(
    world: Callable[[str], World],
) -> None:
    here = world("calls=250,headers")
    job = here.start(**SHAPE, wait=True)
    until(here, job, 60)
    os.kill(actors()[0], signal.SIGKILL)
    until(here, job, 200)
    job.kill()
    job.wait()
    before = len(here.service.requests)

    job = here.start(**SHAPE, wait=True)
    until(here, job, max(before, 300))
    while job.poll() is None:
        until_done(here, job)
    assert job.returncode == 0, (here.folder / "driver.log").read_text()[-3000:]

    rows = here.written()
    assert sorted(row["id"] for row in rows) == list(range(ROWS))
    assert all(row["answer"] for row in rows)
    kills = 2
    assert sum(here.asked().values()) <= ROWS + kills * ACTORS * WORKERS + 3 * ACTORS * WORKERS
    print("paid and refused calls:", sum(here.asked().values()), "for", ROWS)


def until_done(here: World, job: subprocess.Popen[str]) -> None:
    """Wait a while for the end; let a day pass when nothing happens."""
    before = len(here.service.requests)
    try:
        job.wait(timeout=6)
    except subprocess.TimeoutExpired:
        if len(here.service.requests) == before:
            here.clock.move(DAY)


def test_without_waiting_it_ends_with_what_it_has_and_the_next_run_goes_on(
    world: Callable[[str], World],
) -> None:
    here = world("calls=100,headers")
    shape = SHAPE | {"rows": 150, "blocks": 6, "batch": 25}
    job = here.start(**shape, wait=False)
    assert job.wait(timeout=280) == 0, (here.folder / "driver.log").read_text()[-3000:]
    first = {row["id"] for row in here.written()}
    assert len(first) == 100
    here.clock.move(DAY)
    job = here.start(**shape, wait=False)
    assert job.wait(timeout=280) == 0, (here.folder / "driver.log").read_text()[-3000:]
    rows = here.written()
    assert len(rows) == len({row["id"] for row in rows}) == 150
    assert set(here.asked().values()) <= {1, 2}  # two: refused when the day was spent, then paid
