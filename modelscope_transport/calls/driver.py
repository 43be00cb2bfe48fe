"""Runs a flow, sync: waits, sends each attempt, and hands its outcome back to the flow.

Laws of this file: it decides nothing. A failure of the network enters the flow as a value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from ..http.channel import Channel
from ..task_types import TaskProgress
from .admission import Admission
from .attempt import Attempt, Flow, Handover, steps
from .exchange import Exchange

__all__ = ["Driver", "OnProgress", "Service"]

OnProgress = Callable[[TaskProgress], None]


class Service(Struct, frozen=True):
    """One service: what calls to it have to pass, and the way there."""

    admission: Admission
    channel: Channel


class Driver:
    """Plays flows for one client.

    Args:
        home: the service itself.
        platforms: other services that the user named, for attempts that are theirs.
    """

    def __init__(self, home: Service, platforms: tuple[Service, ...] = ()) -> None:
        self._home = home
        self._platforms = platforms

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
                exchange = self._exchange(step, deadline, extra)
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

    def _exchange(
        self, attempt: Attempt, deadline: float, extra: Mapping[str, str] | None
    ) -> Exchange:
        service = self._home if attempt.platform is None else self._platforms[attempt.platform]
        extra = extra if attempt.platform is None else None
        return Exchange(attempt, service.admission, service.channel, deadline, extra)

    def close(self) -> None:
        """Close the idle connections."""
        for service in (self._home, *self._platforms):
            service.channel.close()
