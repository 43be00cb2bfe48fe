"""What shows how far a long call has come: bars, events, and the events of a reranking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import NodeWithScore, TextNode

from llamaindex_modelscope import (
    ModelScopeEmbedding,
    ModelScopeError,
    ModelScopeImageToolSpec,
    ModelScopePipelineToolSpec,
    ModelScopeProgressEvent,
    ModelScopeRerank,
    resumable,
)
from modelscope_transport.emulator import LocalService

from .consumers.kit import CHAT, EMBEDDING, QUESTION, TEXTS, Kit
from .witness import watching

TEXT = [f"text {number}" for number in range(5)]


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("shown", [False, True])
async def test_a_bar_of_embeddings(
    reach: dict[str, Any], capsys: pytest.CaptureFixture[str], native: bool, shown: bool
) -> None:
    embed_model = ModelScopeEmbedding(EMBEDDING, embed_batch_size=2, **reach)
    if native:
        await embed_model.aget_text_embedding_batch(TEXT, show_progress=shown)
    else:
        embed_model.get_text_embedding_batch(TEXT, show_progress=shown)

    written = capsys.readouterr()
    assert written.out == ""
    assert ("Generating embeddings" in written.err) is shown
    assert ("5/5" in written.err) is shown


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_a_bar_counts_what_is_kept_from_before(
    embed_model: ModelScopeEmbedding,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    native: bool,
) -> None:
    embed_model = resumable(embed_model, tmp_path / "vectors")
    embed_model.get_text_embedding_batch(TEXT[:3])
    if native:
        await embed_model.aget_text_embedding_batch(TEXT, show_progress=True)
    else:
        embed_model.get_text_embedding_batch(TEXT, show_progress=True)
    assert "5/5" in capsys.readouterr().err


def test_a_bar_of_an_index(kit: Kit, capsys: pytest.CaptureFixture[str]) -> None:
    VectorStoreIndex.from_documents(
        kit.documents(), embed_model=kit.embed_model, show_progress=True, transformations=[]
    )
    assert "2/2" in capsys.readouterr().err


def test_a_bar_of_a_call_that_fails_ends(
    embed_model: ModelScopeEmbedding, service: LocalService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.next("echo_token")
    with pytest.raises(ModelScopeError):
        embed_model.get_text_embedding_batch(TEXT, show_progress=True)
    assert "0/5" in capsys.readouterr().err
    embed_model.get_text_embedding("a")  # and moves no bar that is gone


def states(seen: Any) -> list[tuple[str, str]]:
    events = [event for event in seen.events if isinstance(event, ModelScopeProgressEvent)]
    return [(event.tool, event.state) for event in events]


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_events_of_an_image(
    reach: dict[str, Any], service: LocalService, native: bool
) -> None:
    tools = ModelScopeImageToolSpec(model="Qwen/Qwen-Image", poll_interval=0.01, **reach)
    service.next("task_slow:2")
    with watching() as seen:
        if native:
            await tools.adraw_image("a cat")
        else:
            tools.draw_image("a cat")
    events = [event for event in seen.events if isinstance(event, ModelScopeProgressEvent)]
    assert [(event.state, event.looks, event.status) for event in events] == [
        ("started", 0, ""),
        ("waiting", 0, ""),  # the task was accepted
        ("waiting", 1, "PROCESSING"),
        ("waiting", 2, "PROCESSING"),
        ("waiting", 3, "SUCCEED"),  # the image is fetched
        ("finished", 0, ""),
    ]
    assert {event.tool for event in events} == {"draw_image"}
    assert len({event.task_id for event in events[1:-1]}) == 1


async def test_events_of_a_pipeline_that_fails(
    reach: dict[str, Any], service: LocalService
) -> None:
    tools = ModelScopePipelineToolSpec(
        model="iic/nlp_structbert_sentiment-classification_chinese-base", **reach
    )
    service.next("echo_token", "echo_token")
    with watching() as seen, pytest.raises(ModelScopeError):
        tools.run_pipeline("好")
    assert states(seen) == [(tools.task, "started"), (tools.task, "failed")]
    with watching() as seen, pytest.raises(ModelScopeError):
        await tools.arun_pipeline("好")
    assert states(seen) == [(tools.task, "started"), (tools.task, "failed")]


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_a_reranking_is_seen(reach: dict[str, Any], native: bool) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    rerank = ModelScopeRerank(CHAT, top_n=1, callback_manager=CallbackManager([debug]), **reach)
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]
    with watching() as seen:
        if native:
            best = await rerank.apostprocess_nodes(nodes, query_str=QUESTION)
        else:
            best = rerank.postprocess_nodes(nodes, query_str=QUESTION)

    (start,) = (event for event in seen.events if isinstance(event, ReRankStartEvent))
    (end,) = (event for event in seen.events if isinstance(event, ReRankEndEvent))
    assert (start.model_name, start.top_n, len(start.nodes)) == (CHAT, 1, 2)
    assert [node.text for node in end.nodes] == [node.text for node in best] == [TEXTS[1]]
    pairs = debug.get_event_pairs(CBEventType.RERANKING)
    assert [len(pair) for pair in pairs] == [2]


def test_a_reranking_that_fails_ends_its_event(
    reach: dict[str, Any], service: LocalService
) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    rerank = ModelScopeRerank(CHAT, callback_manager=CallbackManager([debug]), **reach)
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]
    service.next("model_spent")
    with pytest.raises(ModelScopeError):
        rerank.postprocess_nodes(nodes, query_str=QUESTION)
    assert [len(pair) for pair in debug.get_event_pairs(CBEventType.RERANKING)] == [2]
