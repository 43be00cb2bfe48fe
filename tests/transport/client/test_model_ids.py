"""What may be a model ID: ``owner/name`` at ModelScope's own hosts, any name elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelscope_transport import Client, ModelNotServedError, ModelScopeError
from modelscope_transport.emulator import Reply
from tests.transport.callers import Caller, chat_request, embedding_request

ANSWER = b'{"choices": [{"message": {"content": "b"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize("name", ["qwen3", "qwen3:8b", "llama-3.1", "a/b/c"])
def test_another_host_may_call_its_models_what_it_likes(caller: Caller, name: str) -> None:
    caller.service.next(Reply(200, ANSWER, {"content-type": "application/json"}))
    assert caller.chat(model=name).text == "b"
    assert caller.requests == 1


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "a\x00"])
def test_no_host_takes_what_is_no_name(caller: Caller, name: str) -> None:
    for call in (caller.chat, caller.stream, caller.embed):
        with pytest.raises(ModelNotServedError):
            call(model=name)
    assert caller.requests == 0


@pytest.mark.parametrize(
    "host", ["api-inference.modelscope.cn", "api-inference.modelscope.ai", "modelscope.cn"]
)
@pytest.mark.parametrize("asked", [{"model": "Qwen3-8B"}, {"fallback_models": ("Qwen3-8B",)}])
def test_modelscope_itself_wants_the_owner(host: str, asked: dict[str, Any]) -> None:
    client = Client("ms-1", base_url=f"https://{host}/v1", ledger=None)
    with pytest.raises(ModelNotServedError, match="owner/name") as caught:
        client.chat(chat_request(**asked))
    assert caught.value.details.attempts == 0
    with pytest.raises(ModelNotServedError, match="owner/name"):
        client.stream_chat(chat_request(**asked))
    with pytest.raises(ModelNotServedError, match="owner/name"):
        asyncio.run(client.aio.chat(chat_request(**asked)))


def test_modelscope_itself_wants_the_owner_of_embedding_models_too() -> None:
    client = Client("ms-1", ledger=None)
    with pytest.raises(ModelNotServedError, match="owner/name"):
        client.embed(embedding_request(model="Qwen3-Embedding-8B"))


def test_a_host_that_only_looks_like_modelscope_is_another_one() -> None:
    client = Client("ms-1", base_url="https://notmodelscope.cn/v1", ledger=None, max_retries=0)
    with pytest.raises(ModelScopeError) as caught:
        client.chat(chat_request(model="qwen3", timeout=0.2))
    assert not isinstance(caught.value, ModelNotServedError)
