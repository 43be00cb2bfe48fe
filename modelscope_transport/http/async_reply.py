"""An open reply in an event loop; the twin of ``reply.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from .reply import DRAIN, ReplyHead

__all__ = ["AsyncOpenReply"]


class AsyncOpenReply(ReplyHead):
    """An open reply of an async engine.

    Attributes:
        chunks: the bytes still to come, plain.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response)
        self._stream: Any = response.stream  # of an engine, which can be drained, too
        self.chunks: AsyncIterator[bytes] = self._plain()

    async def _plain(self) -> AsyncIterator[bytes]:
        inflater = self.inflater()
        async for data in self._stream:
            yield inflater.feed(data)

    async def first(self) -> bytes:
        """The first payload of a stream; empty where it has none.

        Raises:
            UnreadableBodyError: it is too long, or its compression cannot be read.
        """
        async for data in self.chunks:
            payload = self.take(data)
            if payload is not None:
                return payload
        return self.last()

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            UnreadableBodyError: it is too long, or its compression cannot be read.
        """
        return b"".join([data async for data in self.chunks])

    async def drain(self) -> None:
        """Read a stream to its very end, so that its connection can serve again."""
        await self._stream.drain(DRAIN)

    async def aclose(self) -> None:
        """Let go of the reply. A connection that was not read to its end is closed."""
        await self._stream.aclose()
