"""One table of what is promised, the command that shows it, and its figure today.

python -m docs.promises            run the tests of every promise, and print the table
python -m docs.promises --list     print it without running anything
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["Promise", "promises"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Promise:
    """One promise.

    Attributes:
        page: file that makes it.
        quote: its words there.
        tests: files or folders of tests that show it.
        command: what shows it where no test does.
    """

    page: str
    quote: str
    tests: tuple[str, ...] = ()
    command: str = ""

    @property
    def shown_by(self) -> str:
        """The command that shows it."""
        return self.command or f"python -m pytest {' '.join(self.tests)}"


def promises() -> list[Promise]:
    """All of them, in the order of the file."""
    read = tomllib.loads((ROOT / "docs" / "promises.toml").read_text(encoding="utf-8"))
    return [
        Promise(**{**fields, "tests": tuple(fields.get("tests", ()))}) for fields in read["promise"]
    ]


def _run(paths: list[str]) -> dict[str, list[str]]:
    """The outcomes of these tests, by the dotted name of their file."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        options = ["-q", "--no-header", "-m", "slow or not slow"]
        options += ["--numprocesses", "2", "-o", "junit_family=xunit1"]
        command = [sys.executable, "-m", "pytest", *paths, *options, f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=False)
        outcomes: dict[str, list[str]] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = {child.tag for child in case}
            bad = kinds & {"failure", "error"}
            outcome = "failed" if bad else "skipped" if "skipped" in kinds else "passed"
            outcomes.setdefault(case.get("classname", ""), []).append(outcome)
        return outcomes


def _figure(promise: Promise, outcomes: dict[str, list[str]]) -> str:
    """How the tests of a promise went."""
    names = [path.removesuffix(".py").replace("/", ".") for path in promise.tests]
    found = [
        outcome
        for name, each in outcomes.items()
        if any(name == wanted or name.startswith(wanted + ".") for wanted in names)
        for outcome in each
    ]
    counts = {kind: found.count(kind) for kind in ("passed", "failed", "skipped")}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no tests ran"


def main() -> int:
    """Print the table; 1 where a promise is not kept."""
    parser = argparse.ArgumentParser("python -m docs.promises", description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="run nothing")
    wanted = parser.parse_args()
    made = promises()
    paths = sorted({path for promise in made for path in promise.tests})
    outcomes = {} if wanted.list else _run(paths)
    today = datetime.datetime.now(datetime.UTC).date()
    machine = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = ["", f"{today}, {machine}", ""]
    broken = False
    for promise in made:
        figure = "not run here" if wanted.list or promise.command else _figure(promise, outcomes)
        broken = broken or "failed" in figure or figure == "no tests ran"
        lines += [
            f"{promise.page}: {promise.quote}",
            f"    {promise.shown_by}",
            f"    {figure}",
        ]
    sys.stdout.write("\n".join([*lines, ""]))
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
