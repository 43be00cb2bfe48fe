"""``login`` and ``logout``: the token that is stored, and who reads it when."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from modelscope_transport import Client, cli
from modelscope_transport.emulator import LocalService
from modelscope_transport.settings import resolve_token
from modelscope_transport.token_file import token_path

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    modelscope_service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Type a command, with some text piped in."""
    monkeypatch.setenv("MODELSCOPE_API_BASE", modelscope_service.base_url)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "settings"))

    def typed(*words: str, piped: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(piped))
        code = cli.main(list(words))
        return code, *capsys.readouterr()

    return typed


def test_a_token_is_checked_for_nothing_and_stored(
    run: Run, modelscope_service: LocalService
) -> None:
    token = modelscope_service.token
    code, out, _ = run("login", piped=f" {token}\n")

    assert code == 0
    assert "The token is good" in out
    assert token not in out
    assert token_path().read_text().strip() == token
    assert {request.method for request in modelscope_service.requests} == {"GET"}
    assert resolve_token().reveal() == token
    assert Client(ledger="off").balance().available > 0


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps others out by the folder's own rules")
def test_only_its_owner_can_read_it(run: Run, modelscope_service: LocalService) -> None:
    run("login", piped=modelscope_service.token)
    assert stat.S_IMODE(token_path().stat().st_mode) == 0o600


def test_a_token_that_is_refused_is_not_stored(run: Run) -> None:
    code, _, err = run("login", piped="sk-from-elsewhere")
    assert code == 1
    assert "does not accept this token" in err
    assert not token_path().exists()


def test_a_token_for_no_address_is_not_stored(run: Run) -> None:
    code, _, err = run("login", "--base-url", "nonsense", piped="ms-a-token")
    assert code == 1
    assert "is not a web address" in err
    assert not token_path().exists()


@pytest.mark.parametrize("piped", ["", "ms-two words", "ms-\uff11"])
def test_what_is_no_token_is_not_stored(run: Run, piped: str) -> None:
    assert run("login", piped=piped)[0] == 1
    assert not token_path().exists()


def test_at_a_terminal_it_is_asked_for_without_being_shown(
    run: Run,
    modelscope_service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def unseen(prompt: str) -> str:
        asked.append(prompt)
        return modelscope_service.token

    monkeypatch.setattr("getpass.getpass", unseen)
    monkeypatch.setattr("sys.stdin", Terminal())
    assert cli.main(["login", "--json"]) == 0
    assert asked == ["Token: "]
    out, err = capsys.readouterr()
    assert json.loads(out)["stored"] == str(token_path())
    assert "paste it here" in err


@pytest.mark.parametrize("typed", ["", " ", EOFError])
def test_nothing_is_no_token_where_another_one_is_known(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str | type[EOFError],
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def unseen(prompt: str) -> str:
        if isinstance(typed, str):
            return typed
        raise typed

    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-environment")
    monkeypatch.setattr("getpass.getpass", unseen)
    monkeypatch.setattr("sys.stdin", Terminal())
    assert cli.main(["login"]) == 1
    assert "No token was entered" in capsys.readouterr().err
    assert run("login", piped="\n")[0] == 1
    assert not token_path().exists()


def test_the_environment_comes_before_the_stored_token(
    run: Run, modelscope_service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_SDK_TOKEN", "ms-of-the-environment")
    _, out, _ = run("login", piped=modelscope_service.token)
    assert "MODELSCOPE_SDK_TOKEN is set too" in out
    assert resolve_token().reveal() == "ms-of-the-environment"
    assert resolve_token("ms-passed").reveal() == "ms-passed"


def test_logout_removes_it(run: Run, modelscope_service: LocalService) -> None:
    told = json.loads(run("login", "--json", piped=modelscope_service.token)[1])
    assert told["stored"] == str(token_path())
    assert json.loads(run("logout", "--json")[1]) == {"removed": True}
    assert not token_path().exists()
    assert "No token was stored" in run("logout")[1]
    assert run("quota")[0] == 1
