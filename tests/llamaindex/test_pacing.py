"""The rate limiter, on a clock of its own: it spaces, it holds back, it never raises."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.storage.kvstore import SimpleKVStore

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeEmbedding,
    ModelScopeError,
    ModelScopeRateLimiter,
    ModelScopeRateLimitError,
    ModelScopeStreamInterruptedError,
)
from modelscope_transport.emulator import LocalService

from .conftest import MakeLLM
from .consumers.kit import EMBEDDING
from .endpoints import last_of


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(round(seconds, 6))
        self.now += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def limiter(self, requests_per_minute: float = 30) -> ModelScopeRateLimiter:
        return ModelScopeRateLimiter(
            requests_per_minute, clock=self, sleep=self.sleep, async_sleep=self.async_sleep
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_cores_kind_of_limiter(clock: Clock) -> None:
    assert isinstance(clock.limiter(), BaseRateLimiter)


async def test_calls_come_at_an_even_pace(clock: Clock) -> None:
    limiter = clock.limiter(30)
    limiter.acquire()
    limiter.acquire()
    await limiter.async_acquire()
    clock.now += 60  # a pause earns no burst afterwards
    limiter.acquire()
    limiter.acquire(num_tokens=1000)
    assert clock.waits == [2, 2, 2]


def test_a_hold_is_everybodys(clock: Clock) -> None:
    limiter = clock.limiter(30)
    limiter.hold(9)
    limiter.hold(3)  # a shorter one takes nothing back
    limiter.acquire()
    limiter.acquire()
    assert clock.waits == [9, 2]


def test_a_hold_without_a_number_is_two_places(clock: Clock) -> None:
    limiter = clock.limiter(30)
    limiter.hold()
    limiter.acquire()
    assert clock.waits == [4]


@pytest.mark.parametrize("pace", [0, -1, float("nan")])
def test_no_pace_is_refused(pace: float) -> None:
    with pytest.raises(ModelScopeError, match="above 0"):
        ModelScopeRateLimiter(pace)


def test_it_pickles() -> None:
    again = pickle.loads(pickle.dumps(ModelScopeRateLimiter(12)))
    assert again.requests_per_minute == 12
    again.acquire()


async def test_both_classes_share_one_pace(
    service: LocalService, reach: dict[str, str], make_llm: MakeLLM, clock: Clock
) -> None:
    limiter = clock.limiter(30)
    llm = make_llm(rate_limiter=limiter)
    embed_model = ModelScopeEmbedding(EMBEDDING, rate_limiter=limiter, **reach)

    llm.complete("hi")
    await llm.acomplete("hi")
    list(llm.stream_complete("hi"))
    embed_model.get_text_embedding("hi")
    await embed_model.aget_query_embedding("hi")

    assert clock.waits == [2, 2, 2, 2]  # one place a call, none for the first
    assert len(service.requests) == 5


def test_a_call_that_was_too_fast_holds_the_others_back(
    service: LocalService, make_llm: MakeLLM, clock: Clock
) -> None:
    llm: ModelScope = make_llm(rate_limiter=clock.limiter(30), max_retries=0)
    service.next("throttled:40")

    with pytest.raises(ModelScopeRateLimitError):
        llm.complete("hi")
    llm.complete("hi")

    assert clock.waits == [40]


async def test_so_does_a_stream_that_turns_out_too_fast(
    service: LocalService, make_llm: MakeLLM, clock: Clock
) -> None:
    limiter = clock.limiter(30)
    llm: ModelScope = make_llm(rate_limiter=limiter)
    service.next("throttled_later", "throttled_later")

    with pytest.raises(ModelScopeStreamInterruptedError):
        list(llm.stream_complete("hi"))
    with pytest.raises(ModelScopeStreamInterruptedError):
        await last_of(llm.astream_complete("hi"))
    llm.complete("hi")

    assert clock.waits == [4, 4]  # two places' worth, where the service names no time


def test_batches_of_an_embedding_call_are_paced_one_by_one(
    service: LocalService, reach: dict[str, str], clock: Clock
) -> None:
    embed_model = ModelScopeEmbedding(
        EMBEDDING, rate_limiter=clock.limiter(30), embed_batch_size=2, **reach
    )
    embed_model.get_text_embedding_batch(["a", "b", "c", "d", "e"])
    assert len(service.requests) == 3
    assert clock.waits == [2, 2]


@pytest.mark.parametrize("kept", [False, True])
async def test_so_are_those_of_an_async_call(
    service: LocalService, reach: dict[str, Any], clock: Clock, kept: bool
) -> None:
    embed_model = ModelScopeEmbedding(
        EMBEDDING,
        rate_limiter=clock.limiter(30),
        embed_batch_size=2,
        embeddings_cache=SimpleKVStore() if kept else None,
        **reach,
    )
    await embed_model.aget_text_embedding_batch(["a", "b", "c", "d", "e"])
    assert len(service.requests) == 3
    assert clock.waits == [2, 2]
