"""What is known of models, brought up to date by the local service and its hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_transport import Client
from modelscope_transport.catalogue.models import known_models, near_names, profile_for
from modelscope_transport.catalogue.tasks import known_task
from modelscope_transport.cli import main
from modelscope_transport.emulator import LocalService, Model
from modelscope_transport.jobs.refresh_models import refresh_models

CODER = "Qwen/Qwen3-Coder-30B-A3B-Instruct"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    profile_for.cache_clear()
    yield
    profile_for.cache_clear()


@pytest.fixture
def service() -> Iterator[LocalService]:
    models = [
        Model("own/New-Painter", "image", "ultra"),
        Model("own/New-Talker", tier="lite"),
        Model(CODER, tier="ultra"),
    ]
    with LocalService(models=models) as service:
        yield service


@pytest.fixture
def client(service: LocalService) -> Client:
    return Client(service.token, base_url=service.base_url, max_retries=0)


def test_lists_prices_and_tasks_are_merged_and_kept(client: Client) -> None:
    before = profile_for(CODER)
    found = refresh_models(client)

    assert {"own/New-Painter", "own/New-Talker", CODER} <= set(found.listed)
    assert found.served[CODER] == "ultra"
    assert found.new == {
        "own/New-Painter": "text-to-image-synthesis",
        "own/New-Talker": "text-generation",
    }
    assert not found.unanswered
    profile_for.cache_clear()
    assert profile_for(CODER).tier == "ultra" != before.tier
    assert profile_for(CODER).context_window == before.context_window
    painter = profile_for("own/New-Painter")
    assert (painter.task, painter.tier) == ("text-to-image-synthesis", "ultra")
    assert client.task_of("own/New-Painter").langchain == "ModelScopeImageTool"
    assert near_names("own/new-painter")[0] == "own/New-Painter"


def test_every_model_on_record_is_asked_after_and_none_is_paid_for(
    client: Client, service: LocalService
) -> None:
    seen = []
    refresh_models(client, on_progress=lambda done, total: seen.append((done, total)))

    asked = {request.query["ModelId"] for request in service.requests if request.query}
    assert set(known_models()) <= asked
    assert seen[-1][0] == seen[-1][1] == len(asked)
    assert {request.method for request in service.requests} == {"GET"}


def test_some_models_only(client: Client, service: LocalService) -> None:
    found = refresh_models(client, ["own/New-Painter", "own/Missing"])
    assert found.served == {"own/New-Painter": "ultra"}
    assert len(service.requests) == 5  # the list; two prices; two pages


def test_a_price_alone_does_not_make_the_task_known(client: Client) -> None:
    client.model_status("own/New-Painter")
    assert profile_for("own/New-Painter").tier == "ultra"
    assert known_task(profile_for("own/New-Painter")) is None
    assert client.task_of("own/New-Painter").name == "text-to-image-synthesis"


def test_the_command_says_what_it_found_and_keeps_it(
    service: LocalService, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["models", "refresh", "--base-url", service.base_url]) == 0

    told = capsys.readouterr().out
    assert "own/New-Painter (text-to-image-synthesis)" in told
    assert str(tmp_path) in told
    profile_for.cache_clear()
    assert profile_for("own/New-Painter").tier == "ultra"
    assert {request.method for request in service.requests} == {"GET"}
