"""New examples for the properties, round after round: ``python -m tests.fuzz --seconds 60``."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Try rounds of examples until the time is up; the status of the first that fails."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--examples", type=int, default=300, help="of each property, a round")
    wanted = parser.parse_args()
    until, rounds = time.monotonic() + wanted.seconds, 0
    environment = {**os.environ, "FUZZ_EXAMPLES": str(wanted.examples)}
    while time.monotonic() < until:
        seed = secrets.randbelow(1 << 32)
        print(f"==> fuzz: round {rounds + 1}, seed {seed}", flush=True)
        options = ["--numprocesses", "2", "-q", "--no-header", f"--hypothesis-seed={seed}"]
        command = [sys.executable, "-m", "pytest", str(HERE), *options, "--timeout", "900"]
        done = subprocess.run(command, env=environment, cwd=HERE.parents[1], check=False)
        if done.returncode:
            return done.returncode
        rounds += 1
    print(f"==> fuzz: {rounds} rounds of {wanted.examples} examples of each property, none failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
