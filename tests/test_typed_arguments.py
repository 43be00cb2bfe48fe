"""tests/typing, which mypy --strict reads, gives each argument of each class."""

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import langchain_modelscope as lc
import llamaindex_modelscope as li
from langchain_modelscope import _signatures

TYPING = Path(__file__).with_name("typing")
CONNECTION = set(_signatures.ConnectionArguments.__annotations__)


def given(framework: str) -> dict[str, set[str]]:
    """Class -> the arguments that it is constructed with, in the file that mypy reads."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse((TYPING / f"{framework}.py").read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            words = {keyword.arg for keyword in node.keywords if keyword.arg}
            found.setdefault(node.func.id, set()).update(words)
    return found


def own_fields(cls: type[Any]) -> set[str]:
    """The fields that our packages declare and the framework does not; ``model`` comes first."""
    ours: set[str] = set()
    theirs: set[str] = {"model", "model_name"}
    for base in cls.__mro__:
        mine = "modelscope" in base.__module__
        (ours if mine else theirs).update(inspect.get_annotations(base))
    return (ours - theirs) & set(cls.model_fields)


def arguments(cls: type[Any]) -> set[str]:
    """Those of the signature."""
    return set(inspect.signature(cls).parameters) - {"model", "settings"}


@pytest.mark.parametrize(
    ("cls", "wanted"),
    [
        (lc.ChatModelScope, set(_signatures.ChatArguments.__annotations__)),
        (lc.ModelScopeEmbeddings, set(_signatures.EmbeddingArguments.__annotations__) - CONNECTION),
        (lc.ModelScopeImageTool, own_fields(lc.ModelScopeImageTool) - CONNECTION),
        (lc.ModelScopePipelineTool, own_fields(lc.ModelScopePipelineTool) - CONNECTION),
        (lc.ModelScopeRerank, own_fields(lc.ModelScopeRerank) - CONNECTION),
        (li.ModelScope, own_fields(li.ModelScope)),
        (li.ModelScopeEmbedding, own_fields(li.ModelScopeEmbedding)),
        (li.ModelScopeRerank, own_fields(li.ModelScopeRerank) - CONNECTION),
        (li.ModelScopeImageToolSpec, arguments(li.ModelScopeImageToolSpec)),
        (li.ModelScopePipelineToolSpec, arguments(li.ModelScopePipelineToolSpec) - CONNECTION),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_mypy_sees_each_argument(cls: Any, wanted: set[str]) -> None:
    framework = cls.__module__.split("_")[0]
    assert wanted, cls
    assert wanted - given(framework)[cls.__name__] == set()
