"""Runs a flow in an event loop; the twin of ``driver.py``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ..task_types import TaskProgress
from .async_exchange import AsyncExchange
from .attempt import Attempt, Flow, Handover, steps
from .driver import Service

__all__ = ["AsyncDriver", "OnProgress"]

OnProgress = Callable[[TaskProgress], Awaitable[None]]


class AsyncDriver:
    """Plays flows for one client.

    Args:
        home: the service itself.
        platforms: other services that the user named, for attempts that are theirs.
    """

    def __init__(self, home: Service, platforms: tuple[Service, ...] = ()) -> None:
        self._home = home
        self._platforms = platforms

    async def run(
        self,
        flow: Flow,
        deadline: float,
        extra: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> tuple[Handover, AsyncExchange]:
        """Play a flow to its end.

        Args:
            flow: the policy of the call.
            deadline: end of the call on ``time.monotonic()``.
            extra: headers of the caller's, which are for the service alone.
            on_progress: called with how far a task is, before each request that looks after it.

        Returns:
            What the flow handed over, and the exchange that it came with: for a stream it is open
            and the caller's to close, else it is closed.

        Raises:
            ModelScopeError: what the flow raised.
        """
        played = steps(flow)
        exchange: AsyncExchange | None = None
        try:
            step = next(played)
            while isinstance(step, Attempt):
                if exchange is not None:
                    await exchange.aclose()
                if on_progress is not None and step.progress is not None:
                    await on_progress(step.progress)
                if step.delay:
                    await asyncio.sleep(step.delay)
                exchange = self._exchange(step, deadline, extra)
                step = played.send(await exchange.run())
            assert exchange is not None
            await exchange.settle()
            if not exchange.is_stream:
                await exchange.aclose()
            handed_over, exchange = exchange, None
            return step, handed_over
        finally:
            if exchange is not None:
                await exchange.aclose()
            played.close()

    def _exchange(
        self, attempt: Attempt, deadline: float, extra: Mapping[str, str] | None
    ) -> AsyncExchange:
        service = self._home if attempt.platform is None else self._platforms[attempt.platform]
        extra = extra if attempt.platform is None else None
        return AsyncExchange(attempt, service.admission, service.channel, deadline, extra)

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        for service in (self._home, *self._platforms):
            await service.channel.aclose()
