"""New random input for so many seconds: ``python -m tests.fuzz --seconds 60``.

Half of the time goes to the properties of test_fuzz.py, which try each way sync and async, and a
quarter to each harness of harnesses.py, where atheris has a wheel for this Python.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Fuzz until the time is up; the status of the first that fails."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200.0)
    wanted = parser.parse_args()
    examples = min(300, max(30, round(wanted.seconds)))  # of each property, a round
    if importlib.util.find_spec("atheris") is None:
        print("==> fuzz: atheris has no wheel for this Python; all the time goes to the properties")
        return properties(wanted.seconds, examples)
    for harness in ("sse", "decode"):
        print(f"==> fuzz: {harness}, guided by coverage", flush=True)
        seconds = str(max(1, round(wanted.seconds / 4)))
        command = [sys.executable, "-m", "tests.fuzz.harnesses", harness, "--seconds", seconds]
        done = subprocess.run(command, cwd=HERE.parents[1], check=False)
        if done.returncode:
            return done.returncode
    return properties(wanted.seconds / 2, examples)


def properties(seconds: float, examples: int) -> int:
    """Try rounds of examples of each property; the status of the first round that fails."""
    until, rounds = time.monotonic() + seconds, 0
    environment = {**os.environ, "FUZZ_EXAMPLES": str(examples)}
    while time.monotonic() < until:
        seed = secrets.randbelow(1 << 32)
        print(f"==> fuzz: round {rounds + 1}, seed {seed}", flush=True)
        options = ["--numprocesses", "2", "-q", "--no-header", f"--hypothesis-seed={seed}"]
        command = [sys.executable, "-m", "pytest", str(HERE), *options, "--timeout", "900"]
        done = subprocess.run(command, env=environment, cwd=HERE.parents[1], check=False)
        if done.returncode:
            return done.returncode
        rounds += 1
    print(f"==> fuzz: {rounds} rounds of {examples} examples of each property, none failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
