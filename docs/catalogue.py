"""Brings the Chinese catalogue up to the sentences in the code: ``python docs/catalogue.py``.

New sentences are added to the ``.po`` file untranslated, ones that are gone are dropped, and the
``.mo`` file that the packages read is compiled. A changed sentence is a new one. Needs Babel.
"""

from __future__ import annotations

import argparse
import ast
import datetime as dt
import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages import Catalog, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "modelscope_transport" / "locale" / "zh_CN" / "LC_MESSAGES"
PO, MO = FOLDER / "modelscope_adapters.po", FOLDER / "modelscope_adapters.mo"
PACKAGES = ("modelscope_transport", "langchain_modelscope", "llamaindex_modelscope", "demo")
KEYWORDS = {"_": None, "_N": None}
# Rows of the local service's tables: the place of the sentence among their arguments.
ROWS = {"Scenario": 1, "Failure": 3}
# The sentences in the tables of data: the file, and the fields that hold them.
DATA = {
    "modelscope_transport/data/tasks.toml": ("does", "instead", "source"),
    "modelscope_transport/data/failures.toml": ("happened", "remedy"),
}
# A status, such as "502", needs no words.
_LETTERS = re.compile(r"[A-Za-z.,]")
# Without the dates and names that tools put there, which differ from run to run.
_HEAD = """\
# Sentences of modelscope-adapters in Chinese; each msgid is the English sentence in the code.
msgid ""
msgstr ""
"Language: zh_CN\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
# Of argparse's own words: those that a user can meet. The rest is for programmers.
_FOR_PROGRAMMERS = (
    "conflict",
    "unknown parser",
    "cannot ",
    "mutually",
    "dest",
    "'required'",
    "callable",
    "__call__",
    '"-" with mode',
    "invalid option string",
)


def sentences() -> dict[str, list[tuple[str, int]]]:
    """Every sentence in the code, with the places where it stands."""
    found: dict[str, list[tuple[str, int]]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            with path.open("rb") as file:
                for line, sentence, *_ in extract.extract("python", file, keywords=KEYWORDS):
                    found.setdefault(str(sentence), []).append((name, line))
            if "/emulator/" in name:
                for sentence, line in sentences_of_rows(path):
                    found.setdefault(sentence, []).append((name, line))
    for name, sentence in sentences_of_data():
        found.setdefault(sentence, []).append((name, 0))
    return {sentence: places for sentence, places in found.items() if _LETTERS.search(sentence)}


def sentences_of_rows(path: Path) -> Iterator[tuple[str, int]]:
    """Every sentence in a row of the local service's tables, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = ROWS.get(node.func.id, len(node.args))
            for said in node.args[place : place + 1]:
                if isinstance(said, ast.Constant) and isinstance(said.value, str):
                    yield said.value, said.lineno


def sentences_of_data() -> Iterator[tuple[str, str]]:
    """Every sentence in the tables of data, with its file."""
    for name, fields in DATA.items():
        for table in tomllib.loads((ROOT / name).read_text(encoding="utf-8")).values():
            for row in table if isinstance(table, list) else table.values():
                yield from ((name, row[field]) for field in fields if field in row)


def words_of_argparse() -> set[str]:
    """What the standard library's parser says to a user, in the Python that runs this."""
    keywords = {"_": None, "ngettext": (1, 2)}
    found: set[str] = set()
    with open(argparse.__file__, "rb") as file:
        for _, said, *_ in extract.extract("python", file, keywords=keywords):
            found.update([said] if isinstance(said, str) else filter(None, said))
    return set(filter(_is_for_users, found))


def _is_for_users(said: str) -> bool:
    return not any(word in said for word in _FOR_PROGRAMMERS)


def catalogue() -> Catalog:
    """The catalogue as it is stored."""
    with PO.open("rb") as file:
        return read_po(file, locale="zh_CN")


_NO_DATE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def compiled(of: Catalog) -> bytes:
    """The catalogue in the form that ``gettext`` reads."""
    # No date of this run, so that the same sentences always make the same file.
    of.creation_date = of.revision_date = _NO_DATE
    written = io.BytesIO()
    write_mo(written, of)
    return written.getvalue()


def brought_up() -> Catalog:
    """The catalogue with exactly the sentences of the code."""
    before = catalogue()
    after = Catalog(locale="zh_CN", project="modelscope-adapters", charset="utf-8")
    for sentence, places in sorted(sentences().items()):
        old = before.get(sentence)
        # no line number, which every change above it would move; Babel's own types forbid that
        place: tuple[str, Any] = (places[0][0], None)
        after.add(sentence, old.string if old else "", locations=[place])
    for said in sorted(words_of_argparse() - set(sentences())):
        old = before.get(said)
        after.add(said, old.string if old else "", auto_comments=["argparse"])
    for message in before:  # argparse of another Python
        if "argparse" in message.auto_comments and message.id not in after and message.string:
            after.add(message.id, message.string, auto_comments=["argparse"])
    return after


def write(of: Catalog) -> None:
    """Store a catalogue, and compile it."""
    for message in of:
        message.flags -= {"python-format", "python-brace-format"}
    written = io.BytesIO()
    write_po(written, of, width=100, omit_header=True, ignore_obsolete=True)
    PO.write_bytes(_HEAD.encode() + written.getvalue())
    MO.write_bytes(compiled(catalogue()))


if __name__ == "__main__":
    write(brought_up())
