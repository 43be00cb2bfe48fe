"""docs/one-call.md shows what a trace shows: the modules that a streamed tool call passes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from docs.one_call import PAGES, langchain_call, llamaindex_call, table, trace
from modelscope_transport.emulator import LocalService


@pytest.mark.parametrize(
    ("title", "make"), [("LangChain", langchain_call), ("LlamaIndex", llamaindex_call)]
)
def test_the_page_shows_the_road_of_a_call(
    title: str,
    make: Callable[[Any], Callable[[], list[Any]]],
    modelscope_service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELSCOPE_LEDGER", "memory")
    road = trace(make(modelscope_service))

    for language, page in PAGES.items():
        whole = page.read_text(encoding="utf-8")
        section = re.split(rf"## .*{title}.*\n", whole)[1].split("\n## ")[0]
        assert table(road, language) in section, "run: python docs/one_call.py"
        found = re.search(r"(\d+) [times次]+", section)
        assert found is not None
        # How many packets a stream comes in is the system's to decide.
        assert int(found[1]) == pytest.approx(road.changes, rel=0.3)
