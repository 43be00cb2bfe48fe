"""What an import of an adapter and a first object cost, over the framework's own import."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import Measured

__all__ = ["imported"]

ROOT = Path(__file__).parents[1]

# Without click, because httpx imports its command line wherever click and rich are installed.
_SCRIPT = """
import sys, time
sys.path[0] = {root!r}
sys.modules["click"] = None
begun = time.process_time()
{statements}
cpu = time.process_time() - begun
libraries = {{"aiohttp", "httpcore", "httpx", "httpx2", "requests", "urllib3"}}
import json
print(json.dumps([cpu, sorted(libraries & set(sys.modules))]))
"""


def imported(framework: str, ours: str, peer: str, rounds: int) -> Measured:
    """CPU microseconds of fresh processes, their bytecode at hand.

    Args:
        framework: statements that import what an adapter needs of its framework.
        ours: statements that import our adapter and make a first object.
        peer: the same for the peer.
        rounds: processes of each.
    """
    scripts = {"framework": framework, "ours": framework + ours, "peer": framework + peer}
    times: dict[str, list[float]] = {name: [] for name in scripts}
    libraries: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds + 1):
            for name, statements in scripts.items():
                cpu, libraries[name] = _fresh(statements, folder)
                if turn:  # the first one compiles
                    times[name].append(cpu)
    shares = [mine / core for mine, core in zip(times["ours"], times["framework"], strict=True)]
    return Measured(
        {name: statistics.median(found) for name, found in times.items()},
        {
            "of_framework": statistics.median(shares),
            "http_libraries_loaded": len(libraries["ours"] - libraries["framework"]),
        },
    )


def _fresh(statements: str, bytecode: str) -> tuple[float, set[str]]:
    script = _SCRIPT.format(root=str(ROOT), statements=statements)
    process = subprocess.run(
        [sys.executable, "-X", f"pycache_prefix={bytecode}", "-c", script],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    cpu, libraries = json.loads(process.stdout)
    return cpu * 1e6, set(libraries)
