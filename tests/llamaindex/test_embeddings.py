"""Embeddings: what is sent, in how many requests, in which order it comes back, what is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from llama_index.core import Document
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.storage.kvstore import SimpleKVStore

from llamaindex_modelscope import (
    ModelScopeConfigurationError,
    ModelScopeEmbedding,
    ModelScopeError,
    ModelScopeInvalidRequestError,
    ModelScopeQuotaExceededError,
    ModelScopeServerError,
    ModelScopeUnexpectedReplyError,
    ModelScopeUnsupportedTaskError,
)
from modelscope_transport.emulator import Allowance, LocalService, Reply

from .consumers.kit import CHAT, EMBEDDING

TEXTS = [f"text number {number}" for number in range(45)]

Make = Callable[..., ModelScopeEmbedding]
Embed = Callable[[ModelScopeEmbedding, list[str]], list[list[float]]]


@pytest.fixture
def make(reach: dict[str, Any]) -> Make:
    def made(model: str = EMBEDDING, **fields: Any) -> ModelScopeEmbedding:
        return ModelScopeEmbedding(model, **{**reach, **fields})

    return made


@pytest.fixture(params=["sync", "async"])
def embed(request: pytest.FixtureRequest) -> Embed:
    """Embed a batch, sync or async."""

    def run(model: ModelScopeEmbedding, texts: list[str]) -> list[list[float]]:
        if request.param == "sync":
            return model.get_text_embedding_batch(texts)
        return asyncio.run(model.aget_text_embedding_batch(texts))

    return run


def inputs(service: LocalService) -> list[list[str]]:
    return [request.body["input"] for request in service.requests]


# --- the six methods


async def test_one_vector_six_ways(make: Make, service: LocalService) -> None:
    model = make(dimensions=16)

    vectors = [
        model._get_query_embedding("北京"),
        await model._aget_query_embedding("北京"),
        model._get_text_embedding("北京"),
        await model._aget_text_embedding("北京"),
        *model._get_text_embeddings(["北京"]),
        *await model._aget_text_embeddings(["北京"]),
    ]

    assert inputs(service) == [["北京"]] * 6
    assert all(vector == vectors[0] for vector in vectors)
    assert len(vectors[0]) == 16
    assert all(type(number) is float for number in vectors[0])


def test_what_every_request_says(make: Make, embed: Embed, service: LocalService) -> None:
    embed(make(), ["Hello"])
    embed(make(dimensions=8, extra_body={"user": "me"}), ["Hello"])

    first, second = (request.body for request in service.requests)
    assert first["model"] == EMBEDDING
    assert first["encoding_format"] in ("float", "base64")  # the service demands one
    assert "dimensions" not in first
    assert (second["dimensions"], second["user"]) == (8, "me")


async def test_instructions_come_before_the_text(make: Make, service: LocalService) -> None:
    model = make(query_instruction="Query: ", text_instruction="Text: ")
    model.get_query_embedding("a")
    await model.aget_query_embedding("a")
    model.get_text_embedding("a")
    await model.aget_text_embedding("a")
    model.get_text_embedding_batch(["a"])
    await model.aget_text_embedding_batch(["a"])
    model.get_agg_embedding_from_queries(["a", "b"])

    texts = [text for batch in inputs(service) for text in batch]
    assert texts == ["Query: a"] * 2 + ["Text: a"] * 4 + ["Query: a", "Query: b"]


def test_text_is_sent_as_it_is(make: Make, embed: Embed, service: LocalService) -> None:
    code = "def f():\n\treturn '…'\r\n"
    embed(make(), [code])
    assert inputs(service) == [[code]]


@pytest.mark.parametrize("texts", [["a", ""], [""]], ids=["one of two", "alone"])
def test_an_empty_text_is_refused_without_a_request(
    make: Make, embed: Embed, service: LocalService, texts: list[str]
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="is empty"):
        embed(make(), texts)
    assert not service.requests


def test_no_text_sends_no_request(make: Make, embed: Embed, service: LocalService) -> None:
    assert embed(make(), []) == []
    assert not service.requests


# --- batches


@pytest.mark.parametrize(
    ("size", "sizes"), [(None, [20, 20, 5]), (45, [45]), (30, [30, 15]), (100, [45])]
)
def test_batches_are_as_large_as_may_be(
    make: Make, embed: Embed, service: LocalService, size: int | None, sizes: list[int]
) -> None:
    model = make(dimensions=8, embed_batch_size=size)

    vectors = embed(model, TEXTS)

    assert [len(batch) for batch in inputs(service)] == sizes
    assert [text for batch in inputs(service) for text in batch] == TEXTS
    alone = make(dimensions=8)
    assert vectors == [alone.get_text_embedding(text) for text in TEXTS]


def test_batches_are_bounded_in_bytes(make: Make, embed: Embed, service: LocalService) -> None:
    service.next(*[vectors_for(1)] * 3)
    embed(make(), ["x" * 300_000, "y" * 300_000, "z" * 600_000])
    assert [len(batch) for batch in inputs(service)] == [1, 1, 1]


def vectors_for(count: int) -> Reply:
    return Reply(200, {"data": [{"embedding": [1.0, 2.0], "index": at} for at in range(count)]})


def test_equal_texts_are_sent_once(make: Make, embed: Embed, service: LocalService) -> None:
    vectors = embed(make(dimensions=8), ["a", "b", "a", "a"])

    assert inputs(service) == [["a", "b"]]
    assert vectors[0] == vectors[2] == vectors[3] != vectors[1]


def test_equal_texts_far_apart_are_sent_once(
    make: Make, embed: Embed, service: LocalService
) -> None:
    repeated = [*TEXTS[:15], *TEXTS[:15], *TEXTS[:15]]
    vectors = embed(make(dimensions=8), repeated)

    assert inputs(service) == [TEXTS[:15]]  # each request costs a unit of the allowance
    assert vectors[:15] == vectors[15:30] == vectors[30:]


@pytest.mark.parametrize("limit", ["batch_limit:8", "batch_limit_413:8"])
def test_a_batch_that_is_too_large_is_split_and_the_size_remembered(
    make: Make, embed: Embed, service: LocalService, limit: str
) -> None:
    service.next(*[limit] * 20)
    model = make(dimensions=4)

    assert len(embed(model, TEXTS[:20])) == 20
    first = [len(batch) for batch in inputs(service)]
    service.requests.clear()
    assert len(embed(model, TEXTS[20:40])) == 20

    assert first[0] == 20
    assert max(len(batch) for batch in inputs(service)) <= 8


# --- how many at once, and after a failure


class Watched:
    """An asynchronous service in this process that counts the requests in flight."""

    def __init__(self, refuse: int | None = None, status: int = 500) -> None:
        self.now = self.most = self.total = 0
        self._refuse = refuse
        self._status = status

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.now, self.total = self.now + 1, self.total + 1
        self.most, number = max(self.most, self.now), self.total
        for _ in range(20):  # whoever else wants to come can come in between
            await asyncio.sleep(0)
        self.now -= 1
        if number == self._refuse:
            return httpx.Response(self._status, json={"error": {"message": "out of order"}})
        count = len(json.loads(request.content)["input"])
        return httpx.Response(200, json=vectors_for(count).body)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))


@pytest.mark.parametrize(("workers", "most"), [(None, 1), (1, 1), (3, 3)])
@pytest.mark.parametrize("cached", [False, True])
async def test_only_so_many_batches_are_in_flight(
    make: Make, workers: int | None, most: int, cached: bool
) -> None:
    watched = Watched()
    model = make(
        embed_batch_size=2,
        num_workers=workers,
        async_http_client=watched.client(),
        embeddings_cache=SimpleKVStore() if cached else None,
    )

    await model.aget_text_embedding_batch(TEXTS[:20])

    assert (watched.most, watched.total) == (most, 10)


async def test_calls_side_by_side_have_bounds_of_their_own(make: Make) -> None:
    watched = Watched()
    model = make(embed_batch_size=2, async_http_client=watched.client())

    await asyncio.gather(*[model.aget_text_embedding_batch(TEXTS[at : at + 4]) for at in (0, 8)])

    assert (watched.most, watched.total) == (2, 4)


@pytest.mark.parametrize(("workers", "sent"), [(None, 3), (2, 4), (5, 7)])
async def test_after_the_first_failure_nothing_more_is_sent(
    make: Make, workers: int | None, sent: int
) -> None:
    watched = Watched(refuse=3)
    model = make(
        embed_batch_size=2, num_workers=workers, max_retries=0, async_http_client=watched.client()
    )

    with pytest.raises(ModelScopeServerError):
        await model.aget_text_embedding_batch(TEXTS)
    for _ in range(200):  # siblings would come now
        await asyncio.sleep(0)

    assert watched.total == sent  # the third failed, and as many others were under way
    assert len(await model.aget_text_embedding_batch(TEXTS[:2])) == 2, "the next call is free"
    assert watched.total == sent + 1


async def test_every_sibling_of_a_failure_gets_an_instance_of_its_own(make: Make) -> None:
    watched = Watched(refuse=1)
    model = make(max_retries=0, async_http_client=watched.client())

    failures = await asyncio.gather(
        *[model._aget_text_embeddings([text]) for text in "abc"], return_exceptions=True
    )
    found = [one for one in failures if isinstance(one, ModelScopeError)]
    assert len({id(one) for one in found}) == len(found)


def test_a_spent_allowance_ends_a_batch_at_once(
    make: Make, embed: Embed, service: LocalService
) -> None:
    service.meter.allowance = Allowance(calls_per_model={EMBEDDING: 1})
    model = make(embed_batch_size=5)

    with pytest.raises(ModelScopeQuotaExceededError) as caught:
        embed(model, TEXTS)
    assert len(service.requests) == 2
    with pytest.raises(ModelScopeQuotaExceededError) as again:
        embed(model, TEXTS)

    assert len(service.requests) == 2
    assert caught.value is not again.value


# --- what comes back


def test_vectors_are_put_in_order_by_their_index(
    make: Make, embed: Embed, service: LocalService
) -> None:
    honest = embed(make(), TEXTS[:5])
    service.next("shuffled_vectors")
    assert embed(make(), TEXTS[:5]) == honest


@pytest.mark.parametrize(
    "scenario", ["missing_vector", "repeated_vector", "nan_vector", "short_vector"]
)
def test_vectors_that_would_spoil_an_index_are_an_error(
    make: Make, embed: Embed, service: LocalService, scenario: str
) -> None:
    service.next(*[scenario] * 3)
    with pytest.raises(ModelScopeUnexpectedReplyError):
        embed(make(), TEXTS[:5])


@pytest.mark.parametrize(
    "data", [[{"embedding": []}], [{"embedding": ""}], [], None], ids=["list", "base64", "[]", "no"]
)
def test_a_vector_is_never_empty(
    make: Make, embed: Embed, service: LocalService, data: Any
) -> None:
    service.next(*[Reply(200, {"data": data})] * 3)
    with pytest.raises(ModelScopeError, match=r"vector|nothing|empty"):
        embed(make(max_retries=0), ["a"])


def test_a_chat_model_has_no_vectors(make: Make, embed: Embed, service: LocalService) -> None:
    with pytest.raises(ModelScopeUnsupportedTaskError, match="ModelScope"):
        embed(make(CHAT), ["a"])
    assert not service.requests


# --- what is kept


def test_a_cache_is_used(make: Make, embed: Embed, service: LocalService) -> None:
    model = make(dimensions=8, embeddings_cache=SimpleKVStore())

    first = embed(model, ["a", "b"])
    again = embed(model, ["b", "c", "a"])

    assert inputs(service) == [["a", "b"], ["c"]]
    assert [again[2], again[0]] == first


@pytest.mark.parametrize(
    "instructions",
    [{"query_instruction": "Q: "}, {"query_instruction": "Q: ", "text_instruction": "T: "}],
    ids=["query", "both"],
)
def test_a_cache_that_would_mix_questions_and_texts_is_refused(
    make: Make, instructions: dict[str, str]
) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="embeddings_cache cannot be used"):
        make(embeddings_cache=SimpleKVStore(), **instructions)
    same = {"query_instruction": "Q: ", "text_instruction": "Q: "}
    assert make(embeddings_cache=SimpleKVStore(), **same)


def ingest(model: ModelScopeEmbedding, cache: IngestionCache, native: bool) -> list[Any]:
    pipeline = IngestionPipeline(transformations=[model], cache=cache, disable_cache=False)
    documents = [Document(text=text, id_=text) for text in TEXTS[:3]]
    if native:
        return list(asyncio.run(pipeline.arun(documents=documents)))
    return list(pipeline.run(documents=documents))


@pytest.mark.parametrize("native", [False, True], ids=["run", "arun"])
def test_a_rotated_key_leaves_an_ingestion_cache_as_it_is(
    make: Make, service: LocalService, canary: str, native: bool
) -> None:
    cache = IngestionCache()
    first = ingest(make(timeout=30), cache, native)
    assert len(service.requests) == 1

    other = make(
        api_key=canary,
        timeout=60,
        max_retries=5,
        num_workers=2,
        embed_batch_size=7,
        default_headers={"x-team": "red"},
        fallback_models=[f"{EMBEDDING}:DashScope"],
    )
    again = ingest(other, cache, native)

    assert len(service.requests) == 1
    assert [node.embedding for node in again] == [node.embedding for node in first]


@pytest.mark.parametrize(
    "fields",
    [
        {"dimensions": 8},
        {"text_instruction": "Text: "},
        {"model": "Qwen/Qwen3-Embedding-4B"},
        {"extra_body": {"user": "me"}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_changes_a_vector_misses_an_ingestion_cache(
    make: Make, service: LocalService, fields: dict[str, Any]
) -> None:
    cache = IngestionCache()
    ingest(make(), cache, False)
    ingest(make(**fields), cache, False)
    assert len(service.requests) == 2


def test_a_dump_holds_what_makes_a_vector_and_nothing_else(make: Make, canary: str) -> None:
    model = make(api_key=canary, timeout=3, num_workers=2, embed_batch_size=7, dimensions=8)
    dump = model.to_dict()

    assert set(dump) == {
        "additional_kwargs",
        "base_url",
        "class_name",
        "dimensions",
        "embeddings_cache",
        "extra_body",
        "model_name",
        "query_instruction",
        "text_instruction",
    }
    assert canary not in json.dumps(dump)
    assert canary not in repr(model)
