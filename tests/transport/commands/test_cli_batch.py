"""``modelscope-adapters batch run``, as a user types it."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelscope_transport import cli, read_results
from modelscope_transport.emulator import LocalService
from modelscope_transport.settings import speak

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
FILE = """\
What is 2 plus 3?

"A text with \\"quotes\\""
{"prompt": "Hello", "key": "greeting", "temperature": 0.5, "stop": ["end"]}
{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"},
"""
GOOD = [*FILE.splitlines()[:4], '{"prompt": "你好", "model": "Qwen/Qwen3-8B"}']

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def service(
    modelscope_service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[LocalService]:
    monkeypatch.setenv("MODELSCOPE_API_BASE", modelscope_service.base_url)
    monkeypatch.setenv("MODELSCOPE_API_KEY", modelscope_service.token)
    monkeypatch.setenv("MODELSCOPE_LEDGER", str(tmp_path / "ledger.sqlite3"))
    monkeypatch.chdir(tmp_path)
    Path("questions.txt").write_text("\n".join(GOOD), encoding="utf-8")
    yield modelscope_service
    speak(None)


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Type:
    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(["batch", "run", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


JOB = ["questions.txt", "--model", QWEN, "--out", "answers.jsonl"]


def test_every_form_of_a_question_is_asked_once(typed: Type, service: LocalService) -> None:
    code, out, _ = typed(*JOB, "--system", "Be brief.")
    assert code == 0
    assert "4 items: 4 answered now, 0 before, 0 failed" in out
    bodies = [request.body for request in service.requests]
    assert [body["messages"][-1]["content"] for body in bodies] == [
        "What is 2 plus 3?",
        'A text with "quotes"',
        "Hello",
        "你好",
    ]
    assert all(body["messages"][0]["content"] == "Be brief." for body in bodies)
    assert (bodies[2]["temperature"], bodies[2]["stop"]) == (0.5, ["end"])
    assert [body["model"] for body in bodies] == [QWEN, QWEN, QWEN, "Qwen/Qwen3-8B"]
    rows = read_results("answers.jsonl")
    assert list(rows) == ["1", "3", "greeting", "5"]
    assert rows["1"].text

    code, out, _ = typed(*JOB, "--system", "Be brief.", "--json")
    assert json.loads(out) == {"items": 4, "answered": 0, "kept": 4, "failed": 0, "blocked": 0}
    assert len(service.requests) == 4


def test_a_whole_conversation_is_a_question(typed: Type, service: LocalService) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    turns.append({"role": "user", "content": "Bye"})
    Path("questions.txt").write_text(json.dumps({"messages": turns, "max_tokens": 9}))
    assert typed(*JOB)[0] == 0
    assert service.requests[0].body["messages"] == turns
    assert service.requests[0].body["max_tokens"] == 9


def test_a_spent_allowance_ends_it_with_the_command_that_goes_on(
    typed: Type, service: LocalService
) -> None:
    service.next("honest", "account_spent")
    code, _, err = typed(*JOB, "--system", "Be brief.")
    assert code == 75
    assert "comes back at" in err
    command = err.strip().rpartition("To go on: ")[2]
    assert command == shlex.join(
        ["modelscope-adapters", "batch", "run", *JOB, "--system", "Be brief."]
    )
    assert len(read_results("answers.jsonl")) == 1

    cli.main(["ledger", "reset"])  # as if the day were over
    assert cli.main(shlex.split(command)[1:]) == 0
    assert len(read_results("answers.jsonl")) == 4
    assert len(service.requests) == 1 + 1 + 3


def test_what_fails_is_told_and_the_others_go_on(typed: Type, service: LocalService) -> None:
    service.next("honest", "context_length")
    code, out, err = typed(*JOB)
    assert code == 1
    assert "3 answered now, 0 before, 1 failed" in out
    assert err.startswith("3: ")
    assert typed(*JOB)[0] == 1
    assert len(service.requests) == 4
    assert typed(*JOB, "--retry-failed")[0] == 0
    assert len(service.requests) == 5


def test_it_tells_in_chinese_too(typed: Type, service: LocalService) -> None:
    assert "本次完成 4 项" in typed(*JOB, "--lang", "zh")[1]
    service.next("model_spent")
    Path("questions.txt").write_text("再问一次")
    code, _, err = typed(*JOB, "--lang", "zh")
    assert code == 75
    assert "继续：modelscope-adapters batch run" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "Hello", "tempreature": 1}', "tempreature"),
        ('{"prompt": "Hello", "temperature": "warm"}', "temperature"),
        ('{"key": "a"}', "needs a prompt or messages"),
        ('{"prompt": "a", "messages": [{"role": "user", "content": "b"}]}', "one of them"),
        ('{"prompt": ', "no question"),
        ('{"prompt": "a", "key": 2}\n{"prompt": "b", "key": "2"}', "'2' comes twice"),
    ],
    ids=["misspelt", "wrong type", "nothing", "both", "half", "twice"],
)
def test_a_line_that_is_no_question_is_said(
    typed: Type, service: LocalService, line: str, said: str
) -> None:
    Path("questions.txt").write_text(f"What is 2 plus 3?\n{line}\n")
    code, _, err = typed(*JOB)
    assert code == 1
    assert said in err
    assert "To go on" not in err


def test_a_file_that_is_missing_is_said(typed: Type, service: LocalService) -> None:
    code, _, err = typed("nothing.txt", *JOB[1:])
    assert code == 1
    assert "nothing.txt" in err
    assert not service.requests


def test_an_interrupt_keeps_what_there_is_and_says_how_to_go_on(service: LocalService) -> None:
    service.next("honest", "silence")
    job = subprocess.Popen(
        [sys.executable, "-m", "modelscope_transport.cli", "batch", "run", *JOB],
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(service.requests) < 2:
        assert job.poll() is None
    job.send_signal(signal.SIGINT)
    _, err = job.communicate(timeout=30)

    assert job.returncode == 130
    assert "To go on: modelscope-adapters batch run questions.txt" in err
    assert "Traceback" not in err
    assert len(read_results("answers.jsonl")) == 1
