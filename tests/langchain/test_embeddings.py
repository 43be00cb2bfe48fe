"""Embeddings: batches, order, duplicates and instructions, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_modelscope import (
    ModelScopeConfigurationError,
    ModelScopeEmbeddings,
    ModelScopeInvalidRequestError,
    ModelScopeQuotaExceededError,
    ModelScopeUnexpectedReplyError,
    ModelScopeUnsupportedTaskError,
)
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import PLAIN

Make = Callable[..., ModelScopeEmbeddings]
TEXTS = [f"text number {number}" for number in range(45)]


@pytest.fixture(params=["sync", "async"])
def embed(request: pytest.FixtureRequest) -> Callable[..., list[list[float]]]:
    """Embed documents, sync or async."""

    def run(model: ModelScopeEmbeddings, texts: list[str]) -> list[list[float]]:
        if request.param == "sync":
            return model.embed_documents(texts)
        return asyncio.run(model.aembed_documents(texts))

    return run


Embed = Callable[[ModelScopeEmbeddings, list[str]], list[list[float]]]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_documents_go_in_batches_and_keep_their_order(
    embeddings: Make, embed: Embed, service: LocalService, concurrency: int
) -> None:
    model = embeddings(dimensions=16, concurrency=concurrency)
    vectors = embed(model, TEXTS)

    sent = [request.body["input"] for request in service.requests]
    assert sorted(len(batch) for batch in sent) == [5, 20, 20]
    assert sorted(text for batch in sent for text in batch) == sorted(TEXTS)
    assert vectors == [model.embed_query(text) for text in TEXTS]
    assert all(type(number) is float for number in vectors[0])
    assert {len(vector) for vector in vectors} == {16}


def test_the_text_of_a_message_has_a_vector(
    embeddings: Make, embed: Embed, service: LocalService
) -> None:
    model, said = embeddings(), AIMessage("Cats purr.").text  # a class of LangChain's own
    assert embed(model, [said]) == [model.embed_query("Cats purr.")]
    assert service.requests[0].body["input"] == ["Cats purr."]


@pytest.mark.parametrize("instruction", ["", "Query: "])
def test_what_is_no_text_is_refused(embeddings: Make, embed: Embed, instruction: str) -> None:
    no_text: Any = None
    model = embeddings(document_instruction=instruction, query_instruction=instruction)
    with pytest.raises(ModelScopeInvalidRequestError, match="is of type NoneType"):
        embed(model, [no_text])
    with pytest.raises(ModelScopeInvalidRequestError, match="is of type NoneType"):
        model.embed_query(no_text)


def test_one_text_in_place_of_several_is_not_taken_for_its_letters(
    embeddings: Make, embed: Embed, service: LocalService
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="Put it into a list"):
        embed(embeddings(document_instruction="Find: "), "a text")  # type: ignore[arg-type]
    assert not service.requests


def test_the_size_of_a_batch_for_one_call(embeddings: Make, service: LocalService) -> None:
    model = embeddings(batch_size=20)
    expected = model.embed_documents(TEXTS[:5])
    assert model.embed_documents(TEXTS[:5], chunk_size=2) == expected
    assert asyncio.run(model.aembed_documents(TEXTS[:5], chunk_size=3)) == expected
    assert [len(it.body["input"]) for it in service.requests] == [5, 2, 2, 1, 3, 2]


def test_what_every_request_says(embeddings: Make, embed: Embed, service: LocalService) -> None:
    embed(embeddings(), ["Hello"])
    embed(embeddings(dimensions=8, extra_body={"user": "me"}), ["Hello"])

    first, second = (request.body for request in service.requests)
    assert first["encoding_format"] in ("float", "base64")
    assert "dimensions" not in first
    assert second["dimensions"] == 8
    assert second["user"] == "me"


def test_equal_texts_are_sent_once(embeddings: Make, embed: Embed, service: LocalService) -> None:
    vectors = embed(embeddings(), ["a", "b", "a", "a"])

    assert sorted(service.requests[0].body["input"]) == ["a", "b"]
    assert vectors[0] == vectors[2] == vectors[3] != vectors[1]
    assert len(set(map(id, vectors))) == 4  # what is done to one is done to no other


def test_no_text_sends_no_request(embeddings: Make, embed: Embed, service: LocalService) -> None:
    assert embed(embeddings(), []) == []
    assert not service.requests


@pytest.mark.parametrize("stranger", ["", None, 5])
def test_what_has_no_embedding_is_refused_without_a_request(
    embeddings: Make, embed: Embed, service: LocalService, stranger: Any
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="Text 1 is "):
        embed(embeddings(), ["a", stranger])
    assert not service.requests


def test_instructions_come_before_the_text(embeddings: Make, service: LocalService) -> None:
    model = embeddings(query_instruction="Query: ", document_instruction="Document: ")
    model.embed_query("a")
    model.embed_documents(["a"])
    asyncio.run(model.aembed_query("a"))

    sent = [request.body["input"] for request in service.requests]
    assert sent == [["Query: a"], ["Document: a"], ["Query: a"]]


@pytest.mark.parametrize("limit", ["batch_limit:8", "batch_limit_413:8"])
def test_a_batch_that_is_too_large_is_split_once_and_remembered(
    embeddings: Make, embed: Embed, service: LocalService, limit: str
) -> None:
    service.next(*[limit] * 20)
    model = embeddings(dimensions=4)
    assert len(embed(model, TEXTS[:20])) == 20
    first = [len(request.body["input"]) for request in service.requests]
    service.requests.clear()
    assert len(embed(model, TEXTS[20:40])) == 20
    second = [len(request.body["input"]) for request in service.requests]

    assert first[0] == 20
    assert max(second) <= 8


def test_vectors_are_put_in_order_by_their_index(
    embeddings: Make, embed: Embed, service: LocalService
) -> None:
    honest = embed(embeddings(), TEXTS[:5])
    service.next("shuffled_vectors")
    assert embed(embeddings(), TEXTS[:5]) == honest


@pytest.mark.parametrize("wrong", ["missing_vector", "repeated_vector", "short_vector"])
def test_a_wrong_count_is_an_error(
    embeddings: Make, embed: Embed, service: LocalService, wrong: str
) -> None:
    service.next(*[wrong] * 3)
    with pytest.raises(ModelScopeUnexpectedReplyError):
        embed(embeddings(), TEXTS[:5])


def test_progress_is_told(embeddings: Make, embed: Embed) -> None:
    told: list[tuple[int, int]] = []
    embed(embeddings(on_progress=lambda done, total: told.append((done, total))), TEXTS)

    assert told == [(20, 45), (40, 45), (45, 45)]


def test_errors_are_native(embeddings: Make, embed: Embed, service: LocalService) -> None:
    service.next("account_spent")
    with pytest.raises(ModelScopeQuotaExceededError):
        embed(embeddings(), ["a"])
    with pytest.raises(ModelScopeUnsupportedTaskError, match="ChatModelScope"):
        embed(embeddings(PLAIN), ["a"])
    with pytest.raises(ModelScopeConfigurationError, match="cannot stand in"):
        embed(embeddings(fallback_models=("Qwen/Qwen3-Embedding-8B",)), ["a"])
    with pytest.raises(ModelScopeConfigurationError, match=r"Did you mean dimensions="):
        embeddings(dimension=8)
    with pytest.raises(ModelScopeConfigurationError, match="There is no ModelScope token"):
        ModelScopeEmbeddings(model="Qwen/Qwen3-Embedding-0.6B")


async def test_a_vector_store_finds_what_is_near(embeddings: Make) -> None:
    store = InMemoryVectorStore(embeddings())
    store.add_documents([Document("cats purr"), Document("stocks fall"), Document("rain falls")])

    assert store.similarity_search("why do cats purr", k=1)[0].page_content == "cats purr"
    found = await store.asimilarity_search("stocks", k=1)
    assert found[0].page_content == "stocks fall"


@pytest.mark.parametrize("word", ["batch_size", "chunk_size"])
def test_the_size_of_a_batch_can_be_set(
    embeddings: Make, embed: Embed, service: LocalService, word: str
) -> None:
    embed(embeddings(**{word: 10}), TEXTS)
    assert [len(request.body["input"]) for request in service.requests] == [10, 10, 10, 10, 5]


def test_a_bar_is_drawn_where_it_is_wanted(
    embeddings: Make, embed: Embed, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(embeddings(), TEXTS)
    assert capsys.readouterr().err == ""
    seen: list[int] = []
    bar = embeddings(show_progress_bar=True, on_progress=lambda done, total: seen.append(done))
    embed(bar, TEXTS)
    shown = capsys.readouterr()
    assert "Embedding" in shown.err
    assert "45/45" in shown.err
    assert shown.out == ""
    assert seen == [20, 40, 45]
