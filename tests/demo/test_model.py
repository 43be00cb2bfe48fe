"""A small real model that cannot be served says why, and leaves no process behind."""

from pathlib import Path

import pytest

from demo import model
from demo.model import ModelUnavailableError, real_model


def test_names_the_engines_that_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "ENGINES", ("no_such_engine",))

    refused = pytest.raises(ModelUnavailableError, match="not installed: no_such_engine")
    with refused, real_model(tmp_path / "weights.gguf"):
        pass


def test_tells_the_last_words_of_an_engine_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "ENGINES", ())

    # without the engine's package its import fails, with it the missing file does
    refused = pytest.raises(ModelUnavailableError, match="the chat server ended: ")
    with refused, real_model(tmp_path / "weights.gguf"):
        pass
