"""Calls that need not be made, in an event loop; the twin of ``reuse.py``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from .._wire.stream_decoder import StreamDecoder
from ..answers import ChatDelta, ChatResult
from ..errors import ModelScopeError
from ..private_database import finish_in_thread
from ..types import ChatRequest
from .reuse import ReuseRules, late, raised_anew

__all__ = ["AsyncReuse"]

T = TypeVar("T")


class AsyncReuse(ReuseRules):
    """What one client reuses, async."""

    async def chat(
        self, request: ChatRequest, ask: Callable[[ChatRequest], Awaitable[ChatResult]]
    ) -> ChatResult:
        """Answer a request, by asking only where that is needed."""
        found = await self.find(request)
        if found is not None:
            return found
        key = self._call_key(request)
        if self._singleflight is None or key is None:
            return await self.keep(request, await ask(request))
        deadline = self._deadline(request)
        while True:
            call, is_mine = self._singleflight.join(key)
            if is_mine:
                try:
                    answer = await self.keep(request, await ask(request))
                except BaseException as error:
                    self._singleflight.finish(key, call, error=error)
                    raise
                self._singleflight.finish(key, call, answer)
                return answer
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    # Shielded: a caller that stops waiting must not end the call for the others.
                    shared = await asyncio.shield(asyncio.wrap_future(call))
            except TimeoutError:
                raise late(request) from None
            if isinstance(shared, ModelScopeError):
                raise raised_anew(shared)
            if shared is not None:
                return shared

    async def find(self, request: ChatRequest) -> ChatResult | None:
        """An answer that was kept for a request."""
        return await self._off_loop(self._found, request)

    async def keep(self, request: ChatRequest, answer: ChatResult) -> ChatResult:
        """Keep an answer, and return it."""
        return await self._off_loop(self._keep, request, answer)

    async def keeping(
        self, request: ChatRequest, deltas: AsyncIterator[ChatDelta], decoder: StreamDecoder
    ) -> AsyncIterator[ChatDelta]:
        """The deltas of a stream, which is kept when it has been read to its end."""
        async for delta in deltas:
            yield delta
        await self.keep(request, decoder.result())

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        if self._cache is not None and self._cache.blocking:
            return await finish_in_thread(work, *args)
        return work(*args)
