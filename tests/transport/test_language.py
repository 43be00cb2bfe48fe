"""Every sentence that a user can meet is marked, and stands in the Chinese catalogue."""

from __future__ import annotations

import argparse
import ast
import ctypes
import gettext
import io
import os
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelscope_transport import cli, language
from modelscope_transport.emulator import page
from modelscope_transport.settings import resolve_token
from tests.sentences import (
    NO_SENTENCES,
    PACKAGES,
    PHRASES_OF_OTHERS,
    ROOT,
    SOURCES,
    called,
    marked,
    name_of,
    unmarked,
)

LOCALE = ROOT / "modelscope_transport" / "locale" / "zh_CN" / "LC_MESSAGES"
# The tables of data whose sentences a user meets, and the fields that hold them.
DATA = {
    "modelscope_transport/data/tasks.toml": ("does", "instead", "source"),
    "modelscope_transport/data/failures.toml": ("happened", "remedy"),
}


def all_marked() -> Iterator[tuple[str, str]]:
    """The marked sentences, with the file that each stands in."""
    for path in SOURCES:
        yield from ((said, name_of(path)) for said in marked(path) if re.search("[A-Za-z.,]", said))
    for name, fields in DATA.items():
        for table in tomllib.loads((ROOT / name).read_text(encoding="utf-8")).values():
            for row in table if isinstance(table, list) else table.values():
                yield from ((row[field], name) for field in fields if field in row)


