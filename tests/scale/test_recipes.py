"""The recipes of docs/long-jobs.md for Dask, Celery and Airflow, in an environment of their own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from modelscope_transport.emulator import LocalService
from tests.scale.conftest import ROOT
from tests.transport.jobs.test_recipes import recipe

# RECIPES_PYTHON: another environment with the packages of requirements-recipes.lock
PYTHON = os.environ.get("RECIPES_PYTHON") or str(ROOT / ".venv" / "recipes" / "bin" / "python")

pytestmark = pytest.mark.timeout(600)


def run(words: list[str], folder: Path, service: LocalService) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MODELSCOPE_API_KEY": service.token,
        "MODELSCOPE_API_BASE": service.base_url,
        "MODELSCOPE_LEDGER": str(folder / "ledger.sqlite3"),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }
    done = subprocess.run(
        [PYTHON, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.mark.parametrize("name", ["Dask", "Celery"])
def test_workers_of_a_scheduler_ask_each_question_once(
    modelscope_service: LocalService, tmp_path: Path, name: str
) -> None:
    (tmp_path / "program.py").write_text(recipe(name), encoding="utf-8")
    out = run(["program.py"], tmp_path, modelscope_service)
    assert sorted(re.findall(r"“Question (\d+)\.”", out)) == [str(number) for number in range(10)]
    assert len(modelscope_service.requests) == 10


def test_a_dag_of_airflow_does_its_task(modelscope_service: LocalService, tmp_path: Path) -> None:
    place = tmp_path / "airflow" / "dags" / "questions.py"
    place.parent.mkdir(parents=True)
    place.write_text(recipe("Airflow"), encoding="utf-8")
    run(["-m", "airflow", "db", "migrate"], tmp_path, modelscope_service)
    out = run([str(place)], tmp_path, modelscope_service)
    assert "successful" in out
    assert len(modelscope_service.requests) == 10
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 10
