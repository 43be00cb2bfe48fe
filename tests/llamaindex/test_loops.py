"""One object in several event loops, in several threads, and in a loop that already runs."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.async_utils import asyncio_run
from llama_index.core.evaluation import RelevancyEvaluator

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding, ModelScopeQuotaExceededError
from modelscope_transport.emulator import LocalService

from .consumers.kit import Kit
from .endpoints import (
    EMBEDDING_ENDPOINTS,
    ENDPOINTS,
    EmbeddingEndpoint,
    Endpoint,
    is_right,
)

THREADS = 8

each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
each_embedding = pytest.mark.parametrize("endpoint", EMBEDDING_ENDPOINTS, ids=lambda one: one.name)
each_sync = pytest.mark.parametrize(
    "endpoint",
    [one for one in ENDPOINTS if not one.reaches.startswith("a")],
    ids=lambda one: one.name,
)
each_async = pytest.mark.parametrize(
    "endpoint",
    [one for one in ENDPOINTS if one.reaches.startswith("a")],
    ids=lambda one: one.name,
)


# --- event loops, one after another


@each_endpoint
def test_three_calls_in_three_loops(
    endpoint: Endpoint, llm: ModelScope, service: LocalService
) -> None:
    for _ in range(3):
        assert is_right(endpoint, endpoint.ask(llm))  # each async one in a loop of its own
    assert len(service.requests) == 3


@each_embedding
def test_three_embeddings_in_three_loops(
    endpoint: EmbeddingEndpoint, embed_model: ModelScopeEmbedding, service: LocalService
) -> None:
    first, *others = (endpoint.ask(embed_model) for _ in range(3))
    assert others == [first, first]
    assert len(service.requests) == 3


def test_a_stream_that_a_loop_leaves_behind_does_no_harm(
    llm: ModelScope, service: LocalService
) -> None:
    async def begin() -> str:
        stream = await llm.astream_complete("hi")
        return str(await anext(stream))

    for _ in range(3):
        assert asyncio.run(begin())
    assert "hi" in str(asyncio.run(llm_says(llm)))
    assert len(service.requests) == 4


async def llm_says(llm: ModelScope) -> Any:
    return await llm.acomplete("hi")


# --- in a loop that runs, as in a notebook


@each_sync
async def test_a_sync_call_in_a_running_loop(
    endpoint: Endpoint, llm: ModelScope, service: LocalService
) -> None:
    assert is_right(endpoint, endpoint.ask(llm))
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "endpoint",
    [one for one in EMBEDDING_ENDPOINTS if not one.name.startswith("a")],
    ids=lambda one: one.name,
)
async def test_a_sync_embedding_in_a_running_loop(
    endpoint: EmbeddingEndpoint, embed_model: ModelScopeEmbedding
) -> None:
    assert endpoint.ask(embed_model)


@each_async
async def test_calls_side_by_side_in_one_loop(
    endpoint: Endpoint, llm: ModelScope, service: LocalService
) -> None:
    answers = await asyncio.gather(*(endpoint.run(llm) for _ in range(5)))
    assert all(is_right(endpoint, answer) for answer in answers)
    assert len(service.requests) == 5


# core closes that thread's loop without a word to what is open in it; the connections are dropped
# with the next new loop, where Python notices that nobody closed them
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_core_asks_from_a_loop_of_its_own_while_another_runs(kit: Kit) -> None:
    async def notebook() -> None:
        # core's evaluators are async inside; in a notebook their sync methods start a thread
        await kit.llm.acomplete("the notebook's own loop has a connection")
        for _ in range(3):
            result = RelevancyEvaluator(llm=kit.llm).evaluate(
                query="Is 3 + 4 = 7?", response="YES", contexts=["YES"]
            )
            assert result.feedback
        assert asyncio_run(llm_says(kit.llm)).text

    asyncio.run(notebook())
    assert len(kit.service.requests) == 5
    asyncio.run(llm_says(kit.llm))
    gc.collect()


NOTEBOOK = """
import asyncio
import nest_asyncio

nest_asyncio.apply()

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.evaluation import RelevancyEvaluator
from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from modelscope_transport.emulator import LocalService

async def cell(llm, embed_model):
    print(await llm.acomplete("one"))
    print(asyncio.run(llm.acomplete("two")))
    print(asyncio.get_event_loop().run_until_complete(llm.acomplete("three")))
    print([str(part) async for part in await llm.astream_complete("four")][-1])
    judge = RelevancyEvaluator(llm=llm)
    print(judge.evaluate(query="five", response="YES", contexts=["YES"]).query)
    documents = [Document(text="six")]
    VectorStoreIndex.from_documents(
        documents, embed_model=embed_model, use_async=True, transformations=[]
    )
    print(*[request.path for request in service.requests])

with LocalService() as service:
    place = {"api_key": service.token, "base_url": service.base_url}
    llm = ModelScope("Qwen/Qwen3-Coder-30B-A3B-Instruct", **place)
    for _ in range(2):
        service.requests.clear()
        asyncio.run(cell(llm, ModelScopeEmbedding("Qwen/Qwen3-Embedding-0.6B", **place)))
"""


@pytest.mark.slow
def test_a_notebook_that_nests_its_loops_works_and_ends_without_a_word() -> None:
    # in a process of its own, since nest_asyncio changes asyncio for good
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOTEBOOK], capture_output=True, text=True, check=True
    )

    lines = done.stdout.splitlines()
    assert lines[:6] == lines[6:]
    for line, word in zip(lines[:5], ["one", "two", "three", "four", "five"], strict=True):
        assert word in line
    assert lines[5].count("/v1/chat/completions") == 5
    assert lines[5].count("/v1/embeddings") == 1
    assert done.stderr == ""


# --- threads


def in_threads(work: Callable[[], Any]) -> list[Any]:
    """What the work gives in several threads that begin at once; their context goes along."""
    barrier = threading.Barrier(THREADS)

    def run() -> Any:
        barrier.wait(10)
        return [work() for _ in range(3)]

    with ThreadPoolExecutor(THREADS) as pool:
        contexts = [contextvars.copy_context() for _ in range(THREADS)]
        futures = [pool.submit(context.run, run) for context in contexts]
        return [given for future in futures for given in future.result(30)]


@each_endpoint
def test_eight_threads_share_one_object(
    endpoint: Endpoint, llm: ModelScope, service: LocalService
) -> None:
    # the async ones run a loop of their own in each thread, three of them
    answers = in_threads(lambda: endpoint.ask(llm))

    assert all(is_right(endpoint, answer) for answer in answers)
    assert len(service.requests) == len(answers) == 3 * THREADS


@each_embedding
def test_eight_threads_share_one_embedding_model(
    endpoint: EmbeddingEndpoint, embed_model: ModelScopeEmbedding, service: LocalService
) -> None:
    vectors = in_threads(lambda: endpoint.ask(embed_model))

    assert all(given == vectors[0] for given in vectors)
    assert len(service.requests) == 3 * THREADS


def test_a_spent_allowance_stops_all_threads(llm: ModelScope, service: LocalService) -> None:
    service.next("account_spent")
    with pytest.raises(ModelScopeQuotaExceededError):
        llm.complete("hi")

    def ask() -> BaseException | None:
        try:
            llm.complete("hi")
        except ModelScopeQuotaExceededError as error:
            return error
        return None

    errors = in_threads(ask)

    assert all(isinstance(error, ModelScopeQuotaExceededError) for error in errors)
    assert len({id(error) for error in errors}) == 3 * THREADS  # a fresh instance each time
    assert len(service.requests) == 1
