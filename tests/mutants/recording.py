"""A pytest plugin for ``coverage run``: which test executes which line, and how long each lasts."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage

DURATIONS = Path("durations.json")

_durations: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count what is executed from here on as this test's."""
    coverage = Coverage.current()
    assert coverage is not None, "run this by `coverage run -m pytest`"
    coverage.switch_context(item.nodeid)
    begun = time.perf_counter()
    done = yield
    _durations[item.nodeid] = round(time.perf_counter() - begun, 4)
    return done


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test that fails without a mutant shows nothing with one."""
    if report.failed:
        _durations.pop(report.nodeid, None)


def pytest_sessionfinish() -> None:
    """Write the durations into the working folder."""
    DURATIONS.write_text(json.dumps(_durations), encoding="utf-8")
