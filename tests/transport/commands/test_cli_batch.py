"""``modelscope-adapters batch run``, as a user types it."""

from __future__ import annotations

import gzip
import io
import json
import queue
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.text import Text

from modelscope_transport import Batch, ChatRequest, Client, Message, cli, read_results
from modelscope_transport._commands.batch_progress import JobProgress
from modelscope_transport.emulator import Allowance, LocalService
from modelscope_transport.jobs.results import ResultsFile
from modelscope_transport.language import speak

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


JOB = ["questions.txt", "answers.jsonl", "--model", QWEN]


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
    assert "1 answered now" in err
    command = err.strip().rpartition("To go on: ")[2]
    assert command == "modelscope-adapters batch resume answers.jsonl"
    assert len(read_results("answers.jsonl")) == 1

    cli.main(["ledger", "reset"])  # as if the day were over
    assert cli.main(shlex.split(command)[1:]) == 0
    assert len(read_results("answers.jsonl")) == 4
    assert len(service.requests) == 1 + 1 + 3


def test_a_model_that_is_gone_or_spent_stops_no_other(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ["Qwen/Withdrawn", QWEN, "Qwen/Qwen3-8B"] * 3
    asked = [{"prompt": str(place), "model": model} for place, model in enumerate(models)]
    Path("questions.txt").write_text("\n".join(map(json.dumps, asked)))
    once = Allowance(calls_per_model={QWEN: 1}, headers=True)
    monkeypatch.setattr(service.meter, "allowance", once)
    code, _, err = typed("questions.txt", "answers.jsonl")
    assert code == 75
    assert "To go on: " in err
    assert err.count("'Qwen/Withdrawn' is not served") == 3
    rows = read_results("answers.jsonl")
    assert sorted(rows) == ["1", "2", "3", "4", "6", "7", "9"]
    assert [key for key, row in rows.items() if row.failure is not None] == ["1", "4", "7"]


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
    assert "继续：modelscope-adapters batch resume" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "Hello", "tempreature": 1}', "tempreature"),
        ('{"prompt": "Hello", "temperature": "warm"}', "temperature"),
        ('{"key": "a"}', "needs a prompt, messages or an input"),
        ('{"prompt": "a", "messages": [{"role": "user", "content": "b"}]}', "one of them"),
        ('{"prompt": ""}', "one of them"),
        ('{"prompt": " \\n"}', "one of them"),
        ('""', "one of them"),
        ('{"prompt": ', "Line 2"),
        (
            '{"prompt": "a", "key": 2}\n{"prompt": "b", "key": "2"}',
            "Line 3: the name '2' is that of line 2 too",
        ),
    ],
    ids=[
        "misspelt",
        "wrong type",
        "nothing",
        "both",
        "empty",
        "blank",
        "empty text",
        "half",
        "twice",
    ],
)
def test_a_line_that_is_no_question_is_said(
    typed: Type, service: LocalService, line: str, said: str
) -> None:
    Path("questions.txt").write_text(f"What is 2 plus 3?\n{line}\n")
    code, _, err = typed(*JOB)
    assert code == 1
    assert said in err
    assert "To go on" not in err
    assert not service.requests


def test_a_file_that_is_missing_is_said(typed: Type, service: LocalService) -> None:
    code, _, err = typed("nothing.txt", *JOB[1:])
    assert code == 1
    assert "nothing.txt" in err
    assert not service.requests


@pytest.mark.parametrize("out", ["questions.txt", "./link.txt"])
def test_the_answers_do_not_go_into_the_file_of_the_questions(
    typed: Type, service: LocalService, out: str
) -> None:
    Path("link.txt").symlink_to("questions.txt")
    text = '{"key":"a","prompt":"Hello"}'
    Path("questions.txt").write_text(text)
    code, _, err = typed("questions.txt", out, "--model", QWEN)
    assert code == 1
    assert "is the file of the questions" in err
    assert Path("questions.txt").read_text() == text
    assert not service.requests


