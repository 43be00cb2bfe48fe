"""The list of behaviours names tests that exist, or says in a sentence why there is none."""

from __future__ import annotations

import ast
import functools
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = tomllib.loads((Path(__file__).parent / "behaviours.toml").read_text(encoding="utf-8"))
ROWS = [(place, name, value) for place, rows in LIST.items() for name, value in rows.items()]


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Names of the tests of a file, those of its classes included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = (node.name for node in ast.walk(tree) if isinstance(node, kinds))
    return frozenset(name for name in names if name.startswith("test_"))


def problem(value: str) -> str | None:
    """What is wrong with a row's value."""
    if "::" not in value or " " in value:
        return None if len(value.split()) >= 5 else "no test, and no sentence why"
    path, _, name = value.partition("::")
    if not (ROOT / path).is_file():
        return f"there is no file {path}"
    return None if name in names_in(ROOT / path) else f"{path} has no test {name}"


def test_each_behaviour_has_its_test_or_its_reason() -> None:
    wrong = [f"{place}: {name}: {said}" for place, name, value in ROWS if (said := problem(value))]
    assert wrong == []


def test_most_of_them_have_a_test() -> None:
    tested = [name for _, name, value in ROWS if " " not in value]
    assert len(tested) > len(ROWS) / 2


@pytest.mark.parametrize(
    "value", ["tests/none.py::test_a", "tests/differential/test_behaviours.py::test_a", "OpenAI's"]
)
def test_a_wrong_row_is_found(value: str) -> None:
    assert problem(value)
