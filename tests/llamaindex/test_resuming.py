"""The building of an index that was killed goes on where it was, paying for nothing twice."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode

from llamaindex_modelscope import (
    ModelScopeConfigurationError,
    ModelScopeEmbedding,
    ModelScopeQuotaExceededError,
    resumable,
)
from llamaindex_modelscope.resuming import VectorFile
from modelscope_transport.emulator import LocalService
from tests.forks import forking, in_a_fork, open_files

MODEL = "Qwen/Qwen3-Embedding-0.6B"
NODES = 5000


def make(service: LocalService, **options: object) -> ModelScopeEmbedding:
    place = {"api_key": service.token, "base_url": service.base_url, "dimensions": 4}
    return ModelScopeEmbedding(model_name=MODEL, **(place | options))  # type: ignore[arg-type]


BUILD = """
import sys
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llamaindex_modelscope import ModelScopeEmbedding, resumable

token, url, path, count = sys.argv[1:]
model = ModelScopeEmbedding(model_name="Qwen/Qwen3-Embedding-0.6B", api_key=token, base_url=url,
                            dimensions=4)
nodes = [TextNode(text=f"Node {number}.", id_=str(number)) for number in range(int(count))]
index = VectorStoreIndex(nodes, embed_model=resumable(model, path))
print(len(index.vector_store.data.embedding_dict))
"""


@pytest.mark.slow
def test_a_build_that_is_killed_at_half_costs_one_pass_and_one_request(
    modelscope_service: LocalService, tmp_path: Path
) -> None:
    service = modelscope_service
    size = make(service).embed_batch_size
    # core hands the nodes over in parts of 2,048, each of which ends with a batch that is not full
    parts = [min(2048, NODES - start) for start in range(0, NODES, 2048)]
    a_pass = sum(-(-part // size) for part in parts)
    words = [service.token, service.base_url, str(tmp_path / "vectors"), str(NODES)]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "MODELSCOPE_LEDGER": "off"}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", BUILD, *words],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    first = start()
    while len(service.requests) < a_pass // 2:
        assert first.poll() is None
    first.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    first.communicate()
    second = start()
    out, _ = second.communicate(timeout=100)
    assert int(out) == NODES
    assert len(service.requests) <= a_pass + 1


def test_a_pipeline_that_met_the_limit_goes_on(
    modelscope_service: LocalService, tmp_path: Path
) -> None:
    service = modelscope_service
    nodes = [TextNode(text=f"Node {number}.") for number in range(30)]
    service.next("honest", "model_spent")
    with pytest.raises(ModelScopeQuotaExceededError):
        IngestionPipeline(
            transformations=[resumable(make(service, embed_batch_size=10), tmp_path / "v")]
        ).run(nodes=nodes)
    service.reset()
    embed_model = resumable(make(service, embed_batch_size=10), tmp_path / "v")
    done = IngestionPipeline(transformations=[embed_model]).run(nodes=nodes)
    assert [len(node.embedding or ()) for node in done] == [4] * 30
    assert len(service.requests) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_that_came_is_kept_when_the_next_one_fails_in_an_event_loop(
    modelscope_service: LocalService, tmp_path: Path, workers: int
) -> None:
    service, texts = modelscope_service, [f"Text {number}." for number in range(40)]
    service.next("honest", "model_spent")
    options: dict[str, Any] = {"embed_batch_size": 20, "num_workers": workers}
    with pytest.raises(ModelScopeQuotaExceededError):
        asyncio.run(
            resumable(make(service, **options), tmp_path / "v").aget_text_embedding_batch(texts)
        )
    service.reset()
    embed_model = resumable(make(service, **options), tmp_path / "v")
    asyncio.run(embed_model.aget_text_embedding_batch(texts))
    (request,) = service.requests
    assert len(request.body["input"]) == 20


@pytest.mark.parametrize("way", ["aput", "aput_all"])
def test_what_waits_for_a_free_thread_when_the_loop_ends_is_kept(tmp_path: Path, way: str) -> None:
    free = threading.Event()
    kept: dict[str, Any] = {"name": [1.0]}
    arguments = ("one", kept) if way == "aput" else ([("one", kept)],)

    async def leave() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        holding = loop.run_in_executor(None, free.wait)
        keeping = asyncio.ensure_future(getattr(VectorFile(path, "space"), way)(*arguments))
        await asyncio.sleep(0)
        loop.call_soon(free.set)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
        assert await holding

    path = tmp_path / "v"
    asyncio.run(leave())
    assert VectorFile(path, "space").get("one") == kept


async def test_vectors_are_the_same_and_those_of_another_model_are_others(
    modelscope_service: LocalService, tmp_path: Path
) -> None:
    service, path = modelscope_service, tmp_path / "v"
    plain = make(service).get_text_embedding("one")
    kept = resumable(make(service), path)
    assert kept.get_text_embedding("one") == plain
    assert await kept.aget_text_embedding("one") == plain
    assert resumable(make(service), path).get_text_embedding_batch(["one", "one"]) == [plain] * 2
    before = len(service.requests)
    assert len(resumable(make(service, dimensions=8), path).get_text_embedding("one")) == 8
    assert len(service.requests) == before + 1
    assert pickle.loads(pickle.dumps(kept.embeddings_cache)).get("one", "embeddings")
    index = VectorStoreIndex.from_documents([Document(text="one")], embed_model=kept)
    assert index.as_retriever(similarity_top_k=1).retrieve("one")
    assert (path.stat().st_mode & 0o777) == 0o600 or os.name == "nt"


def test_what_cannot_be_kept_is_said(modelscope_service: LocalService, tmp_path: Path) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="query_instruction"):
        resumable(make(modelscope_service, query_instruction="Find: "), tmp_path / "v")
    (tmp_path / "notes").write_text("my own notes, which are no database at all")
    with pytest.raises(ModelScopeConfigurationError, match="cannot be used"):
        resumable(make(modelscope_service), tmp_path / "notes").get_text_embedding("one")


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_opens_the_file_for_itself(tmp_path: Path) -> None:
    vectors = VectorFile(tmp_path / "vectors", "space")
    vectors.put("one", {"id": [1.0]})

    def look() -> int:
        assert vectors.get("one") == {"id": [1.0]}
        return open_files(tmp_path / "vectors")

    assert in_a_fork(vectors._database._lock, look) > look()
    vectors.close()


@pytest.mark.skipif(os.name != "posix", reason="descriptors are a matter of POSIX")
def test_a_closed_file_is_opened_again_by_the_next_call(tmp_path: Path) -> None:
    vectors = VectorFile(tmp_path / "vectors", "space")
    vectors.put("one", {"id": [1.0]})
    assert open_files(tmp_path / "vectors") > 0
    vectors.close()
    assert open_files(tmp_path / "vectors") == 0
    assert vectors.get("one") == {"id": [1.0]}
    vectors.close()
