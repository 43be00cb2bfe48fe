"""Many processes on one ledger . No unit is granted twice, whatever happens to them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from modelscope_transport.quota import Budget, open_ledger
from tests.transport.quota.redis_server import RedisServer

WORKERS = Path(__file__).with_name("workers.py")
ROOT = Path(__file__).parents[3]


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKERS), *map(str, words)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "attempts"), [("sqlite", 60), ("redis", 12)])
def test_sixteen_processes_race_for_the_last_hundred_units(
    kind: str, attempts: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """5 rounds, 960 attempts each in a file."""
    name = str(tmp_path / "ledger.sqlite3")
    if kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        name = server.url
    process = start("race", name, 16, 5, attempts, 100)
    assert process.communicate(timeout=240)[0].split() == ["100"] * 5


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_forty_processes_are_killed_while_they_reserve(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "ledger.sqlite3"
    name = str(path)
    if kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        name = server.url
    limit = 100_000
    process = start("kill", name, 40, limit)
    granted = int(process.communicate(timeout=240)[0])

    if kind == "sqlite":
        with closing(sqlite3.connect(path)) as database:
            (integrity,) = database.execute("PRAGMA integrity_check").fetchone()
        assert integrity == "ok"
    ledger = open_ledger(name)
    assert ledger is not None
    used = ledger.quotas("me", Budget(calls=limit))[0].used
    # what was granted is counted; what was counted and never told is at most one for each kill
    assert granted <= used <= granted + 40
    assert granted >= 40
