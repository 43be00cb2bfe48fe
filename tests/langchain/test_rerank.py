"""`ModelScopeRerank` on the local service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.documents import BaseDocumentCompressor, Document

from langchain_modelscope import (
    ModelScopeQuotaExceededError,
    ModelScopeRerank,
    ModelScopeUnsupportedTaskError,
)
from modelscope_transport import Client, RerankRequest
from modelscope_transport.emulator import LocalService, Reply

CHAT = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
TEXTS = ("Bananas are yellow.", "Paris is the capital of France.", "Dogs bark at night.")
QUERY = "the capital of France"

MakeRerank = Callable[..., ModelScopeRerank]


@pytest.fixture
def rerank(service: LocalService) -> MakeRerank:
    def make(model: str = CHAT, **options: Any) -> ModelScopeRerank:
        place = {"api_key": service.token, "base_url": service.base_url}
        return ModelScopeRerank(model=model, **(place | options))

    return make


def documents() -> list[Document]:
    return [Document(page_content=text, metadata={"n": n}) for n, text in enumerate(TEXTS)]


def test_it_is_what_retrievers_compress_with(rerank: MakeRerank) -> None:
    assert isinstance(rerank(), BaseDocumentCompressor)


def test_documents_are_put_in_order_by_one_call(rerank: MakeRerank, service: LocalService) -> None:
    best, *others = rerank().compress_documents(documents(), QUERY)
    assert best.page_content == TEXTS[1]
    assert best.metadata == {"n": 1, "relevance_score": 1.0}
    assert len(others) == 2
    assert len(service.requests) == 1


async def test_the_async_call_gives_the_same(rerank: MakeRerank) -> None:
    assert await rerank().acompress_documents(documents(), QUERY) == rerank().compress_documents(
        documents(), QUERY
    )


def test_the_callers_documents_stay_as_they_were(rerank: MakeRerank) -> None:
    given = documents()
    rerank().compress_documents(given, QUERY)
    assert given == documents()


def test_only_the_best_are_kept(rerank: MakeRerank) -> None:
    (best,) = rerank(top_n=1).compress_documents(documents(), QUERY)
    assert best.metadata["n"] == 1


def test_only_so_many_are_looked_at(rerank: MakeRerank, service: LocalService) -> None:
    ordered = rerank(max_documents=2).compress_documents(documents(), QUERY)
    assert [document.metadata["n"] for document in ordered] == [1, 0, 2]
    assert TEXTS[2] not in service.requests[0].body["messages"][-1]["content"]


def test_as_much_is_looked_at_as_without_langchain(
    rerank: MakeRerank, service: LocalService
) -> None:
    texts = tuple(f"{n} " + "long " * 1000 for n in range(30))
    rerank().compress_documents([Document(page_content=text) for text in texts], QUERY)
    with Client(service.token, base_url=service.base_url) as client:
        client.rerank(RerankRequest(model=CHAT, query=QUERY, documents=texts))
    ours, plain = (each.body["messages"] for each in service.requests)
    assert ours == plain


def answered(text: str) -> Reply:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return Reply(200, {"id": "x", "model": CHAT, "choices": [choice]})


def test_an_answer_without_sense_leaves_the_order_with_a_warning(
    rerank: MakeRerank, service: LocalService
) -> None:
    service.next(answered("I would rather not."))
    with pytest.warns(UserWarning, match="gave no order"):
        ordered = rerank().compress_documents(documents(), QUERY)
    assert [document.metadata["n"] for document in ordered] == [0, 1, 2]
    assert len(service.requests) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_what_needs_no_order_costs_nothing(
    count: int, rerank: MakeRerank, service: LocalService
) -> None:
    assert len(rerank().compress_documents(documents()[:count], QUERY)) == count
    assert not service.requests


def test_a_spent_allowance_is_raised_not_hidden(rerank: MakeRerank, service: LocalService) -> None:
    service.next("account_spent")
    with pytest.raises(ModelScopeQuotaExceededError):
        rerank().compress_documents(documents(), QUERY)


@pytest.mark.parametrize("model", ["Qwen/Qwen3-Reranker-8B", "Qwen/Qwen3-Embedding-8B"])
def test_a_model_that_does_not_chat_is_refused(
    model: str, rerank: MakeRerank, service: LocalService
) -> None:
    with pytest.raises(ModelScopeUnsupportedTaskError):
        rerank(model).compress_documents(documents(), QUERY)
    assert not service.requests


class Runs(BaseCallbackHandler):
    """What a trace sees: names of runs as they begin, token usage as they end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.parents: list[Any] = []
        self.tokens: list[int] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **run: Any) -> None:
        self.begun.append(run["name"])

    def on_chat_model_start(self, serialized: Any, messages: Any, **run: Any) -> None:
        self.begun.append(serialized["name"])
        self.parents.append(run["parent_run_id"])

    def on_llm_end(self, response: Any, **run: Any) -> None:
        self.tokens.append(response.llm_output["token_usage"]["total_tokens"])


async def test_a_trace_sees_the_call_and_what_it_used(rerank: MakeRerank) -> None:
    runs = Runs()
    rerank().compress_documents(documents(), QUERY, callbacks=[runs])
    await rerank().acompress_documents(documents(), QUERY, callbacks=[runs])

    assert runs.begun == ["ModelScopeRerank", "ChatModelScope"] * 2
    assert all(runs.parents)
    assert len(runs.tokens) == 2
    assert all(runs.tokens)


def test_a_callback_around_counts_its_tokens(rerank: MakeRerank) -> None:
    with get_usage_metadata_callback() as usage:
        rerank().compress_documents(documents(), QUERY)
    assert usage.usage_metadata[CHAT]["total_tokens"] > 0


def test_its_answers_can_be_cached(rerank: MakeRerank, service: LocalService) -> None:
    cached = rerank(cache=InMemoryCache())
    first = cached.compress_documents(documents(), QUERY)
    assert cached.compress_documents(documents(), QUERY) == first
    assert len(service.requests) == 1
