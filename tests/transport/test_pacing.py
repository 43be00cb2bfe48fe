"""Many calls at once, as a user makes them: few are refused, none fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from modelscope_transport import (
    APITimeoutError,
    ChatRequest,
    Client,
    ConfigurationError,
    EmbeddingRequest,
    MemoryLedger,
    Message,
    QuotaExceededError,
)
from modelscope_transport.emulator import Allowance, LocalService, ScriptedEngine
from modelscope_transport.emulator.engine import ChatCall, Piece, Usage

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
GLM = "ZhipuAI/GLM-4.7-Flash"


def ask(text: str = "What is 2 plus 3?", model: str = QWEN, **how: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message("user", text),), **how)


class Busy(ScriptedEngine):
    """An engine that takes a moment for each call."""

    async def chat(self, call: ChatCall) -> AsyncGenerator[Piece | Usage, None]:
        await asyncio.sleep(0.004)
        async for piece in super().chat(call):
            yield piece


@pytest.fixture
def narrow() -> Iterator[LocalService]:
    """A service that takes two calls to a model at a time."""
    with LocalService(allowance=Allowance(concurrency=2), engine=Busy()) as service:
        yield service


def client_of(service: LocalService, **how: Any) -> Client:
    return Client(service.token, base_url=service.base_url, **{"ledger": MemoryLedger(), **how})


def in_threads(client: Client, number: int) -> list[Any]:
    with ThreadPoolExecutor(40) as pool:
        return list(pool.map(lambda i: client.chat(ask(f"Number {i}")), range(number)))


def in_a_loop(client: Client, number: int) -> list[Any]:
    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(client.aio.chat(ask(f"Number {i}")) for i in range(number)))

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("batch", [in_threads, in_a_loop])
def test_a_batch_of_200_on_a_service_that_takes_two_at_a_time(
    batch: Callable[[Client, int], list[Any]], narrow: LocalService
) -> None:
    answers = batch(client_of(narrow), 200)

    assert len(answers) == 200
    refused = len(narrow.requests) - 200
    assert refused <= 10  # 5 %


def test_clients_of_one_account_share_the_gate(narrow: LocalService) -> None:
    first = client_of(narrow)
    second = client_of(narrow)
    with ThreadPoolExecutor(20) as pool:
        both = [pool.submit((first, second)[i % 2].chat, ask(str(i))) for i in range(100)]
    assert all(future.result().text for future in both)
    assert len(narrow.requests) <= 110


def test_a_fixed_number_of_calls(narrow: LocalService) -> None:
    in_threads(client_of(narrow, concurrency=2), 40)
    assert len(narrow.requests) == 40


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, "many"])
def test_a_number_that_is_none_is_refused(concurrency: Any) -> None:
    with pytest.raises(ConfigurationError, match="concurrency"):
        Client("ms-x", concurrency=concurrency)


# ---------------------------------------------------------------------------------- streams


def test_a_stream_holds_its_place_until_it_is_closed(modelscope_service: LocalService) -> None:
    client = client_of(modelscope_service, concurrency=1)
    stream = client.stream_chat(ask())
    with ThreadPoolExecutor(1) as pool, pytest.raises(APITimeoutError) as caught:
        pool.submit(client.chat, ask(timeout=0.05)).result()
    assert caught.value.reason == "no_place"
    assert caught.value.details.attempts == 0
    assert len(modelscope_service.requests) == 1
    assert "1 other calls" in str(caught.value)

    stream.close()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(client.chat, ask(timeout=20)).result().text


def test_a_stream_that_was_read_to_its_end_holds_nothing(modelscope_service: LocalService) -> None:
    client = client_of(modelscope_service, concurrency=1)
    assert list(client.stream_chat(ask()))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(client.chat, ask(timeout=20)).result().text


def test_a_stream_that_is_dropped_holds_nothing(modelscope_service: LocalService) -> None:
    client = client_of(modelscope_service, concurrency=1)
    client.stream_chat(ask())
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(client.chat, ask(timeout=20)).result().text


async def test_async_streams_hold_and_give_back_alike(modelscope_service: LocalService) -> None:
    client = client_of(modelscope_service, concurrency=1).aio
    stream = await client.stream_chat(ask())
    with pytest.raises(APITimeoutError):
        await asyncio.create_task(client.chat(ask(timeout=0.05)))
    await stream.aclose()
    assert (await asyncio.create_task(client.chat(ask(timeout=20)))).text


def test_a_call_in_the_middle_of_ones_own_stream_is_not_made_to_wait(
    modelscope_service: LocalService,
) -> None:
    client = client_of(modelscope_service, concurrency=1)
    for _ in client.stream_chat(ask()):
        assert client.chat(ask(timeout=20)).text
        break


def test_another_model_has_places_of_its_own(modelscope_service: LocalService) -> None:
    client = client_of(modelscope_service, concurrency=1)
    with client.stream_chat(ask()), ThreadPoolExecutor(1) as pool:
        assert pool.submit(client.chat, ask(model=GLM, timeout=20)).result().text
        texts = EmbeddingRequest(model="Qwen/Qwen3-Embedding-0.6B", texts=("one",))
        assert pool.submit(client.embed, texts).result().vectors


@pytest.mark.usefixtures("books_closed")
def test_a_spent_pool_is_not_waited_for(modelscope_service: LocalService) -> None:
    client = client_of(modelscope_service, concurrency=1)
    with client.stream_chat(ask()):
        modelscope_service.next("account_spent")
        with pytest.raises(QuotaExceededError):
            client.chat(ask(model=GLM))
        begun = time.monotonic()
        with ThreadPoolExecutor(1) as pool, pytest.raises(QuotaExceededError):
            pool.submit(client.chat, ask(timeout=60)).result()
        assert time.monotonic() - begun < 30
    assert len(modelscope_service.requests) == 2


async def test_a_cancelled_wait_leaves_nothing_behind(modelscope_service: LocalService) -> None:
    client = client_of(modelscope_service, concurrency=1)
    async with await client.aio.stream_chat(ask()):
        waiting = asyncio.create_task(client.aio.chat(ask()))
        for _ in range(50):  # turns of the loop, after which the call waits for its slot
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert (await client.aio.chat(ask())).text
    assert len(modelscope_service.requests) == 2
