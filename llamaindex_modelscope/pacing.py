"""`ModelScopeRateLimiter`: calls at an even pace, held back together when the service asks for it.

Laws of this file: it only waits. Core calls a limiter before its own error handling, so that an
error would leave the call's events without an end; to refuse is the transport's part.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from llama_index.core.rate_limiter import BaseRateLimiter

from modelscope_transport.errors import ConfigurationError
from modelscope_transport.language import translated as _

__all__ = ["ModelScopeRateLimiter"]


class ModelScopeRateLimiter(BaseRateLimiter):
    """Spaces calls evenly. Give one object to everything that shares an account.

    Core's own limiters count the calls of the last minute and let a burst through first, which
    this service answers with 429 (it promises one call at a time; official documentation, limits
    page as of 2026-08-22).

    Args:
        requests_per_minute: calls a minute; above 0.
        clock: seconds, monotonic.
        sleep: waits in sync code.
        async_sleep: waits in an event loop.

    Raises:
        ConfigurationError: not above 0.
    """

    def __init__(
        self,
        requests_per_minute: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        async_sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if not requests_per_minute > 0:
            raise ConfigurationError(
                _("requests_per_minute must be above 0, and is {requests_per_minute!r}.").format(
                    requests_per_minute=requests_per_minute
                )
            )
        self.requests_per_minute = requests_per_minute
        self._clock, self._sleep, self._async_sleep = clock, sleep, async_sleep
        self._free_at = clock()
        self._lock = threading.Lock()

    def acquire(self, num_tokens: int = 0) -> None:
        """Wait for the next free slot."""
        if (wait := self._take()) > 0:
            self._sleep(wait)

    async def async_acquire(self, num_tokens: int = 0) -> None:
        """Wait for the next free slot, without blocking the event loop."""
        if (wait := self._take()) > 0:
            await self._async_sleep(wait)

    def hold(self, seconds: float | None = None) -> None:
        """Let no call begin for a while; our classes call it when a call was too fast.

        Args:
            seconds: how long; by default the time of two calls.
        """
        interval = 60 / self.requests_per_minute
        with self._lock:
            free_at = self._clock() + (2 * interval if seconds is None else seconds)
            self._free_at = max(self._free_at, free_at)

    def _take(self) -> float:
        """Take the next slot; seconds until it begins."""
        with self._lock:
            now = self._clock()
            slot = max(now, self._free_at)
            self._free_at = slot + 60 / self.requests_per_minute
            return slot - now

    def __reduce__(self) -> tuple[Any, ...]:
        """A new limiter in another process, which cannot share the slots of this one."""
        return type(self), (self.requests_per_minute,)
