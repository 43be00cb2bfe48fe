"""A workflow's own ways with failures, and what comes back when a run is stored and resumed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.utils import (
    aretry_on_exceptions_with_backoff,
    retry_on_exceptions_with_backoff,
)
from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step
from workflows import catch_error
from workflows.context.serializers import JsonSerializer, PickleSerializer
from workflows.errors import WorkflowRuntimeError
from workflows.events import SerializableException, StepFailedEvent, WorkflowFailedEvent

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeAuthenticationError,
    ModelScopeEmbedding,
    ModelScopeError,
    ModelScopeQuotaExceededError,
    ModelScopeRateLimitError,
    ModelScopeRetryPolicy,
    ModelScopeServerError,
    errors_to_retry,
)
from llamaindex_modelscope.errors import NATIVE
from modelscope_transport.emulator import Allowance, LocalService

from .conftest import MakeLLM
from .consumers.agents import SUM, add
from .consumers.kit import CHAT, EMBEDDING

# core's agents and workflows look at fields of their own that pydantic has renamed
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SERIALIZERS = pytest.mark.parametrize(
    "serializer", [JsonSerializer(), PickleSerializer()], ids=["json", "pickle"]
)


# --- a step that tries again


class Asking(Workflow):
    """One step that asks, and tries again by our policy."""

    def __init__(self, llm: ModelScope) -> None:
        super().__init__(timeout=20)
        self.llm = llm
        self.tries: list[type[BaseException] | None] = []

    @step(retry_policy=ModelScopeRetryPolicy(max_retries=2))
    async def ask(self, context: Context, event: StartEvent) -> StopEvent:
        last = context.retry_info().last_exception
        self.tries.append(type(last) if last else None)
        return StopEvent(result=str(await self.llm.acomplete("hi")))


async def test_a_step_waits_as_long_as_the_service_asks(
    service: LocalService, make_llm: MakeLLM
) -> None:
    service.next("throttled:0", "throttled:0")
    asking = Asking(make_llm(max_retries=0))

    assert "hi" in await asking.run()

    assert asking.tries == [None, ModelScopeRateLimitError, ModelScopeRateLimitError]
    assert len(service.requests) == 3


@pytest.mark.parametrize(
    ("scenarios", "error", "requests"),
    [
        (["throttled:0"] * 3, ModelScopeRateLimitError, 3),
        (["model_spent"], ModelScopeQuotaExceededError, 1),
        (["authentication_failed"], ModelScopeAuthenticationError, 1),
    ],
    ids=["too-fast", "spent", "wrong-token"],
)
async def test_a_step_gives_up_with_our_error(
    service: LocalService,
    make_llm: MakeLLM,
    scenarios: list[str],
    error: type[ModelScopeError],
    requests: int,
) -> None:
    service.next(*scenarios)
    handler = Asking(make_llm(max_retries=0)).run()

    with pytest.raises(error) as caught:
        await handler

    assert len(service.requests) == requests
    assert caught.value.details.attempts == 1
    (failed,) = [event async for event in handler.stream_events()][-1:]
    assert isinstance(failed, WorkflowFailedEvent)
    assert type(failed.exception) is error
    assert failed.attempts == requests


async def test_users_catch_both_limits_as_a_workflows_own_error(
    service: LocalService, make_llm: MakeLLM
) -> None:
    for scenario in ("throttled:0", "account_spent"):
        service.next(scenario)
        with pytest.raises(WorkflowRuntimeError):
            await FunctionAgent(tools=[add], llm=make_llm(max_retries=0)).run(SUM)


async def test_a_catch_error_step_sees_what_is_known(
    service: LocalService, llm: ModelScope
) -> None:
    service.next("model_spent")

    class Careful(Workflow):
        @step
        async def ask(self, event: StartEvent) -> StopEvent:
            return StopEvent(result=str(await llm.acomplete("hi")))

        @catch_error
        async def explain(self, event: StepFailedEvent) -> StopEvent:
            return StopEvent(result=event.exception)

    error = await Careful().run()

    assert isinstance(error, ModelScopeQuotaExceededError)
    assert (error.scope, error.model) == ("model", CHAT)
    assert error.resets_at is not None
    assert len(service.requests) == 1


# --- core's helper that tries again

BACKOFF: dict[str, Any] = {"max_tries": 3, "min_backoff_secs": 0, "max_backoff_secs": 0}
OUTCOMES = pytest.mark.parametrize(
    ("scenarios", "error", "requests"),
    [
        (["throttled:0", "unavailable:0"], None, 3),
        (["shell", "throttled:0"], None, 3),
        (["unavailable:0"] * 3, ModelScopeServerError, 3),
        (["account_spent"], ModelScopeQuotaExceededError, 1),
        (["authentication_failed"], ModelScopeAuthenticationError, 1),
    ],
    ids=["heals", "heals-from-nothing", "fails", "spent", "wrong-token"],
)


@OUTCOMES
def test_cores_backoff_sends_exactly_what_may_help(
    service: LocalService,
    make_llm: MakeLLM,
    scenarios: list[str],
    error: type[ModelScopeError] | None,
    requests: int,
) -> None:
    llm = make_llm(max_retries=0)
    service.next(*scenarios)

    def call() -> str:
        return str(
            retry_on_exceptions_with_backoff(
                lambda: llm.complete("hi"), errors_to_retry(), **BACKOFF
            )
        )

    if error is None:
        assert "hi" in call()
    else:
        with pytest.raises(error):
            call()
    assert len(service.requests) == requests


@OUTCOMES
async def test_cores_async_backoff_sends_exactly_what_may_help(
    service: LocalService,
    make_llm: MakeLLM,
    scenarios: list[str],
    error: type[ModelScopeError] | None,
    requests: int,
) -> None:
    llm = make_llm(max_retries=0)
    service.next(*scenarios)

    async def ask() -> str:
        return str(await llm.acomplete("hi"))

    if error is None:
        assert "hi" in await aretry_on_exceptions_with_backoff(ask, errors_to_retry(), **BACKOFF)
    else:
        with pytest.raises(error):
            await aretry_on_exceptions_with_backoff(ask, errors_to_retry(), **BACKOFF)
    assert len(service.requests) == requests


# --- stored and resumed


class Failed(Event):
    """An event of a user's own that holds an error."""

    error: SerializableException
    llm: ModelScope


