"""The examples in the docstrings of classes, run in their order on the local service."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
from typing import Any

import pytest

from langchain_modelscope import ChatModelScope, ModelScopeEmbeddings
from modelscope_transport.emulator import LocalService

SECTIONS = {
    ChatModelScope: [
        "Setup",
        "Key init args, completion params",
        "Key init args, client params",
        "Instantiate",
        "Invoke",
        "Stream",
        "Async",
        "Tool calling",
        "Structured output",
        "Reasoning",
        "Image input",
        "Token usage",
        "Response metadata",
        "Allowance",
    ],
    ModelScopeEmbeddings: ["Setup", "Key init args", "Instantiate", "Embed", "Async"],
}


@pytest.mark.parametrize("cls", SECTIONS)
def test_a_class_tells_how_it_is_used(cls: type[Any]) -> None:
    doc = inspect.getdoc(cls)
    assert doc is not None
    sections = re.findall(r"^(\w[\w ,]*):$", doc, re.MULTILINE)
    assert [name for name in sections if name in SECTIONS[cls]] == SECTIONS[cls]


@pytest.mark.parametrize("cls", SECTIONS)
def test_each_example_runs(
    cls: type[Any],
    service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    monkeypatch.setenv("MODELSCOPE_API_BASE", service.base_url)
    doc = inspect.getdoc(cls) or ""
    blocks = re.findall(r"```python\n(.*?)```", doc, re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, Any] = {"__name__": "example"}
    for block in blocks:
        code = compile(
            textwrap.dedent(block),
            f"{cls.__name__}.__doc__",
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        waits = eval(code, names)
        if inspect.iscoroutine(waits):
            asyncio.run(waits)
    assert capsys.readouterr().out
    assert service.requests
