"""A benchmark leaves the user's ledger, home and settings alone."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import stub
from benchmarks.isolation import isolated
from benchmarks.recorded import Entry, Goal, write
from modelscope_transport.quota import SQLiteLedger, open_ledger
from modelscope_transport.settings import resolve_ledger

ROOT = Path(__file__).parents[2]
FOLDERS = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CACHE_HOME", "XDG_DATA_HOME")


@pytest.mark.slow
def test_a_run_writes_nothing_of_the_user(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    home = tmp_path / "home"
    home.mkdir()
    surroundings = {**os.environ, **dict.fromkeys(FOLDERS, str(home))}
    surroundings |= {"MODELSCOPE_LEDGER": str(ledger), "PYTHONDONTWRITEBYTECODE": "1"}
    record = tmp_path / "recorded.toml"
    # far worse than on the busiest machine
    easy = {"of_floor": Goal(100.0), "less_than_peer": Goal(0.01)}
    write(record, {"LangChain: ainvoke": Entry("", easy)})

    command = [sys.executable, "-m", "benchmarks", "--rounds", "1", "--only", "LangChain: ainvoke"]
    run = subprocess.run(
        [*command, "--recorded", str(record)],
        cwd=ROOT,
        env=surroundings,
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "CPU us a call: ours" in run.stdout
    assert not ledger.exists()
    assert not list(home.iterdir())


def test_inside_the_default_ledger_is_a_file_of_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELSCOPE_LEDGER", str(tmp_path / "mine.sqlite3"))
    with isolated() as file:
        ledger = open_ledger(resolve_ledger("auto"))
        assert isinstance(ledger, SQLiteLedger)
        assert resolve_ledger("auto") == str(file)
        assert not file.is_relative_to(tmp_path)
    assert not file.parent.exists()
    assert resolve_ledger("auto") == str(tmp_path / "mine.sqlite3")


@pytest.mark.parametrize("module", ["langchain_models", "llamaindex_models"])
def test_our_models_count_in_that_file(module: str) -> None:
    adapter = importlib.import_module(f"benchmarks.{module}").ADAPTER
    with isolated() as file, stub.running() as server:
        assert not file.exists()
        adapter.ask(adapter.ours(server.url("whole")))
        assert file.exists()


def test_inside_no_setting_of_the_developer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-developer")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with isolated():
        assert "MODELSCOPE_API_KEY" not in os.environ
        assert "HTTPS_PROXY" not in os.environ
    assert os.environ["MODELSCOPE_API_KEY"] == "ms-of-the-developer"