class Keeping(Workflow):
    """Keeps its models, and the error it met, in the state of the run."""

    @step
    async def ask(self, context: Context, event: StartEvent) -> StopEvent:
        llm = await context.store.get("llm", default=None)
        if llm is not None:
            vector = await (await context.store.get("embed_model")).aget_text_embedding("hi")
            return StopEvent(result=(str(await llm.acomplete("hi")), len(vector)))
        llm = event.llm
        await context.store.set("llm", llm)
        await context.store.set("embed_model", event.embed_model)
        try:
            await llm.acomplete("hi")
        except ModelScopeError as error:
            await context.store.set("failed", Failed(error=error, llm=llm))
        return StopEvent(result=None)


@SERIALIZERS
async def test_a_run_goes_on_from_its_record(
    serializer: JsonSerializer,
    service: LocalService,
    canary: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llm = ModelScope(CHAT, api_key=canary, base_url=service.base_url, temperature=0.3)
    embed_model = ModelScopeEmbedding(EMBEDDING, api_key=canary, base_url=service.base_url)
    service.meter.allowance = Allowance(calls_per_day=0, headers=True)
    workflow = Keeping()
    context = Context(workflow)
    await workflow.run(ctx=context, llm=llm, embed_model=embed_model)

    record = json.dumps(context.to_dict(serializer=serializer))
    assert canary not in record
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-other-process")
    service.meter.allowance = Allowance()
    again = Context.from_dict(workflow, json.loads(record), serializer=serializer)

    failed = await again.store.get("failed")
    assert type(failed.error) is ModelScopeQuotaExceededError
    assert "is spent" in str(failed.error)
    assert failed.llm.to_dict() == llm.to_dict()
    text, dimensions = await workflow.run(ctx=again)
    assert "hi" in text
    assert dimensions == 1024
    assert service.requests[-1].headers["authorization"] == "Bearer ms-of-the-other-process"


@SERIALIZERS
@pytest.mark.parametrize("error", [*NATIVE.values(), ModelScopeError])
def test_every_error_comes_back_from_an_event(
    serializer: JsonSerializer, error: type[ModelScopeError]
) -> None:
    failed = WorkflowFailedEvent(step_name="ask", exception=error("spent until tomorrow"))

    again = serializer.deserialize(serializer.serialize(failed))

    assert type(again.exception) is error
    assert str(again.exception) == str(failed.exception)


@SERIALIZERS
# core leaves its own memory object out of a JSON record, and says so
@pytest.mark.filterwarnings("ignore::workflows.context.state_store.UnserializableKeyWarning")
async def test_an_agent_goes_on_from_its_record(
    serializer: JsonSerializer, llm: ModelScope, service: LocalService
) -> None:
    agent = FunctionAgent(tools=[add], llm=llm)
    context = Context(agent)
    await agent.run(SUM, ctx=context)

    record = json.dumps(context.to_dict(serializer=serializer))
    assert service.token not in record
    again = Context.from_dict(agent, json.loads(record), serializer=serializer)

    assert "thanks" in str(await agent.run("thanks", ctx=again))


@pytest.mark.parametrize("model", [CHAT, "Qwen/Qwen3.5-122B-A10B"])
@pytest.mark.parametrize("streaming", [True, False])
async def test_every_event_of_an_agent_can_be_recorded(
    streaming: bool, model: str, make_llm: MakeLLM
) -> None:
    # as servers do that send a run's events on
    handler = FunctionAgent(tools=[add], llm=make_llm(model), streaming=streaming).run(SUM)
    serializer = JsonSerializer()

    async for event in handler.stream_events(expose_internal=True):
        again = serializer.deserialize(serializer.serialize(event))
        assert type(again) is type(event)
        assert again.model_dump_json() == event.model_dump_json()
    output = await handler
    assert "7" in str(output)
    assert json.loads(json.dumps(output.raw)) == output.raw
