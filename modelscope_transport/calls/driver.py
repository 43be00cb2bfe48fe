"""Runs a flow, sync: waits, sends each attempt, and hands its outcome back to the flow.

Laws of this file: it decides nothing. A failure of the network enters the flow as a value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..task_types import TaskProgress
from .attempt import Attempt, Flow, Handover, steps
from .exchange import Exchange, Service

__all__ = ["Driver", "OnProgress"]

OnProgress = Callable[[TaskProgress], None]


class Driver:
    """Plays flows for one client.

    Args:
        services: the service itself, then the platforms that the user named.
    """

    def __init__(self, services: tuple[Service, ...]) -> None:
        self._services = services

    def run(
        self,
        flow: Flow,
        deadline: float,
        extra: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> tuple[Handover, Exchange]:
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
        exchange: Exchange | None = None
        try:
            step = next(played)
            while isinstance(step, Attempt):
                if exchange is not None:
                    exchange.close()
                if on_progress is not None and step.progress is not None:
                    on_progress(step.progress)
                if step.delay:
                    time.sleep(step.delay)
                own = None if step.platform else extra
                exchange = Exchange(step, self._services[step.platform], deadline, own)
                step = played.send(exchange.run())
            assert exchange is not None
            exchange.settle()
            if not exchange.is_stream:
                exchange.close()
            handed_over, exchange = exchange, None
            return step, handed_over
        finally:
            if exchange is not None:
                exchange.close()
            played.close()

    def close(self) -> None:
        """Close the idle connections."""
        for service in self._services:
            service.channel.close()
