"""Many calls at once on a service that takes all of them, by the defaults of both adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_modelscope import ChatModelScope
from llamaindex_modelscope import ModelScope
from tests.transport.http.raw_server import answering, serving
from tests.transport.http.streaming import FIRST, REST, Streaming

MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"


def langchain(url: str) -> ChatModelScope:
    return ChatModelScope(model=MODEL, api_key="ms-crowd", base_url=url)


def llamaindex(url: str) -> ModelScope:
    return ModelScope(model=MODEL, api_key="ms-crowd", base_url=url)


def langchain_stream(model: Any) -> str:
    return "".join(chunk.text for chunk in model.stream("Hello"))


async def langchain_astream(model: Any) -> str:
    return "".join([chunk.text async for chunk in model.astream("Hello")])


def llamaindex_stream(model: Any) -> str:
    return "".join(response.delta for response in model.stream_complete("Hello"))


async def llamaindex_astream(model: Any) -> str:
    return "".join([response.delta async for response in await model.astream_complete("Hello")])


def in_threads(read: Callable[[Any], str], model: Any, count: int) -> list[str]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(read, [model] * count))


def in_a_loop(read: Callable[[Any], Any], model: Any, count: int) -> list[str]:
    async def read_all() -> list[str]:
        return list(await asyncio.gather(*[read(model) for _ in range(count)]))

    return asyncio.run(read_all())


WAYS = {
    "LangChain, sync": (langchain, langchain_stream, in_threads),
    "LangChain, async": (langchain, langchain_astream, in_a_loop),
    "LlamaIndex, sync": (llamaindex, llamaindex_stream, in_threads),
    "LlamaIndex, async": (llamaindex, llamaindex_astream, in_a_loop),
}


@pytest.fixture
def streaming() -> Iterator[tuple[str, Streaming]]:
    script = Streaming(10, enough=15)
    with serving(script) as server:
        yield server.url("/v1"), script


@pytest.mark.parametrize("way", WAYS)
def test_thirty_streams_find_out_that_half_of_them_may_go_at_once(
    way: str, streaming: tuple[str, Streaming]
) -> None:
    make, read, at_once = WAYS[way]
    url, script = streaming
    assert at_once(read, make(url), 30) == ["ab"] * 30
    assert script.are_enough.is_set(), f"{script.peak} at most"


@pytest.mark.slow
def test_two_thousand_calls_that_are_answered_by_streams_all_end_well() -> None:
    async def ask(model: ChatModelScope) -> str:
        return (await model.ainvoke("Hello")).text

    with serving(answering(FIRST + REST)) as server:
        answers = in_a_loop(ask, langchain(server.url("/v1")), 2000)
        assert answers == ["ab"] * 2000
        assert len(server.requests) == 2000
