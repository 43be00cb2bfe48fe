"""A placeholder for a token, as servers of one's own take it, occurs in answers by chance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from modelscope_transport import ChatRequest, Client, Message, ModelScopeError
from modelscope_transport.emulator import LocalService, Reply

ANSWER = {
    "choices": [{"message": {"content": "ms-1 is a word."}, "finish_reason": "stop"}],
}
REQUEST = ChatRequest(model="a/b", messages=(Message("user", "hi"),))


@pytest.fixture
def service() -> Iterator[LocalService]:
    with LocalService() as service:
        yield service


def test_an_answer_keeps_words_that_are_the_token(service: LocalService) -> None:
    client = Client("ms-1", base_url=service.base_url)
    service.next(Reply(200, ANSWER), Reply(200, ANSWER))
    assert client.chat(REQUEST).text == "ms-1 is a word."
    assert asyncio.run(client.aio.chat(REQUEST)).text == "ms-1 is a word."


def test_a_refusal_that_repeats_the_token_is_masked(service: LocalService) -> None:
    client = Client("ms-1", base_url=service.base_url)
    service.next("echo_token")
    with pytest.raises(ModelScopeError) as caught:
        client.chat(REQUEST)
    assert "ms-1" not in str(caught.value)
