"""What an answer tells of itself: the numbers in ``raw``, and what core's counter makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from modelscope_transport.emulator import LocalService

from .answers import ANSWER_ID, MODEL, SERVED, USAGE, answer
from .conftest import MakeLLM
from .consumers.kit import EMBEDDING
from .endpoints import EIGHT, QUESTION, WITH_TOOLS, Endpoint

each_of_eight = pytest.mark.parametrize("endpoint", EIGHT, ids=lambda one: one.name)
each_with_tools = pytest.mark.parametrize("endpoint", WITH_TOOLS, ids=lambda one: one.name)


@pytest.fixture
def thinker(make_llm: MakeLLM) -> ModelScope:
    return make_llm(MODEL, temperature=0.5)


# --- what they all read: raw, and the payload of the events


@each_of_eight
def test_the_last_raw_holds_all_that_a_tracer_looks_for(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService
) -> None:
    service.next(answer(endpoint))

    last = endpoint.ask(thinker)

    assert type(last.raw) is dict
    assert last.raw["usage"] == USAGE
    assert last.raw["id"] == ANSWER_ID
    assert last.raw["model"] == SERVED
    assert last.raw["finish_reason"] == "stop"
    assert json.loads(json.dumps(last.raw)) == last.raw
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert last.additional_kwargs[name] == USAGE[name]


@each_of_eight
def test_without_usage_there_is_no_usage(
    endpoint: Endpoint, thinker: ModelScope, service: LocalService
) -> None:
    service.next(answer(endpoint, usage=None))

    last = endpoint.ask(thinker)

    assert "usage" not in last.raw
    assert "prompt_tokens" not in last.additional_kwargs


def test_the_payloads_name_the_model(thinker: ModelScope, embed_model: ModelScopeEmbedding) -> None:
    payload = thinker.to_payload()
    assert (payload["model"], payload["model_name"]) == (MODEL, MODEL)
    assert payload["temperature"] == 0.5
    assert payload["class_name"] == "ModelScope"
    payload = embed_model.to_payload()
    assert (payload["model"], payload["model_name"]) == (EMBEDDING, EMBEDDING)
    assert payload["class_name"] == "ModelScopeEmbedding"


# --- core's token counter


def counted(counter: TokenCountingHandler) -> list[tuple[int, int]]:
    return [
        (event.prompt_token_count, event.completion_token_count)
        for event in counter.llm_token_counts
    ]


@each_of_eight
def test_the_token_counter_counts_what_the_service_says(
    endpoint: Endpoint, make_llm: MakeLLM, service: LocalService
) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = make_llm(MODEL, callback_manager=CallbackManager([counter]))
    service.next(answer(endpoint))

    endpoint.ask(llm)

    assert counted(counter) == [(11, 7)]
    assert counter.total_llm_token_count == 18


@each_with_tools
def test_the_token_counter_counts_a_call_with_tools(
    endpoint: Endpoint, make_llm: MakeLLM, service: LocalService
) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = make_llm(MODEL, callback_manager=CallbackManager([counter]))
    service.next(answer(endpoint, with_tools=True))

    endpoint.ask(llm)

    assert counted(counter) == [(11, 7)]


@each_of_eight
def test_the_token_counter_estimates_where_the_service_says_nothing(
    endpoint: Endpoint, make_llm: MakeLLM, service: LocalService
) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = make_llm(MODEL, callback_manager=CallbackManager([counter]))
    service.next(answer(endpoint, usage=None))

    endpoint.ask(llm)

    ((prompt, completion),) = counted(counter)
    assert prompt >= len(QUESTION.split())
    assert completion > 0


def test_the_token_counter_counts_what_is_embedded(reach: dict[str, Any]) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    embed_model = ModelScopeEmbedding(
        EMBEDDING, **reach, callback_manager=CallbackManager([counter])
    )

    embed_model.get_text_embedding_batch(["two words", "and three more"])

    assert counter.total_embedding_token_count == 5  # core always estimates here
