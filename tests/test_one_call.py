"""docs/one-call.md tells the truth: a streamed tool call enters its rooms, in its order."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from llama_index.core.tools import FunctionTool

from langchain_modelscope import ChatModelScope
from llamaindex_modelscope import ModelScope
from modelscope_transport.emulator import LocalService

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "one-call.md").read_text(encoding="utf-8")
MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"


def rooms(section: str) -> list[tuple[str, str]]:
    text = PAGE.split(f"## From {section}")[1].split("\n## ")[0]
    return re.findall(r"^\| \d+ \| `([^`]+)` \| `([^`]+)` \|", text, re.MULTILINE)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def stream_langchain(service: LocalService) -> list[Any]:
    model = ChatModelScope(model=MODEL, api_key=service.token, base_url=service.base_url)
    return list(model.bind_tools([add]).stream("Add 2 and 3."))


def stream_llamaindex(service: LocalService) -> list[Any]:
    llm = ModelScope(model=MODEL, api_key=service.token, base_url=service.base_url)
    tool = FunctionTool.from_defaults(add)
    return list(llm.stream_chat_with_tools([tool], user_msg="Add 2 and 3."))


@pytest.mark.parametrize(
    ("section", "stream"), [("LangChain", stream_langchain), ("LlamaIndex", stream_llamaindex)]
)
def test_rooms_are_entered_in_the_order_of_the_page(
    section: str, stream: Callable[[LocalService], list[Any]], modelscope_service: LocalService
) -> None:
    expected = rooms(section)
    entered: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(ROOT):
                entered.append((path.relative_to(ROOT).as_posix(), frame.f_code.co_name))

    sys.setprofile(note)
    try:
        pieces = stream(modelscope_service)
    finally:
        sys.setprofile(None)

    assert "add" in repr(pieces[-2:]) or any("add" in repr(piece) for piece in pieces)
    assert len(expected) >= 14
    place = 0
    for room in expected:
        assert room in entered[place:], f"{room} is not entered where the page says"
        place = entered.index(room, place) + 1
