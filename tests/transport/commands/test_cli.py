"""The command, as a user types it."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

import modelscope_transport
from modelscope_transport import ChatRequest, Client, Message, cli
from modelscope_transport._commands.output import show
from modelscope_transport.emulator import Allowance, LocalService
from modelscope_transport.language import speak

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
GLM = "ZhipuAI/GLM-4.7-Flash"
FLAGSHIP = "Qwen/Qwen3.5-397B-A17B"
TOKEN = "ms-00000000-0000-4000-8000-000000000000"

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def service(
    modelscope_service: LocalService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[LocalService]:
    monkeypatch.setenv("MODELSCOPE_API_BASE", modelscope_service.base_url)
    monkeypatch.setenv("MODELSCOPE_API_KEY", TOKEN)
    monkeypatch.setenv("MODELSCOPE_LEDGER", str(tmp_path / "ledger.sqlite3"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield modelscope_service
    speak(None)


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Type:
    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return run


def paid(service: LocalService) -> int:
    return sum(
        request.path in ("/v1/chat/completions", "/v1/embeddings") for request in service.requests
    )


def call(model: str = QWEN) -> None:
    Client().chat(ChatRequest(model=model, messages=(Message("user", "What is 2 plus 3?"),)))


# -------------------------------------------------------------------------------- the command


def test_a_wrong_language_is_told_in_the_readers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_LANG", "zh")
    with pytest.raises(SystemExit) as ended:
        cli.main(["--lang", "fr"])
    assert ended.value.code == 2
    assert "invalid choice" not in capsys.readouterr().err


def test_a_wrong_word_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["nonsense"])
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_an_interrupt_is_no_page_of_traceback(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(client: Client) -> tuple[str, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "models", interrupted)
    assert typed("models") == (130, "", "")


def in_a_shell(line: str) -> tuple[int, str, str]:
    command = f"{shlex.quote(sys.executable)} -m modelscope_transport.cli"
    done = subprocess.run(
        ["bash", "-c", line.format(command)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", ["quota", "ask hi", "models --json"])
def test_a_full_disk_is_one_sentence(words: str, service: LocalService) -> None:
    code, _, err = in_a_shell(f"{{}} {words} > /dev/full")
    assert code == 1
    assert "The output cannot be written: No space left on device.\n" in err
    assert "Traceback" not in err
    assert "Exception ignored" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell of POSIX")
@pytest.mark.parametrize(
    ("line", "code"),
    [("{} ask hi <&-", 0), ("{} chat <&-", 0), ("{} quota >&-", 0)],
)
def test_a_closed_stream_is_an_empty_one(line: str, code: int, service: LocalService) -> None:
    found, _, err = in_a_shell(line)
    assert found == code
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["quota"], ["ask", "hi"]], ids=" ".join)
def test_a_reader_that_has_read_enough_is_no_error(words: list[str], service: LocalService) -> None:
    nobody, output = os.pipe()
    os.close(nobody)
    command = [sys.executable, "-m", "modelscope_transport.cli", *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, timeout=60
    )
    os.close(output)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


def test_serve_has_the_options_of_the_local_service(typed: Type) -> None:
    code, out, _ = typed("serve", "--scenario", "help")
    assert code == 0
    assert "throttled" in out


def test_only_the_command_that_was_asked_for_is_imported() -> None:
    program = """
