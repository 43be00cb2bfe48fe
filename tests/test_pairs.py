"""A page in English and the same page in Chinese have the same sections."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHINESE = [ROOT / "README.zh.md", *sorted((ROOT / "docs").rglob("*.zh.md"))]
HAN = re.compile(r"[\u4e00-\u9fff]")


def outline(page: Path) -> list[tuple[int, int, int]]:
    """Each section: the level of its heading, and how many blocks of code and tables it holds."""
    text = page.read_text(encoding="utf-8")
    found = []
    for section in re.split(
        r"^(?=#{1,6} )", re.sub(r"```.*?```", "@code", text, flags=re.S), flags=re.M
    ):
        if section.startswith("#"):
            level = len(section) - len(section.lstrip("#"))
            tables = len(re.findall(r"^\|[-|: ]+\|$", section, re.M))
            found.append((level, section.count("@code"), tables))
    return found


def english_of(page: Path) -> Path:
    return page.with_name(page.name.replace(".zh.md", ".md"))


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_sections_are_the_same(page: Path) -> None:
    assert outline(page) == outline(english_of(page))


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_pages_name_each_other(page: Path) -> None:
    english = english_of(page)
    assert f"]({english.name})" in page.read_text(encoding="utf-8")
    assert f"]({page.name})" in english.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_headings_are_chinese(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    english = [head for head in re.findall(r"^## (.+)$", text, re.M) if not HAN.search(head)]
    assert set(english) <= {"LangChain", "LlamaIndex"}
