"""Changes the code in one place, and sees whether a test fails: ``python -m tests.mutants``.

For each part of the code: the tests that are meant for it run once and it is written down which
line each executes; then a sample of changes is made, one after another, in a copy of the project,
and the quickest tests that execute the changed line are run, and then all tests of the part, since
what runs in a thread or in another process is not written down. A change that none of them notices
has survived. Controls: the tests that have noticed a change must pass on the unchanged copy, and a
file that cannot be imported must be noticed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from tests.mutants.changes import Change, changes
from tests.mutants.page import RESULTS, write_page
from tests.mutants.parts import PARTS
from tests.mutants.trying import run

ROOT = Path(__file__).resolve().parents[2]
# Tests that are run first for one change. A run may take so many seconds, and at least so many
# times as many as all tests have taken.
MOST_TESTS, LIMIT, PATIENCE = 100, 600.0, 2.0


def main() -> int:
    """Try the parts that are wanted; how many have too many survivors."""
    parser = argparse.ArgumentParser("python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--sample", type=int, default=30, help="changes of each part")
    parser.add_argument("--seed", type=int, default=2026)
    wanted = parser.parse_args()
    for name in wanted.parts or list(PARTS):
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            copy = Path(folder, "project")
            files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True).stdout
            for file in filter(None, files.decode().split("\0")):
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / file, copy / file)
            found = tried(name, copy, wanted.sample, random.Random(f"{wanted.seed} {name}"))
        found |= {
            "seed": wanted.seed,
            "date": str(datetime.datetime.now(datetime.UTC).date()),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        }
        results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({**results, name: found}, indent=1) + "\n", encoding="utf-8")
    return write_page()


def tried(name: str, copy: Path, sample: int, chance: random.Random) -> dict[str, Any]:
    """What became of a sample of a part's changes."""
    sources, tests = PARTS[name]
    paths = [path for source in sources for path in sorted(copy.glob(source))]
    print(f"==> mutants: {name}: which test executes which line", flush=True)
    folders = sorted({str(path.parent) for path in paths if path.suffix == ".py"})
    recorded = run(copy, tests, sources=folders)
    assert recorded is not None, "the tests did not end"
    seconds = {test: took for test, took in recorded["seconds"].items()
               if test not in recorded["failed"]}  # fmt: skip
    limit = max(LIMIT, PATIENCE * sum(seconds.values()))
    unreadable = Change(0, 0, b"raise SystemError\n", (1, 1), "")
    broken = _noticed(copy, paths[0], unreadable, list(seconds), limit)
    assert broken, "a file that cannot be imported was not noticed"
    every = [(path, change) for path in paths for change in changes(path.name, path.read_bytes())]
    killers: dict[str, list[str]] = {}
    survivors = []
    for path, change in chance.sample(every, min(sample, len(every))):
        chosen = _of_lines(copy, path, change.lines, seconds)
        first = sorted(chosen, key=lambda test: chosen[test])[:MOST_TESTS]
        noticed = first and _noticed(copy, path, change, first, limit)
        if not noticed:
            noticed = _noticed(copy, path, change, list(seconds), limit)
            if noticed in seconds:  # of so many, one may fail by chance: it is to do so again
                noticed = _noticed(copy, path, change, [noticed], limit)
        shown = f"{path.relative_to(copy).as_posix()}: {change.shown}"
        print(f"{'killed  ' if noticed else 'SURVIVED'} {shown}", flush=True)
        if noticed:
            killers.setdefault(noticed, []).append(shown)
        else:
            survivors.append(shown)
    named = {test for test in killers if test in seconds}
    control = run(copy, sorted({test.partition("::")[0] for test in named}), named)
    failed = control["failed"] if control else sorted(named)
    undecided = [shown for test in failed for shown in killers.get(test, ())]
    tried = sum(map(len, killers.values())) + len(survivors)
    return {"of": len(every), "tried": tried, "survivors": survivors, "undecided": undecided}


def _of_lines(
    copy: Path, path: Path, lines: tuple[int, int], seconds: dict[str, float]
) -> dict[str, float]:
    """The tests that execute one of the lines; of data, none."""
    if path.suffix != ".py":
        return {}
    from coverage import CoverageData

    data = CoverageData(str(copy / "coverage.db"))
    data.read()
    contexts = data.contexts_by_lineno(str(path))
    found = {test for line in range(lines[0], lines[1] + 1) for test in contexts.get(line, ())}
    return {test: seconds[test] for test in found - {""} if test in seconds}


def _noticed(copy: Path, path: Path, change: Change, chosen: list[str], limit: float) -> str | None:
    """The test that fails with the change, or ``None``; files run in the order of their tests."""
    source = path.read_bytes()
    compiled = Path(cache_from_source(str(path)))
    try:
        compiled.unlink(missing_ok=True)
        path.write_bytes(source[: change.begin] + change.new + source[change.end :])
        files = list(dict.fromkeys(test.partition("::")[0] for test in chosen))
        found = run(copy, files, set(chosen), stops=True, limit=limit)
    finally:
        path.write_bytes(source)
        compiled.unlink(missing_ok=True)
    if found is None:
        return "it does not end"
    return next(iter(found["failed"]), None)


if __name__ == "__main__":
    sys.exit(main())
