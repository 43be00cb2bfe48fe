"""Thoughts where a server leaves them in the text, or puts them in its place; both on request."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from modelscope_transport.emulator import DONE, LocalService, Reply, Stream
from tests.langchain import mixed
from tests.langchain.conftest import HYBRID, MakeChat

ONLY_THOUGHTS = Stream([mixed.chunk(reasoning_content="Yes."), mixed.chunk("stop"), DONE])


def total(chunks: Any) -> AIMessageChunk:
    whole, *rest = chunks
    for chunk in rest:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


def blocks(message: Any) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in block.items() if key != "index"}
        for block in message.content_blocks
    ]


@pytest.mark.parametrize("shape", ["think_tags", "honest"])
async def test_tags_in_a_stream(chat: MakeChat, service: LocalService, shape: str) -> None:
    service.next(shape, shape)
    model = chat(HYBRID, think_tags=True)

    for answer in (
        total(model.stream("Hello")),
        total([chunk async for chunk in model.astream("Hello")]),
    ):
        assert blocks(answer) == [
            {"type": "reasoning", "reasoning": "The user says: Hello. I shall answer."},
            {"type": "text", "text": "You said: “Hello”."},
        ]


@pytest.mark.parametrize("way", ["field", "call"])
def test_tags_in_a_whole_answer(chat: MakeChat, service: LocalService, way: str) -> None:
    said = {"content": "<think>\nHm.\n</think>\n\nYes."}
    service.next(*[Reply(200, {"choices": [{"message": said, "finish_reason": "stop"}]})] * 2)

    assert chat().invoke("Hello").text == said["content"]
    if way == "field":
        answer = chat(think_tags=True).invoke("Hello")
    else:
        answer = chat().invoke("Hello", think_tags=True)

    assert answer.text == "Yes."
    assert answer.additional_kwargs["reasoning_content"] == "Hm."
    assert "think_tags" not in service.requests[1].body


@pytest.mark.parametrize("stream", [False, True], ids=["invoke", "stream"])
def test_thoughts_in_the_place_of_an_answer(
    chat: MakeChat, service: LocalService, stream: bool
) -> None:
    said = {"content": None, "reasoning_content": "Yes."}
    whole = Reply(200, {"choices": [{"message": said, "finish_reason": "stop"}]})
    service.next(*[ONLY_THOUGHTS if stream else whole] * 2)

    plain, model = chat(), chat(promote_reasoning_only=True)
    answers = [
        total(one.stream("Hello")) if stream else one.invoke("Hello") for one in (plain, model)
    ]

    assert [answer.text for answer in answers] == ["", "Yes."]
    assert answers[1].additional_kwargs["reasoning_content"] == "Yes."
