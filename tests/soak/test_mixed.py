"""Thousands of mixed calls from several processes on one ledger, with seeded faults among them.

``SOAK=10000`` (``make soak``) makes as many.
"""

from __future__ import annotations

import collections
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport import Client
from modelscope_transport.emulator import LocalService
from tests.soak.looking import COUNTED
from tests.soak.worker import TOKEN

CALLS = int(os.environ.get("SOAK", "0"))
PROCESSES = 4
MOST_GROWTH = 5 << 20
FAULTS = (
    "server_error", "unavailable", "too_many_requests:0", "shell", "truncated_json", "html_502",
    "error_in_200", "reset_before_reply", "close_before_reply", "cut:1", "cut:2", "drop:2",
    "reset:1", "error_later:1", "no_done", "comments", "fragments:7", "gzip",
    "slow_first_byte:0.05",
)  # fmt: skip
# The service has not charged these, and no client can know that: its ledger counts them.
UNKNOWN = ("reset_before_reply", "close_before_reply")


@pytest.mark.skipif(not CALLS, reason="takes minutes: make soak")
@pytest.mark.skipif(not COUNTED, reason="counts descriptors and memory in Linux's /proc")
@pytest.mark.timeout(3600)
def test_every_call_ends_and_is_counted_and_nothing_is_left(tmp_path: Path, canary: str) -> None:
    ledger = tmp_path / "ledger.db"
    chance = random.Random(2026)
    names = [chance.choice(FAULTS) if chance.random() < 0.2 else "honest" for _ in range(4 * CALLS)]
    with LocalService(token=canary) as service:
        service.next(*names)
        running = [
            _start(service, ledger, adapter, number)
            for number, adapter in enumerate(["langchain", "llamaindex"] * (PROCESSES // 2))
        ]
        reports = [_report(process) for process in running]
        asked = [request for request in service.requests if request.method == "POST"]
        played = names[: len(asked)]
        client = Client(canary, base_url=service.base_url, ledger=str(ledger), proxy="none")
        counted = sum(day.calls for day in client.history())
        charged = sum(entry.kind == "SPEND_CONFIRM" for entry in service.meter.entries)
    outcomes: collections.Counter[str] = collections.Counter()
    for report in reports:
        outcomes.update(report["outcomes"])
    print(dict(outcomes))
    print(f"{len(asked)} requests; the service charged {charged}, the ledger counted {counted}")
    print([(report["descriptors"], report["bytes"]) for report in reports])
    assert sum(outcomes.values()) >= CALLS
    assert not [name for name in outcomes if name.startswith("raw")]
    assert outcomes["answered"] > CALLS / 2
    assert counted == charged + sum(name in UNKNOWN for name in played)
    assert [report["descriptors"] for report in reports] == [0] * PROCESSES
    assert max(report["bytes"] for report in reports) <= MOST_GROWTH


def _start(
    service: LocalService, ledger: Path, adapter: str, number: int
) -> subprocess.Popen[bytes]:
    calls = str(CALLS // PROCESSES)
    arguments = [adapter, service.base_url, str(ledger), calls, str(number)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.soak.worker", *arguments],
        env={**os.environ, "PYTHONPATH": os.getcwd(), TOKEN: service.token},
        stdout=subprocess.PIPE,
    )


def _report(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    said, _ = process.communicate()
    assert process.returncode == 0
    report: dict[str, Any] = json.loads(said)
    return report
