"""The command, as a user types it."""

from __future__ import annotations

import pytest

from modelscope_transport import cli


def test_a_wrong_word_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["nonsense"])
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_serve_has_the_options_of_the_local_service(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--scenario", "help"]) == 0
    assert "throttled" in capsys.readouterr().out
