"""When a model's day is spent, plain Python goes on with another: the errors are there to catch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from llamaindex_modelscope import ModelScope, ModelScopeQuotaExceededError
from modelscope_transport.emulator import LocalService

from .conftest import MakeLLM
from .consumers.kit import CHAT, QUESTION, Kit

OTHER = "Qwen/Qwen3.5-122B-A10B"
HELLO = [ChatMessage("Hello")]


def last_of_astream(llm: ModelScope) -> Any:
    async def read() -> Any:
        return [part async for part in await llm.astream_chat(HELLO)][-1]

    return asyncio.run(read())


WAYS: dict[str, Callable[[ModelScope], Any]] = {
    "complete": lambda llm: llm.complete("Hello"),
    "chat": lambda llm: llm.chat(HELLO),
    "stream": lambda llm: list(llm.stream_chat(HELLO))[-1],
    "achat": lambda llm: asyncio.run(llm.achat(HELLO)),
    "astream": last_of_astream,
}


@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
def test_plain_python_goes_on_with_another_model(
    ask: Callable[[ModelScope], Any], service: LocalService, make_llm: MakeLLM
) -> None:
    first, second = make_llm(CHAT), make_llm(OTHER)
    service.next("model_spent")
    for _ in range(3):
        try:
            answer = ask(first)
        except ModelScopeQuotaExceededError:
            answer = ask(second)
        assert answer.additional_kwargs["modelscope"]["model"] == OTHER

    assert [request.body["model"] for request in service.requests] == [CHAT, *[OTHER] * 3]


def test_a_query_engine_lets_the_error_out_so_that_another_one_can_answer(
    kit: Kit, make_llm: MakeLLM
) -> None:
    index = kit.index()
    engines = [index.as_query_engine(llm=llm) for llm in (kit.llm, make_llm(OTHER))]
    kit.service.next("honest", "model_spent")  # the question is embedded, then asked
    with pytest.raises(ModelScopeQuotaExceededError):
        engines[0].query(QUESTION)

    assert "Berlin" in str(engines[1].query(QUESTION))
