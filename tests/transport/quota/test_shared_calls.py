"""Processes that make calls divide what the service takes at once, by the ledger they share."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelscope_transport import Client, SQLiteLedger
from modelscope_transport.emulator import LocalService
from modelscope_transport.emulator.quota import Allowance
from modelscope_transport.emulator.scripted.engine import ScriptedEngine
from tests.transport.callers import CHAT, chat_request, settled
from tests.transport.quota.redis_server import RedisServer

CALLING = Path(__file__).with_name("calling.py")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def of_four() -> Iterator[LocalService]:
    """A service that takes four calls at once, each for a moment."""
    engine = ScriptedEngine(pace=0.005)
    with LocalService(allowance=Allowance(concurrency=4), engine=engine) as service:
        yield service


@pytest.fixture(params=["sqlite", "redis"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a ledger that processes share."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite3")
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


def start(
    service: LocalService, ledger: str, calls: int, threads: int, processes: int = 1
) -> subprocess.Popen[str]:
    words = [sys.executable, str(CALLING), service.base_url, service.token, ledger]
    return subprocess.Popen(
        [*words, str(calls), str(threads), str(processes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )


@contextmanager
def callers(
    service: LocalService, ledger: str, count: int, calls: int, threads: int = 1
) -> Iterator[Callable[[], list[tuple[int, list[str]]]]]:
    """So many processes, all ready; what is given lets them begin and says what came of it."""
    process = start(service, ledger, calls, threads, count)

    def run() -> list[tuple[int, list[str]]]:
        told, _ = process.communicate("\n", timeout=200)
        return [tuple(json.loads(line)) for line in told.splitlines()]

    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield run
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.timeout(300)
def test_twelve_processes_divide_what_the_service_takes(of_four: LocalService, ledger: str) -> None:
    with callers(of_four, ledger, 12, 15) as run:
        done = run()

    assert [failures for _, failures in done] == [[]] * 12
    assert sum(succeeded for succeeded, _ in done) == 180
    assert len(of_four.requests) <= 1.15 * 180


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_one_process_alone_reaches_all_that_the_service_takes(
    of_four: LocalService, ledger: str
) -> None:
    peak, running = 0, of_four.meter.running

    class Watching(type(running)):  # type: ignore[misc]
        def __setitem__(self, model: str, count: int) -> None:
            nonlocal peak
            peak = max(peak, count)
            super().__setitem__(model, count)

    of_four.meter.running = Watching()
    with callers(of_four, ledger, 1, 60, threads=12) as run:
        done = run()

    assert done == [(60, [])]
    assert peak == 4


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_the_slots_of_a_killed_process_come_back(
    of_four: LocalService, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.sqlite3"
    ledger = SQLiteLedger(path)
    client = Client(of_four.token, base_url=of_four.base_url, ledger=ledger)
    of_four.next("silence")
    process = start(of_four, str(path), 1, 1)
    try:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert await settled(lambda: len(of_four.requests) == 1)
        share = ledger.share(client._core.settings.account(), CHAT)
        assert share.update(1, 0).slots == 0
        share.update(0, 0)
    finally:
        process.kill()
        process.communicate()

    assert (await client.aio.chat(chat_request())).text
    await asyncio.gather(*(client.aio.chat(chat_request()) for _ in range(8)))
    await client.aio.aclose()


def test_a_process_that_ends_gives_its_slots_back(of_four: LocalService, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with callers(of_four, str(path), 1, 1) as run:
        assert run() == [(1, [])]
    ledger = SQLiteLedger(path)
    client = Client(of_four.token, base_url=of_four.base_url, ledger=ledger)
    share = ledger.share(client._core.settings.account(), CHAT)
    assert share.update(1, 0).others == 0
