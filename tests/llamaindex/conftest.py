"""Fixtures of the LlamaIndex adapter's tests: a service for each test, and both models on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import aiosqlite.core
import pytest

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from modelscope_transport.emulator import LocalService

from .consumers.kit import CHAT, EMBEDDING, Kit

# Core's memory never closes its database in memory, and aiosqlite warns of each one whenever the
# garbage collector comes by: in another test, or after the last.
aiosqlite.core.Connection.__del__ = lambda connection: None

MakeLLM = Callable[..., ModelScope]


@pytest.fixture
def service() -> Iterator[LocalService]:
    """A service of its own, with a token of its own: what a client learns of one test's account,
    spent pools above all, is no other test's business."""
    with LocalService() as service:
        yield service


@pytest.fixture
def reach(service: LocalService) -> dict[str, Any]:
    """How to reach the service: keywords for every class."""
    return {"api_key": service.token, "base_url": service.base_url}


@pytest.fixture
def make_llm(reach: dict[str, Any]) -> MakeLLM:
    def make(model: str = CHAT, **fields: Any) -> ModelScope:
        return ModelScope(model, **reach, **fields)

    return make


@pytest.fixture
def llm(make_llm: MakeLLM) -> ModelScope:
    return make_llm()


@pytest.fixture
def embed_model(reach: dict[str, Any]) -> ModelScopeEmbedding:
    return ModelScopeEmbedding(EMBEDDING, **reach)


@pytest.fixture
def kit(service: LocalService, llm: ModelScope, embed_model: ModelScopeEmbedding) -> Kit:
    return Kit(service, llm, embed_model)


@pytest.fixture(autouse=True)
def _books_closed(books_closed: None) -> None:
    """A scenario says that a pool is spent while the local service's own books are full."""
