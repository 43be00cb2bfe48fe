"""What a page's install line installs is enough for the page's code.

A wheel is built from the tree and installed, by the extra that the README names, into an
environment that holds nothing else; the code of each page then runs there, against the local
service.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_transport.emulator import LocalService

pytestmark = [pytest.mark.registry, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
# The code of a Chinese page of docs/ is that of the English one: tests/test_pairs.py. The code of
# long-jobs.md wants schedulers and clusters; tests/transport/jobs runs what can be run.
ENGLISH = [
    page
    for page in sorted((ROOT / "docs").glob("*.md"))
    if ".zh." not in page.name and not page.match("long-jobs*")
]
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *ENGLISH]
UV = str(Path(sys.executable).with_name("uv"))
INSTALL = re.compile(r'^pip install "modelscope-adapters\[(?P<extra>\w+)\] @ git\+', re.MULTILINE)


def extra_of(code: str) -> str:
    """The extra that a page tells users of this code to install."""
    chain, index = "langchain" in code, re.search(r"llama_?index", code)
    if chain and index:
        return "all"
    return "langchain" if chain else "llamaindex" if index else ""


def blocks() -> Iterator[object]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, found in enumerate(re.finditer(r"```python\n(.*?)```", text, re.DOTALL), 1):
            section = text[text.rfind("\n## ", 0, found.start()) : found.start()]
            further = re.findall(r"`pip install (\w+)`", section)
            yield pytest.param(found[1], further, id=f"{page.stem}-{number}")


@functools.cache
def wheel(folder: Path) -> Path:
    build = [UV, "build", "--quiet", "--wheel", "--no-build-isolation"]
    subprocess.run([*build, "--out-dir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"": tmp_path_factory.mktemp("wheel")}


def install(python: Path, wanted: str) -> None:
    """What ``pip install`` does, in a tenth of its time."""
    # copied: nltk, which LlamaIndex uses, opens no file that is linked to uv's cache
    way = ["--only-binary", ":all:", "--link-mode", "copy"]
    command = [UV, "pip", "install", "--quiet", *way, "--python", python, wanted]
    subprocess.run(command, check=True)


def python_with(extra: str, pythons: dict[str, Path]) -> Path:
    """The interpreter of an environment made by the install line with this extra."""
    folder = pythons[""]
    place = folder / f"with-{extra or 'nothing'}"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, place], check=True)
        install(python, f"{wheel(folder)}[{extra}]" if extra else str(wheel(folder)))
    return python


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_names_the_install_line(page: str) -> None:
    found = INSTALL.search((ROOT / page).read_text(encoding="utf-8"))
    assert found
    assert found["extra"] == "langchain"


@pytest.mark.parametrize(("code", "further"), list(blocks()))
def test_code_runs_where_only_the_install_line_was_typed(
    code: str, further: list[str], pythons: dict[str, Path], tmp_path: Path
) -> None:
    python = python_with(extra_of(code), pythons)
    for package in further:  # the page says that this section needs it
        install(python, package)
    with LocalService() as service:
        settings = {
            "MODELSCOPE_API_KEY": service.token,
            "MODELSCOPE_API_BASE": service.base_url,
            "MODELSCOPE_LEDGER": "memory",
            "PYTHONPATH": "",
        }
        done = subprocess.run(
            [python, "-c", code],
            cwd=tmp_path,  # some pages write files, and the tree must not be importable
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr[-2000:]
