"""The notebooks, run from top to bottom on the local service they start themselves."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
IMAGES = FOLDER / "images.ipynb"
NOTEBOOKS = sorted(set(FOLDER.glob("*.ipynb")) - {IMAGES})


def run(path: Path) -> list[Any]:
    """Everything that a notebook's cells put out, in order."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [output for cell in cells for output in cell.outputs]


def test_the_notebook_of_images_shows_the_pictures_and_what_is_seen_in_them() -> None:
    outputs = run(IMAGES)

    pictures = [
        each["data"]["image/png"] for each in outputs if "image/png" in each.get("data", {})
    ]
    assert len(set(pictures)) == 4
    assert all(base64.b64decode(each).startswith(b"\x89PNG") for each in pictures)
    printed = "".join(each.get("text", "") for each in outputs)
    assert "LangChain: The picture shows: a green parrot" in printed
    assert "LlamaIndex: The picture shows: a red fox" in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path) -> None:
    printed = "".join(output.get("text", "") for output in run(path))
    # The last cell's allowance of two calls: the third call is refused, the fourth not sent.
    assert "3 refused; 3 requests so far\n4 refused; 3 requests so far\n" in printed
    assert "is spent" in printed
