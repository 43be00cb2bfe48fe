"""Ray's own processor for HTTP beside our stage on a bad day, as docs/long-jobs.md shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.scale.conftest import ENV, ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def found(cluster: str) -> dict[str, dict[str, dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "benchmarks/ray_faults.py", cluster, "--json"],
        cwd=ROOT,
        env={**os.environ, **ENV},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    cells: dict[str, dict[str, dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    return cells


@pytest.mark.parametrize(
    ("fault", "answered", "requests"),
    [
        # what was answered is kept, and the spent day is asked once
        ("a spent day", 2, 3),
        # asked again, once
        ("a reply without choices", 6, 7),
        # the row that broke off says so, and is not paid for again unasked
        ("a stream cut off", 5, 6),
    ],
)
def test_our_stage_keeps_what_it_has(
    found: dict[str, Any], fault: str, answered: int, requests: int
) -> None:
    ours = found[fault]["ChatStage"]
    assert ours == {"answered": answered, "requests": requests, "ended": "done"}


@pytest.mark.parametrize("fault", ["a spent day", "a reply without choices", "a stream cut off"])
def test_rays_processor_loses_the_job(found: dict[str, Any], fault: str) -> None:
    theirs = found[fault]["Ray's HTTP processor"]
    assert theirs["answered"] == 0
    assert theirs["ended"] != "done"


def test_it_asks_a_spent_day_again_with_every_retry(found: dict[str, Any]) -> None:
    assert found["a spent day"]["Ray's HTTP processor"]["requests"] == 2 + 1 + 2
