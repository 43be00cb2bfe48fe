"""A small real model behind the local service, started once for all of these tests.

The expectations here are about form, and about facts that the test itself gives: what a model of
half a billion parameters knows or does not know is not our subject.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiosqlite.core
import pytest

from demo.model import ModelUnavailableError, real_model
from modelscope_transport.emulator import LocalService
from modelscope_transport.emulator.upstream import UpstreamEngine

# LlamaIndex's memory never closes its database in memory, and aiosqlite warns of each one whenever
# the garbage collector comes by: in another test, or after the last.
aiosqlite.core.Connection.__del__ = lambda connection: None

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def service() -> Iterator[LocalService]:
    # in a process of its own: sockets to elsewhere are closed to tests
    fetched = subprocess.run(
        [sys.executable, "-m", "demo.weights"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        # an empty variable counts as none
        env=os.environ | {"XDG_CACHE_HOME": os.environ["DEVELOPERS_CACHE_HOME"]},
    )
    if fetched.returncode:
        pytest.skip(f"no weights here: {fetched.stderr.strip()}")
    try:
        with (
            real_model(Path(fetched.stdout.strip())) as model,
            LocalService(engine=UpstreamEngine(model.chat_url, model.embeddings_url)) as service,
        ):
            yield service
    except ModelUnavailableError as error:
        pytest.skip(f"no model here: {error}")
