"""A page, an example or a notebook in English and its Chinese say the same, section by section.

What is compared is what no language changes: the sections, the rows of tables, the points of lists,
the code, the names in it. A pair that has drifted apart has lost or won one of these.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import one_call
from tests.faults import table

ROOT = Path(__file__).resolve().parent.parent
CHINESE = [*sorted(ROOT.glob("*.zh.md")), *sorted((ROOT / "docs").rglob("*.zh.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.zh.ipynb"))
HAN = re.compile(r"[\u4e00-\u9fff]")
_FENCE = re.compile(r"```(\w*)[^\n]*\n(.*?)```", re.DOTALL)
# Written by `make docs` from one source; the two tables of failures have columns of their own.
_WRITTEN = re.compile(r"(<!-- [^\n]*: begin)[^\n]*-->.*?(<!-- [^\n]*: end -->)", re.DOTALL)


def english_of(page: Path) -> Path:
    return page.with_name(page.name.replace(".zh.", "."))


def sections(page: Path) -> Iterator[str]:
    """The sections of a page, each with its heading, the code in it, and all else."""
    text = _WRITTEN.sub("", page.read_text(encoding="utf-8"))
    hidden = _FENCE.sub(lambda found: found[0].replace("\n#", "\n\0#"), text)
    for section in re.split(r"^(?=#{1,6} )", hidden, flags=re.MULTILINE):
        yield section.replace("\0", "")


def outline(section: str) -> dict[str, int]:
    """What a section is made of."""
    plain = _FENCE.sub("@code\n", section)
    return {
        "level of the heading": len(plain) - len(plain.lstrip("#")),
        "blocks of code": plain.count("@code"),
        "rows of tables": len(re.findall(r"^\|", plain, re.MULTILINE)),
        "columns of tables": sum(
            row.count("|") for row in re.findall(r"^\|[-|: ]+\|$", plain, re.M)
        ),
        "points of lists": len(re.findall(r"^ *(?:[-*]|\d\.) ", plain, re.MULTILINE)),
        "admonitions": len(re.findall(r"^(?:!!!|\?\?\?) ", plain, re.MULTILINE)),
    }


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_sections_are_the_same(page: Path) -> None:
    english = [outline(section) for section in sections(english_of(page))]
    assert [outline(section) for section in sections(page)] == english


def bare(code: str) -> str:
    """Code without what a reader's language decides: comments, texts."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
        elif isinstance(node, ast.JoinedStr):
            node.values = [each for each in node.values if isinstance(each, ast.FormattedValue)]
    return ast.dump(tree)


def blocks(section: str) -> list[str]:
    """The code of a section: what was typed, not what was printed."""
    found = []
    for language, code in _FENCE.findall(section):
        if language == "python":
            found.append(bare(code))
        elif language in ("sh", "toml", "json"):
            found.append("\n".join(line.split("#")[0].rstrip() for line in code.splitlines()))
        elif language == "console":
            found.append("\n".join(re.findall(r"^\$ .*", code, re.MULTILINE)))
    return found


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_code_is_the_same(page: Path) -> None:
    for chinese, english in zip(sections(page), sections(english_of(page)), strict=True):
        assert blocks(chinese) == blocks(english), english.splitlines()[0]


def names(section: str) -> set[str]:
    """The names of the code that a section speaks of."""
    spans = re.findall(r"`([^`\n]+)`", _FENCE.sub("", section))
    return {span for span in spans if re.fullmatch(r"[\w.\-=(),*/:\[\]<>]+", span, re.ASCII)}


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_same_names_are_named(page: Path) -> None:
    for chinese, english in zip(sections(page), sections(english_of(page)), strict=True):
        assert names(chinese) == names(english), english.splitlines()[0]


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_pages_name_each_other(page: Path) -> None:
    english = english_of(page)
    assert f"]({english.name})" in page.read_text(encoding="utf-8")
    assert f"]({page.name})" in english.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_a_chinese_page_leads_to_chinese_pages(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8")).replace(
        f"({english_of(page).name})", ""
    )
    english = [
        place
        for place in re.findall(r"\]\(([\w./-]+\.md)[#)]", text)
        if not place.endswith(".zh.md") and (page.parent / place).with_suffix(".zh.md").exists()
    ]
    assert not english


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_headings_are_chinese(page: Path) -> None:
    heads = [section.splitlines()[0] for section in sections(page) if section.startswith("## ")]
    english = {re.sub(r"`[^`]*`", "", head).strip("# ") for head in heads if not HAN.search(head)}
    assert english <= {"", "LangChain", "LlamaIndex"}


def pages_without_chinese() -> list[str]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(
        page.relative_to(ROOT).as_posix()
        for page in pages
        if ".zh." not in page.name and not page.with_suffix(".zh.md").exists()
    )


def test_every_page_has_its_chinese() -> None:
    # The changelog is short notes; mutants.md lists lines of code; the API reference is made of
    # docstrings.
    others = [page for page in pages_without_chinese() if not page.startswith("docs/reference/")]
    assert others == ["CHANGELOG.md", "docs/mutants.md"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_and_its_chinese_do_the_same(example: Path) -> None:
    english = example.read_text(encoding="utf-8")
    chinese = (example.parent / "zh" / example.name).read_text(encoding="utf-8")
    # The Chinese one lies a folder deeper.
    assert bare(chinese.replace("parents[2]", "parents[1]")) == bare(english)
    assert HAN.search(ast.get_docstring(ast.parse(chinese)) or "")
    spoken = re.findall(r'"""([A-Z].+?)"""|print\(f?"(.+?)"|# (.+)', chinese)
    plain = [said for each in spoken for said in each if re.search("[A-Za-z]{2} [a-z]{2}", said)]
    assert not [said for said in plain if not HAN.search(said)]


def cells(notebook: Path) -> list[tuple[str, object]]:
    """The cells of a notebook: code without texts, and of prose the levels of its headings."""
    found: list[tuple[str, object]] = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            found.append(("code", _of_cell(source)))
        else:
            heads = re.findall(r"^#+(?= )", source, re.MULTILINE)
            found.append((cell["cell_type"], heads))
    return found


def _of_cell(source: str) -> str:
    typed = "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))
    return bare(re.sub(r"^(\s*)await ", r"\1", typed, flags=re.MULTILINE))


def test_a_notebook_and_its_chinese_do_the_same() -> None:
    for notebook in NOTEBOOKS:
        assert cells(notebook) == cells(english_of(notebook)), notebook.name


def test_the_words_of_written_pages_are_those_of_the_code() -> None:
    words = tomllib.loads((ROOT / "docs" / "words.zh.toml").read_text(encoding="utf-8"))
    subjects = [
        row.split(" | ")[-1].removesuffix(" |")
        for row in one_call.PAGES["zh"].read_text(encoding="utf-8").splitlines()
        if row.startswith("| ") and "`" in row
    ]
    assert not [said for said in subjects if not HAN.search(said)], "docs/words.zh.toml"
    faults = [fault.name for faults in table.SECTIONS.values() for fault in faults]
    wanted = {said for said in (*faults, *table.SECTIONS) if not said.isdecimal()}
    assert wanted <= words["faults"].keys(), "docs/words.zh.toml"
