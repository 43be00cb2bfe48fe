"""What holds for every test, whoever wrote it.

* No test sees the developer's own settings: their token, their proxy, their tracing account.
* No test reaches beyond this machine; pytest-socket refuses it (``addopts`` in pyproject.toml).
* A test that prints, logs or writes the token of the `canary` fixture fails, whatever it asserts.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import random
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

pytest_plugins = ["pytester", "modelscope_transport.emulator.fixtures"]

CANARY = "ms-0f1e2d3c-ca9a-4b1e-8a7c-5c0ffee5c0de"

_PRIVATE = ("MODELSCOPE_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_", "OTEL_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")

# Here and not in a fixture: so it holds for imports, session fixtures and child processes too.
for _name in list(os.environ):
    if _name.startswith(_PRIVATE) or _name.lower() in _PROXIES:
        del os.environ[_name]

# No test writes into the user's own ledger, and errors are read in one language.
os.environ["MODELSCOPE_LEDGER"] = "memory"
os.environ["MODELSCOPE_LANG"] = "en"

# What hubs said of models stays out of the tests, and what tests' hubs say out of the developer's.
# Where the developer's are, the tests on a real model must know: its weights stay there.
os.environ.setdefault("DEVELOPERS_CACHE_HOME", os.environ.get("XDG_CACHE_HOME", ""))
_cache = tempfile.TemporaryDirectory(prefix="modelscope-adapters-tests-")  # gone with the run
atexit.register(_cache.cleanup)
os.environ["XDG_CACHE_HOME"] = _cache.name
os.environ["XDG_CONFIG_HOME"] = _cache.name  # nor is a token that `login` stored ever read

# A run in the background of a shell is told to ignore it, and so would be what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of a random order."""
    parser.addoption("--shuffle", type=int, metavar="SEED", help="files and tests in random order")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the files, and the tests of each; its tests stay together, as its fixtures do."""
    seed = config.getoption("shuffle")
    if seed is None:
        return
    chance = random.Random(seed)
    files = {item.path: chance.random() for item in items}
    chance.shuffle(items)
    items.sort(key=lambda item: files[item.path])


@pytest.fixture(autouse=True)
def no_loop_left(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Close the event loop that LlamaIndex's core opens for its own sync methods and leaves open.

    The garbage collector would complain of it in whichever test comes next.
    """
    yield
    local = getattr(asyncio.get_event_loop_policy(), "_local", None)
    loop = getattr(local, "_loop", None)
    if loop is None or loop.is_running() or request.node.get_closest_marker("asyncio"):
        return
    loop.close()
    local._loop, local._set_called = None, False


@pytest.fixture(scope="session")
def canary() -> str:
    """A well-formed token that nobody may ever see again: pass it as ``api_key``."""
    return CANARY


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that let the canary out: in captured text, or in a file under ``tmp_path``."""
    report = yield
    places = [title for title, text in report.sections if CANARY in text and _is_of(title, report)]
    places += [f"the file {path}" for path in _written(item, report)]
    if places and not report.failed:  # what has failed keeps its own reason
        report.outcome = "failed"
        report.longrepr = f"The token got out. It stands in: {', '.join(places)}."
    report.sections = [(title, text.replace(CANARY, "***")) for title, text in report.sections]
    return report


def _is_of(title: str, report: pytest.TestReport) -> bool:
    # "Captured stdout setup" is repeated in the later phases' reports; one failure is enough
    return title.endswith(str(report.when))


def _written(item: pytest.Item, report: pytest.TestReport) -> list[Path]:
    folder = getattr(item, "funcargs", {}).get("tmp_path") if report.when == "teardown" else None
    files = (path for path in folder.rglob("*") if path.is_file()) if folder else ()
    return [path for path in files if CANARY.encode() in path.read_bytes()]


@pytest.fixture
def books_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the service's own books are not to be had, what the ledger remembers alone counts."""
    from modelscope_transport.client.core import Core

    monkeypatch.setattr(Core, "_looks", {})
