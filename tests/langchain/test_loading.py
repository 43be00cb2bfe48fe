"""`load`: one door to every kind of model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import langchain_modelscope
from langchain_modelscope import (
    ChatModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbeddings,
    ModelScopeImageTool,
    ModelScopeModelNotServedError,
    ModelScopePipelineTool,
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
def hub() -> Iterator[LocalService]:
    with LocalService(models=[Model("own/Painter", "image")]) as service:
        yield service


@pytest.fixture
def reach(hub: LocalService) -> dict[str, Any]:
    return {"api_key": hub.token, "base_url": hub.base_url}


@pytest.mark.parametrize(
    ("model", "task", "served_by"),
    [
        ("Qwen/Qwen3-8B", None, ChatModelScope),
        ("Qwen/Qwen3.5-122B-A10B", "image-text-to-text", ChatModelScope),
        ("Qwen/Qwen3-8B:DashScope", None, ChatModelScope),
        ("Qwen/Qwen3-Embedding-8B", None, ModelScopeEmbeddings),
        ("BAAI/bge-m3", "sentence-embedding", ModelScopeEmbeddings),
        ("Qwen/Qwen-Image", None, ModelScopeImageTool),
        ("Qwen/Qwen-Image-Edit", "image-to-image", ModelScopeImageTool),
        (MOOD, None, ModelScopePipelineTool),
        ("own/x", "named-entity-recognition", ModelScopePipelineTool),
    ],
)
def test_what_is_known_is_made_without_a_request(
    model: str, task: str | None, served_by: type, reach: dict[str, Any], hub: LocalService
) -> None:
    it = load(model, task, **reach)
    assert type(it) is served_by
    assert it.model == model
    assert not hub.requests


def test_what_nobody_knows_is_looked_up(reach: dict[str, Any], hub: LocalService) -> None:
    assert type(load("own/Painter", **reach)) is ModelScopeImageTool
    assert [request.path for request in hub.requests] == ["/api/v1/models/own/Painter"]
    load("own/Painter", **reach)
    assert len(hub.requests) == 1


async def test_so_it_is_in_an_event_loop(reach: dict[str, Any]) -> None:
    assert type(await aload("own/Painter", **reach)) is ModelScopeImageTool


def test_without_a_look_up_it_chats(reach: dict[str, Any], hub: LocalService) -> None:
    assert type(load("own/Painter", look_up=False, **reach)) is ChatModelScope
    assert not hub.requests


def test_arguments_go_to_the_class(reach: dict[str, Any]) -> None:
    assert load("Qwen/Qwen3-8B", "chat", temperature=0.5, **reach).temperature == 0.5
    assert load("Qwen/Qwen-Image", "image", size="64x64", **reach).size == "64x64"
    with pytest.raises(ModelScopeConfigurationError, match="temperature"):
        load("Qwen/Qwen-Image", temperature=0.5, **reach)


def test_a_client_serves_the_look_up_too(hub: LocalService) -> None:
    client = Client(hub.token, base_url=hub.base_url)
    assert type(load("own/Painter", client=client)) is ModelScopeImageTool


def test_the_token_may_be_hidden_or_in_the_environment(
    hub: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydantic import SecretStr

    assert load("own/Painter", api_key=SecretStr(hub.token), base_url=hub.base_url)
    monkeypatch.setenv("MODELSCOPE_API_KEY", hub.token)
    assert load("own/Painter", base_url=hub.base_url)


@pytest.mark.parametrize("word", ["modelscope_sdk_token", "modelscope_api_key", "openai_api_key"])
def test_the_look_up_reads_the_words_that_the_class_reads(word: str, hub: LocalService) -> None:
    it = load("own/Painter", **{word: hub.token}, api_base=hub.base_url)
    assert type(it) is ModelScopeImageTool
    assert it.base_url == hub.base_url
    assert [request.path for request in hub.requests] == ["/api/v1/models/own/Painter"]


@pytest.mark.parametrize("hidden", [False, True])
def test_the_look_up_goes_through_the_proxy(hidden: bool, hub: LocalService) -> None:
    from pydantic import SecretStr

    proxy = SecretStr(hub.root_url) if hidden else hub.root_url
    nowhere = "http://127.0.0.1:9/v1"
    load("own/Painter", openai_proxy=proxy, api_key=hub.token, base_url=nowhere)
    assert len(hub.requests) == 1


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
@pytest.mark.parametrize("word", ["api_key", "modelscope_sdk_token", "azure_api_key"])
def test_no_frame_on_its_way_shows_the_token(
    word: str, model: str, arguments: dict[str, Any], hub: LocalService, canary: str
) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        load(model, **{word: canary, "base_url": hub.base_url, **arguments})
    nothing_is_shown(caught.value, canary)


def test_no_frame_shows_a_proxys_password(reach: dict[str, Any], canary: str) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="zebra") as caught:
        load("Qwen/Qwen-Image", **reach, proxy=f"http://me:{canary}@127.0.0.1:9", zebra=1)
    nothing_is_shown(caught.value, canary)


async def test_no_frame_shows_it_in_an_event_loop(reach: dict[str, Any], canary: str) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="zebra") as caught:
        await aload("Qwen/Qwen3-8B", **{**reach, "api_key": canary}, zebra=1)
    nothing_is_shown(caught.value, canary)


@pytest.mark.parametrize(
    ("model", "task", "error", "said"),
    [
        ("qwen/qwen3-8b", None, ModelScopeModelNotServedError, "Qwen/Qwen3-8B"),
        ("Qwen3-8B", None, ModelScopeModelNotServedError, "Qwen/Qwen3-8B"),
        ("own/None", None, ModelScopeModelNotServedError, "hub"),
        ("Qwen/Qwen3-Reranker-8B", None, ModelScopeUnsupportedTaskError, "ModelScopeRerank"),
        ("own/x", "text-to-video-synthesis", ModelScopeUnsupportedTaskError, "does not offer"),
        ("Qwen/Qwen3-8B", "image-to-image", ModelScopeUnsupportedTaskError, "ChatModelScope"),
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
    model: str, reach: dict[str, Any], hub: LocalService
) -> None:
    right = type(load(model, **reach)).__name__
    with pytest.raises(ModelScopeUnsupportedTaskError, match=right):
        ChatModelScope(model=model, **reach).invoke("Hello")
    assert not hub.requests


def test_the_package_has_what_it_lists_and_nothing_else() -> None:
    for name in langchain_modelscope.__all__:
        assert getattr(langchain_modelscope, name)
    with pytest.raises(AttributeError, match="nothing"):
        _ = langchain_modelscope.nothing


def test_type_checkers_know_the_class_of_every_task() -> None:
    typed = {
        "ChatModelScope": ChatTask,
        "ModelScopeEmbeddings": EmbeddingTask,
        "ModelScopeImageTool": ImageTask,
        "ModelScopeRerank": RerankTask,
        "ModelScopePipelineTool": PipelineTask,
    }
    for name, tasks in typed.items():
        served = {task for task, row in TASKS.items() if row.langchain == name}
        assert set(get_args(tasks)) == served
