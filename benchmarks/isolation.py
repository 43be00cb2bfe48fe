"""A benchmark's own surroundings: its own ledger, home and cache, and a processor core to itself.

Laws of this file: nothing of the user is read or written, whatever is measured. What a benchmark
leaves lies in one temporary folder, which goes with the run.
"""

from __future__ import annotations

import os
import site
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["isolated", "pin_client", "pin_server"]

# Settings of a developer that would change what is measured: tokens, proxies, tracing.
_PRIVATE = ("MODELSCOPE_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_", "OTEL_", "AIOHTTP_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# Where programs keep what belongs to a user, on every platform.
_FOLDERS = (
    "HOME",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
)


@contextmanager
def isolated() -> Iterator[Path]:
    """An environment of the benchmark's own, for this process and those that it starts.

    Yields:
        The SQLite file that serves as the ledger inside.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        ledger = Path(folder, "ledger.sqlite3")
        for name in before:
            if name.startswith(_PRIVATE) or name.lower() in _PROXIES:
                del os.environ[name]
        # Packages that were installed for this user lie below the home folder.
        os.environ.setdefault("PYTHONUSERBASE", site.getuserbase())
        os.environ.update(dict.fromkeys(_FOLDERS, folder))
        os.environ["MODELSCOPE_LEDGER"] = str(ledger)
        os.environ["MODELSCOPE_LANG"] = "en"
        try:
            yield ledger
        finally:
            os.environ.clear()
            os.environ.update(before)


def pin_client() -> None:
    """Keep this process on the first of its cores, where the platform can."""
    _pin(0, 0)


def pin_server(process: int) -> None:
    """Keep another process away from the core of `pin_client`, where the platform can."""
    _pin(process, 1)


def _pin(process: int, place: int) -> None:
    if not hasattr(os, "sched_setaffinity"):  # macOS and Windows
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(process, {cores[place]})
