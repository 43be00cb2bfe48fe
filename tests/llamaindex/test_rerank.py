"""`ModelScopeRerank` on the local service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers.base import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import NodeWithScore, TextNode

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbedding,
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
def rerank(reach: dict[str, Any]) -> MakeRerank:
    def make(model: str = CHAT, **fields: Any) -> ModelScopeRerank:
        return ModelScopeRerank(model, **reach, **fields)

    return make


def nodes() -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(text=text, id_=str(n)), score=0.5)
        for n, text in enumerate(TEXTS)
    ]


def places(ranked: list[NodeWithScore]) -> list[str]:
    return [each.node.node_id for each in ranked]


def test_nodes_are_put_in_order_by_one_call(rerank: MakeRerank, service: LocalService) -> None:
    ranked = rerank().postprocess_nodes(nodes(), query_str=QUERY)
    assert places(ranked)[0] == "1"
    assert ranked[0].score == 1.0
    assert len(ranked) == 3
    assert len(service.requests) == 1


def test_as_much_is_looked_at_as_without_llamaindex(
    rerank: MakeRerank, service: LocalService
) -> None:
    texts = tuple(f"{n} " + "long " * 1000 for n in range(30))
    given = [NodeWithScore(node=TextNode(text=text)) for text in texts]
    rerank().postprocess_nodes(given, query_str=QUERY)
    with Client(service.token, base_url=service.base_url) as client:
        client.rerank(RerankRequest(model=CHAT, query=QUERY, documents=texts))
    ours, plain = (each.body["messages"] for each in service.requests)
    assert ours == plain


async def test_the_async_call_gives_the_same(rerank: MakeRerank) -> None:
    ranked = await rerank().apostprocess_nodes(nodes(), query_str=QUERY)
    assert ranked == rerank().postprocess_nodes(nodes(), query_str=QUERY)


def test_the_callers_nodes_keep_their_scores(rerank: MakeRerank) -> None:
    given = nodes()
    rerank().postprocess_nodes(given, query_str=QUERY)
    assert given == nodes()


def test_only_the_best_are_kept_and_only_so_many_looked_at(rerank: MakeRerank) -> None:
    assert places(rerank(top_n=1).postprocess_nodes(nodes(), query_str=QUERY)) == ["1"]
    ranked = rerank(max_documents=2).postprocess_nodes(nodes(), query_str=QUERY)
    assert places(ranked) == ["1", "0", "2"]


def test_a_query_engine_answers_from_the_best(
    rerank: MakeRerank, llm: ModelScope, embed_model: ModelScopeEmbedding
) -> None:
    index = VectorStoreIndex([each.node for each in nodes()], embed_model=embed_model)
    engine = index.as_query_engine(
        llm=llm, similarity_top_k=3, node_postprocessors=[rerank(top_n=1)]
    )
    answer = engine.query("What is the capital of France?")
    assert [source.node.node_id for source in answer.source_nodes] == ["1"]
    assert "Paris" in str(answer)


def test_an_answer_without_sense_leaves_the_order_with_a_warning(
    rerank: MakeRerank, service: LocalService
) -> None:
    message = {"role": "assistant", "content": "I would rather not."}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    service.next(Reply(200, {"id": "x", "model": CHAT, "choices": [choice]}))
    with pytest.warns(UserWarning, match="gave no order"):
        ranked = rerank().postprocess_nodes(nodes(), query_str=QUERY)
    assert places(ranked) == ["0", "1", "2"]


def test_without_a_query_or_nodes_nothing_is_asked(
    rerank: MakeRerank, service: LocalService
) -> None:
    assert places(rerank(top_n=2).postprocess_nodes(nodes())) == ["0", "1"]
    assert rerank().postprocess_nodes([], query_str=QUERY) == []
    assert not service.requests


def test_events_and_callbacks_come_in_pairs(rerank: MakeRerank) -> None:
    class Listener(BaseEventHandler):
        seen: ClassVar[list[Any]] = []

        @classmethod
        def class_name(cls) -> str:
            return "Listener"

        def handle(self, event: Any, **_: Any) -> None:
            self.seen.append(event)

    debug, listener = LlamaDebugHandler(print_trace_on_end=False), Listener()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(listener)
    try:
        rerank(callback_manager=CallbackManager([debug]), top_n=2).postprocess_nodes(
            nodes(), query_str=QUERY
        )
    finally:
        dispatcher.event_handlers.remove(listener)
    start, end = (
        event for event in listener.seen if isinstance(event, ReRankStartEvent | ReRankEndEvent)
    )
    assert (start.model_name, start.top_n, len(start.nodes)) == (CHAT, 2, 3)
    assert len(end.nodes) == 2
    ((begun, ended),) = debug.get_event_pairs(CBEventType.RERANKING)
    assert len(begun.payload["nodes"]) == 3
    assert len(ended.payload["nodes"]) == 2


def test_a_spent_allowance_is_raised_not_hidden(rerank: MakeRerank, service: LocalService) -> None:
    service.next("account_spent")
    with pytest.raises(ModelScopeQuotaExceededError):
        rerank().postprocess_nodes(nodes(), query_str=QUERY)


def test_a_reranker_model_is_refused_with_what_to_do(rerank: MakeRerank) -> None:
    with pytest.raises(ModelScopeUnsupportedTaskError, match="with a chat model"):
        rerank("Qwen/Qwen3-Reranker-8B").postprocess_nodes(nodes(), query_str=QUERY)


def test_the_token_is_in_no_dump(canary: str) -> None:
    it = ModelScopeRerank(CHAT, api_key=canary)
    assert canary not in f"{it!r} {it.to_dict()} {it.to_json()}"


def test_a_misspelt_argument_is_refused(reach: dict[str, Any]) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="top_n"):
        ModelScopeRerank(CHAT, top_m=2, **reach)
