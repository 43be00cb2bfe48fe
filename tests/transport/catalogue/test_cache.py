"""What the hub said of models, kept for all processes of a user."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_transport.catalogue import cache as model_cache
from modelscope_transport.catalogue.models import near_names, profile_for, remember_models


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    profile_for.cache_clear()
    yield model_cache.cache_path()
    profile_for.cache_clear()


NAME = "own/New-Model-7B"
NEW = {NAME: {"task": "image-to-image", "source": "the hub", "checked": "2026-10-06"}}


def test_a_model_that_was_looked_up_is_known_from_then_on() -> None:
    assert profile_for("own/New-Model-7B").source is None
    remember_models(NEW)
    profile = profile_for("own/New-Model-7B")
    assert (profile.task, profile.source) == ("image-to-image", "the hub")
    assert near_names("own/New-Model-7b") == ("own/New-Model-7B",)


def test_another_process_knows_it_too() -> None:
    remember_models(NEW)
    program = (
        f"from modelscope_transport.catalogue.models import *; print(profile_for('{NAME}').task)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "image-to-image"


def test_facts_are_added_to_those_that_are_there() -> None:
    remember_models(NEW)
    remember_models({"own/New-Model-7B": {"tier": "lite"}, "own/Other": {"tier": "ultra"}})
    profile = profile_for("own/New-Model-7B")
    assert (profile.task, profile.tier) == ("image-to-image", "lite")
    assert profile_for("own/Other").tier == "ultra"


def test_a_price_that_was_looked_up_is_newer_than_the_table_and_nothing_else_is() -> None:
    model = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
    before = profile_for(model)
    remember_models({model: {"tier": "ultra", "task": "image-to-image", "context_window": 1}})
    after = profile_for(model)
    assert after.tier == "ultra" != before.tier
    assert after.context_window == before.context_window
    assert after.source == before.source


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe", b'{"own/M": 1}', b'{"own/M": {"context_window": "x"}}'],
)
def test_a_spoilt_file_counts_as_none(content: bytes, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert profile_for("own/M").task == "chat"
    assert profile_for("Qwen/Qwen-Image").task == "text-to-image-synthesis"


def test_a_field_of_a_later_version_is_passed_over(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"own/M": {"tier": "lite", "colour": "blue"}}))
    assert profile_for("own/M").tier == "lite"


def test_where_nothing_can_be_written_nothing_is_kept(file: Path) -> None:
    file.parent.write_bytes(b"a file where the folder should be")
    model_cache.remember(NEW)
    assert profile_for("own/New-Model-7B").source is None
