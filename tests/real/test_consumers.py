"""What LlamaIndex core does with a model, on a real one: what a model of this size can do.

The others of these consumers want more sense than half a billion parameters have; they run on the
local service's scripted engine (tests/llamaindex/test_consumers.py).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from modelscope_transport.emulator import LocalService
from tests.llamaindex.consumers import agents, engines, ingestion, judges
from tests.llamaindex.consumers.kit import CHAT, EMBEDDING, Consumer, Kit, failed

CONSUMERS = {
    consumer.name: consumer
    for module in (engines, agents, ingestion, judges)
    for consumer in module.consumer.all
}

# A check of the consumers' own expects the words of the scripted engine; what a real model says is
# in words of its own, so that only the fact is looked for.
MODES = ("refine", "compact", "simple_summarize", "tree_summarize", "accumulate")
FACTS = {f"engines-{mode}_query": "Berlin" for mode in MODES}
FACTS |= {f"engines-{mode}_astream": "Berlin" for mode in MODES[:-1]}
AS_THEY_ARE = (
    "engines-simple_chat",
    "engines-simple_astream_chat",
    "ingestion-vector_index",
    "ingestion-vector_index_use_async",
    "ingestion-retriever",
    "ingestion-retriever_async",
    "ingestion-ingestion",
    "ingestion-ingestion_async",
    "ingestion-semantic_splitter",
    "ingestion-semantic_splitter_async",
    "ingestion-summary_extract",
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    # core's and its workflow engine's own, on their way to newer names
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _a_loop_for_core() -> Iterator[None]:
    # core's sync paths ask for the thread's event loop, make one where there is none and never
    # close it
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def kit(service: LocalService) -> Kit:
    reach: dict[str, Any] = {"api_key": service.token, "base_url": service.base_url}
    llm = ModelScope(CHAT, temperature=0, seed=7, max_tokens=300, **reach)
    return Kit(service, llm, ModelScopeEmbedding(EMBEDDING, **reach))


def out_of(consumer: Consumer, kit: Kit) -> Any:
    out = consumer.run(kit)
    return asyncio.run(out) if inspect.iscoroutine(out) else out


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_it_works_on_a_real_model(name: str, kit: Kit) -> None:
    out = out_of(CONSUMERS[name], kit)
    assert CONSUMERS[name].passes(out), str(out)[:400]


@pytest.mark.parametrize("name", FACTS)
def test_it_says_the_fact_that_it_found(name: str, kit: Kit) -> None:
    out = out_of(CONSUMERS[name], kit)
    assert FACTS[name] in str(out)
    assert not failed(out)


@pytest.mark.parametrize("name", ["predict_and_call", "predict_and_call_async"])
def test_it_calls_the_tool_with_what_was_asked(name: str, kit: Kit) -> None:
    (source,) = out_of(CONSUMERS[f"agents-{name}"], kit).sources
    assert source.tool_name == "add"
    assert {str(value) for value in source.raw_input["kwargs"].values()} == {"3", "4"}