import sys
from modelscope_transport import cli
cli.main(["serve", "--scenario", "help"])
print([name for name in sys.modules if "_commands" in name])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_a_token_the_error_says_where_to_get_one(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELSCOPE_API_KEY")
    code, _, err = typed("quota")
    assert code == 1
    assert "https://modelscope.cn/my/myaccesstoken" in err


@pytest.mark.parametrize(
    "words",
    [["--lang", "zh", "quota"], ["quota", "--lang", "zh"], ["ledger", "reset", "--lang", "zh"]],
    ids=" ".join,
)
def test_it_speaks_chinese_when_asked(words: list[str], typed: Type, service: LocalService) -> None:
    assert "账号" in typed(*words)[1]


def test_it_speaks_the_language_of_the_locale(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELSCOPE_LANG")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "账号" in typed("quota")[1]
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert "account" in typed("quota")[1]


@pytest.mark.parametrize("word", ["quota", "plan", "batch", "models", "doctor", "ledger"])
def test_the_help_is_told_in_both_languages(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for language in ("en", "zh"):
        with pytest.raises(SystemExit):
            cli.main([word, "--help", "--lang", language])
        said[language] = capsys.readouterr().out
    speak(None)
    assert said["en"].isascii() or "语言" in said["en"]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in said["zh"].replace("语言", ""))


# -------------------------------------------------------------------------------------- quota


def test_quota_that_is_watched_through_a_pipe_is_there_at_once(service: LocalService) -> None:
    words = [sys.executable, "-m", "modelscope_transport.cli", "quota", "--watch", "1000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            assert "Allowance of this token" in watching.stdout.readline()
        finally:
            watching.kill()


def test_nobody_watches_for_longer_than_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["quota", "--watch", "1e300"])
    assert "at most 86400" in capsys.readouterr().err


@pytest.mark.usefixtures("service")
def test_a_plan_of_ages_has_no_day_of_its_end(typed: Type) -> None:
    code, out, _ = typed("plan", "999999999999", "--model", QWEN)
    assert code == 75
    assert "done on ?" in out


def test_quota_tells_what_is_left_without_asking_anybody(
    typed: Type, service: LocalService
) -> None:
    call()
    call(GLM)
    asked = len(service.requests)
    code, out, _ = typed("quota")

    assert code == 0
    assert len(service.requests) == asked
    assert "account" in out
    assert "200 Magicubes" in out
    assert "published rule" in out
    assert f"{GLM} " in out
    assert "UTC+8" in out


def test_quota_of_a_spent_account_says_come_back_later(typed: Type, service: LocalService) -> None:
    service.next("account_spent")
    with pytest.raises(Exception, match="spent"):
        call()
    code, out, _ = typed("quota")
    assert code == 75
    assert "spent" in out


def test_quota_can_ask_for_the_balance(typed: Type, service: LocalService) -> None:
    code, out, _ = typed("quota", "--refresh")
    assert code == 0
    assert "said by the service, 0 min ago" in out
    assert paid(service) == 0


def test_refresh_shows_the_services_books_beside_our_own(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.meter, "allowance", Allowance(magicubes=200, sign_in=True))
    service.meter.grant(10)
    call()
    call(FLAGSHIP)
    charged = service.models[FLAGSHIP]
    service.meter.charge(charged)  # by a program that does not share the ledger
    _, out, _ = typed("quota", "--refresh")

    assert re.search(r"daily_active +0 +200 +200 +sign in at https://modelscope\.cn;", out)
    assert re.search(r"^5 Magicubes +not said$", out, re.MULTILINE)
    assert re.search(r"^\d{4}-\d\d-\d\d +ultra +2 +4 +1 +\+1$", out, re.MULTILINE)
    assert re.search(r"^\d{4}-\d\d-\d\d +standard +1 +1 +1$", out, re.MULTILINE)

    service.meter.sign_in()
    _, out, _ = typed("quota", "--refresh")
    assert re.search(r"daily_active +200 +200 +0 +fetched", out)


def test_refresh_tells_a_programme_the_books_too(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.meter, "allowance", Allowance(magicubes=200, sign_in=True))
    service.meter.grant(10)
    call()
    told = json.loads(typed("quota", "--refresh", "--json")[1])
    assert told["quotas"][0]["remaining"] == 9
    statement = told["statement"]
    assert (statement["balance"], statement["unfetched"]) == (9, 200)
    assert statement["service_use"][0]["calls"] == statement["own_use"][0]["calls"] == 1
    assert statement["differences"] == []
    assert statement["rates"]["ultra"] == 2


def test_quota_of_one_model_as_json(typed: Type, service: LocalService) -> None:
    call()
    told: list[dict[str, Any]] = json.loads(typed("quota", QWEN, "--json")[1])
    assert told[0]["unit"] in ("calls", "magicubes")
    assert set(told[0]) >= {"limit", "used", "remaining", "scope", "resets_at", "kind", "age"}


def test_quota_is_shown_again_until_it_is_stopped(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def wait(seconds: float) -> None:
        shown.append(seconds)
        if len(shown) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("modelscope_transport._commands.quota.time.sleep", wait)
    code, out, _ = typed("quota", "--watch", "7")
    assert code == 0
    assert shown == [7, 7, 7]
    assert out.count("Allowance of this token") == 3


def test_a_watch_that_is_stopped_while_it_shows_ends_as_well(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_transport._commands.quota.time.sleep", lambda seconds: None)
    quotas = Client.quotas
    looks = iter([quotas, quotas])

    def look(client: Client) -> Any:
        try:
            return next(looks)(client)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(Client, "quotas", look)
    code, out, _ = typed("quota", "--watch", "7")
    assert (code, out.count("Allowance of this token")) == (0, 2)


# --------------------------------------------------------------------------------------- plan


def test_a_job_that_fits_into_today(typed: Type, service: LocalService) -> None:
    code, out, _ = typed("plan", "100", "--model", QWEN)
    assert code == 0
    assert "fits into today" in out


def test_a_job_that_takes_days(typed: Type, service: LocalService) -> None:
    code, out, _ = typed("plan", "1000", "--model", QWEN)
    assert code == 75
    assert "200 fit into today, then 200 a day: 5 days" in out
    assert "published rule" in out


def test_texts_are_planned_by_the_batch(typed: Type, service: LocalService) -> None:
    told = json.loads(typed("plan", "1000", "--model", "Qwen/Qwen3-Embedding-0.6B", "--json")[1])
    assert (told["items"], told["calls"]) == (1000, 50)


def test_plan_needs_a_model() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["plan", "5"])
    assert ended.value.code == 2


# ------------------------------------------------------------------------------------- models


def test_models_are_listed_and_filtered(typed: Type, service: LocalService) -> None:
    code, out, _ = typed("models")
    assert code == 0
    assert QWEN in out
    _, images, _ = typed("models", "--task", "embedding")
    assert "Qwen/Qwen3-Embedding-8B" in images
    assert QWEN not in images
    assert json.loads(typed("models", "list", "--listed", "--json")[1])[0]["listed"] is True
    code, _, err = typed("models", "--task", "embeding")
    assert (code, "Perhaps: embedding" in err) == (1, True)


def test_models_need_no_token(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELSCOPE_API_KEY")
    assert typed("models")[0] == 0


def test_a_served_model_is_shown_with_its_price(typed: Type, service: LocalService) -> None:
    code, out, _ = typed("models", "show", "Qwen/Qwen3-8B")
    assert code == 0
    assert "Qwen/Qwen3-8B: served" in out
    assert "1 Magicube (standard)" in out


def test_a_misspelt_model_gets_near_names(typed: Type, service: LocalService) -> None:
    code, out, _ = typed("models", "show", "Qwen/Qwn3-8B")
    assert code == 1
    assert "unknown" in out
    assert "perhaps: Qwen/Qwen3-8B" in out
    assert "task" not in out  # nobody knows
    assert "calls functions" not in out


def test_other_words_after_models_are_wrong_usage(typed: Type, service: LocalService) -> None:
    code, out, err = typed("models", "shw", QWEN)
    assert (code, out) == (2, "")
    assert err.startswith("Say one of: ")


# ------------------------------------------------------------------------------------- doctor


def test_doctor_finds_nothing_and_pays_nothing(typed: Type, service: LocalService) -> None:
    code, out, _ = typed("doctor")
    assert code == 0
    assert paid(service) == 0
    for what in ("token", "address", "proxy", "service", "clock", "account", "ledger", "packages"):
        assert f"{what}: " in out
    assert TOKEN not in out


@pytest.mark.parametrize(
    ("seconds_ahead", "code", "said"),
    [
        (-60, 0, r"ok +clock: \+(59|6\d) s beside the service's"),
        (3600, 1, r"wrong +clock: -(359\d|3600) s beside the service's"),
        (-3600, 1, r"wrong +clock: \+36\d\d s beside the service's"),
    ],
)
def test_doctor_holds_the_clock_against_the_services(
    typed: Type, service: LocalService, seconds_ahead: float, code: int, said: str
) -> None:
    with LocalService(clock=lambda: time.time() + seconds_ahead) as elsewhere:
        found, out, _ = typed("doctor", "--base-url", elsewhere.base_url)

    assert found == code
    assert re.search(said, out)


def test_doctor_names_a_bad_token(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", "sk-1234")
    code, out, _ = typed("doctor")
    assert code == 1
    assert "not of a form on record" in out
    assert "does not accept this token" in out
    assert "sk-1234" not in out


def test_doctor_goes_on_without_a_token(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELSCOPE_API_KEY")
    code, out, _ = typed("doctor")
    assert code == 1
    assert "lists 13 models" in out or "lists" in out
    assert "packages" in out
    assert out.count("There is no ModelScope token") == 1
    assert f"look  ledger: {os.environ['MODELSCOPE_LEDGER']}" in out  # it is not at fault


def test_doctor_names_a_package_that_overwrites_ours(
    typed: Type, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        return "0.1.1" if name == "langchain-modelscope-integration" else real(name)

    monkeypatch.setattr("modelscope_transport._commands.doctor.metadata.version", version)
    code, out, _ = typed("doctor")
    assert code == 1
    assert "pip uninstall langchain-modelscope-integration" in out


def test_doctor_names_a_ledger_that_cannot_be_used(
    typed: Type, service: LocalService, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("my shopping list")
    code, out, _ = typed("doctor", "--ledger", str(tmp_path / "notes.txt"))
    assert code == 1
    assert "cannot be used" in out
    assert "remove it" not in out  # it is the user's own, and no ledger


@pytest.mark.skipif(sys.platform != "linux", reason="the usual place is named by a variable")
def test_the_usual_ledger_that_cannot_be_used_is_told_in_a_sentence(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MODELSCOPE_LEDGER")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    place = Path(in_a_shell("{} ledger path")[1].strip())
    place.parent.mkdir(parents=True)
    place.write_text("my shopping list")
    code, _, err = in_a_shell("{} quota")
    assert code == 0
    assert err.startswith("The ledger: the file")
    assert err.count("\n") == 1
    code, out, _ = in_a_shell("{} doctor")
    assert code == 1
    assert f"wrong ledger: The ledger: the file {place} cannot be used" in out


def test_doctor_tells_a_programme_too(typed: Type, service: LocalService) -> None:
    told = json.loads(typed("doctor", "--json")[1])
    assert {finding["state"] for finding in told} <= {"ok", "look", "wrong"}


# ------------------------------------------------------------------------------------- ledger


def test_the_ledger_has_a_path(typed: Type, service: LocalService, tmp_path: Path) -> None:
    assert typed("ledger", "path")[1].strip() == str(tmp_path / "ledger.sqlite3")


def test_the_ledger_can_begin_anew(typed: Type, service: LocalService) -> None:
    service.next("account_spent")
    with pytest.raises(Exception, match="spent"):
        call()
    assert typed("quota")[0] == 75
    assert typed("ledger", "reset")[0] == 0
    assert typed("quota")[0] == 0
    call()
    assert typed("ledger", "reset", "--all")[0] == 0


def test_the_ledger_is_told_of_grants(typed: Type, service: LocalService) -> None:
    assert typed("ledger", "grant", "50", "--hours", "1")[0] == 0
    assert typed("ledger", "grant", "200.5")[0] == 0
    code, out, _ = typed("quota")
    assert code == 0
    assert "250.5 Magicubes" in out


@pytest.mark.parametrize(
    "words", [["5", "--hours", "1e8"], ["1e308"], ["5", "--hours", "inf"], ["nan"]]
)
def test_a_grant_beyond_all_measure_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["ledger", "grant", *words])
    assert ended.value.code == 2
    assert "it must be a number above 0 and at most" in capsys.readouterr().err


# ------------------------------------------------------------------------ a newcomer's questions


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    version = metadata.version("modelscope-adapters")
    assert capsys.readouterr().out == f"modelscope-adapters {version}\n"
    assert modelscope_transport.__version__ == version


def test_what_is_served_comes_first_and_the_cheaper_before_the_dearer(
    typed: Type, service: LocalService
) -> None:
    told = json.loads(typed("models", "--json")[1])
    listed = [row["listed"] for row in told]
    assert listed == sorted(listed, reverse=True)
    prices = [row["magicubes"] for row in told if row["listed"] and row["task"] == "chat"]
    known = [price for price in prices if price is not None]
    assert prices[: len(known)] == sorted(known)


def test_models_are_searched_by_a_part_of_their_id(typed: Type, service: LocalService) -> None:
    told = json.loads(typed("models", "--search", "CODER", "--json")[1])
    assert told
    assert all("coder" in row["id"].lower() for row in told)
    listed = sum(row["listed"] for row in told)
    out = typed("models", "--search", "CODER")[1]
    assert out.startswith(f"{len(told)} models, {listed} listed")


def test_doctor_looks_at_a_model_and_pays_only_after_a_yes(
    typed: Type, service: LocalService
) -> None:
    code, out, _ = typed("doctor", "--model", QWEN)
    assert code == 0
    assert f"{QWEN} is served, a call costs 1 Magicube" in out
    assert "not made" in out
    assert paid(service) == 0
    code, out, _ = typed("doctor", "--model", QWEN, "--yes")
    assert code == 0
    assert f"{QWEN} answers: " in out
    assert paid(service) == 1


def test_doctor_calls_a_call_so_in_chinese(typed: Type, service: LocalService) -> None:
    words = "doctor", "--model", QWEN, "--lang", "zh"
    assert "注意  试调用：" in typed(*words)[1]
    service.next("no_provider")
    assert "错误  试调用：" in typed(*words, "--yes")[1]


def test_doctor_names_models_like_the_misspelt_one(typed: Type, service: LocalService) -> None:
    assert "perhaps Qwen/Qwen3-8B" in typed("doctor", "--model", "Qwen/Qwn3-8B")[1]


class Terminal(io.StringIO):
    """An output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize(
    "words",
    [
        ["quota"],
        ["models"],
        ["models", "show", QWEN],
        ["plan", "5000", "--model", QWEN],
        ["doctor", "--model", QWEN, "--yes"],
    ],
    ids=lambda words: words[0] if len(words) < 3 else " ".join(words[:2]),
)
def test_tables_fit_the_terminal_and_break_no_word(
    words: list[str],
    width: int,
    language: str,
    service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call()
    screen = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")  # a dumb one is 80 wide for rich
    monkeypatch.setattr("sys.stdout", screen)
    cli.main([*words, "--lang", language])
    monkeypatch.undo()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert any(QWEN in line for line in lines)


@pytest.mark.parametrize("output", [io.StringIO, Terminal])
def test_a_title_that_is_wider_than_its_table_is_whole(
    output: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = output()
    monkeypatch.setattr("sys.stdout", screen)
    show("余额（按发放批次）", ("a",), [("1",)])
    monkeypatch.undo()
    assert "余额（按发放批次）" in screen.getvalue()


def test_large_numbers_are_written_out(typed: Type, service: LocalService) -> None:
    assert "5000000 Magicubes noted" in typed("ledger", "grant", "5000000")[1]
    assert " 5000000 " in typed("quota")[1]


def test_a_refresh_of_prices_says_how_far_it_is(typed: Type, service: LocalService) -> None:
    code, _, err = typed("models", "refresh")
    assert code == 0
    shown = [line.rpartition(" ")[2].partition("/") for line in err.splitlines()]
    assert len(shown) >= 10
    assert shown[-1][0] == shown[-1][2]


@pytest.mark.parametrize(
    "command",
    [["path"], ["grant", "5"], ["mend"], ["reset"], ["reset", "--all"]],
    ids=" ".join,
)
def test_the_ledger_answers_programs_too(
    command: list[str], typed: Type, service: LocalService
) -> None:
    code, out, _ = typed("ledger", *command, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)


# Some of a shell's words for completion, asked of the program that it is given.
_COMPLETE = """
source "$1"
COMP_WORDS=(modelscope-adapters "${@:2}")
COMP_CWORD=$(($# - 1))
_shtab_modelscope_adapters
echo "${COMPREPLY[*]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [(["qu"], "quota"), (["ledger", "gr"], "grant"), (["plan", "--mo"], "--model")],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bash_completes_commands_and_options(
    words: list[str], offered: str, typed: Type, tmp_path: Path
) -> None:
    program = tmp_path / "completion.bash"
    program.write_text(typed("completion", "bash")[1], encoding="utf-8")
    asked = ["bash", "-c", _COMPLETE, "-", str(program), *words]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [offered]


def test_without_shtab_the_completion_says_what_to_install(
    typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, _, err = typed("completion", "zsh")
    assert code == 1
    assert "pip install shtab" in err
