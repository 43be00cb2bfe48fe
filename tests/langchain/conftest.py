"""A chat model and embeddings on the local service, for every test of the adapter."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from packaging.version import Version

from langchain_modelscope import ChatModelScope, ModelScopeEmbeddings
from modelscope_transport.emulator import LocalService

PLAIN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
HYBRID = "Qwen/Qwen3.5-122B-A10B"  # thinks unless told not to, and sees
STREAM_ONLY = "Qwen/QwQ-32B"
NO_SCHEMA = "deepseek-ai/DeepSeek-V4.1-Flash"

MakeChat = Callable[..., ChatModelScope]


def langchain_is(lowest: str) -> bool:
    """Whether LangChain has at least a version."""
    return Version(version("langchain")) >= Version(lowest)


@pytest.fixture
def service(modelscope_service: LocalService) -> LocalService:
    return modelscope_service


@pytest.fixture
def chat(service: LocalService) -> MakeChat:
    """Make a chat model on the local service; what is passed wins."""

    def make(model: str = PLAIN, **options: Any) -> ChatModelScope:
        place = {"api_key": service.token, "base_url": service.base_url}
        return ChatModelScope(model=model, **(place | options))

    return make


@pytest.fixture
def embeddings(service: LocalService) -> Callable[..., ModelScopeEmbeddings]:
    """Make embeddings on the local service; what is passed wins."""

    def make(model: str = "Qwen/Qwen3-Embedding-0.6B", **options: Any) -> ModelScopeEmbeddings:
        place = {"api_key": service.token, "base_url": service.base_url}
        return ModelScopeEmbeddings(model=model, **(place | options))

    return make


@pytest.fixture(autouse=True)
def _books_closed(books_closed: None) -> None:
    """A scenario says that a pool is spent while the local service's own books are full."""
