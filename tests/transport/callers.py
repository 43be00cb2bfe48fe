"""Users of a client: the same calls, sync and async, so that a test is written once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from modelscope_transport import (
    AsyncChatStream,
    ChatDelta,
    ChatRequest,
    ChatResult,
    ChatStream,
    Client,
    EmbeddingRequest,
    EmbeddingResult,
    Message,
)
from modelscope_transport.emulator import LocalService

T = TypeVar("T")

CHAT = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
HELLO = (Message("user", "What is 1 plus 1?"),)


def chat_request(**asked: Any) -> ChatRequest:
    return ChatRequest(**{"model": CHAT, "messages": HELLO, **asked})


def embedding_request(*texts: str, **asked: Any) -> EmbeddingRequest:
    return EmbeddingRequest(**{"model": EMBEDDING, "texts": texts or ("a",), **asked})


class Caller:
    """Calls, sync. Its retries wait for nothing but a ``Retry-After``.

    Args:
        service: whom to call.
        options: of the client.
    """

    def __init__(self, service: LocalService, **options: Any) -> None:
        self.service = service
        self.client = Client(**{"api_key": service.token, "base_url": service.base_url, **options})
        core = self.client._core
        core.policy = replace(core.policy, first_delay=0.0)

    def but(self, **options: Any) -> Self:
        """Another user of the same kind and service, whose client has other options."""
        return type(self)(self.service, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.close()

    @property
    def requests(self) -> int:
        """Requests that have arrived."""
        return len(self.service.requests)

    def chat(self, **asked: Any) -> ChatResult:
        return self.client.chat(chat_request(**asked))

    def stream(self, **asked: Any) -> tuple[list[ChatDelta], ChatResult]:
        """All deltas, and what they add up to."""
        stream: ChatStream = self.client.stream_chat(chat_request(**asked))
        return list(stream), stream.result()

    def embed(self, *texts: str, **asked: Any) -> EmbeddingResult:
        options = {
            name: asked.pop(name) for name in ("concurrency", "on_progress") if name in asked
        }
        return self.client.embed(embedding_request(*texts, **asked), **options)


class AsyncCaller(Caller):
    """The same calls async, each in an event loop of its own."""

    def chat(self, **asked: Any) -> ChatResult:
        return _run(self.client.aio.chat(chat_request(**asked)))

    def stream(self, **asked: Any) -> tuple[list[ChatDelta], ChatResult]:
        async def read() -> tuple[list[ChatDelta], ChatResult]:
            stream: AsyncChatStream = await self.client.aio.stream_chat(chat_request(**asked))
            return [delta async for delta in stream], stream.result()

        return _run(read())

    def embed(self, *texts: str, **asked: Any) -> EmbeddingResult:
        options = {
            name: asked.pop(name) for name in ("concurrency", "on_progress") if name in asked
        }
        return _run(self.client.aio.embed(embedding_request(*texts, **asked), **options))


def _run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


async def settled(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true, which the other side of a socket may take a moment for."""
    for _ in range(4000):
        if condition():
            return True
        await asyncio.sleep(0.005)
    return False
