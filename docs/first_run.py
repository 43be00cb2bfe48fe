"""The first run of a newcomer: a clone in an empty folder, `make demo`, in English and in Chinese.

python docs/first_run.py            both, and write docs/first-run.md and docs/first-run.zh.md
python docs/first_run.py zh         one language, and write nothing

Nothing of an earlier run is used: no environment, no cache, no weights. It fails where a run fails
or takes longer than it may, and where the Chinese one says a sentence of ours in English.
"""

from __future__ import annotations

import datetime
import gettext
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCALES = {"en": "en_US.UTF-8", "zh": "zh_CN.UTF-8"}
CATALOGUE = "modelscope_transport/locale/zh_CN/LC_MESSAGES/modelscope_adapters.mo"
FIRST_ANSWER, WHOLE = 120, 150  # seconds on two quiet cores
# What a newcomer does not have: our settings, another environment, an outer make.
_NOT_THEIRS = re.compile(r"(MODELSCOPE|PYTHON|MAKE|LC_|VIRTUAL_ENV|LANGUAGE|MFLAGS)")
_KEPT = re.compile(r"PYTHON(_\w+)?_ROOT")

PAGES = {
    "en": """# The first run

[中文](first-run.zh.md)

What a newcomer meets who has Python, git and make: an empty folder, a clone, `make demo`. No
package, no cache and no weights are there from before. `make first-run` does it in both languages
and writes this page; it fails where a run takes longer than the last column says.

{machine}

| seconds from the start | English | Chinese | at most |
|---|---|---|---|
| the clone is there | {en.clone:.0f} | {zh.clone:.0f} | |
| everything is installed | {en.installed:.0f} | {zh.installed:.0f} | |
| the small model's weights are there | {en.weights:.0f} | {zh.weights:.0f} | |
| the first answer is on the screen | {en.answer:.0f} | {zh.answer:.0f} | {first} |
| `make demo` has ended | {en.whole:.0f} | {zh.whole:.0f} | {all} |

## What it shows

```console
$ make demo
{en.text}
```
""",
    "zh": """# 第一次运行

[English](first-run.md)

只有 Python、git 和 make 的新用户会看到什么：空文件夹，克隆仓库，`make demo`。
此前没有任何软件包、缓存或模型文件。
`make first-run` 用两种语言各做一遍，并写出本页；用时超过最后一列就算失败。

{machine}

| 从开始算起（秒） | 英文 | 中文 | 上限 |
|---|---|---|---|
| 克隆完成 | {en.clone:.0f} | {zh.clone:.0f} | |
| 全部安装完成 | {en.installed:.0f} | {zh.installed:.0f} | |
| 小模型的文件到齐 | {en.weights:.0f} | {zh.weights:.0f} | |
| 屏幕上出现第一个回答 | {en.answer:.0f} | {zh.answer:.0f} | {first} |
| `make demo` 结束 | {en.whole:.0f} | {zh.whole:.0f} | {all} |

## 屏幕上的内容

```console
$ make demo
{zh.text}
```
""",
}


@dataclass(slots=True)
class Run:
    """One run: the seconds from its start on, and what it showed."""

    clone: float = 0.0
    installed: float = 0.0
    weights: float = 0.0
    answer: float = 0.0
    whole: float = 0.0
    code: int = 0
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that was on the screen."""
        return "\n".join(self.lines).strip()

    def note(self, line: str, seconds: float) -> None:
        """Keep a line, and what its coming means."""
        if not self.installed and not line.startswith("==>"):
            self.installed = seconds
        if not self.answer and line.startswith("(a) "):
            self.weights = seconds
        elif self.weights and not self.answer and line:
            self.answer = seconds
        self.lines.append(line)


def first_run(language: str) -> Run:
    """Clone and run the demo in an empty folder, and show it as it goes."""
    run, began = Run(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "modelscope-adapters")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place)], check=True)
        run.clone = time.monotonic() - began
        demo = subprocess.Popen(
            ["make", "demo"],
            cwd=place,
            env=environment(language, folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        assert demo.stdout is not None
        for line in demo.stdout:
            say(line)
            run.note(line.rstrip().replace(folder, "~"), time.monotonic() - began)
        run.code = demo.wait()
    run.whole = time.monotonic() - began
    return run


def environment(language: str, folder: str) -> dict[str, str]:
    """A newcomer's: no token, no cache, and a language."""
    theirs = {
        name: value
        for name, value in os.environ.items()
        if _KEPT.fullmatch(name) or not _NOT_THEIRS.match(name)
    }
    own = {name: folder + "/" + name.lower() for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME")}
    return {**theirs, **own, "LANG": LOCALES[language]}


def faults(language: str, run: Run) -> Iterator[str]:
    """What is wrong with a run."""
    if run.code:
        yield f"make demo ended with {run.code}"
    if not 0 < run.answer <= FIRST_ANSWER:
        yield f"the first answer came after {run.answer:.0f} s of {FIRST_ANSWER}"
    if run.whole > WHOLE:
        yield f"the whole took {run.whole:.0f} s of {WHOLE}"
    if language == "zh":
        yield from (f"English: {said}" for said in english_in(run.text))


def english_in(text: str) -> list[str]:
    """The sentences of our catalogue that stand in a text in English."""
    with (ROOT / CATALOGUE).open("rb") as file:
        known = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return sorted({part for said in known if said for part in pieces(said) if part in text})


def pieces(sentence: str) -> list[str]:
    """The fixed parts of a sentence that are no other's by chance: three words or more."""
    parts = re.split(r"\{[^}]*\}|%\(\w+\)\w|%[sdr]|\n", sentence)
    return [part.strip() for part in parts if re.search(r"([A-Za-z]{2,} ){2,}[A-Za-z]{2,}", part)]


def say(text: str) -> None:
    """Show it at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    """Run, write the pages where both languages ran, and say what was wrong."""
    wanted = sys.argv[1:] or list(LOCALES)
    runs, wrong = {}, []
    for language in wanted:
        say(f"\n==> LANG={LOCALES[language]} make demo\n")
        runs[language] = first_run(language)
        wrong += [f"{language}: {fault}" for fault in faults(language, runs[language])]
        run = runs[language]
        say(f"==> {language}: first answer {run.answer:.0f} s, whole {run.whole:.0f} s\n")
    say("".join(f"==> {fault}\n" for fault in wrong))
    if set(runs) == set(LOCALES):
        write(runs)
    return 1 if wrong else 0


def write(runs: dict[str, Run]) -> None:
    """Write both pages."""
    today = datetime.datetime.now(datetime.UTC).date()
    machine = (
        f"{today}: {platform.system()}, {os.cpu_count()} CPU, Python {platform.python_version()}"
    )
    for language, page in PAGES.items():
        name = "first-run.md" if language == "en" else f"first-run.{language}.md"
        filled = page.format(machine=machine, first=FIRST_ANSWER, all=WHOLE, **runs)
        (ROOT / "docs" / name).write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
