"""Spans, events, callbacks and the rate limiter: one of each a call, closed however it ends."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, EventPayload
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeEmbedding,
    ModelScopeError,
    ModelScopeQuotaExceededError,
    ModelScopeStreamInterruptedError,
)
from modelscope_transport.client import Client
from modelscope_transport.emulator import LocalService

from .conftest import MakeLLM
from .consumers.kit import CHAT, EMBEDDING
from .endpoints import (
    EIGHT,
    EMBEDDING_ENDPOINTS,
    ENDPOINTS,
    MESSAGES,
    QUESTION,
    TEXTS,
    EmbeddingEndpoint,
    Endpoint,
    is_right,
    last_of,
)
from .witness import CallbackWitness, LimiterWitness, Seen, watching

each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
each_of_eight = pytest.mark.parametrize("endpoint", EIGHT, ids=lambda one: one.name)
each_stream = pytest.mark.parametrize(
    "endpoint", [one for one in EIGHT if one.streams], ids=lambda one: one.name
)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@pytest.fixture
def seen() -> Iterator[Seen]:
    with watching() as seen:
        yield seen


@pytest.fixture
def watched(seen: Seen, make_llm: MakeLLM) -> ModelScope:
    return make_llm(
        callback_manager=CallbackManager([CallbackWitness(seen)]),
        rate_limiter=LimiterWitness(seen),
    )


def method(endpoint: Endpoint) -> str:
    return f"ModelScope.{endpoint.reaches}"


def start_and_end(endpoint: Endpoint) -> list[str]:
    subject = "Completion" if "complete" in endpoint.reaches else "Chat"
    return [f"LLM{subject}StartEvent", f"LLM{subject}EndEvent"]


# --- one of each


@each_endpoint
def test_one_of_each_a_call(
    endpoint: Endpoint, watched: ModelScope, seen: Seen, service: LocalService
) -> None:
    assert is_right(endpoint, endpoint.ask(watched))

    eight = [f"ModelScope.{one.name}" for one in EIGHT]
    assert seen.spans_of(*eight) == seen.spans_of(method(endpoint)) == [["enter", "exit"]]
    assert all(life == ["enter", "exit"] for life in seen.spans.values())
    assert seen.kinds_of(method(endpoint)) == start_and_end(endpoint)
    of_pieces = [event for event in seen.events if "InProgress" in type(event).__name__]
    assert bool(of_pieces) == endpoint.streams
    ((start, end),) = seen.callbacks.values()
    assert start == "start"
    assert EventPayload.EXCEPTION not in end
    assert seen.acquired == len(service.requests) == 1


@each_of_eight
def test_the_limiter_is_asked_once_however_many_attempts_a_call_takes(
    endpoint: Endpoint, watched: ModelScope, seen: Seen, service: LocalService
) -> None:
    service.next("throttled:0", "unavailable:0")

    endpoint.ask(watched)

    assert (seen.acquired, len(service.requests)) == (1, 3)
    assert seen.kinds_of(method(endpoint)) == start_and_end(endpoint)


# --- closed however it ends


@each_endpoint
def test_a_refused_call_is_closed_once(
    endpoint: Endpoint, watched: ModelScope, seen: Seen, service: LocalService
) -> None:
    service.next("model_spent")

    with pytest.raises(ModelScopeQuotaExceededError) as caught:
        endpoint.ask(watched)

    assert seen.spans_of(method(endpoint)) == [["enter", "drop"]]
    assert all(len(life) == 2 for life in seen.spans.values())
    assert seen.kinds_of(method(endpoint)) == [start_and_end(endpoint)[0], "SpanDropEvent"]
    ((start, end),) = seen.callbacks.values()
    assert start == "start"
    assert end[EventPayload.EXCEPTION] is caught.value
    assert seen.acquired == 1


@each_of_eight
def test_a_wrong_argument_is_closed_once_and_not_sent(
    endpoint: Endpoint, watched: ModelScope, seen: Seen, service: LocalService
) -> None:
    watched.max_tokens = 0

    with pytest.raises(ModelScopeError, match="max_tokens"):
        endpoint.ask(watched)

    assert seen.spans_of(method(endpoint)) == [["enter", "drop"]]
    ((_, end),) = seen.callbacks.values()
    assert isinstance(end[EventPayload.EXCEPTION], ModelScopeError)
    assert service.requests == []


@each_stream
def test_a_stream_that_breaks_is_closed_once(
    endpoint: Endpoint, watched: ModelScope, seen: Seen, service: LocalService
) -> None:
    service.next("drop")

    with pytest.raises(ModelScopeStreamInterruptedError):
        endpoint.ask(watched)

    # the call itself had ended when the stream was handed over
    assert seen.spans_of(method(endpoint)) == [["enter", "exit"]]
    assert seen.kinds_of(method(endpoint)) == [start_and_end(endpoint)[0], "ExceptionEvent"]
    ((_, end),) = seen.callbacks.values()
    assert isinstance(end[EventPayload.EXCEPTION], ModelScopeStreamInterruptedError)


def opened(llm: ModelScope, endpoint: Endpoint) -> Any:
    """What the method itself gives."""
    return getattr(llm, endpoint.name)(QUESTION if "complete" in endpoint.name else MESSAGES)


@each_stream
async def test_a_stream_closed_early_is_closed_once(
    endpoint: Endpoint, watched: ModelScope, seen: Seen, service: LocalService
) -> None:
    stream = opened(watched, endpoint)
    if inspect.iscoroutine(stream):
        stream = await stream
        await anext(stream)
        await stream.aclose()
    else:
        next(stream)
        stream.close()

    assert seen.spans_of(method(endpoint)) == [["enter", "exit"]]
    assert seen.kinds_of(method(endpoint)) == [start_and_end(endpoint)[0], "ExceptionEvent"]
    ((_, end),) = seen.callbacks.values()
    assert isinstance(end[EventPayload.EXCEPTION], GeneratorExit)
    assert seen.acquired == len(service.requests) == 1


@each_stream
@pytest.mark.parametrize("way", ["left", "closed", "cancelled"])
async def test_a_stream_left_early_makes_room_for_the_next_call(
    way: str, endpoint: Endpoint, service: LocalService
) -> None:
    client = Client(service.token, base_url=service.base_url, concurrency=1)
    llm = ModelScope(CHAT, client=client, timeout=10)
    service.next("stall")  # it would go on for ever

    stream = opened(llm, endpoint)
    if inspect.iscoroutine(stream):
        stream = await stream
        await anext(stream)
        if way == "closed":
            await stream.aclose()
        elif way == "cancelled":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(last_of(asyncio.sleep(0, stream)), 0.1)
    else:
        next(stream)
        if way == "closed":
            stream.close()
    del stream

    assert QUESTION in str(await llm.acomplete(QUESTION))


@pytest.mark.parametrize("name", ["achat", "acomplete", "astream_chat", "astream_complete"])
async def test_a_call_that_is_cancelled_is_closed_once(
    name: str, watched: ModelScope, seen: Seen, service: LocalService
) -> None:
    (endpoint,) = (one for one in EIGHT if one.name == name)
    service.next("silence")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opened(watched, endpoint), 0.1)  # nothing will ever come

    assert seen.spans_of(method(endpoint)) == [["enter", "drop"]]
    assert seen.kinds_of(method(endpoint)) == [start_and_end(endpoint)[0], "SpanDropEvent"]
    ((_, end),) = seen.callbacks.values()
    assert isinstance(end[EventPayload.EXCEPTION], asyncio.CancelledError)


@pytest.mark.parametrize("name", ["astream_chat", "astream_complete"])
async def test_a_stream_that_is_cancelled_is_closed_once(
    name: str, watched: ModelScope, seen: Seen, service: LocalService
) -> None:
    (endpoint,) = (one for one in EIGHT if one.name == name)
    service.next("stall")
    stream = await opened(watched, endpoint)

    async def read() -> None:
        async for _ in stream:
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(), 0.1)  # three pieces, and then nothing any more

    assert seen.spans_of(method(endpoint)) == [["enter", "exit"]]
    assert seen.kinds_of(method(endpoint)) == [start_and_end(endpoint)[0], "ExceptionEvent"]
    ((_, end),) = seen.callbacks.values()
    assert isinstance(end[EventPayload.EXCEPTION], asyncio.CancelledError)


# --- embeddings


@pytest.fixture
def watched_embedding(seen: Seen, reach: dict[str, Any]) -> ModelScopeEmbedding:
    return ModelScopeEmbedding(
        EMBEDDING,
        **reach,
        embed_batch_size=2,
        callback_manager=CallbackManager([CallbackWitness(seen)]),
        rate_limiter=LimiterWitness(seen),
    )


each_embedding = pytest.mark.parametrize("endpoint", EMBEDDING_ENDPOINTS, ids=lambda one: one.name)


@each_embedding
def test_one_of_each_a_batch(
    endpoint: EmbeddingEndpoint,
    watched_embedding: ModelScopeEmbedding,
    seen: Seen,
    service: LocalService,
) -> None:
    vectors = endpoint.ask(watched_embedding)

    batches = 3 if endpoint.many else 1
    assert len(vectors if endpoint.many else [vectors]) == (len(TEXTS) if endpoint.many else 1)
    assert seen.spans_of(f"ModelScopeEmbedding.{endpoint.name}") == [["enter", "exit"]]
    assert all(life == ["enter", "exit"] for life in seen.spans.values())
    kinds = Counter(type(event).__name__ for event in seen.events)
    assert kinds == {"EmbeddingStartEvent": batches, "EmbeddingEndEvent": batches}
    assert all(len(life) == 2 for life in seen.callbacks.values())
    assert seen.acquired == len(service.requests) == len(seen.callbacks) == batches


@each_embedding
def test_a_refused_batch_is_closed(
    endpoint: EmbeddingEndpoint,
    watched_embedding: ModelScopeEmbedding,
    seen: Seen,
    service: LocalService,
) -> None:
    service.next("model_spent")

    with pytest.raises(ModelScopeQuotaExceededError):
        endpoint.ask(watched_embedding)

    assert seen.spans_of(f"ModelScopeEmbedding.{endpoint.name}") == [["enter", "drop"]]
    assert all(len(life) == 2 for life in seen.spans.values())
    assert not any(isinstance(event, EmbeddingEndEvent) for event in seen.events)
    if endpoint.name != "aget_text_embedding_batch":
        # core's own async batches are announced before the first is sent and not closed on failure
        assert all(len(life) == 2 for life in seen.callbacks.values())
    assert len(service.requests) == 1  # nothing follows the first refusal


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_an_object_is_announced_with_what_was_asked_and_what_was_made(
    way: str, watched: ModelScope, seen: Seen
) -> None:
    prompt = PromptTemplate('The person is called "{name}", aged 36. Answer in JSON.')
    if way == "sync":
        made = watched.structured_predict(Person, prompt, name="Ada")
    else:
        made = await watched.astructured_predict(Person, prompt, name="Ada")

    start, end = (event for event in seen.events if "StructuredPredict" in type(event).__name__)
    assert isinstance(start, LLMStructuredPredictStartEvent)
    assert (start.output_cls, start.template_args) == (Person, {"name": "Ada"})
    assert isinstance(end, LLMStructuredPredictEndEvent)
    assert end.output == made == Person(name="Ada", age=36)
