"""Files that are written beside their place and moved there: whole, private, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from modelscope_transport import ConfigurationError
from modelscope_transport.catalogue import cache
from modelscope_transport.jobs.job_file import JobFile
from modelscope_transport.secret import Secret
from modelscope_transport.token_file import store_token, token_path


def write_token(folder: Path) -> Path:
    with pytest.raises(ConfigurationError, match="cannot be stored"):
        store_token(Secret("ms-a-token"))
    return token_path()


def write_catalogue(folder: Path) -> Path:
    assert not cache.remember({"own/Model": {"tier": "lite"}})
    return cache.cache_path()


def write_job(folder: Path) -> Path:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        JobFile(input="in").write(folder / "results")
    return JobFile.place(folder / "results")


@pytest.mark.parametrize("write", [write_token, write_catalogue, write_job])
def test_what_cannot_be_put_in_its_place_is_not_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path]
) -> None:
    for name in ("user_config_dir", "user_cache_path"):
        monkeypatch.setattr(f"platformdirs.{name}", lambda *_, **__: tmp_path)
    for place in (tmp_path / "token", tmp_path / "models.json", tmp_path / "results.job"):
        place.mkdir()  # one of the reasons for which a file cannot be moved there
    place = write(tmp_path)
    assert place.is_dir()
    assert [one for one in tmp_path.iterdir() if not one.is_dir()] == []


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_the_file_of_a_job_is_its_owners_alone(tmp_path: Path) -> None:
    JobFile(input="in").write(tmp_path / "results")
    assert stat.S_IMODE(JobFile.place(tmp_path / "results").stat().st_mode) == 0o600
