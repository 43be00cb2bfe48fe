"""``modelscope-adapters batch run … --ray``: the same job, asked by the machines of a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_transport import read_results
from modelscope_transport.emulator import LocalService, ScriptedEngine
from tests.scale.conftest import ENV, RayCluster, processes

QWEN = "Qwen/Qwen3-8B"
ITEMS, WORKERS = 300, 6

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def service() -> Iterator[LocalService]:
    # a token of its own choice, which the nodes have in their environment as well
    with LocalService(engine=ScriptedEngine(pace=0.01), token=RayCluster.TOKEN) as service:
        yield service


class Job:
    """The command, in a folder of its own."""

    def __init__(self, folder: Path, service: LocalService, cluster: str, redis: str) -> None:
        self.folder, self.service, self.cluster, self.redis = folder, service, cluster, redis
        self.env = {
            **os.environ,
            **ENV,
            "MODELSCOPE_API_KEY": RayCluster.TOKEN,
            "MODELSCOPE_API_BASE": service.base_url,
            "MODELSCOPE_LEDGER": "memory",
            "MODELSCOPE_LANG": "en",
        }

    def type(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "modelscope_transport.cli", "batch", *words],
            cwd=self.folder,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *more: str, **env: str) -> subprocess.Popen[str]:
        words = ["run", "in.jsonl", "out.jsonl", "--ray", self.cluster, "--ledger", self.redis]
        return self.type(*words, "--workers", str(WORKERS), *more, **env)

    def asked(self) -> Counter[str]:
        return Counter(request.body["messages"][-1]["content"] for request in self.service.requests)


@pytest.fixture
def job(tmp_path: Path, service: LocalService, cluster: str, redis_url: str) -> Job:
    body = {"model": QWEN, "messages": [{"role": "user", "content": ""}]}
    lines = []
    for number in range(ITEMS):
        body["messages"] = [{"role": "user", "content": f"Question {number}."}]
        rest = {"method": "POST", "url": "/v1/chat/completions", "body": body}
        lines.append(json.dumps({"custom_id": f"item-{number}", **rest}))
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    return Job(tmp_path, service, cluster, redis_url)


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return out, err


def asked_so_many(job: Job, number: int, process: subprocess.Popen[str]) -> None:
    while len(job.service.requests) < number:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc").exists(), reason="actors are found by /proc")
def test_an_actor_and_the_command_are_killed_and_the_job_goes_on(job: Job) -> None:
    first = job.run()
    asked_so_many(job, 60, first)
    on = processes("_Asker")
    assert len(on) == 2  # one on each node
    os.kill(on[0], signal.SIGKILL)
    asked_so_many(job, 150, first)
    first.kill()
    first.communicate()
    out, _ = ended(job.type("resume", "out.jsonl", "--ledger", job.redis))
    assert f"{ITEMS} items: " in out
    rows = read_results(job.folder / "out.jsonl")
    assert sorted(rows) == sorted(f"item-{number}" for number in range(ITEMS))
    assert all(
        row.text == f"You said: “Question {key.removeprefix('item-')}.”."
        for key, row in rows.items()
    )
    # OpenAI's form, as without a cluster
    line = json.loads((job.folder / "out.jsonl").read_text().splitlines()[0])
    assert line["response"]["status_code"] == 200
    asked = job.asked()
    assert len(asked) == ITEMS
    assert asked.total() <= ITEMS + WORKERS // 2 + WORKERS  # what was on its way at the kills
    assert ended(job.run())[0].startswith(f"{ITEMS} items: 0 answered now, {ITEMS} before")


def test_the_limit_ends_it_with_the_exit_code_of_later_and_the_command_that_goes_on(
    job: Job,
) -> None:
    job.service.next(*["honest"] * 20, *["model_spent"] * 20)
    _, err = ended(job.run(), 75)
    assert "comes back at" in err
    assert "modelscope-adapters batch resume out.jsonl" in err
    # no more calls than were on their way when it was refused
    assert len(job.service.requests) <= 20 + WORKERS
    assert len(read_results(job.folder / "out.jsonl")) <= 20


def test_what_the_nodes_lack_is_said_before_anything_is_asked(job: Job) -> None:
    _, err = ended(job.run(MODELSCOPE_API_KEY="ms-another"), 1)
    assert "counts for another account" in err
    _, err = ended(job.run("--ledger", "redis://127.0.0.1:1/0"), 1)
    assert "cannot ask: " in err
    _, err = ended(job.run("--ray", "127.0.0.1:1"), 1)
    assert "No Ray cluster answers at 127.0.0.1:1" in err
    assert "Traceback" not in err
    assert not job.service.requests
