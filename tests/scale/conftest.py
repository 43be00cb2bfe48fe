"""A cluster of two nodes, a Redis and a local service, for the tests of many machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport.emulator import LocalService, Model, ScriptedEngine
from modelscope_transport.emulator.engine import ChatCall, Pieces
from tests.scale.worlds import PAID_KEY, FileClock
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


def processes(name: str) -> list[int]:
    """Processes of actors of a class, by the name that Ray gives them."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = place.read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::") and name.encode() in command:
            found.append(int(place.parent.name))
    return found


class RayCluster:
    """What the nodes have in their environment."""

    TOKEN = "ms-00000000-0000-4000-8000-000000000013"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = (tmp_path_factory.mktemp("ray") / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("cluster.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **ENV, "MODELSCOPE_API_KEY": RayCluster.TOKEN},
    )
    assert process.stdout is not None
    address = ""
    for line in process.stdout:
        if (address := line.strip()).count(":") == 1 and address.replace(":", ".").count(".") == 4:
            break
    yield address
    process.communicate(timeout=60)
    log.close()


DAY = 86_400
CHINA = 8 * 3600  # the allowance comes back at midnight there


class Counted(LocalService):
    """A service that remembers what it answered, and on which day."""

    def __init__(self, clock: FileClock, allowance: str | None = None) -> None:
        super().__init__(clock=clock, allowance=allowance, engine=self)
        self._now = clock
        self._words = ScriptedEngine(pace=0.002)  # so that calls are on their way at a kill
        self.paid: list[tuple[int, str]] = []

    def day(self) -> int:
        return int((self._now() + CHINA) // DAY)

    def chat(self, call: ChatCall) -> Pieces:
        self.paid.append((self.day(), call.body["messages"][-1]["content"]))
        return self._words.chat(call)

    async def embed(
        self, model: Model, texts: Sequence[str], dimensions: int
    ) -> tuple[list[list[float]], int]:
        return await self._words.embed(model, texts, dimensions)

    def by_day(self) -> Counter[int]:
        return Counter(day for day, _ in self.paid)

    def today(self) -> int:
        return self.by_day()[self.day()]


class World:
    """A service with a clock that can be moved, and what it was asked."""

    def __init__(self, folder: Path, cluster: str, redis: str, allowance: str, cap: int) -> None:
        # It begins at nine in the morning of China: no day ends but by the test's own hand.
        morning = (9 * 3600 - (time.time() + CHINA)) % DAY
        (folder / "clock").write_text(str(morning))
        self.folder = folder
        self.clock = FileClock(str(folder / "clock"))
        self.service = Counted(self.clock, allowance)
        self.platform = Counted(self.clock)
        self.service.start()
        self.platform.start()
        self.env = {
            **ENV,
            "MODELSCOPE_API_KEY": self.service.token,
            PAID_KEY: self.platform.token,
            "MODELSCOPE_LANG": "en",
        }
        self.spec: dict[str, Any] = {
            "address": cluster,
            "redis": redis,
            "clock": self.clock.path,
            "url": self.service.base_url,
            "paid": self.platform.base_url if cap else None,
            "cap": cap,
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
            stdout=(self.folder / "driver.log").open("a"),
            stderr=subprocess.STDOUT,
            text=True,
        )

    def said(self) -> str:
        """The end of what the drivers said."""
        return (self.folder / "driver.log").read_text()[-6000:]

    def free_cpus(self) -> tuple[float, float]:
        """How many CPUs the cluster has free, and how many there are."""
        code = (
            "import json, sys, ray; ray.init(sys.argv[1], logging_level=40); "
            "print(json.dumps([ray.available_resources(), ray.cluster_resources()]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, self.spec["address"]],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        free, whole = json.loads(done.stdout.splitlines()[-1])
        return free.get("CPU", 0), whole["CPU"]

    def answered(self) -> Counter[str]:
        """How often each question was paid for."""
        return Counter(text for _, text in self.service.paid + self.platform.paid)

    def written(self) -> list[dict[str, Any]]:
        """The rows that came out."""
        import pyarrow.dataset

        table = pyarrow.dataset.dataset(self.spec["out"], format="parquet").to_table()
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    def stop(self) -> None:
        self.service.stop()
        self.platform.stop()


@pytest.fixture
def world(tmp_path: Path, cluster: str, redis_url: str) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(allowance: str, cap: int = 0) -> World:
        made.append(World(tmp_path, cluster, redis_url, allowance, cap))
        return made[-1]

    yield make
    for each in made:
        each.stop()
