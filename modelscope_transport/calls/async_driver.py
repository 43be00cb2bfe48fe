"""Runs a flow in an event loop; the twin of ``driver.py``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ..task_types import TaskProgress
from .async_exchange import AsyncExchange
from .attempt import Attempt, Flow, Handover, steps
from .exchange import Service

__all__ = ["AsyncDriver", "OnProgress"]

OnProgress = Callable[[TaskProgress], Awaitable[None]]


class AsyncDriver:
    """`Driver`, in an event loop."""

    def __init__(self, services: tuple[Service, ...]) -> None:
        self._services = services

    async def run(
        self,
        flow: Flow,
        deadline: float,
        extra: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> tuple[Handover, AsyncExchange]:
        """`Driver.run`, in an event loop."""
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
                own = None if step.platform else extra
                exchange = AsyncExchange(step, self._services[step.platform], deadline, own)
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

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        for service in self._services:
            await service.channel.aclose()