@pytest.fixture(scope="module")
def chinese() -> dict[str, str]:
    """The catalogue as programs read it; a fuzzy entry is not in there."""
    with (LOCALE / "modelscope_adapters.mo").open("rb") as file:
        found: dict[str, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {sentence: said for sentence, said in found.items() if sentence}


def test_every_marked_sentence_is_in_the_catalogue(chinese: dict[str, str]) -> None:
    missing = sorted(
        {f"{place}: {said!r}" for said, place in all_marked() if not chinese.get(said)}
    )
    assert not missing, "write them in the .po file: python docs/catalogue.py adds them"


def test_the_catalogue_holds_no_sentence_that_is_gone(chinese: dict[str, str]) -> None:
    known = {said for said, _ in all_marked()}
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
    words = {said for said in chinese if re.search("[a-z]{2}", re.sub(r"{[^}]*}", "", said))}
    latin = {said for said in words if not han.search(chinese[said])}
    assert latin <= {"{done} of {total} ({share:.0f} %)"}


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


@pytest.mark.parametrize("package", PACKAGES)
def test_every_sentence_is_marked(package: str) -> None:
    found = [
        said
        for path in SOURCES
        if name_of(path).startswith(f"{package}/")
        for said in unmarked(path.read_text(encoding="utf-8"), name_of(path))
    ]
    assert not found, "mark them: CONTRIBUTING.md, Sentences"


def test_no_exception_of_that_rule_is_out_of_date() -> None:
    names = {name_of(path) for path in SOURCES}
    gone = [
        place for place in PHRASES_OF_OTHERS if not any(name.startswith(place) for name in names)
    ]
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    unused = [said for said in NO_SENTENCES if "{" not in said and f'"{said}"' not in text]
    assert not gone + unused


# One sentence of each kind of place: the file that it is put into, the line, the sentence.
BROKEN = {
    "raised": ("modelscope_transport/client/core.py", "raise ConfigurationError(@)", '"No model."'),
    "built": ("modelscope_transport/http/reply.py", "x = httpx.ReadTimeout(@)", '"no byte"'),
    "by LangChain's": ("langchain_modelscope/_messages.py", "raise ValueError(@)", '"wrong"'),
    "by LlamaIndex's": ("llamaindex_modelscope/_program.py", "why = @", '"it is no JSON"'),
    "warned": ("modelscope_transport/jobs/block_stage.py", "_log.warning(@, x)", '"Waiting: %s"'),
    "of the demo": ("demo/__main__.py", "_say(@.format(x=x))", '"done in {x} s"'),
    "helping": (
        "modelscope_transport/emulator/serving.py",
        "p.add_argument('x', help=@)",
        '"quiet"',
    ),
    "served": ("modelscope_transport/emulator/serving.py", "said = [@, x]", '"It runs here."'),
    "found": (
        "modelscope_transport/_commands/doctor.py",
        "yield Finding(x, 'ok', @)",
        '"no proxy"',
    ),
    "in a bar": ("modelscope_transport/_commands/batch_progress.py", "x = @", '"items failed"'),
    "tabled": ("langchain_modelscope/_argument_table.py", "x = ('a', '', @)", '"leave it out"'),
    "spoilt": (
        "modelscope_transport/emulator/scenarios/streams.py",
        "raise ValueError(@)",
        '"none"',
    ),
}


@pytest.mark.parametrize(("name", "line", "said"), BROKEN.values(), ids=BROKEN)
def test_an_unmarked_sentence_is_found(name: str, line: str, said: str) -> None:
    assert len(list(unmarked(line.replace("@", said), name))) == 1
    assert not list(unmarked(line.replace("@", f"_({said})"), name))


def test_the_page_of_the_local_service_has_its_words_in_both_languages(
    chinese: dict[str, str],
) -> None:
    for english, said in page._WORDS.values():
        assert re.search("[\u4e00-\u9fff]", said)
        assert not re.search("[\u4e00-\u9fff]", english)
        assert said == chinese.get(
            english, said
        )  # where the command says it too, in the same words


def test_a_scenario_that_is_not_in_the_catalogue_is_missed(tmp_path: Path) -> None:
    place = tmp_path / "emulator" / "rows.py"
    place.parent.mkdir()
    place.write_text('Scenario("name", "a new misbehaviour", act)', encoding="utf-8")
    assert list(marked(place)) == ["a new misbehaviour"]


def test_a_fuzzy_sentence_is_not_compiled(chinese: dict[str, str]) -> None:
    pytest.importorskip("babel", reason="a developer's tool: make install")
    from docs import catalogue

    whole = catalogue.catalogue()
    whole["The ledger is switched off."].flags.add("fuzzy")
    read = gettext.GNUTranslations(io.BytesIO(catalogue.compiled(whole)))
    assert read.gettext("The ledger is switched off.") == "The ledger is switched off."
    assert chinese["The ledger is switched off."] != "The ledger is switched off."


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
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language.resolve_language() == spoken


NAMES = ("MODELSCOPE_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process that no variable tells its language, as a program with windows is."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    language._of_system.cache_clear()
    yield monkeypatch
    language._of_system.cache_clear()


@pytest.mark.parametrize(
    ("code", "spoken"), [(0x0804, "zh"), (0x0404, "zh"), (0x0409, "en"), (0x0411, "en"), (1, "en")]
)
def test_on_windows_the_language_is_that_of_its_windows(
    code: int, spoken: str, unset: pytest.MonkeyPatch
) -> None:
    kernel = SimpleNamespace(GetUserDefaultUILanguage=lambda: code)
    unset.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    unset.setattr(sys, "platform", "win32")
    assert language.resolve_language() == spoken


@pytest.mark.parametrize(
    ("told", "spoken"), [("zh-Hans_CN\n", "zh"), ("zh_TW\n", "zh"), ("en_CN\n", "en"), ("", "en")]
)
def test_on_macos_the_language_is_that_of_its_settings(
    told: str, spoken: str, unset: pytest.MonkeyPatch
) -> None:
    asked = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout=told)

    unset.setattr(subprocess, "run", run)
    unset.setattr(sys, "platform", "darwin")
    assert [language.resolve_language() for _ in range(3)] == [spoken] * 3
    assert asked == [["/usr/bin/defaults", "read", "-g", "AppleLocale"]]


def test_a_mac_that_cannot_be_asked_is_english(unset: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise FileNotFoundError

    unset.setattr(subprocess, "run", run)
    unset.setattr(sys, "platform", "darwin")
    assert language.resolve_language() == "en"


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_a_variable_comes_before_the_system(platform: str, unset: pytest.MonkeyPatch) -> None:
    unset.setattr(sys, "platform", platform)  # which would fail to be asked
    unset.setenv("MODELSCOPE_LANG", "zh")
    assert language.resolve_language() == "zh"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp936", "utf-8"])
def test_chinese_goes_into_a_file_of_any_encoding(encoding: str) -> None:
    # As on Windows, where a file has the encoding of the country.
    command = [sys.executable, "-m", "modelscope_transport.cli", "--lang", "zh", "--help"]
    settings = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=settings)
    assert done.returncode == 0, done.stderr
    assert "用法" in done.stdout.decode("cp936" if encoding == "cp936" else "utf-8")


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
