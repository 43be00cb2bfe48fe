"""A data set over two nodes and several days: killed, resumed, on one allowance."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scale.conftest import DAY, World, processes

ROWS, UNITS, CAP = 5_000, 2_000, 400
ACTORS, WORKERS = 2, 4
SHAPE = {"rows": ROWS, "blocks": 50, "batch": 50, "actors": ACTORS, "workers": WORKERS}
QUIET = 3.0  # seconds without a call after which a spent day has nothing more to give

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc").exists(), reason="actors are found by /proc"),
]


class Days:
    """Lets a day pass when it is spent: the free units, and the cap of the paid platform."""

    def __init__(self, here: World) -> None:
        self._here = here
        self._seen, self._since = -1, 0.0

    def look(self) -> None:
        here = self._here
        asked = len(here.service.requests) + len(here.platform.requests)
        if asked != self._seen:
            self._seen, self._since = asked, time.monotonic()
        cap = here.spec["cap"]
        is_spent = here.platform.today() >= cap if cap else here.service.today() >= UNITS
        if is_spent and time.monotonic() - self._since > QUIET:
            here.clock.move(DAY)


def until(here: World, job: subprocess.Popen[str], number: int) -> None:
    """Wait until so many questions were paid for."""
    days, deadline = Days(here), time.monotonic() + 400
    while (paid := here.answered().total()) < number:
        assert job.poll() is None, here.said()
        assert time.monotonic() < deadline, f"{paid} of {number}"
        days.look()
        time.sleep(0.02)


def until_done(here: World, job: subprocess.Popen[str]) -> None:
    days, deadline = Days(here), time.monotonic() + 400
    while job.poll() is None:
        assert time.monotonic() < deadline, f"{here.answered().total()} were paid"
        days.look()
        time.sleep(0.1)
    assert job.returncode == 0, here.said()


def test_an_actor_and_the_driver_are_killed_and_no_row_is_lost_or_paid_for_twice(
    world: Callable[..., World],
) -> None:
    here = world(f"calls={UNITS},headers", CAP)
    job = here.start(**SHAPE, wait=True)
    until(here, job, 700)
    os.kill(processes("ChatStage")[0], signal.SIGKILL)
    until(here, job, UNITS + CAP + 600)  # in the free part of the second day
    job.kill()
    job.wait()
    job = here.start(**SHAPE, wait=True)
    until_done(here, job)

    rows = here.written()
    assert sorted(row["id"] for row in rows) == list(range(ROWS))  # none lost, none double
    assert all(row["answer"] == f"You said: “Question {row['id']}.”." for row in rows)
    paid = here.answered()
    at_the_kills = WORKERS + ACTORS * WORKERS
    assert ROWS <= paid.total() <= ROWS + at_the_kills
    assert len(paid) == ROWS
    free, bought = here.service.by_day(), here.platform.by_day()
    assert max(free.values()) <= UNITS
    # the last day needs less than its cap; each day before takes all of it and no call more
    first, last = min(free), max(free)
    assert [bought[day] for day in range(first, last)] == [CAP] * (last - first)
    assert bought[last] <= CAP
    assert last - first == 2
    # a spent day is asked again by no more than what was on its way when it ended
    refused = len(here.service.requests) - here.service.by_day().total()
    assert refused <= (last - first) * ACTORS * WORKERS
    print(f"{paid.total()} paid calls for {ROWS} rows, {dict(free)} free, {dict(bought)} bought")


def test_actors_that_wait_at_the_limit_hold_no_cpu(world: Callable[..., World]) -> None:
    here = world("calls=20,headers")
    job = here.start(**SHAPE | {"rows": 60, "blocks": 2, "batch": 30}, wait=True)
    deadline = time.monotonic() + 300
    while "Waiting: " not in here.said():
        assert job.poll() is None, here.said()
        assert time.monotonic() < deadline, here.said()
        time.sleep(0.1)
    while here.free_cpus() != (2, 2):  # the steps before and after have yet to end
        assert time.monotonic() < deadline, here.said()
    before = sum(map(seconds_of_cpu, processes("ChatStage")))
    time.sleep(3)
    took = sum(map(seconds_of_cpu, processes("ChatStage"))) - before
    # of six seconds that two busy ones would take; Ray's own threads in them take some
    assert took < 1.5
    for _ in range(2):
        here.clock.move(DAY)
        until(here, job, min(60, here.answered().total() + 20))
    until_done(here, job)
    assert len(here.written()) == 60


def seconds_of_cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_waiting_it_ends_with_what_it_has_and_the_next_run_goes_on(
    world: Callable[..., World],
) -> None:
    here = world("calls=100,headers")
    shape = SHAPE | {"rows": 150, "blocks": 6, "batch": 25}
    job = here.start(**shape, wait=False)
    assert job.wait(timeout=280) == 0, here.said()
    first = {row["id"] for row in here.written()}
    assert len(first) == 100
    said = here.said()  # Ray shows at the driver what the actors' loggers say
    assert "The stage ends with what it has: " in said
    assert re.search(r"answered, \d+ failed in this block; \d+ spent today, 0 left", said)
    here.clock.move(DAY)
    job = here.start(**shape, wait=False)
    assert job.wait(timeout=280) == 0, here.said()
    rows = here.written()
    assert len(rows) == len({row["id"] for row in rows}) == 150
    assert set(here.answered().values()) == {1}
