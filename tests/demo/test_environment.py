"""Setting up .venv: what is shown while it runs, and what is done when a part of it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from demo import environment
from docs import first_run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "LOG", tmp_path / "install.log")
    monkeypatch.setattr(environment, "_PIP", (sys.executable, "-m", "pip"))
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_work_that_takes_long_is_a_line_that_grows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "_TICK", 0.01)
    environment._work("a thing", python("import time; time.sleep(0.2); print('said')"))
    out = capsys.readouterr().out
    assert out.startswith("==> installing a thing ..")
    assert out.endswith(" s\n")
    assert environment.LOG.read_text() == "said\n"


def test_what_fails_says_where_its_words_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(environment.InstallError, match=r"a thing could not .* install\.log"):
        environment._work("a thing", python("raise SystemExit('no such package')"))
    assert capsys.readouterr().out.endswith(" failed\n")
    assert "no such package" in environment.LOG.read_text()


def test_work_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_TICK", 0.01)
    with pytest.raises(environment.InstallError):
        environment._work("a thing", python("import time; time.sleep(60)"), seconds=0.05)


def test_pip_installs_where_uv_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def work(what: str, command: list[str], seconds: float | None = None) -> None:
        ran.append(command)
        if command[0].endswith("uv"):
            raise environment.InstallError

    monkeypatch.setattr(environment, "_work", work)
    monkeypatch.setattr(environment, "_index", list)
    environment._install("a thing", "--require-hashes", "-r", "x.lock")
    assert ran[1][:4] == [sys.executable, "-m", "pip", "install"]
    assert ran[1][-3:] == ran[0][-3:] == ["--require-hashes", "-r", "x.lock"]


def test_the_mirror_that_pip_knows_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert environment._index() == ["--default-index", "https://mirror.example/simple"]
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert environment._index() == []


def test_a_bare_python_is_enough_to_fail_in_chinese(tmp_path: Path) -> None:
    place = tmp_path / "clone"
    shutil.copytree(ROOT / "demo", place / "demo")
    shutil.copytree(ROOT / "modelscope_transport", place / "modelscope_transport")
    done = subprocess.run(
        [sys.executable, "-S", str(place / "demo" / "environment.py"), "engine"],
        env={**os.environ, "PYTHONPATH": "", "MODELSCOPE_LANG": "zh"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == "==> 正在安装：小模型的引擎  失败\n" * 2  # by uv, then by pip
    assert done.stderr == "小模型的引擎未能安装；原因见 .venv/install.log。\n"


# ------------------------------------------------------------------- the newcomer's first run


def test_english_of_ours_is_found_in_a_transcript() -> None:
    text = "==> 正在安装：两个框架 .. 3 秒\nThe stored token is removed.\n"
    assert first_run.english_in(text) == ["The stored token is removed."]
    assert first_run.english_in("==> 正在安装：两个框架\nThe model said this by itself.\n") == []


def test_a_run_is_timed_by_what_it_shows() -> None:
    run = first_run.Run()
    shown = ["==> installing a thing .. 2 s", "weights: from the cache", "", "(a) a chain", "Yes."]
    for second, line in enumerate(shown, 1):
        run.note(line, float(second))
    assert (run.installed, run.weights, run.answer) == (2, 4, 5)


def test_a_slow_or_failed_run_is_told() -> None:
    good = first_run.Run(answer=60, whole=100)
    assert list(first_run.faults("en", good)) == []
    slow = first_run.Run(answer=130, whole=200, code=1)
    assert len(list(first_run.faults("en", slow))) == 3


def test_the_pages_have_the_same_sections() -> None:
    runs = {language: first_run.Run() for language in first_run.LOCALES}
    filled = [page.format(machine="", first=1, all=2, **runs) for page in first_run.PAGES.values()]
    assert len({text.count("\n## ") for text in filled}) == 1
    assert len({text.count("\n| ") for text in filled}) == 1
