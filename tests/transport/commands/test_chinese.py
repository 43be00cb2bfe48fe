"""With a Chinese system no command says an English sentence of ours."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelscope_transport import ErrorDetails, cli, language
from modelscope_transport._wire.failure_table import failure_rows, shape_rows
from modelscope_transport._wire.wording import message_of
from modelscope_transport.emulator import LocalService
from modelscope_transport.emulator.language import speak as speak_locally
from modelscope_transport.emulator.language import translated as said_locally
from modelscope_transport.emulator.scenarios import listing

ROOT = Path(__file__).resolve().parents[3]
QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
SPENT = "ZhipuAI/GLM-4.7-Flash"
QUESTIONS = '杭州在哪里？\n{"prompt": "北京在哪里？", "key": "b"}\n{"key": "c"}\n{"prompt": 1}\n'
Run = Callable[..., str]

# What is no sentence: code, commands, places, names, values.
_CODE = re.compile(
    r"`[^`]*`|\"[^\"]*\"|'[^']*'"  # quoted
    r"|https?://\S+|\S*[/\\]\S*"  # addresses, paths, model IDs
    r"|--?[\w-]+(=\S+)?|\{[\w,]+\}|\[[\w |-]*\]"  # options
    r"|\w*[A-Z_\d.=:@%+-]\w*"  # names of classes, variables, versions; capitals
)
# Words that Chinese texts use as they are, and names of this command's words.
_TERMS = re.compile(
    "token|tokens|schema|pipeline|modelscope|adapters|langchain|llamaindex|openai|redis|httpx"
    "|serve|login|logout|ask|chat|quota|plan|batch|models|doctor|ledger|run|resume|status|path"
    "|reset|grant|mend|export|list|show|refresh|memory|off|auto|zh|en|short|prompt|messages|input"
    "|key|temperature|choices|null|usage|index|id|name|type|delta|reasoning|data|event|retry"
    "|message|errors|object|content|role|developer|choice|think|pem|yes|text|image|video|audio"
    "|hybrid|flagship|ultra|standard|lite|discount|embedding|rerank|nonsense"
)
_QUOTED = re.compile(
    "[Nn]o such file or directory|Connection refused"  # of the system
    "|rate limit"  # the words that programs look for in a message
    r"|def tokens\(text\)[^”]*"  # the function that the demo has explained
    r"|Quantos Magicubes.*\n.*"  # the demo's Portuguese question, answered from its documents
)


def english(said: str) -> list[str]:
    """The English words that stand beside each other in a text, and are ours to translate."""
    left = _CODE.sub(" § ", _QUOTED.sub(" § ", said))
    found = []
    for phrase in re.findall(r"[a-z]{2,}(?:[ ,]+[a-z]{2,})+", left):
        words = re.findall("[a-z]+", phrase)
        if not all(map(_TERMS.fullmatch, words)):
            found.append(phrase)
    return found


@pytest.fixture
def run(
    modelscope_service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """Type a command on a Chinese system; all that it says."""
    for name in ("MODELSCOPE_LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.setenv("MODELSCOPE_API_BASE", modelscope_service.base_url)
    monkeypatch.setenv("MODELSCOPE_API_KEY", modelscope_service.token)
    monkeypatch.setenv("MODELSCOPE_LEDGER", str(tmp_path / "ledger.sqlite3"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "settings"))
    monkeypatch.chdir(tmp_path)
    Path("questions.jsonl").write_text(QUESTIONS, encoding="utf-8")

    def typed(*words: str, piped: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(piped))
        with contextlib.suppress(SystemExit):
            cli.main(list(words))
        return "".join(capsys.readouterr())

    yield typed
    language.speak(None)
    speak_locally(None)


def test_the_detector_finds_english_and_leaves_names_alone() -> None:
    assert english("额度 is spent: wait for the reset")
    assert english("用法: the questions")
    assert not english(f"请用 `quota --refresh`，模型 {QWEN} 在 https://modelscope.cn/my 的 token")


HELPS = [
    [],
    *([name] for name in cli.COMMANDS),
    *(["batch", command] for command in ("run", "resume", "status", "plan")),
    *(["ledger", command] for command in ("path", "reset", "grant", "mend", "export")),
]


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_help(words: list[str], run: Run) -> None:
    said = run(*words, "--help")
    assert re.search("[一-鿿]", said)
    assert not english(said)


SESSION = {
    "the allowance": [
        ["quota"],
        ["quota", "--refresh"],
        ["quota", QWEN],
        ["quota", "--html", "page.html"],
        ["plan", "1000", "--model", QWEN],
        ["plan", "1", "--model", QWEN],
        ["ledger", "path"],
        ["ledger", "grant", "5", "--hours", "1"],
        ["ledger", "mend"],
        ["ledger", "reset"],
        ["ledger", "reset", "--all"],
    ],
    "models": [
        ["models", "--listed"],
        ["models", "show", QWEN],
        ["models", "show", "Qwen/nothing-of-the-kind"],
        ["models", "nonsense"],
        ["doctor"],
        ["doctor", "--model", QWEN],
        ["doctor", "--model", QWEN, "--yes"],
        ["doctor", "--base-url", "http://127.0.0.1:9/v1"],
    ],
    "questions": [
        ["ask", "你好！"],
        ["ask"],
        ["chat"],
        ["ask", "你好！", "--model", "not-a-model"],
        ["ask", "你好！", "--image", "missing.png"],
        ["ask", "你好！", "--base-url", "nonsense"],
        ["ask", "你好！", "--model", "Qwen/Qwen-Image"],
    ],
    "a batch": [
        ["batch", "plan", "questions.jsonl", "--model", QWEN],
        ["batch", "run", "questions.jsonl", "out.jsonl", "--model", QWEN],
        ["batch", "run", "questions.jsonl", "out.jsonl", "--model", QWEN, "--skip-bad"],
        ["batch", "status", "out.jsonl"],
        ["batch", "resume", "out.jsonl", "--retry-failed"],
        ["batch", "run", "missing.txt", "out.jsonl", "--model", QWEN],
        ["batch", "status", "missing.jsonl"],
    ],
    "the rest": [
        ["login"],
        ["logout"],
        ["logout"],
        ["serve", "--scenario", "help"],
        ["serve", "--scenario", "nonsense"],
        ["serve", "--allowance", "nonsense=1"],
        ["serve", "--allowance", "calls=x"],
        ["serve", "--upstream", "nonsense"],
        ["serve", "--port", "x"],
        ["plan", "x", "--model", QWEN],
        ["nonsense"],
        ["quota", "--nonsense"],
        ["--version"],
    ],
}


@pytest.mark.parametrize("commands", SESSION.values(), ids=SESSION)
def test_what_the_commands_say(commands: list[list[str]], run: Run) -> None:
    found = {}
    for words in commands:
        said = run(*words, piped="你好\n/exit\n" if words == ["chat"] else "")
        assert said, words
        # Where a model is known from is quoted as it was written.
        kept = "\n".join(line for line in said.splitlines() if "来源：" not in line)
        if left := english(kept):
            found[" ".join(words)] = left
    assert not found


def test_what_they_say_of_a_spent_day(run: Run, modelscope_service: LocalService) -> None:
    modelscope_service.next("model_spent", "balance_spent")
    said = [run("ask", "你好！", "--model", SPENT), run("ask", "你好！"), run("quota")]
    Path("questions.jsonl").write_text("你好\n", encoding="utf-8")
    said.append(run("batch", "run", "questions.jsonl", "out.jsonl", "--model", SPENT))
    assert "额度已用完" in "".join(said)
    # The page of the service is quoted by its name.
    assert not [left for each in said for left in english(each)]


@pytest.mark.parametrize("row", [*failure_rows(), *shape_rows().values()], ids=lambda row: row.name)
def test_each_error(row: object, run: Run) -> None:
    details = ErrorDetails(
        model="some/model",
        retry_after=3.0,
        task_id="t-1",
        headers={"location": "https://elsewhere"},
        alternatives=("a/b", "a/c"),
    )
    assert not english(message_of(row, details))  # type: ignore[arg-type]


def test_the_list_of_scenarios(run: Run) -> None:
    run("serve", "--help")  # gives the local service its translator
    assert said_locally("busy") == "繁忙"
    descriptions = [line.split("  ", 1)[1] for line in listing().splitlines()]
    assert not [left for each in descriptions for left in english(each)]


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    settings = {
        name: value for name, value in os.environ.items() if not name.startswith("MODELSCOPE_")
    }
    settings |= {"LANG": "zh_CN.UTF-8", "LC_ALL": "", "MODELSCOPE_LEDGER": str(tmp_path / "ledger")}
    command = [sys.executable, "-m", "demo", "--scripted"]
    ran = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not english(ran.stdout)
    assert ran.stdout.count("examples/zh/") == 6
