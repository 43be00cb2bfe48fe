"""Runs a command, shows what it says, and keeps the end of it.

``python -m docs.proof NAME COMMAND`` is how the targets of the Makefile are run that show a claim.

What is kept goes into ``docs/proof/NAME.txt``, with the date, the machine and how it ended.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
KEPT = 60
# What colours a terminal; pytest's lines of dots, and what a fuzzer says of its own work.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NOISE = re.compile(
    r"[.sxFE]+ *(\[ *\d+%\])?$|INFO: .*|WARNING: Failed to find.*|bringing up nodes.*"
)


def main() -> int:
    """Run it; its exit status."""
    parser = argparse.ArgumentParser("python -m docs.proof", description=__doc__.split("\n")[0])
    parser.add_argument("name", help="of the make target")
    parser.add_argument("--lines", type=int, default=KEPT, help="how many of the last are kept")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    wanted = parser.parse_args()
    kept: deque[str] = deque(maxlen=wanted.lines)
    with subprocess.Popen(
        wanted.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            line = _COLOURS.sub("", line).rstrip().replace(str(ROOT), ".")
            line = line.replace(tempfile.gettempdir(), "TEMP").replace(sys.base_prefix, "PYTHON")
            if not _NOISE.fullmatch(line):
                kept.append(line)
    cores, python = os.cpu_count(), platform.python_version()
    head = [
        f"make {wanted.name}",
        f"{datetime.datetime.now(datetime.UTC).date()}, {platform.system()}, {cores} cores, "
        f"Python {python}: {'passed' if not running.returncode else 'FAILED'}",
        "",
    ]
    path = ROOT / "docs" / "proof" / f"{wanted.name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*head, *kept]).rstrip() + "\n", encoding="utf-8")
    return running.returncode


if __name__ == "__main__":
    sys.exit(main())
