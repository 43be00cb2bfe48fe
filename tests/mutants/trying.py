"""Runs tests in a process of its own, in the folder with the changed copy of the project."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["run"]

# Imported once, and inherited by every process where the system can fork.
_SLOW = ["httpx", "aiohttp", "rich.console", "langchain.agents", "llama_index.core"]


class _Plugin:
    """Runs the chosen tests only, and writes down which failed and how long each lasted."""

    def __init__(self, chosen: set[str] | None, coverage: Any) -> None:
        self.chosen, self.coverage = chosen, coverage
        self.failed: list[str] = []
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.chosen is not None:
            items[:] = [item for item in items if item.nodeid in self.chosen]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if self.coverage is not None:
            self.coverage.switch_context(item.nodeid)
        begun = time.perf_counter()
        done = yield
        self.seconds[item.nodeid] = time.perf_counter() - begun
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def _work(
    folder: str, tests: list[str], chosen: set[str] | None, sources: list[str] | None, stops: bool
) -> None:
    os.chdir(folder)
    os.environ["PYTHONPATH"] = sys.path[0] = folder
    with Path("output.txt").open("w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    coverage = None
    if sources:
        from coverage import Coverage

        coverage = Coverage(data_file="coverage.db", source=sources)
        coverage.start()
    plugin = _Plugin(chosen, coverage)
    options = ["-q", "--assert=plain", "-p", "no:cacheprovider", "--timeout", "60"]
    code = pytest.main([*options, *(["-x"] if stops else []), *tests], plugins=[plugin])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and not plugin.failed:
        plugin.failed.append("pytest itself, which could not begin")
    if coverage is not None:
        coverage.stop()
        coverage.save()
    outcome = {"failed": plugin.failed, "seconds": plugin.seconds}
    Path("outcome.json").write_text(json.dumps(outcome), encoding="utf-8")


def run(
    folder: Path,
    tests: list[str],
    chosen: set[str] | None = None,
    *,
    sources: list[str] | None = None,
    stops: bool = False,
    limit: float = 7200.0,
) -> dict[str, Any] | None:
    """Run tests.

    Args:
        folder: with the copy of the project.
        tests: files and folders.
        chosen: names of the tests among them that are to run; ``None`` for all.
        sources: folders of which ``coverage.db`` is to say which test executes which line.
        stops: whether the first failure ends it.
        limit: seconds after which it is ended.

    Returns:
        The failed tests, and the seconds of each; ``None`` where the time did not suffice.
    """
    written = folder / "outcome.json"
    written.unlink(missing_ok=True)
    ways = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")
    if "forkserver" in ways:
        context.set_forkserver_preload(_SLOW)
    process = context.Process(target=_work, args=(str(folder), tests, chosen, sources, stops))
    process.start()
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    if not written.exists():
        return {"failed": ["the process itself"], "seconds": {}}
    found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return found
