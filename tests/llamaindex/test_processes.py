"""Errors and models that cross into another process: pools, forks, and back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import Document
from llama_index.core.ingestion import IngestionPipeline

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeEmbedding,
    ModelScopeQuotaExceededError,
)
from modelscope_transport.emulator import Allowance, LocalService

from .consumers.kit import EMBEDDING, TEXTS

pytestmark = [
    pytest.mark.timeout(60),  # a pool that cannot read a child's error would wait for ever
    # Python 3.12 warns of every fork in a process with threads, and core's async pipeline forks
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


@pytest.fixture
def other_processes_token(service: LocalService, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    return service.token


def in_two_processes(pipeline: IngestionPipeline) -> Any:
    return pipeline.run(documents=[Document(text=text) for text in TEXTS], num_workers=2)


def in_two_processes_from_a_loop(pipeline: IngestionPipeline) -> Any:
    documents = [Document(text=text) for text in TEXTS]
    return asyncio.run(pipeline.arun(documents=documents, num_workers=2))


each_way = pytest.mark.parametrize("run", [in_two_processes, in_two_processes_from_a_loop])


def pipeline(embed_model: ModelScopeEmbedding) -> IngestionPipeline:
    # no splitter: core's own looks for its tokenizer on the network in every new process
    return IngestionPipeline(transformations=[embed_model])


@pytest.mark.slow
@each_way
def test_two_workers_embed(
    run: Callable[[IngestionPipeline], Any],
    embed_model: ModelScopeEmbedding,
    service: LocalService,
    other_processes_token: str,
) -> None:
    nodes = run(pipeline(embed_model))

    assert sorted(node.text for node in nodes) == sorted(TEXTS)
    assert all(len(node.embedding) == 1024 for node in nodes)
    assert len(service.requests) == 2  # one a worker
    assert {request.headers["authorization"] for request in service.requests} == {
        f"Bearer {other_processes_token}"
    }


@pytest.mark.slow
@each_way
def test_a_spent_allowance_ends_two_workers_with_our_error(
    run: Callable[[IngestionPipeline], Any],
    embed_model: ModelScopeEmbedding,
    service: LocalService,
    other_processes_token: str,
) -> None:
    service.meter.allowance = Allowance(calls_per_model={EMBEDDING: 0})

    with pytest.raises(ModelScopeQuotaExceededError) as caught:
        run(pipeline(embed_model))

    assert type(caught.value) is ModelScopeQuotaExceededError
    assert (caught.value.scope, caught.value.model) == ("model", EMBEDDING)
    assert caught.value.resets_at is not None
    assert caught.value.status_code == 429
    assert 1 <= len(service.requests) <= 2  # each process finds out for itself, once


def in_a_fork(work: Callable[[], str]) -> str:
    """What the work says in a forked process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # nothing but the work runs here, and nothing is cleaned up
        try:
            os.write(write, work().encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_and_its_parent_share_no_connection(
    llm: ModelScope, embed_model: ModelScopeEmbedding, service: LocalService
) -> None:
    llm.complete("a connection is open now")
    streamed = llm.stream_complete("and one is in use")
    next(streamed)

    texts = [
        in_a_fork(lambda: str(llm.complete("child one"))),
        in_a_fork(lambda: str(asyncio.run(llm.acomplete("child two")))),
        in_a_fork(lambda: str(len(embed_model.get_query_embedding("child three")))),
        str(list(streamed)[-1]),
        str(llm.complete("and the parent goes on")),
    ]

    wanted = ["child one", "child two", "1024", "and one is in use", "and the parent goes on"]
    assert all(words in text for words, text in zip(wanted, texts, strict=True))
    assert len(service.requests) == 6
