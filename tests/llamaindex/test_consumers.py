"""Everything in LlamaIndex core that uses a model, on the local service.

Each consumer: it works; its check fails on what core says where a model was of no use, and on a
model that is of none; a refusal for being too fast heals with one more request; a
spent allowance comes out as our error, after exactly as many requests as it takes to find out.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import tenacity
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.evaluation import batch_runner
from llama_index.core.response_synthesizers import ResponseMode

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeEmbedding,
    ModelScopeQuotaExceededError,
)
from modelscope_transport.emulator import Allowance, LocalService
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.engine import ChatCall, Piece, Pieces, Usage

from .consumers import agents, engines, ingestion, judges
from .consumers.kit import CHAT, EMBEDDING, FAILURES, NOTHING, QUESTION, Consumer, Kit

CONSUMERS = [
    consumer for module in (engines, agents, ingestion, judges) for consumer in module.consumer.all
]

each_consumer = pytest.mark.parametrize(
    "consumer", CONSUMERS, ids=[consumer.name for consumer in CONSUMERS]
)
pytestmark = [
    # core's and its workflow engine's own, on their way to newer names
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # core runs a streaming chat engine in a thread and leaves its error there too, once seen
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    # core's batch runner tries whatever fails three times, with seconds in between
    for worker in (batch_runner.eval_worker, batch_runner.eval_response_worker):
        monkeypatch.setattr(worker.retry, "wait", tenacity.wait_none())


@pytest.fixture(autouse=True)
def _a_loop_for_core() -> Iterator[None]:
    # core's sync paths ask for the thread's event loop, make one where there is none and never
    # close it
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()
    asyncio.set_event_loop(None)


class Parrot:
    """An engine that is of no use: whatever is asked, the same words; vectors alike to no other.

    The first text of a request has the first text's vector, so that the first passage is found.
    """

    def __init__(self) -> None:
        self._alone = 0

    async def chat(self, call: ChatCall) -> Pieces:
        yield Piece("Qwerty asdf.")
        yield Piece(finish="stop")
        yield Usage(1, 1)

    async def embed(
        self, model: Model, texts: Sequence[str], dimensions: int
    ) -> tuple[list[list[float]], int]:
        places = list(range(len(texts)))
        if len(texts) == 1:
            places, self._alone = [3 * self._alone], self._alone + 1
        return [[float(at == place) for at in range(dimensions)] for place in places], 1


def out_of(consumer: Consumer, kit: Kit) -> Any:
    out = consumer.run(kit)
    return asyncio.run(out) if inspect.iscoroutine(out) else out


@each_consumer
def test_it_works(consumer: Consumer, kit: Kit) -> None:
    assert consumer.passes(out_of(consumer, kit))
    assert len(kit.service.requests) == consumer.requests


@each_consumer
def test_no_check_takes_a_failure_for_an_answer(consumer: Consumer) -> None:
    for text in NOTHING:
        assert not consumer.passes(text)
    for text in FAILURES:
        assert not consumer.passes(text)
        assert not consumer.passes(f"7 Mimi: Berlin is the capital of Germany. {text}")


@each_consumer
def test_every_check_fails_on_a_model_of_no_use(consumer: Consumer) -> None:
    with LocalService(engine=Parrot()) as service:
        reach: dict[str, Any] = {"api_key": service.token, "base_url": service.base_url}
        kit = Kit(service, ModelScope(CHAT, **reach), ModelScopeEmbedding(EMBEDDING, **reach))
        try:
            out = out_of(consumer, kit)
        except Exception as error:  # noqa: BLE001 - core's own, of many classes
            out = error
        assert not consumer.passes(out)


@each_consumer
def test_too_fast_heals_with_one_request_more(consumer: Consumer, kit: Kit) -> None:
    kit.service.next(*["honest"] * consumer.before, "throttled:0")

    assert consumer.passes(out_of(consumer, kit))
    assert len(kit.service.requests) == consumer.requests + 1


@each_consumer
def test_a_spent_allowance_surfaces(consumer: Consumer, kit: Kit) -> None:
    kit.service.meter.allowance = Allowance(calls_per_model={consumer.of: 0})

    if consumer.swallowed is None:
        with pytest.raises(ModelScopeQuotaExceededError) as caught:
            out_of(consumer, kit)
        assert (caught.value.scope, caught.value.model) == ("model", consumer.of)
    else:
        assert consumer.swallowed(out_of(consumer, kit))
    assert len(kit.service.requests) == (consumer.spent or consumer.before + 1)


# --- where a later call meets the spent allowance


async def test_an_agent_goes_on_without_the_object_that_its_last_call_should_make(
    kit: Kit,
) -> None:
    kit.service.meter.allowance = Allowance(calls_per_model={CHAT: 2})

    with pytest.warns(UserWarning, match="allowance of model .* is spent"):
        output = await FunctionAgent(tools=[agents.add], llm=kit.llm, output_cls=agents.Sum).run(
            agents.SUM
        )

    # core swallows every error of this one call; the answer itself is there
    assert output.structured_response is None
    assert "7" in str(output)
    assert len(kit.service.requests) == 3


async def test_an_agent_whose_tool_met_the_spent_allowance_ends_without_a_request(
    kit: Kit,
) -> None:
    # the agent's own call, then its tool's; core hands the tool's error to the model as words
    kit.service.meter.allowance = Allowance(calls_per_day=1, headers=True)

    async def translate(text: str) -> str:
        """Translate a text."""
        return str(await kit.llm.acomplete(text))

    with pytest.raises(ModelScopeQuotaExceededError):
        await FunctionAgent(tools=[translate], llm=kit.llm).run("Please translate 'hello'.")

    assert len(kit.service.requests) == 2


async def test_the_error_inside_of_a_tool_is_kept_with_its_call(kit: Kit) -> None:
    kit.service.meter.allowance = Allowance(calls_per_model={EMBEDDING: 0})

    def search(question: str) -> str:
        """Look a question up."""
        return str(kit.index().as_query_engine(llm=kit.llm).query(question))

    output = await FunctionAgent(tools=[search], llm=kit.llm).run("Please search 'Germany'.")

    # core hands the error to the model as words, which answers all the same
    (call,) = output.tool_calls
    assert isinstance(call.tool_output.exception, ModelScopeQuotaExceededError)


def test_a_sub_question_that_fails_sends_nothing_more(kit: Kit) -> None:
    # the index twice, the sub-questions, the vector: then the day is over
    kit.service.meter.allowance = Allowance(calls_per_day=4, headers=True)

    response = engines._sub_question(kit).query(QUESTION)

    # core logs the failed sub-question and has nothing left to answer from
    assert str(response) == "Empty Response"
    assert len(kit.service.requests) == 5


def test_every_response_mode_is_here() -> None:
    covered = {consumer.name for consumer in CONSUMERS}
    for mode in ResponseMode:
        assert any(mode.value in name for name in covered)
