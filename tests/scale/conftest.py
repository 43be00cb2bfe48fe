"""A cluster of two nodes, a Redis and a local service, for the tests of many machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport.emulator import LocalService
from tests.scale.worlds import FileClock
from tests.transport.quota.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
# What Ray sends home by itself is switched off; the token is that of the service of the test.
ENV = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.fail("make test-scale needs redis-server or valkey-server on the PATH")
    server = RedisServer(program, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = (tmp_path_factory.mktemp("ray") / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("cluster.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **ENV},
    )
    assert process.stdout is not None
    address = ""
    for line in process.stdout:
        if (address := line.strip()).count(":") == 1 and address.replace(":", ".").count(".") == 4:
            break
    yield address
    process.communicate(timeout=60)
    log.close()


class World:
    """A service with a clock that can be moved, and what it was asked."""

    def __init__(self, folder: Path, cluster: str, redis: str, allowance: str) -> None:
        (folder / "clock").write_text("0")
        self.folder = folder
        self.clock = FileClock(str(folder / "clock"))
        self.service = LocalService(clock=self.clock, allowance=allowance)
        self.service.start()
        self.env = {**ENV, "MODELSCOPE_API_KEY": self.service.token, "MODELSCOPE_LANG": "en"}
        self.spec: dict[str, Any] = {
            "address": cluster,
            "redis": redis,
            "clock": self.clock.path,
            "url": self.service.base_url,
            "checkpoint": str(folder / "checkpoint"),
            "out": str(folder / "out"),
            "env": self.env,
        }

    def start(self, **spec: Any) -> subprocess.Popen[str]:
        place = self.folder / "spec.json"
        place.write_text(json.dumps(self.spec | spec))
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("job.py")), str(place)],
            env={**os.environ, **self.env},
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "driver.log").open("a"),
            text=True,
        )

    def asked(self) -> Counter[str]:
        """What the service was paid for, by question."""
        texts = (request.body["messages"][-1]["content"] for request in self.service.requests)
        return Counter(texts)

    def written(self) -> list[dict[str, Any]]:
        """The rows that came out."""
        import pyarrow.dataset

        table = pyarrow.dataset.dataset(self.spec["out"], format="parquet").to_table()
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows


@pytest.fixture
def world(tmp_path: Path, cluster: str, redis_url: str) -> Iterator[Callable[[str], World]]:
    made: list[World] = []

    def make(allowance: str) -> World:
        made.append(World(tmp_path, cluster, redis_url, allowance))
        return made[-1]

    yield make
    for each in made:
        each.service.stop()
