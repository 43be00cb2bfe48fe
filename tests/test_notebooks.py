"""The notebooks: their code runs, and what is committed beside it is what a reader may see.

Here all of it runs on the scripted service. `make notebooks` runs it on the small real model and
writes the outputs that are committed.
"""

from __future__ import annotations

import json
import re
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
import pytest

from notebooks.execute import FOLDER, METADATA, execute, read

NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
ENGLISH = [name for name in NAMES if not name.endswith(".zh")]
LARGEST = 200_000  # bytes of a notebook
REAL = "Qwen2.5-Coder-0.5B-Instruct"
TOKEN = re.compile(r"ms-[0-9a-f]{8}-[0-9a-f]{4}")
PATHS = (str(Path.home()), tempfile.gettempdir(), "site-packages", ":\\")
HAN = re.compile(r"[\u4e00-\u9fff]")
# Between two notebooks in one kernel: to import both frameworks anew would take most of the time.
ANEW = f"""
import os
_first = globals().get("_first") or set(globals())
for _name in set(globals()) - _first:
    if not _name.startswith("_"):
        del globals()[_name]
import os
os.chdir({str(FOLDER)!r})
for _name in ("MODELSCOPE_API_KEY", "MODELSCOPE_API_BASE"):
    os.environ.pop(_name, None)
"""


def committed(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(cells: list[Any]) -> list[Any]:
    return [output for cell in cells for output in cell.outputs]


def printed(cells: list[Any]) -> str:
    return "".join(output.get("text", "") for output in outputs_of(cells))


def pictures(cells: list[Any]) -> set[str]:
    data = [output.get("data", {}) for output in outputs_of(cells)]
    return {each["image/png"] for each in data if "image/png" in each}


@pytest.mark.slow
@pytest.mark.timeout(400)  # some 20 seconds on a quiet machine
def test_every_cell_runs_on_the_scripted_service() -> None:
    cells = {name: code_of(read(name)) for name in ENGLISH}
    for each in cells.values():
        each.insert(0, nbformat.v4.new_code_cell(ANEW))
    together = nbformat.v4.new_notebook()
    together.cells = list(chain(*cells.values()))
    for place, cell in enumerate(together.cells):
        cell.id = f"cell-{place}"  # which each notebook has of its own
    execute(together, {"MODELSCOPE_LANG": "en"})

    for name, each in cells.items():
        assert [output for output in outputs_of(each) if output.get("name") == "stderr"] == [], name
        shown = [bool(cell.outputs) for cell in each[1:]]
        assert shown == [bool(cell.outputs) for cell in code_of(committed(name))], name
    # the pictures that were drawn, and what was seen in them
    assert len(pictures(cells["images"])) == 4
    assert "a green parrot" in printed(cells["images"])
    assert "a red fox" in printed(cells["images"])
    # a spent day: no further call is sent, only what is free
    assert "['/openapi/v1/magicubes/balance', '" in printed(cells["allowance"])
    assert "completions" not in printed(cells["allowance"])
    # a killed job: every answer is there, and one call was paid for in vain
    assert "330 paid 329 answers on file" in printed(cells["job"])
    assert "601 paid 600 answers on file" in printed(cells["job"])


@pytest.mark.parametrize("name", NAMES)
def test_the_outputs_are_there_and_clean(name: str) -> None:
    notebook = committed(name)
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert outputs_of(cells)
    assert {output.output_type for output in outputs_of(cells)} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert all(output.get("name", "stdout") == "stdout" for output in outputs_of(cells))
    kinds = {kind for output in outputs_of(cells) for kind in output.get("data", {})}
    assert kinds <= {"text/plain", "text/html", "image/png"}
    assert notebook.metadata == METADATA
    assert [cell for cell in notebook.cells if cell.metadata] == []

    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    assert not TOKEN.search(text)
    told = json.dumps(outputs_of(cells), ensure_ascii=False)
    assert [path for path in (*PATHS, str(FOLDER.parent)) if path in told] == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_the_words_is_true(name: str) -> None:
    """The text says whose words they are, and the outputs were made with it."""
    notebook = committed(name)
    prose = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert (REAL in prose) == (REAL in printed(code_of(notebook)))
    if REAL not in prose:
        assert "规则" in prose if name.endswith(".zh") else "rules" in prose


@pytest.mark.parametrize("name", ENGLISH)
def test_a_pair_names_each_other_and_leads_to_what_exists(name: str) -> None:
    for own, other in ((name, f"{name}.zh"), (f"{name}.zh", name)):
        prose = [cell.source for cell in committed(own).cells if cell.cell_type == "markdown"]
        places = re.findall(r"\]\(([^)#]+)", "\n".join(prose))
        assert f"{other}.ipynb" in places
        assert [place for place in places if not (FOLDER / place).exists()] == []
        if own.endswith(".zh"):
            assert [place for place in places[1:] if ".zh." not in place] == []


@pytest.mark.parametrize("name", ENGLISH)
def test_a_pair_has_the_same_code_and_its_own_language(name: str) -> None:
    english, chinese = code_of(committed(name)), code_of(committed(f"{name}.zh"))
    assert [cell.source for cell in english] == [cell.source for cell in chinese]
    shown = [bool(cell.outputs) for cell in english]
    assert shown == [bool(cell.outputs) for cell in chinese]
    for cells, is_chinese in ((english, False), (chinese, True)):
        tables = [
            output["data"]["text/html"]
            for output in outputs_of(cells)
            if "text/html" in output.get("data", {})
        ]
        assert all(bool(HAN.search(table)) == is_chinese for table in tables)
