"""``modelscope:owner/name``: unknown to LangChain, until it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain.agents import create_agent
from langchain.chat_models import base as chat_base
from langchain.chat_models import init_chat_model
from langchain.embeddings import base as embeddings_base
from langchain.embeddings import init_embeddings

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbeddings,
    register,
)
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, PLAIN, langchain_is

HAS_TABLES = langchain_is("1.2.10")
with_tables = pytest.mark.skipif(
    not HAS_TABLES, reason="LangChain before 1.2.10 keeps its providers in no table"
)


@pytest.fixture(autouse=True)
def _unregistered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Fails the day LangChain keeps its providers elsewhere: then registration.py must follow.
    for module in (chat_base, embeddings_base) if HAS_TABLES else ():
        monkeypatch.setattr(module, "_BUILTIN_PROVIDERS", dict(module._BUILTIN_PROVIDERS))
    yield
    if not HAS_TABLES:
        return
    chat_base._get_chat_model_creator.cache_clear()
    embeddings_base._get_embeddings_class_creator.cache_clear()


def test_nothing_is_registered_unasked() -> None:
    with pytest.raises(ValueError, match="provider"):
        init_chat_model(f"modelscope:{PLAIN}")


@with_tables
def test_after_registering_both_are_made(service: LocalService) -> None:
    register()
    register()
    place = {"api_key": service.token, "base_url": service.base_url}

    model = init_chat_model(f"modelscope:{PLAIN}", temperature=0.5, **place)
    assert isinstance(model, ChatModelScope)
    assert model.invoke("Hello").text
    assert service.requests[0].body["temperature"] == 0.5

    vectors = init_embeddings("modelscope:Qwen/Qwen3-Embedding-0.6B", dimensions=4, **place)
    assert isinstance(vectors, ModelScopeEmbeddings)
    assert len(vectors.embed_query("Hello")) == 4


@with_tables
def test_a_configurable_model_changes_its_model(service: LocalService) -> None:
    register()
    model = init_chat_model(
        configurable_fields=("model", "model_provider"),
        api_key=service.token,
        base_url=service.base_url,
    )
    chosen = {"model": HYBRID, "model_provider": "modelscope"}
    assert model.invoke("Hello", {"configurable": chosen}).text
    assert service.requests[0].body["model"] == HYBRID


@with_tables
def test_an_agent_takes_the_name(service: LocalService, monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    monkeypatch.setenv("MODELSCOPE_API_BASE", service.base_url)
    agent = create_agent(f"modelscope:{PLAIN}")
    assert agent.invoke({"messages": [("user", "Hello")]})["messages"][-1].text


def test_a_table_that_moved_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(chat_base, "_BUILTIN_PROVIDERS", raising=HAS_TABLES)
    with pytest.raises(ModelScopeConfigurationError, match="Construct"):
        register()
