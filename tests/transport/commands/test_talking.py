"""``ask`` and ``chat``: questions from the shell."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modelscope_transport import cli
from modelscope_transport._commands.output import plain
from modelscope_transport.emulator import DONE, LocalService, Stream

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
Run = Callable[..., tuple[int, str, str]]


class Terminal(io.StringIO):
    """An output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(
    modelscope_service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Type a command, with some text piped in."""
    monkeypatch.setenv("MODELSCOPE_API_BASE", modelscope_service.base_url)
    monkeypatch.setenv("MODELSCOPE_API_KEY", modelscope_service.token)

    def typed(*words: str, piped: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(piped))
        code = cli.main(list(words))
        return code, *capsys.readouterr()

    return typed


def answer(text: str = "", thoughts: str = "") -> Stream:
    deltas = [{"reasoning_content": thoughts}] if thoughts else []
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in (*deltas, {"content": text})]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return Stream([*events, end, DONE])


def test_an_answer_goes_to_the_output_and_its_price_beside_it(run: Run) -> None:
    code, out, err = run("ask", "What", "is", "2 plus 3?")
    assert code == 0
    assert out.strip()
    assert "1 Magicube; 199 Magicubes left" in err


def test_thoughts_are_not_part_of_the_answer(run: Run, modelscope_service: LocalService) -> None:
    modelscope_service.next(answer("Forty-two.", "Let me see."))
    _, out, err = run("ask", "Well?")
    assert out == "Forty-two.\n"
    assert "Let me see." in err


@pytest.mark.parametrize(("text", "thoughts"), [("Forty", ""), ("", "Let me")])
def test_what_broke_off_ends_its_line_before_the_error(
    run: Run, modelscope_service: LocalService, text: str, thoughts: str
) -> None:
    delta = {"content": text, "reasoning_content": thoughts}
    modelscope_service.next(Stream([{"choices": [{"index": 0, "delta": delta}]}]))
    code, out, err = run("ask", "Well?")
    assert code == 1
    assert out == (f"{text}\n" if text else "")
    assert err.startswith(f"{thoughts}\n" if thoughts else "The stream")


def test_thoughts_are_dim_at_a_terminal(
    run: Run, modelscope_service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    modelscope_service.next(answer("Yes.", "Let me see."))
    run("ask", "Well?")
    assert "\x1b[2mLet me see.\x1b[0m" in screen.getvalue()


def test_an_answer_cannot_steer_the_terminal(run: Run, modelscope_service: LocalService) -> None:
    modelscope_service.next(answer("a\x1b]0;owned\x07b\x9b2Jc\u202ed[bold]", "\x1b[2J"))
    _, out, err = run("ask", "Well?")
    assert out == "a\ufffd]0;owned\ufffdb\ufffd2Jc\ufffdd[bold]\n"
    assert "\x1b" not in err


def test_plain_text_stays_as_it_is() -> None:
    text = "日本語 👩‍👩‍👧 \u00a0x\n\ty [red]"
    assert plain(text) == text


def test_what_is_piped_in_is_asked_about(run: Run, modelscope_service: LocalService) -> None:
    run("ask", "Summarise:", "--system", "Be short.", piped="A long story.\n")
    system, user = modelscope_service.requests[-1].body["messages"]
    assert system["content"] == "Be short."
    assert user["content"] == "Summarise:\n\nA long story."


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # Python's, by the locale
@pytest.mark.parametrize("words", [["ask", "Translate"], ["chat"], ["login"]])
def test_what_is_piped_in_and_no_text_is_one_sentence(
    words: list[str],
    errors: str,
    run: Run,  # sets the address and the token
    modelscope_service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    in_gbk = io.BytesIO("你好\n".encode("gbk"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(in_gbk, "utf-8", errors))
    code = cli.main(words)
    assert code == 1
    assert "The input is not text in utf-8." in capsys.readouterr().err
    assert not modelscope_service.requests


def test_the_mark_before_a_text_from_windows_is_not_asked_about(
    run: Run, modelscope_service: LocalService
) -> None:
    run("ask", piped="\ufeffHello\r\n")
    assert modelscope_service.requests[-1].body["messages"][-1]["content"] == "Hello"


def test_nothing_asked_is_wrong_usage(run: Run) -> None:
    code, _, err = run("ask")
    assert code == 2
    assert "Ask something" in err


def test_a_picture_is_shown_to_the_model(
    run: Run, modelscope_service: LocalService, tmp_path: Path
) -> None:
    (tmp_path / "dot.png").write_bytes(PIXEL)
    words = ["ask", "What is this?", "--model", "Qwen/Qwen3.5-122B-A10B", "--no-thinking"]
    code, out, _ = run(*words, "--image", str(tmp_path / "dot.png"))
    assert code == 0
    assert out.strip()
    body = modelscope_service.requests[-1].body
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith(
        "data:image/png;base64,"
    )
    assert body["enable_thinking"] is False


@pytest.mark.parametrize("command", [["ask", "What is this?"], ["chat"]], ids=["ask", "chat"])
def test_a_picture_that_cannot_be_read_is_said_once(
    run: Run, modelscope_service: LocalService, command: list[str]
) -> None:
    code, out, err = run(*command, "--image", "missing.png", piped="What is this?\nAnd this?\n")
    assert (code, out) == (1, "")
    assert err.count("missing.png cannot be read") == 1
    assert modelscope_service.requests == []


def test_an_address_of_another_kind_is_no_file(run: Run, modelscope_service: LocalService) -> None:
    vision = ["--model", "Qwen/Qwen3.5-397B-A17B"]
    run("ask", "What is this?", "--image", "http://example.com/a.png", *vision)
    shown = modelscope_service.requests[-1].body["messages"][-1]["content"]
    assert {"url": "http://example.com/a.png"} in [part.get("image_url") for part in shown]
    code, _, err = run("ask", "What is this?", "--image", "ftp://example.com/a.png", *vision)
    assert code == 1
    assert "'ftp://example.com/a.png' is not an address" in err


def test_an_answer_for_programs(run: Run) -> None:
    told = json.loads(run("ask", "What is 2 plus 3?", "--json")[1])
    assert told["text"]
    assert told["magicubes"] == 1


def test_what_is_left_is_a_number_for_programs_in_every_language(run: Run) -> None:
    told = [json.loads(run("ask", "Hello", "--json", "--lang", lang)[1]) for lang in ("zh", "en")]
    assert [each["left"] for each in told] == [199, 198]
    assert {each["unit"] for each in told} == {"magicubes"}


def test_without_a_ledger_nobody_knows_what_is_left(run: Run) -> None:
    told = json.loads(run("ask", "Hello", "--json", "--ledger", "off")[1])
    assert (told["left"], told["unit"]) == (None, None)


def test_a_prompt_goes_to_no_file_of_answers(
    run: Run, modelscope_service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(io, "StringIO", Keyboard)  # of what `run` types
    _, out, err = run("chat", "--json", piped="Hello\n")
    assert json.loads(out)["text"]
    assert "> " in err


def test_a_spent_day_says_come_back_later(run: Run, modelscope_service: LocalService) -> None:
    modelscope_service.next("account_spent")
    code, _, err = run("ask", "Hello")
    assert code == 75
    assert "spent" in err


def test_a_conversation_is_remembered_until_it_begins_anew(
    run: Run, modelscope_service: LocalService
) -> None:
    typed = "My name is Li.\nWhat is my name?\n/new\nHello\n/exit\nnever sent\n"
    code, _, err = run("chat", piped=typed)
    assert code == 0
    asked = [request.body["messages"] for request in modelscope_service.requests]
    assert [len(messages) for messages in asked] == [1, 3, 1]
    assert err.count("Magicubes left") == 3


def test_words_of_other_programs_are_answered_here_and_cost_nothing(
    run: Run, modelscope_service: LocalService
) -> None:
    code, _, err = run("chat", piped="/help\n/\n/etc/hosts is what?\n")
    assert code == 0
    assert err.count("/new begins anew") == 3
    assert len(modelscope_service.requests) == 1


def test_a_conversation_goes_on_after_an_error(run: Run, modelscope_service: LocalService) -> None:
    modelscope_service.next("refuses:model")
    code, out, err = run("chat", piped="Something\nHello\n")
    assert code == 0
    assert out.strip()
    assert "refused the request" in err
    assert len(modelscope_service.requests[-1].body["messages"]) == 1


def test_a_conversation_for_programs_is_a_line_of_json_each(run: Run) -> None:
    code, out, _ = run("chat", "--json", piped="Hello\nWhat is 2 plus 3?\n")
    assert code == 0
    told = [json.loads(line) for line in out.splitlines()]
    assert [answer["magicubes"] for answer in told] == [1, 1]


@pytest.mark.parametrize(
    "words",
    [
        ["ask", "Hi", "--max-tokens", "0"],
        ["batch", "run", "in", "out", "--workers", "0"],
        ["plan", "-5", "--model", "x"],
        ["plan", "1e3", "--model", "x"],
        ["quota", "--watch", "0"],
        ["quota", "--watch", "nan"],
        ["ledger", "grant", "-1"],
        ["ledger", "grant", "inf"],
        ["ledger", "grant", "5", "--hours", "0"],
    ],
    ids=" ".join,
)
def test_a_wrong_number_is_refused_in_one_sentence(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert "it must be a" in capsys.readouterr().err.splitlines()[-1]