def test_a_job_that_is_refused_leaves_the_one_that_is_there(
    typed: Type, service: LocalService
) -> None:
    assert typed(*JOB)[0] == 0
    before = Path("answers.jsonl.job").read_bytes()
    Path("others.txt").write_text("Another question.")
    with ResultsFile(Path("answers.jsonl")):  # as another process that is at work
        code, _, err = typed("others.txt", *JOB[1:])
    assert code == 1
    assert "Another process is writing" in err
    assert Path("answers.jsonl.job").read_bytes() == before

    Path("notes.txt").write_text("my notes")
    assert typed("others.txt", "notes.txt", "--model", QWEN)[0] == 1
    assert not Path("notes.txt.job").exists()


def test_a_folder_is_no_place_for_answers(
    typed: Type, service: LocalService, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = typed("questions.txt", ".", "--model", QWEN)
    assert code == 1
    assert "not a regular file" in err
    assert cli.main(["batch", "status", "."]) == 1
    assert "batch run IN OUT" in capsys.readouterr().err
    assert not service.requests


@pytest.mark.usefixtures("service")
def test_an_interrupt_keeps_what_there_is_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A service of its own: a late request of an earlier test would be taken for the job's.
    with LocalService() as service:
        monkeypatch.setenv("MODELSCOPE_API_BASE", service.base_url)
        monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
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
    assert "1 answered now" in err
    assert "To go on: modelscope-adapters batch resume answers.jsonl" in err
    assert "Traceback" not in err
    assert len(read_results("answers.jsonl")) == 1


# ------------------------------------------------------------------- openai's lines, and their job


def openai_lines(*keys: str) -> str:
    body = {"model": QWEN, "messages": [{"role": "user", "content": "Hello"}]}
    rest = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    return "\n".join(json.dumps({"custom_id": key} | rest) for key in keys)


def test_the_form_of_the_questions_is_that_of_the_answers(
    typed: Type, service: LocalService
) -> None:
    Path("questions.txt").write_text(openai_lines("a", "b"))
    assert typed("questions.txt", "answers.jsonl.gz")[0] == 0
    first = json.loads(gzip.decompress(Path("answers.jsonl.gz").read_bytes()).splitlines()[0])
    assert first["custom_id"] == "a"
    assert first["response"]["status_code"] == 200
    assert typed("questions.txt", "short.jsonl", "--format", "short")[0] == 0
    assert json.loads(Path("short.jsonl").read_text().splitlines()[0])["key"] == "a"


def test_bad_and_double_lines_are_listed_and_left_out_on_demand(
    typed: Type, service: LocalService
) -> None:
    Path("questions.txt").write_text(openai_lines("a", "b", "a") + "\n{half\n")
    code, _, err = typed("questions.txt", "answers.jsonl")
    assert code == 1
    assert err.startswith("Line 3: the name 'a' is that of line 1 too.\nLine 4: ")
    assert "--skip-bad" in err
    assert not service.requests
    assert not Path("answers.jsonl").exists()
    assert typed("questions.txt", "answers.jsonl", "--skip-bad")[0] == 0
    assert list(read_results("answers.jsonl")) == ["a", "b"]


def test_many_lines_with_one_fault_are_told_once(typed: Type, service: LocalService) -> None:
    Path("questions.txt").write_text("Hello\n" * 6 + '{"prompt": "Hi", "modle": 1}\n')
    code, _, err = typed("questions.txt", "answers.jsonl")
    assert code == 1
    first, second, last = err.splitlines()
    assert first.startswith("Lines 1, 2, 3, 4, 5 … 6: it names no model")
    assert second.startswith("Line 7: the field 'modle'")
    assert last.startswith("Lines that cannot be used: 7.")


def test_a_job_of_no_question_says_so(typed: Type, service: LocalService) -> None:
    Path("questions.txt").write_text("\n\n")
    code, _, err = typed(*JOB)
    assert code == 0
    assert err.startswith("There is no question in ")


def test_a_plan_of_no_question_says_so(
    service: LocalService, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("questions.txt").write_text("\n\n")
    assert cli.main(["batch", "plan", "questions.txt", "--model", QWEN]) == 0
    assert capsys.readouterr().out == "There is no question in questions.txt.\n"


def test_status_and_plan_cost_nothing(
    service: LocalService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["batch", "plan", "questions.txt", "--model", QWEN, "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)["plans"]
    assert {plan["model"]: plan["calls"] for plan in plans} == {QWEN: 3, "Qwen/Qwen3-8B": 1}
    assert cli.main(["batch", "status", "answers.jsonl"]) == 1
    assert "batch run IN OUT" in capsys.readouterr().err
    assert not service.requests

    service.next("honest", "context_length", "account_spent")
    assert cli.main(["batch", "run", *JOB]) == 75
    capsys.readouterr()
    assert cli.main(["batch", "status", "answers.jsonl", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["items"], status["answered"], status["failed"]) == (4, 1, 1)
    assert status["runs"] is False
    cli.main(["ledger", "reset"])
    assert cli.main(["batch", "resume", "answers.jsonl", "--retry-failed"]) == 0
    assert len(read_results("answers.jsonl")) == 4

    Path("questions.txt").write_text(GOOD[0])  # one of the four
    assert cli.main(["batch", "run", *JOB]) == 0
    capsys.readouterr()
    assert cli.main(["batch", "status", "answers.jsonl"]) == 0
    assert capsys.readouterr().out.startswith("4 of 4 answered, 0 failed, 0 open")


def test_the_command_that_goes_on_is_that_of_the_same_job(
    service: LocalService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.next("account_spent", "account_spent")
    assert cli.main(["batch", "run", *JOB, "--retry-failed", "--ledger", "off"]) == 75
    command = capsys.readouterr().err.strip().rpartition("To go on: ")[2]
    assert command == "modelscope-adapters batch resume answers.jsonl --retry-failed"

    resumed = [*command.split()[1:], "--ledger", "other.sqlite3"]
    assert cli.main(resumed) == 75
    assert f"To go on: modelscope-adapters {' '.join(resumed)}\n" in capsys.readouterr().err


def test_what_is_wrong_with_the_whole_job_offers_no_command_that_fails_again(
    typed: Type, service: LocalService
) -> None:
    service.next("no_provider")
    code, _, err = typed(*JOB)
    assert code == 1
    assert "To go on" not in err


def test_the_job_beside_the_answers_holds_no_credential(typed: Type, service: LocalService) -> None:
    secret = "redis://user:hunter2@127.0.0.1:1/0"
    assert typed(*JOB, "--ledger", secret)[0] == 1  # no Redis there
    (beside,) = Path().glob("*.job")
    assert b"hunter2" not in beside.read_bytes()
    assert service.token.encode() not in beside.read_bytes()


def test_in_a_pipe_the_progress_is_a_line_now_and_then(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url, ledger="memory")
    lines: queue.Queue[str] = queue.Queue()

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            lines.put(text)
            return len(text)

    batch = Batch(client, "answers.jsonl")
    asked = {
        str(number): ChatRequest(model=QWEN, messages=(Message("user", "Hello"),))
        for number in range(3)
    }
    with JobProgress(batch, client, QWEN, 4, stream=Pipe(), each=0.001):
        batch.run(asked)
        while not (line := lines.get(timeout=30)).startswith("3 of 4 (75 %), 0 failed"):
            pass
    assert "left" in line


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_at_a_terminal_it_is_a_bar(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    client = Client(service.token, base_url=service.base_url, ledger="memory")
    batch, stream = Batch(client, "answers.jsonl"), Terminal()
    with JobProgress(batch, client, QWEN, 1000, stream=stream) as progress:
        progress.say("a failure")
        batch.run({"a": ChatRequest(model=QWEN, messages=(Message("user", "Hello"),))})
    assert "a failure" in stream.getvalue()
    lines = Text.from_ansi(stream.getvalue()).plain.splitlines()
    bar = next(number for number, line in enumerate(lines) if re.search("━ +1/1000 *$", line))
    assert lines[bar + 1].startswith("0 failed, ")
