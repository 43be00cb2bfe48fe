"""Turns a stream into responses, each with the message so far."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

from llama_index.core.base.llms.types import ChatResponse

from modelscope_transport.client import AsyncChatStream, ChatStream

from ._replies import GrowingMessage
from .errors import native_errors

__all__ = ["agrow", "grow"]


def grow(
    stream: ChatStream, message: GrowingMessage, limiter: object
) -> Generator[ChatResponse, None, None]:
    """The responses of a stream, which is closed at the end or when this is dropped."""
    with native_errors(limiter), stream:
        for delta in stream:
            response = message.add(delta)
            if response is not None:
                yield response
        yield message.finish()


async def agrow(
    stream: AsyncChatStream, message: GrowingMessage, limiter: object
) -> AsyncGenerator[ChatResponse, None]:
    """`grow`, for event loops."""
    with native_errors(limiter):
        async with stream:
            async for delta in stream:
                response = message.add(delta)
                if response is not None:
                    yield response
            yield message.finish()
