"""What the three tracing packages read out of a call.

Each package writes into memory here. What one of them does not look at, for any model, is said
beside its test.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import MockLLM
from llama_index.observability.otel import LlamaIndexOpenTelemetry
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor as OpenInference
from opentelemetry import trace
from opentelemetry.instrumentation.llamaindex import LlamaIndexInstrumentor as OpenLLMetry
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding, ModelScopeQuotaExceededError
from modelscope_transport.emulator import Allowance, LocalService

from .answers import ANSWER_ID, MODEL, SERVED, USAGE, answer
from .conftest import MakeLLM
from .consumers.agents import SUM, add
from .consumers.kit import EMBEDDING, Kit
from .endpoints import (
    EIGHT,
    EMBEDDING_ENDPOINTS,
    QUESTION,
    STRUCTURED,
    WITH_TOOLS,
    EmbeddingEndpoint,
    Endpoint,
)

# openinference asks core's classes in pydantic's older words; core's agents look at their own
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

each_of_eight = pytest.mark.parametrize("endpoint", EIGHT, ids=lambda one: one.name)
each_chat = pytest.mark.parametrize(
    "endpoint", [one for one in EIGHT if "chat" in one.name], ids=lambda one: one.name
)
each_with_tools = pytest.mark.parametrize("endpoint", WITH_TOOLS, ids=lambda one: one.name)
each_embedding = pytest.mark.parametrize("endpoint", EMBEDDING_ENDPOINTS, ids=lambda one: one.name)


@pytest.fixture
def thinker(make_llm: MakeLLM) -> ModelScope:
    return make_llm(MODEL, temperature=0.5)


# --- the three packages


@pytest.fixture(scope="module")
def _exporters() -> Iterator[dict[str, InMemorySpanExporter]]:
    """All three packages at once, as they can be in a program; each has a memory of its own."""
    root = get_dispatcher()
    span_handlers, event_handlers = [*root.span_handlers], [*root.event_handlers]
    exporters = {
        name: InMemorySpanExporter() for name in ("openinference", "openllmetry", "observability")
    }
    # llama-index-observability-otel takes the process's own provider, which can be set once
    trace.set_tracer_provider(provider := TracerProvider())
    provider.add_span_processor(SimpleSpanProcessor(exporters["observability"]))
    instrumentors = {"openinference": OpenInference(), "openllmetry": OpenLLMetry()}
    for name, instrumentor in instrumentors.items():
        own = TracerProvider()
        own.add_span_processor(SimpleSpanProcessor(exporters[name]))
        instrumentor.instrument(tracer_provider=own, skip_dep_check=True)
    LlamaIndexOpenTelemetry(
        tracer_provider=provider, span_exporter=InMemorySpanExporter(), span_processor="simple"
    ).start_registering()
    yield exporters
    for instrumentor in instrumentors.values():
        instrumentor.uninstrument()
    root.span_handlers, root.event_handlers = span_handlers, event_handlers


class Spans:
    """The spans that have ended, by package."""

    def __init__(self, exporters: dict[str, InMemorySpanExporter]) -> None:
        self._exporters = exporters

    def of(self, package: str, name: str = "") -> list[ReadableSpan]:
        finished = self._exporters[package].get_finished_spans()
        return [span for span in finished if span.name.startswith(name)]

    def one(self, package: str, name: str) -> ReadableSpan:
        (span,) = self.of(package, name)
        return span

    def text(self) -> str:
        """Everything that left this process, in all packages."""
        return "".join(
            span.to_json()
            for exporter in self._exporters.values()
            for span in exporter.get_finished_spans()
        )


@pytest.fixture
def spans(_exporters: dict[str, InMemorySpanExporter]) -> Spans:
    for exporter in _exporters.values():
        exporter.clear()
    return Spans(_exporters)


@each_chat
def test_openinference_reads_a_chat(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService, spans: Spans
) -> None:
    service.next(answer(endpoint))

    endpoint.ask(thinker)

    span = spans.one("openinference", "ModelScope")
    assert span.name == f"ModelScope.{endpoint.name}"
    assert span.status.status_code is StatusCode.OK
    read = dict(span.attributes or {})
    assert _counts_of_openinference(read) == (11, 7, 18, 4, 3)
    assert read["openinference.span.kind"] == "LLM"
    assert read["llm.model_name"] == MODEL
    assert read["llm.finish_reason"] == "stop"
    assert read["llm.input_messages.0.message.role"] == "user"
    assert read["llm.input_messages.0.message.content"] == QUESTION
    assert read["llm.output_messages.0.message.role"] == "assistant"
    assert "Seven." in str(read["output.value"])


@pytest.mark.parametrize(
    "endpoint", [one for one in EIGHT if "complete" in one.name], ids=lambda one: one.name
)
def test_openinference_reads_a_completion(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService, spans: Spans
) -> None:
    service.next(answer(endpoint))

    endpoint.ask(thinker)

    read = dict(spans.one("openinference", f"ModelScope.{endpoint.name}").attributes or {})
    assert _counts_of_openinference(read) == (11, 7, 18, 4, 3)
    assert read["llm.model_name"] == MODEL
    assert read["llm.prompts"] == (QUESTION,)
    assert read["output.value"] == "Seven."


@each_with_tools
def test_openinference_reads_a_tool_call(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService, spans: Spans
) -> None:
    service.next(answer(endpoint, with_tools=True))

    endpoint.ask(thinker)

    (span,) = (
        span for span in spans.of("openinference") if span.name == f"ModelScope.{endpoint.reaches}"
    )
    read = dict(span.attributes or {})
    assert _counts_of_openinference(read) == (11, 7, 18, 4, 3)
    assert read["llm.finish_reason"] == "tool_calls"
    assert json.loads(str(read["llm.tools.0.tool.json_schema"]))["function"]["name"] == "add"
    prefix = "llm.output_messages.0.message.tool_calls.0.tool_call"
    assert read[f"{prefix}.id"] == "call_1"
    assert read[f"{prefix}.function.name"] == "add"
    assert "3" in str(read[f"{prefix}.function.arguments"])


def _counts_of_openinference(read: dict[str, Any]) -> tuple[Any, ...]:
    names = (
        "prompt",
        "completion",
        "total",
        "prompt_details.cache_read",
        "completion_details.reasoning",
    )
    return tuple(read.get(f"llm.token_count.{name}") for name in names)


@each_chat
def test_openllmetry_reads_a_chat(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService, spans: Spans
) -> None:
    # of completions it reads nothing, whoever's they are
    service.next(answer(endpoint))

    endpoint.ask(thinker)

    read = dict(spans.one("openllmetry", "ModelScope").attributes or {})
    assert read["gen_ai.operation.name"] == "chat"
    assert read["gen_ai.provider.name"] == "modelscope"
    assert read["gen_ai.request.model"] == MODEL
    assert read["gen_ai.request.temperature"] == 0.5
    assert read["gen_ai.response.model"] == SERVED
    assert read["gen_ai.response.id"] == ANSWER_ID
    assert read["gen_ai.response.finish_reasons"] == ("stop",)
    usage = [
        read[f"gen_ai.usage.{name}"] for name in ("input_tokens", "output_tokens", "total_tokens")
    ]
    assert usage == [11, 7, 18]
    assert json.loads(str(read["gen_ai.input.messages"]))[0]["parts"][0]["content"] == QUESTION
    assert "Seven." in str(read["gen_ai.output.messages"])


@each_with_tools
def test_openllmetry_reads_a_tool_call(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService, spans: Spans
) -> None:
    service.next(answer(endpoint, with_tools=True))

    endpoint.ask(thinker)

    (read,) = (
        dict(span.attributes)
        for span in spans.of("openllmetry")
        if span.attributes and "gen_ai.usage.total_tokens" in span.attributes
    )
    assert read["gen_ai.usage.total_tokens"] == 18
    assert read["gen_ai.response.finish_reasons"] == ("tool_call",)  # in its own spelling
    assert "add" in str(read["gen_ai.output.messages"])


@each_of_eight
def test_observability_otel_reads_a_call(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService, spans: Spans
) -> None:
    service.next(answer(endpoint))

    endpoint.ask(thinker)

    span = spans.one("observability", f"ModelScope.{endpoint.name}")
    start, *rest = (dict(event.attributes or {}) for event in span.events)
    assert start["model_dict.model"] == MODEL
    assert start["model_dict.temperature"] == 0.5
    assert QUESTION in str(start.get("messages", start.get("prompt")))
    if endpoint.streams:
        # it ends a span when the stream is handed over and drops what comes after, as the next
        # test shows on a model of core's own
        assert rest == []
        return
    (end,) = rest
    usage = [end[f"response.raw.usage.{name}"] for name in USAGE if name.endswith("_tokens")]
    assert usage == [11, 7, 18]
    assert end["response.raw.finish_reason"] == "stop"
    assert end["response.raw.model"] == SERVED
    assert "Seven." in str(end.get("response.message.blocks", end.get("response.text")))


def test_observability_otel_sees_no_more_of_a_stream_of_cores_own(spans: Spans) -> None:
    list(MockLLM(max_tokens=3).stream_complete("one two three"))

    span = spans.one("observability", "MockLLM.stream_complete")
    assert [event.name for event in span.events] == ["LLMCompletionStartEvent"]


@each_embedding
def test_all_three_read_an_embedding(
    endpoint: EmbeddingEndpoint, embed_model: ModelScopeEmbedding, spans: Spans
) -> None:
    endpoint.ask(embed_model)

    own = f"ModelScopeEmbedding.{endpoint.name}"
    (read,) = (
        dict(span.attributes or {}) for span in spans.of("openinference") if span.name == own
    )
    assert read["openinference.span.kind"] == "EMBEDDING"
    assert read["embedding.model_name"] == EMBEDDING
    assert read["embedding.embeddings.0.embedding.text"] == "one"
    (read,) = (
        dict(span.attributes)
        for span in spans.of("openllmetry")
        if span.attributes and "gen_ai.operation.name" in span.attributes
    )
    assert read["gen_ai.operation.name"] == "embeddings"
    assert read["gen_ai.request.model"] == EMBEDDING
    (span,) = (span for span in spans.of("observability") if span.name == own)
    start, end = span.events
    assert dict(start.attributes or {})["model_dict.model_name"] == EMBEDDING
    assert "one" in str(dict(end.attributes or {})["chunks"])


@each_of_eight
def test_a_failure_ends_the_spans_as_failed(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService, spans: Spans
) -> None:
    # openllmetry never ends the span of a call that failed, whoever's it is
    service.next("model_spent")

    with pytest.raises(ModelScopeQuotaExceededError) as caught:
        endpoint.ask(thinker)

    for package in ("openinference", "observability"):
        span = spans.one(package, "ModelScope")
        assert span.status.status_code is StatusCode.ERROR
        assert "is spent" in str(span.status.description)
        (event,) = (event for event in span.events if event.name == "exception")
        assert str(type(caught.value).__name__) in str(dict(event.attributes or {}))


async def test_an_agents_calls_stand_in_its_own_trace(kit: Kit, spans: Spans) -> None:
    await FunctionAgent(tools=[add], llm=kit.llm).run(SUM)

    calls = spans.of("openinference", "ModelScope.astream_chat")
    assert len(calls) == len(kit.service.requests) == 2
    (trace_id,) = {span.context.trace_id for span in calls if span.context}
    assert all(span.parent is not None for span in calls)
    assert trace_id in {
        span.context.trace_id for span in spans.of("openinference", "FunctionAgent") if span.context
    }


# --- and no token in any of it


@pytest.mark.parametrize("endpoint", [*EIGHT, *WITH_TOOLS, *STRUCTURED], ids=lambda one: one.name)
def test_no_span_holds_the_token(
    endpoint: Endpoint,
    service: LocalService,
    spans: Spans,
    canary: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    llm = ModelScope(MODEL, api_key=canary, base_url=service.base_url, default_headers={"x": "y"})

    endpoint.ask(llm)
    service.next("echo_token")
    with pytest.raises(Exception, match="token"):
        endpoint.ask(llm)
    service.meter.allowance = Allowance(calls_per_day=0, headers=True)
    with pytest.raises(ModelScopeQuotaExceededError):
        endpoint.ask(llm)

    assert service.requests[0].headers["authorization"] == f"Bearer {canary}"
    assert MODEL in spans.text()
    assert canary not in spans.text()


@each_embedding
def test_no_span_of_an_embedding_holds_the_token(
    endpoint: EmbeddingEndpoint, service: LocalService, spans: Spans, canary: str
) -> None:
    embed_model = ModelScopeEmbedding(EMBEDDING, api_key=canary, base_url=service.base_url)

    endpoint.ask(embed_model)
    service.next("echo_token")
    with pytest.raises(Exception, match="token"):
        endpoint.ask(embed_model)

    assert EMBEDDING in spans.text()
    assert canary not in spans.text()
