"""LlamaIndex's global settings, and core's own way of making a model by its name."""

from __future__ import annotations

import subprocess
import sys

import pytest
from llama_index.core import Settings, SummaryIndex, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager
from llama_index.core.embeddings import resolve_embed_model
from llama_index.core.llms.utils import resolve_llm

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding

from .conftest import MakeLLM
from .consumers.kit import QUESTION, Kit


def test_both_serve_as_settings(kit: Kit) -> None:
    with kit.as_settings():
        assert Settings.llm is kit.llm
        assert Settings.embed_model is kit.embed_model
        index = VectorStoreIndex.from_documents(kit.documents())
        assert "Berlin" in str(index.as_query_engine().query(QUESTION))
        assert "Berlin" in str(index.as_chat_engine().chat(QUESTION))
        assert SummaryIndex.from_documents(kit.documents()).as_query_engine().query(QUESTION)
    assert kit.service.requests


def test_settings_resolve_both_as_they_are(kit: Kit) -> None:
    assert resolve_llm(kit.llm) is kit.llm
    assert resolve_embed_model(kit.embed_model) is kit.embed_model


def test_settings_take_the_window_from_the_model(make_llm: MakeLLM, kit: Kit) -> None:
    with kit.as_settings():
        Settings.llm = make_llm(context_window=5000, max_tokens=700)
        assert Settings.prompt_helper.context_window == 5000
        assert Settings.prompt_helper.num_output == 700


def test_settings_give_both_their_callbacks(kit: Kit) -> None:
    manager = CallbackManager()
    with kit.as_settings():
        Settings.callback_manager = manager
        try:
            assert Settings.llm.callback_manager is manager
            assert Settings.embed_model.callback_manager is manager
        finally:
            Settings._callback_manager = None


BY_NAME = """
from llama_index.core.embeddings.loading import load_embed_model
from llama_index.core.llms.loading import load_llm
import llamaindex_modelscope

made = load_llm({"class_name": "ModelScope", "model": "owner/name"})
print(type(made).__module__, made.model)
made = load_embed_model({"class_name": "ModelScopeEmbedding", "model_name": "owner/name"})
print(type(made).__module__, made.model_name)
"""


@pytest.mark.slow
def test_core_knows_both_by_name_also_when_it_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    # the other order is the one of test_pickle.py
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-test")

    done = subprocess.run(
        [sys.executable, "-c", BY_NAME], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == [
        *(ModelScope.__module__, "owner/name"),
        *(ModelScopeEmbedding.__module__, "owner/name"),
    ]
