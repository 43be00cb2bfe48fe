"""The examples in the classes' docstrings, done."""

from __future__ import annotations

import inspect
import re
import textwrap

import pytest

import llamaindex_modelscope
from modelscope_transport.emulator import LocalService

BLOCKS = [
    pytest.param(block, id=f"{name}-{number}")
    for name in llamaindex_modelscope.__all__
    for number, block in enumerate(
        re.findall(
            r"```python\n(.*?)```",
            inspect.getdoc(getattr(llamaindex_modelscope, name)) or "",
            re.DOTALL,
        )
    )
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_runs(
    block: str,
    service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    monkeypatch.setenv("MODELSCOPE_API_BASE", service.base_url)

    exec(textwrap.dedent(block), {})

    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "name",
    [
        "ModelScope",
        "ModelScopeEmbedding",
        "ModelScopeImageToolSpec",
        "ModelScopePipelineToolSpec",
        "ModelScopeRerank",
    ],
)
def test_every_class_of_a_task_has_an_example(name: str) -> None:
    assert any(block.id.startswith(f"{name}-") for block in BLOCKS if block.id)
