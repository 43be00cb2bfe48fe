"""Executes the notebooks and writes their outputs: ``python notebooks/execute.py [NAME …]``.

The code stands in NAME.ipynb. NAME.zh.ipynb has a text of its own and is given the same code, cell
by cell, before it is executed in Chinese. The words are those of the small real model of ``make
demo``; without it nothing is written. What is written holds no times, no paths and no other trace
of this machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_SECONDS = 300  # of one cell
# What a kernel takes over from here: nothing of the user's own accounts, settings or displays.
_PRIVATE = ("MODELSCOPE_", "LOCAL_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_")


def read(name: str) -> Any:
    """A notebook without outputs; of a Chinese one, with the code of the English one.

    Raises:
        ValueError: the two have not the same cells.
    """
    notebook = _bare(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4))
    if name.endswith(".zh"):
        english = nbformat.read(FOLDER / f"{name.removesuffix('.zh')}.ipynb", as_version=4)
        kinds = [[cell.cell_type for cell in each.cells] for each in (notebook, english)]
        if kinds[0] != kinds[1]:
            raise ValueError(f"{name} and its English twin differ in their cells")
        for own, other in zip(notebook.cells, english.cells, strict=True):
            if other.cell_type == "code":
                own.source = other.source
    return notebook


def execute(notebook: Any, environment: Mapping[str, str]) -> Any:
    """Run all cells in a kernel of its own, and return the notebook with the outputs.

    Raises:
        CellExecutionError: a cell failed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
    with tempfile.TemporaryDirectory() as settings:
        # matplotlib's own cache stays: to make it anew takes longer than most notebooks
        kept |= {"MODELSCOPE_LEDGER": "memory", "PYTHONPATH": str(FOLDER.parent)}
        kept |= {"TZ": "Asia/Shanghai"}  # some messages say an hour in local time
        kept |= {"IPYTHONDIR": settings, "XDG_CONFIG_HOME": settings, "NO_COLOR": "1"}
        client = NotebookClient(
            notebook,
            timeout=_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(FOLDER)}},
            record_timing=False,
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],  # not a warning for each kernel
        )
        client.execute(env={**kept, **environment})
    notebook.metadata = nbformat.from_dict(METADATA)  # without the version of this Python
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if len(data) > 1:  # nobody sees the text where there is a table or a picture
                del data["text/plain"]
    return notebook


def _bare(notebook: Any) -> Any:
    """A notebook as it is before it was ever run, with ids that do not change from run to run."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat_minor = 5
    for place, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{place:02}", nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


@contextmanager
def _real_model() -> Iterator[dict[str, str]]:
    """The environment of notebooks behind whose local service the small real model stands."""
    sys.path.insert(0, str(FOLDER.parent))
    from demo.model import VECTORS, WORDS, real_model
    from demo.weights import obtain_weights

    weights = obtain_weights()
    if weights is None:
        sys.exit("No source gave the small model's weights, so there is nothing to write.")
    with real_model(weights) as model:
        yield {
            "LOCAL_CHAT": model.chat_url,
            "LOCAL_VECTORS": model.embeddings_url,
            "LOCAL_WORDS": WORDS,
            "LOCAL_VECTORS_BY": VECTORS,
        }


def main() -> None:
    """Execute the notebooks that are named, or all of them."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", help="agent, agent.zh …; all by default")
    names = parser.parse_args().names or sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    with _real_model() as environment:
        for name in names:
            language = "zh" if name.endswith(".zh") else "en"
            done = execute(read(name), {**environment, "MODELSCOPE_LANG": language})
            nbformat.write(done, FOLDER / f"{name}.ipynb")
            print(f"{name}.ipynb", flush=True)


if __name__ == "__main__":
    main()
