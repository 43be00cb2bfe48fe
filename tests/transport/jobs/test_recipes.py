"""The recipes of docs/long-jobs.md: other schedulers' workers on one account and one ledger.

Dask, Celery and Airflow are no dependencies of this project: tests/scale runs their recipes.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelscope_transport import ChatRequest, Client, Message, QuotaExceededError
from modelscope_transport.emulator import LocalService

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "long-jobs.md").read_text(encoding="utf-8")
QWEN = "Qwen/Qwen3-8B"


def recipe(name: str) -> str:
    """The program under a heading of the page."""
    section = PAGE.split(f"### {name}\n", 1)[1].split("\n### ", 1)[0]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def run(program: str, service: LocalService, folder: Path) -> str:
    place = folder / "program.py"
    place.write_text(program, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MODELSCOPE_API_KEY": service.token,
        "MODELSCOPE_API_BASE": service.base_url,
        "MODELSCOPE_LEDGER": str(folder / "ledger.sqlite3"),
    }
    done = subprocess.run(
        [sys.executable, str(place)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_share_one_limit(
    modelscope_service: LocalService, tmp_path: Path, method: str
) -> None:
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    with LocalService(allowance="calls=20,headers") as service:
        program = recipe("multiprocessing").replace('"spawn"', f'"{method}"')
        out = run(program, service, tmp_path)
        answered = [line for line in out.splitlines() if line.startswith("You said")]
        refused = [line for line in out.splitlines() if line.startswith("back at")]
        assert len(answered) == 20
        assert len(refused) == 10
        # each process has at most one call on its way when the day ends
        assert len(service.requests) <= 20 + 2


@pytest.mark.slow
def test_joblib_runs(modelscope_service: LocalService, tmp_path: Path) -> None:
    out = run(recipe("joblib"), modelscope_service, tmp_path)
    assert out.count("You said") == 10
    assert len(modelscope_service.requests) == 10


# tests/scale runs them
@pytest.mark.parametrize("name", ["Dask", "Celery", "Airflow"])
def test_the_other_recipes_are_programs(name: str) -> None:
    compile(recipe(name), name, "exec")


def test_what_goes_to_a_worker_is_small_and_holds_no_token(
    modelscope_service: LocalService, canary: str
) -> None:
    client = Client(canary, base_url=modelscope_service.base_url)
    packed = pickle.dumps(client)
    assert len(packed) <= 2048
    assert canary.encode() not in packed


def test_a_refusal_comes_back_from_a_worker_with_its_hour(
    modelscope_service: LocalService,
) -> None:
    modelscope_service.next("model_spent")
    client = Client(modelscope_service.token, base_url=modelscope_service.base_url, ledger="memory")
    with pytest.raises(QuotaExceededError) as caught:
        client.chat(ChatRequest(model=QWEN, messages=(Message("user", "Hello"),)))
    revived = pickle.loads(pickle.dumps(caught.value))
    assert revived.resets_at == caught.value.resets_at is not None
