"""Every sentence that a user can meet is marked, and stands in the Chinese catalogue."""

from __future__ import annotations

import argparse
import ast
import gettext
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_transport import cli, language
from modelscope_transport.settings import resolve_token

ROOT = Path(__file__).resolve().parents[2]
LOCALE = ROOT / "modelscope_transport" / "locale" / "zh_CN" / "LC_MESSAGES"
PACKAGES = ("modelscope_transport", "langchain_modelscope", "llamaindex_modelscope")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MARKS = {"_", "_N", "translated"}
# Said to a user as they stand. Python's own errors of a wrong program are not among them.
OURS = re.compile(
    r"(ModelScope\w*|Configuration|InvalidRequest|UnsupportedTask|ModelNotServed|UnexpectedReply|"
    r"Authentication|Store|ArgumentType)Error"
)
PRINTS = re.compile(r"print|input|getpass|warn")
# These speak by pairs of an English and a Chinese text, or are not translated yet.
UNTRANSLATED = {
    "modelscope_transport/_commands/batch.py",
    "modelscope_transport/_wire/batch_lines.py",
    "modelscope_transport/_wire/batch_results.py",
    "modelscope_transport/client/redis_answers.py",
    "modelscope_transport/client/sqlite_answers.py",
    "langchain_modelscope/batches.py",
    "llamaindex_modelscope/resuming.py",
    *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("modelscope_transport/jobs/*.py")),
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def marked() -> Iterator[tuple[str, str]]:
    """The marked sentences, with the file that each stands in."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and called(node) in MARKS and node.args:
                sentence = node.args[0]
                if isinstance(sentence, ast.Constant) and isinstance(sentence.value, str):
                    yield sentence.value, name_of(path)
    tasks = tomllib.loads((ROOT / "modelscope_transport/data/tasks.toml").read_text("utf-8"))
    for row in tasks["tasks"].values():
        if "instead" in row:
            yield row["instead"], "tasks.toml"


@pytest.fixture(scope="module")
def chinese() -> dict[str, str]:
    """The catalogue as programs read it; a fuzzy entry is not in there."""
    with (LOCALE / "modelscope_adapters.mo").open("rb") as file:
        found: dict[str, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {sentence: said for sentence, said in found.items() if sentence}


def test_every_marked_sentence_is_in_the_catalogue(chinese: dict[str, str]) -> None:
    missing = sorted({f"{place}: {said!r}" for said, place in marked() if not chinese.get(said)})
    assert not missing, "write them in the .po file: python docs/catalogue.py adds them"


def test_the_catalogue_holds_no_sentence_that_is_gone(chinese: dict[str, str]) -> None:
    known = {said for said, _ in marked()}
    gone = {said for said in chinese if said not in known and "%" not in said}
    assert gone <= words_of_argparse()


def fields(text: str) -> set[str]:
    named = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return named | set(re.findall(r"%\(\w+\)\w|%[sdr]", text))


def test_a_sentence_and_its_chinese_have_the_same_fields(chinese: dict[str, str]) -> None:
    found = {said: text for said, text in chinese.items() if fields(said) != fields(text)}
    assert not found


def test_the_chinese_is_chinese(chinese: dict[str, str]) -> None:
    han = re.compile(r"[\u4e00-\u9fff]")
    latin = {said for said, text in chinese.items() if not han.search(text)}
    assert latin <= {".", "{model}: {cost}"}


def words_of_argparse() -> set[str]:
    """What argparse of this Python gives to gettext."""
    found = set()
    for node in ast.walk(ast.parse(Path(argparse.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and called(node) in ("_", "ngettext"):
            found |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    return {word for word in found if isinstance(word, str)}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["nonsense"],
        ["plan"],
        ["plan", "many", "--model", "x"],
        ["plan", "1", "--model"],
        ["plan", "1", "--model", "x", "--colour"],
        ["quota", "--watch", "-1"],
        ["serve", "--port", "99999"],
        ["doctor", "--json=yes"],
        *([name, "--help"] for name in cli.COMMANDS),
    ],
    ids=" ".join,
)
def test_the_frame_of_the_command_is_chinese_too(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([*words, "--lang", "zh"])
    language.speak(None)
    said = "".join(capsys.readouterr())
    for english in ("usage", "error", "argument", "options", "show this", "positional", "choose"):
        assert english not in re.sub(r"--\S+|%\S+|OpenAI \S+", "", said).replace("argparse", "")


def is_sentence(node: ast.expr) -> bool:
    """Whether an expression is text for a person that is written out in the code."""
    if isinstance(node, ast.Constant):
        text = node.value if isinstance(node.value, str) else ""
        both = re.search(r"[\u4e00-\u9fff]", text)  # said in both languages at once
        return not both and bool(re.search(r"[A-Za-z]{2,}", text))
    if isinstance(node, ast.JoinedStr):
        return any(is_sentence(part) for part in node.values if isinstance(part, ast.Constant))
    if isinstance(node, ast.BinOp):
        return is_sentence(node.left) or is_sentence(node.right)
    return isinstance(node, ast.IfExp) and (is_sentence(node.body) or is_sentence(node.orelse))


def test_every_sentence_of_an_error_or_a_command_is_marked() -> None:
    found = []
    for path in SOURCES:
        name = name_of(path)
        if name in UNTRANSLATED:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            says = OURS.fullmatch(called(node)) or PRINTS.fullmatch(called(node))
            if says and is_sentence(node.args[0]):
                found.append(f"{name}:{node.lineno}: {ast.unparse(node.args[0])[:60]}")
            if called(node) == "add_argument":
                helps = [word.value for word in node.keywords if word.arg == "help"]
                found += [f"{name}:{node.lineno}: help" for each in helps if is_sentence(each)]
    assert not found


@pytest.mark.parametrize(
    ("variables", "spoken"),
    [
        ({"MODELSCOPE_LANG": "zh", "LANG": "en_US.UTF-8"}, "zh"),
        ({"MODELSCOPE_LANG": "en", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "de_DE.UTF-8"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "zh_TW.UTF-8"}, "zh"),
    ],
)
def test_the_language_is_that_of_the_environment(
    variables: dict[str, str], spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MODELSCOPE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language.resolve_language() == spoken


def test_an_error_before_any_request_is_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_LANG", "zh")
    with pytest.raises(Exception, match="没有 ModelScope 令牌"):
        resolve_token(" ")


def test_english_readers_load_no_catalogue() -> None:
    program = """
import sys
from modelscope_transport import Client
try:
    Client("ms-1", base_url="nonsense")
except Exception as error:
    print(error)
from modelscope_transport import language
print(language._chinese.cache_info().currsize)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0", done.stderr


def test_the_compiled_catalogue_is_that_of_the_text(chinese: dict[str, str]) -> None:
    pofile = pytest.importorskip("babel.messages.pofile", reason="a developer's tool: make install")
    with (LOCALE / "modelscope_adapters.po").open("rb") as file:
        written = pofile.read_po(file, locale="zh_CN", abort_invalid=True)
    assert {each.id: each.string for each in written if each.id} == chinese
