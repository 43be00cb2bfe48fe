"""What a newcomer expects of six ways to a model, each cell tried: docs/newcomers.md and .zh.md.

python -m docs.newcomers FOLDER         make environments in FOLDER, try all, write both pages

The programs stand in docs/newcomers.toml; they run against the local service of this project, which
answers as the service is on record to answer.
"""

from __future__ import annotations

import datetime
import json
import re
import string
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscope_transport.emulator import LocalService

ROOT = Path(__file__).resolve().parent.parent
TABLE = tomllib.loads((ROOT / "docs" / "newcomers.toml").read_text(encoding="utf-8"))
WAYS: dict[str, dict[str, Any]] = TABLE["ways"]
MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
_WORDS = {
    "en": {
        "yes": "yes",
        "no": "no",
        "none": "–",
        "here": "here",
        "head": "what a newcomer expects",
    },
    "zh": {"yes": "有", "no": "没有", "none": "–", "here": "本项目", "head": "新用户的期望"},
}
PAGES = {
    "en": """# What a newcomer expects

[中文](newcomers.zh.md)

Six ways to one model, and what somebody expects in the first five minutes. Each cell was tried, on
the local service of this project, with the newest versions of {day}: {versions}. A way that can be
pointed at the service's address was. "–" means that there is nothing to try.
`python -m docs.newcomers FOLDER` does it again and writes this page.

{table}

## How each cell was tried

The programs are those of `docs/newcomers.toml`. What each printed last:

{said}
""",
    "zh": """# 新用户的期望

[English](newcomers.md)

六种调用同一个模型的方式，以及最初五分钟里人们期望得到的东西。每一格都在本项目的本地服务上试过，
版本为 {day} 的最新版：{versions}。凡是能指定服务地址的，都指向了本地服务。“–”表示没有可试的东西。
`python -m docs.newcomers FOLDER` 会重新试一遍并写出本页。

{table}

## 每一格是怎么试的

程序都在 `docs/newcomers.toml` 里。各自最后输出的内容：

{said}
""",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One expectation tried in one way: whether it was met, and what was printed last."""

    met: bool | None
    said: str


def environments(folder: Path) -> dict[str, Path]:
    """An environment for each way, by its name; one that is there is kept."""
    uv = str(Path(sys.executable).with_name("uv"))
    made = {}
    for name, way in WAYS.items():
        place = made[name] = folder / name
        if place.exists():
            continue
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, place], check=True)
        wanted = [each.replace("$WHEEL", str(ROOT)) for each in way["installs"]]
        install = [uv, "pip", "install", "--quiet", "--python", place / "bin" / "python", *wanted]
        subprocess.run(install, check=True)
    return made


def program_of(name: str, row: Mapping[str, Any]) -> str | None:
    """What is run: the row's own program, or the question of the way."""
    if name in row.get("without", {}):
        return None
    return row.get(name, WAYS[name]["ask"])  # type: ignore[no-any-return]


def tried(name: str, place: Path) -> list[Cell]:
    """Try all expectations in one way; its Python programs run in one process, to import once."""
    with ExitStack() as stack:
        own = stack.enter_context(tempfile.TemporaryDirectory())
        trials = [_trial(name, place, own, row, stack) for row in TABLE["expectation"]]
        code = [trial.step for trial in trials if trial is not None and not trial.shell]
        printed = iter(_printed_by_python(place, code, own))
        return [
            Cell(None, row["without"][name])
            if trial is None
            else trial.judged(trial.run() if trial.shell else next(printed))
            for row, trial in zip(TABLE["expectation"], trials, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Trial:
    row: Mapping[str, Any]
    service: LocalService
    shell: bool
    code: str
    env: dict[str, str]

    @property
    def step(self) -> dict[str, Any]:
        return {"code": self.code, "env": self.env, "times": 2 if self.row.get("twice") else 1}

    def run(self) -> str:
        command = "; ".join([self.code] * self.step["times"])
        return _output(["sh", "-c", command], self.env, "")

    def judged(self, printed: str) -> Cell:
        if self.row.get("twice"):
            asked = sum(call.method == "POST" for call in self.service.requests)
            printed += f"\nrequests: {asked}"
        met = re.search(self.row["expects"], printed, re.MULTILINE) is not None
        hidden = printed.replace(self.service.token, "ms-…").replace(self.env["HOME"], "~")
        return Cell(met, _last(hidden.replace(self.service.base_url, "http://…/v1")))


def _trial(
    name: str, place: Path, own: str, row: Mapping[str, Any], stack: ExitStack
) -> _Trial | None:
    """A program with its own local service, ready to be run; None where there is nothing to try."""
    program = program_of(name, row)
    if program is None:
        return None
    local = LocalService(scenario=row.get("scenario"), allowance=row.get("allowance"))
    service = stack.enter_context(local)
    if "next" in row:
        service.next(row["next"])
    token = row.get("token", service.token)
    make, shell = WAYS[name]["make"], program.startswith("$ ")
    if not shell:
        program = f"{make}\n{program}"
    elif make.startswith("$ "):
        program = f"{make[2:]}; {program[2:]}"
    values = {"URL": service.base_url, "TOKEN": token, "MODEL": row.get("model", MODEL)}
    code = string.Template(program.removeprefix("$ ")).safe_substitute(values)
    env = {
        "PATH": f"{place / 'bin'}:/usr/bin:/bin",
        "HOME": own,  # nothing of this user's is found there
        "LANG": row.get("lang", "en_US.UTF-8"),
        "LLM_USER_PATH": own + "/llm",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "MODELSCOPE_API_BASE": service.base_url,
        "MODELSCOPE_API_KEY": token,
    }
    return _Trial(row, service, shell, code, env)


_MARK = "\x1e"
_DRIVER = f"""
import json, os, sys, traceback
for step in json.load(sys.stdin):
    print({_MARK!r}, flush=True)
    os.environ.update(step["env"])
    for time in range(step["times"]):
        try:
            exec(step["code"], {{}})
        except BaseException as error:
            traceback.print_exception(error, file=sys.stdout)
"""


def _printed_by_python(place: Path, steps: list[dict[str, Any]], own: str) -> list[str]:
    """What each program printed."""
    command = [str(place / "bin" / "python"), "-c", _DRIVER]
    env = {"HOME": own, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONIOENCODING": "utf-8"}
    return _output(command, env, json.dumps(steps)).split(_MARK)[1:]


def _output(command: list[str], env: Mapping[str, str], given: str) -> str:
    done = subprocess.run(
        command,
        env=dict(env),
        cwd=env["HOME"],
        input=given.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=1200,
    )
    return done.stdout.decode(errors="replace")


def _last(text: str) -> str:
    """The last line that says something, short enough for a page."""
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).strip(" │╭╰─") for line in text.splitlines()]
    line = next((each for each in reversed(lines) if each), "nothing")
    line = re.sub(r"http://127\.0\.0\.1:\d+", "http://…", line)
    return line if len(line) <= 160 else line[:159] + "…"


def page(language: str, cells: Mapping[tuple[str, str], Cell], versions: str) -> str:
    """One page in one language."""
    words = _WORDS[language]
    labels = {name: words["here"] if name == "here" else name for name in WAYS}
    names = [label if name == "here" else f"`{label}`" for name, label in labels.items()]
    rows = [[words["head"], *names], ["---"] * (len(names) + 1)]
    said = []
    for row in TABLE["expectation"]:
        marks = [cells[row["en"], name].met for name in WAYS]
        shown = [words["none"] if met is None else words["yes" if met else "no"] for met in marks]
        rows.append([row[language], *shown])
        told = [f"  - {labels[name]}: `{_quoted(cells[row['en'], name].said)}`" for name in WAYS]
        said.append("\n".join([f"- {row[language]}", *told]))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    day = datetime.datetime.now(datetime.UTC).date()
    filled = {"day": day, "versions": versions, "table": table, "said": "\n".join(said)}
    return PAGES[language].format(**filled)


def _quoted(text: str) -> str:
    return text.replace("`", "'").replace("|", "\\|")


def versions_of(places: Mapping[str, Path]) -> Iterator[str]:
    """What was tried, with its version."""
    ask = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    for name, place in places.items():
        package = "modelscope-adapters" if name == "here" else WAYS[name]["installs"][0]
        asked = [place / "bin" / "python", "-c", ask, package]
        found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        yield f"{package} {found}"


def main() -> int:
    """Try all cells and write both pages."""
    if len(sys.argv) != 2:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    places = environments(Path(sys.argv[1]).resolve())
    cells = {}
    for name, place in places.items():
        for row, cell in zip(TABLE["expectation"], tried(name, place), strict=True):
            cells[row["en"], name] = cell
            sys.stdout.write(f"{name} / {row['en']}: {cell.met}: {cell.said}\n")
        sys.stdout.flush()
    versions = ", ".join(versions_of(places))
    for language in PAGES:
        file = "newcomers.md" if language == "en" else f"newcomers.{language}.md"
        text = page(language, cells, versions)
        (ROOT / "docs" / file).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
