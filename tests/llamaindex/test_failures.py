"""What each failure is called, what it costs in requests, and that core's consumers pass it on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.evaluation import FaithfulnessEvaluator
from llama_index.core.indices.property_graph import SimpleLLMPathExtractor
from llama_index.core.schema import TextNode

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding, ModelScopeError, errors
from modelscope_transport.calls.retry import RetryPolicy
from modelscope_transport.emulator import LocalService

from .consumers.kit import QUESTION, Kit
from .endpoints import EIGHT, EMBEDDING_ENDPOINTS, EmbeddingEndpoint, Endpoint

# scenario, class of the error, requests it costs with the default of two retries
FAILURES: list[tuple[str, type[ModelScopeError], int]] = [
    ("authentication_failed", errors.ModelScopeAuthenticationError, 1),
    ("account_not_linked", errors.ModelScopeAccountNotLinkedError, 1),
    ("account_not_verified", errors.ModelScopeAccountNotVerifiedError, 1),
    ("no_provider", errors.ModelScopeModelNotServedError, 1),
    ("retired_1008", errors.ModelScopeModelNotServedError, 1),
    ("account_spent", errors.ModelScopeQuotaExceededError, 1),
    ("model_spent", errors.ModelScopeQuotaExceededError, 1),
    ("balance_spent", errors.ModelScopeQuotaExceededError, 1),
    ("invalid_parameter", errors.ModelScopeInvalidRequestError, 1),
    ("too_large", errors.ModelScopeInvalidRequestError, 1),
    ("task_failed", errors.ModelScopeContentRefusedError, 1),
    ("context_length", errors.ModelScopeContextLengthError, 1),
    ("html", errors.ModelScopeUnexpectedReplyError, 1),
    ("truncated_json", errors.ModelScopeUnexpectedReplyError, 1),
    ("throttled", errors.ModelScopeRateLimitError, 3),
    ("burst_in_200", errors.ModelScopeRateLimitError, 3),
    ("server_error", errors.ModelScopeServerError, 3),
    ("error_in_200", errors.ModelScopeServerError, 3),
    ("request_timeout", errors.ModelScopeServerError, 3),
    ("shell", errors.ModelScopeEmptyReplyError, 3),
    ("empty_body", errors.ModelScopeEmptyReplyError, 3),
    ("close_before_reply", errors.ModelScopeAPIConnectionError, 1),
]
# answers to a conversation; and a batch that is too large is cut in two
NOT_OF_VECTORS = {"task_failed", "context_length", "shell", "error_in_200", "too_large"}
OF_VECTORS = [row for row in FAILURES if row[0] not in NOT_OF_VECTORS]

each_failure = pytest.mark.parametrize(
    ("scenario", "error", "requests"), FAILURES, ids=[row[0] for row in FAILURES]
)
ONE_OF_EACH = list({row[1]: row for row in FAILURES}.values())
each_kind = pytest.mark.parametrize(
    ("scenario", "error", "requests"), ONE_OF_EACH, ids=[row[0] for row in ONE_OF_EACH]
)
each_of_eight = pytest.mark.parametrize("endpoint", EIGHT, ids=lambda one: one.name)
each_chat = pytest.mark.parametrize(
    "endpoint", [one for one in EIGHT if "chat" in one.name], ids=lambda one: one.name
)
each_batch = pytest.mark.parametrize(
    "endpoint", [one for one in EMBEDDING_ENDPOINTS if one.many], ids=lambda one: one.name
)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "delay", _at_once)


def _at_once(policy: RetryPolicy, retries: int, **facts: Any) -> float | None:
    return 0.0 if retries < policy.max_retries else None


@each_failure
@each_chat
def test_a_failure_of_a_call(
    endpoint: Endpoint,
    llm: ModelScope,
    service: LocalService,
    scenario: str,
    error: type[ModelScopeError],
    requests: int,
) -> None:
    service.next(*[scenario] * 9)

    with pytest.raises(ModelScopeError) as caught:
        endpoint.ask(llm)

    assert type(caught.value) is error
    assert len(service.requests) == caught.value.details.attempts == requests
    assert caught.value.model in (llm.model, None)


@pytest.mark.parametrize(
    ("scenario", "error", "requests"), OF_VECTORS, ids=[row[0] for row in OF_VECTORS]
)
@each_batch
def test_a_failure_of_a_batch(
    endpoint: EmbeddingEndpoint,
    embed_model: ModelScopeEmbedding,
    service: LocalService,
    scenario: str,
    error: type[ModelScopeError],
    requests: int,
) -> None:
    embed_model.embed_batch_size = 2  # three batches, of which one is sent
    service.next(*[scenario] * 9)

    with pytest.raises(ModelScopeError) as caught:
        endpoint.ask(embed_model)

    assert type(caught.value) is error
    assert len(service.requests) == caught.value.details.attempts == requests


@each_of_eight
def test_a_call_that_nobody_answers_in_time(
    endpoint: Endpoint, llm: ModelScope, service: LocalService
) -> None:
    llm.timeout = 0.2
    service.next("silence")

    with pytest.raises(errors.ModelScopeAPITimeoutError):
        endpoint.ask(llm)

    assert len(service.requests) <= 1  # a busy machine may not even send it in time


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("drop", errors.ModelScopeStreamInterruptedError),
        ("reset", errors.ModelScopeStreamInterruptedError),
        ("cut:3", errors.ModelScopeStreamInterruptedError),
        ("error_later", errors.ModelScopeStreamInterruptedError),
        ("throttled_later", errors.ModelScopeStreamInterruptedError),
    ],
)
@pytest.mark.parametrize(
    "endpoint", [one for one in EIGHT if one.streams], ids=lambda one: one.name
)
def test_a_stream_that_broke_is_not_asked_for_again(
    endpoint: Endpoint,
    llm: ModelScope,
    service: LocalService,
    scenario: str,
    error: type[ModelScopeError],
) -> None:
    service.next(*[scenario] * 9)

    with pytest.raises(ModelScopeError) as caught:
        endpoint.ask(llm)

    assert type(caught.value) is error
    assert caught.value.details.partial is not None
    assert caught.value.details.partial.choice.text
    assert len(service.requests) == 1


# --- none of them passes for a bad answer of the model


@each_failure
def test_a_query_engine_passes_it_on(
    kit: Kit, scenario: str, error: type[ModelScopeError], requests: int
) -> None:
    engine = SummaryIndex.from_documents(kit.documents()).as_query_engine(llm=kit.llm)
    kit.service.next(*[scenario] * 9)

    with pytest.raises(error):
        engine.query(QUESTION)

    assert len(kit.service.requests) == requests


@each_kind
def test_an_evaluator_passes_it_on(
    kit: Kit, scenario: str, error: type[ModelScopeError], requests: int
) -> None:
    kit.service.next(*[scenario] * 9)

    with pytest.raises(error):
        FaithfulnessEvaluator(llm=kit.llm).evaluate(response="YES", contexts=["YES"])


@each_kind
def test_a_graph_extractor_passes_it_on(
    kit: Kit, scenario: str, error: type[ModelScopeError], requests: int
) -> None:
    kit.service.next(*[scenario] * 9)

    with pytest.raises(error):
        SimpleLLMPathExtractor(llm=kit.llm)([TextNode(text="Berlin is in Germany.")])

    assert len(kit.service.requests) == requests


@pytest.mark.parametrize("scenario", ["drop", "error_later", "model_spent", "shell"])
def test_a_streaming_engine_passes_it_on(kit: Kit, scenario: str) -> None:
    index = SummaryIndex.from_documents(kit.documents())
    kit.service.next(*[scenario] * 9)

    with pytest.raises(ModelScopeError):
        list(index.as_query_engine(llm=kit.llm, streaming=True).query(QUESTION).response_gen)


@pytest.mark.parametrize("scenario", ["drop", "error_later", "model_spent", "shell"])
def test_an_async_streaming_engine_passes_it_on(kit: Kit, scenario: str) -> None:
    index = SummaryIndex.from_documents(kit.documents())
    kit.service.next(*[scenario] * 9)

    async def ask() -> list[str]:
        engine = index.as_query_engine(llm=kit.llm, streaming=True)
        answer = await engine.aquery(QUESTION)
        return [text async for text in answer.async_response_gen()]

    with pytest.raises(ModelScopeError):
        asyncio.run(ask())
