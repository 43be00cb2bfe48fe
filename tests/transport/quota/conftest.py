"""Ledgers to test: the same tests hold for every store."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelscope_transport.quota import Ledger, MemoryLedger, RedisLedger, SQLiteLedger
from tests.transport.quota.clockwork import Hands
from tests.transport.quota.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    server = RedisServer(program, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def clock() -> Hands:
    return Hands()


_numbers = itertools.count()


@pytest.fixture
def account() -> str:
    """A new account for each test: they share one Redis."""
    return f"account-{next(_numbers)}"


@pytest.fixture(params=["memory", "sqlite", "redis"])
def open_again(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Hands
) -> Iterator[Callable[[], Ledger]]:
    """Opens the ledger, as often as asked: as further processes and hosts do."""
    opened: list[Ledger] = []

    def open_one() -> Ledger:
        if request.param == "memory" and opened:
            return opened[0]
        if request.param == "memory":
            ledger: Ledger = MemoryLedger(clock)
        elif request.param == "sqlite":
            ledger = SQLiteLedger(tmp_path / "ledger.sqlite3", clock)
        else:
            server: RedisServer = request.getfixturevalue("redis_server")
            ledger = RedisLedger(server.url, clock=clock)
        opened.append(ledger)
        return ledger

    yield open_one
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_again: Callable[[], Ledger]) -> Ledger:
    return open_again()
