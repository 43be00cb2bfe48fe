"""Brings the Chinese catalogue up to the sentences in the code: ``python docs/catalogue.py``.

New sentences are added to the ``.po`` file untranslated, ones that are gone are dropped, and the
``.mo`` file that the packages read is compiled. A changed sentence is a new one. Needs Babel.
"""

from __future__ import annotations

import argparse
import io
import tomllib
from pathlib import Path

from babel.messages import Catalog, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "modelscope_transport" / "locale" / "zh_CN" / "LC_MESSAGES"
PO, MO = FOLDER / "modelscope_adapters.po", FOLDER / "modelscope_adapters.mo"
PACKAGES = ("modelscope_transport", "langchain_modelscope", "llamaindex_modelscope", "demo")
_TASKS = "modelscope_transport/data/tasks.toml"
KEYWORDS = {"_": None, "_N": None}
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
# Of argparse's own words: those that a user can meet. The rest is said to whoever writes a parser.
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
    tasks = tomllib.loads((ROOT / _TASKS).read_text(encoding="utf-8"))["tasks"]
    for row in tasks.values():
        if "instead" in row:
            found.setdefault(row["instead"], []).append((_TASKS, 0))
    return found


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


def compiled(of: Catalog) -> bytes:
    """The catalogue in the form that ``gettext`` reads."""
    written = io.BytesIO()
    write_mo(written, of)
    return written.getvalue()


def brought_up() -> Catalog:
    """The catalogue with exactly the sentences of the code."""
    before = catalogue()
    after = Catalog(locale="zh_CN", project="modelscope-adapters", charset="utf-8")
    for sentence, places in sorted(sentences().items()):
        old = before.get(sentence)
        after.add(sentence, old.string if old else "", locations=[(places[0][0], None)])
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
