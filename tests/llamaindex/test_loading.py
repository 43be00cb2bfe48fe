"""`load`: one door to every kind of model."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from llama_index.core.schema import BaseComponent
from llama_index.core.tools.tool_spec.base import BaseToolSpec
from pydantic import SecretStr

import llamaindex_modelscope
from llamaindex_modelscope import (
    ModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbedding,
    ModelScopeError,
    ModelScopeImageToolSpec,
    ModelScopeModelNotServedError,
    ModelScopePipelineToolSpec,
    ModelScopeUnsupportedTaskError,
    aload,
    load,
)
from modelscope_transport import Client
from modelscope_transport.catalogue import (
    TASKS,
    ChatTask,
    EmbeddingTask,
    ImageTask,
    PipelineTask,
    RerankTask,
)
from modelscope_transport.catalogue.models import profile_for
from modelscope_transport.emulator import LocalService, Model
from tests.frames import nothing_is_shown

MOOD = "damo/nlp_structbert_sentiment-classification_chinese-base"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    profile_for.cache_clear()
    yield
    profile_for.cache_clear()


@pytest.fixture
def service() -> Iterator[LocalService]:
    with LocalService(
        models=[Model("own/Painter", "image"), Model("own/Talker", "chat")]
    ) as service:
        yield service


@pytest.mark.parametrize(
    ("model", "task", "served_by"),
    [
        ("Qwen/Qwen3-8B", None, ModelScope),
        ("Qwen/Qwen3.5-122B-A10B", "image-text-to-text", ModelScope),
        ("Qwen/Qwen3-Embedding-8B", None, ModelScopeEmbedding),
        ("BAAI/bge-m3", "sentence-embedding", ModelScopeEmbedding),
        ("Qwen/Qwen-Image", None, ModelScopeImageToolSpec),
        (MOOD, None, ModelScopePipelineToolSpec),
        ("own/x", "named-entity-recognition", ModelScopePipelineToolSpec),
    ],
)
def test_what_is_known_is_made_without_a_request(
    model: str, task: str | None, served_by: type, reach: dict[str, Any], service: LocalService
) -> None:
    it = load(model, task, **reach)
    assert type(it) is served_by
    assert getattr(it, "model", None) or it.model_name == model
    assert not service.requests


async def test_what_nobody_knows_is_looked_up_once(
    reach: dict[str, Any], service: LocalService
) -> None:
    assert type(await aload("own/Painter", **reach)) is ModelScopeImageToolSpec
    assert type(load("own/Painter", **reach)) is ModelScopeImageToolSpec
    assert [request.path for request in service.requests] == ["/api/v1/models/own/Painter"]


def test_without_a_look_up_it_chats(reach: dict[str, Any], service: LocalService) -> None:
    assert type(load("own/Painter", look_up=False, **reach)) is ModelScope
    assert not service.requests


def test_arguments_go_to_the_class(reach: dict[str, Any]) -> None:
    assert load("Qwen/Qwen3-8B", temperature=0.5, **reach).temperature == 0.5
    assert load("own/x", "translation", **reach).task == "translation"


def test_a_client_or_a_hidden_token_serve_the_look_up(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url)
    assert type(load("own/Painter", client=client)) is ModelScopeImageToolSpec
    hidden = SecretStr(service.token)
    assert load("Qwen/Qwen3-8B", api_key=hidden, base_url=service.base_url)


def test_the_look_up_goes_where_the_object_will_go(
    service: LocalService, seen: list[httpx.Request]
) -> None:
    through = httpx.Client(event_hooks={"request": [seen.append]}, trust_env=False)
    llm = load("own/Talker", api_key=service.token, api_base=service.base_url, http_client=through)
    assert type(llm) is ModelScope
    assert [request.path for request in service.requests] == ["/api/v1/models/own/Talker"]
    assert [request.url.path for request in seen] == ["/api/v1/models/own/Talker"]
    through.close()


@pytest.mark.parametrize("option", ["connect_timeout", "idle_timeout", "max_retries"])
def test_the_look_up_reads_what_the_class_reads(option: str, reach: dict[str, Any]) -> None:
    with pytest.raises(ModelScopeConfigurationError, match=f"{option} must be"):
        load("own/None", **reach, **{option: -1})


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("own/None", {}),
        ("Qwen/Qwen3-8B", {"max_retries": -1}),
        ("Qwen/Qwen3-8B", {"zebra": 1}),
        ("Qwen/Qwen-Image", {"zebra": 1}),
        (MOOD, {"zebra": 1}),
    ],
)
@pytest.mark.parametrize("word", ["api_key", "openai_api_key"])
def test_no_frame_on_its_way_shows_the_token(
    word: str, model: str, arguments: dict[str, Any], service: LocalService, canary: str
) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        load(model, **{word: canary, "base_url": service.base_url, **arguments})
    nothing_is_shown(caught.value, canary)


def test_no_frame_shows_a_proxys_password(reach: dict[str, Any], canary: str) -> None:
    with pytest.raises(ModelScopeError, match="zebra") as caught:
        load("Qwen/Qwen-Image", **reach, proxy=f"http://me:{canary}@127.0.0.1:9", zebra=1)
    nothing_is_shown(caught.value, canary)


async def test_no_frame_shows_it_in_an_event_loop(reach: dict[str, Any], canary: str) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="zebra") as caught:
        await aload("Qwen/Qwen3-8B", **{**reach, "api_key": canary}, zebra=1)
    nothing_is_shown(caught.value, canary)


@pytest.fixture
def seen() -> list[httpx.Request]:
    return []


@pytest.mark.parametrize(
    ("model", "task", "error", "said"),
    [
        ("qwen/qwen3-8b", None, ModelScopeModelNotServedError, "Qwen/Qwen3-8B"),
        ("own/None", None, ModelScopeModelNotServedError, "hub"),
        ("Qwen/Qwen3-Reranker-8B", None, ModelScopeUnsupportedTaskError, "ModelScopeRerank"),
        ("Qwen/Qwen3-8B", "image-to-image", ModelScopeUnsupportedTaskError, "ModelScope in Llama"),
        ("own/x", "text-to-image", ModelScopeConfigurationError, "text-to-image-synthesis"),
    ],
)
def test_what_cannot_be_loaded_is_said_with_what_can(
    model: str, task: str | None, error: type[Exception], said: str, reach: dict[str, Any]
) -> None:
    with pytest.raises(error, match=said):
        load(model, task, **reach)


@pytest.mark.parametrize("model", ["Qwen/Qwen-Image", MOOD, "Qwen/Qwen3-Embedding-8B"])
def test_the_wrong_class_names_the_right_one_before_any_request(
    model: str, reach: dict[str, Any], service: LocalService
) -> None:
    right = type(load(model, **reach)).__name__
    with pytest.raises(ModelScopeUnsupportedTaskError, match=f"{right} in LlamaIndex"):
        ModelScope(model, **reach).complete("Hello")
    assert not service.requests


def test_the_package_has_what_it_lists_and_nothing_else() -> None:
    for name in llamaindex_modelscope.__all__:
        assert getattr(llamaindex_modelscope, name)
    with pytest.raises(AttributeError, match="nothing"):
        _ = llamaindex_modelscope.nothing


def test_type_checkers_know_the_class_of_every_task() -> None:
    typed = {
        "ModelScope": ChatTask,
        "ModelScopeEmbedding": EmbeddingTask,
        "ModelScopeImageToolSpec": ImageTask,
        "ModelScopeRerank": RerankTask,
        "ModelScopePipelineToolSpec": PipelineTask,
    }
    for name, tasks in typed.items():
        served = {task for task, row in TASKS.items() if row.llamaindex == name}
        assert set(get_args(tasks)) == served


def test_what_llamahub_reads_names_what_is_there() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    read = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["llamahub"]
    package = importlib.import_module(read["import_path"])
    for name in read["class_authors"]:
        assert issubclass(getattr(package, name), BaseComponent | BaseToolSpec), name
