"""``batch run … --ray``: what is missing is said before anything is sent; see also tests/scale."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from modelscope_transport import cli
from modelscope_transport.emulator import LocalService
from modelscope_transport.jobs import cluster

JOB = [
    "batch",
    "run",
    "questions.txt",
    "answers.jsonl",
    "--model",
    "Qwen/Qwen3-8B",
    "--ray",
    "auto",
]


@pytest.fixture
def service(
    modelscope_service: LocalService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> LocalService:
    monkeypatch.setenv("MODELSCOPE_API_BASE", modelscope_service.base_url)
    monkeypatch.setenv("MODELSCOPE_API_KEY", modelscope_service.token)
    monkeypatch.chdir(tmp_path)
    Path("questions.txt").write_text("One?\nTwo?\n")
    return modelscope_service


@pytest.mark.parametrize("ledger", ["memory", "off", "auto", "ledger.sqlite3"])
def test_a_ledger_that_the_nodes_cannot_share_is_said(
    service: LocalService,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ledger: str,
) -> None:
    # as if Ray were there: it is loaded for a job that can begin only
    monkeypatch.setattr(cluster, "find_spec", lambda _name: object())
    assert cli.main([*JOB, "--ledger", ledger]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--ledger redis://" in said
    assert not Path("answers.jsonl").exists()
    assert not service.requests


def test_without_ray_the_command_that_installs_it_is_said(
    service: LocalService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # what an environment without Ray answers
    monkeypatch.setattr(
        cluster,
        "find_spec",
        lambda name: None if name == "ray" else importlib.util.find_spec(name),
    )
    assert cli.main([*JOB, "--ledger", "redis://127.0.0.1:1/0"]) == 1
    assert 'pip install "modelscope-adapters[ray]"' in capsys.readouterr().err
    assert not service.requests
