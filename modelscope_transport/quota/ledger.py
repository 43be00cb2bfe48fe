"""Remembers which pool is spent, so that the next call is refused without a request.

A store is asked twice for every attempt: `reserve` before it is sent and `settle` after its reply
was judged. The drivers in ``_io.py`` do the asking, never the flow, so that a store may do I/O.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from .allowance import Allowance

__all__ = ["Ledger", "MemoryLedger", "Park", "Reservation"]


class Park(Struct, frozen=True, kw_only=True):
    """A pool that is known to be spent, and until when not to ask.

    Attributes:
        scope: ``"account"`` or ``"model"``.
        model: model ID, where the pool is a model's.
        until: seconds since the epoch.
        limit: size of the pool, where known, in ``unit``.
        unit: ``"calls"`` or ``"magicubes"``.
        server_message: the words in which the service refused.
    """

    scope: Literal["account", "model"]
    model: str | None
    until: float
    limit: float | None = None
    unit: Literal["calls", "magicubes"] | None = None
    server_message: str | None = None


class Reservation(Struct, frozen=True):
    """Leave to send one request, to be settled once."""

    model: str
    reserved_at: float


class Ledger(Protocol):
    """What a store must do.

    ``blocking`` says whether its methods do I/O; the async driver then keeps them off the loop.
    """

    blocking: bool

    def reserve(self, model: str) -> Reservation | Park:
        """Leave to ask ``model`` once, or the spent pool that forbids it."""

    def settle(
        self,
        reservation: Reservation,
        *,
        charged: bool | None,
        allowance: Allowance | None = None,
        park: Park | None = None,
    ) -> None:
        """Close a reservation.

        Args:
            reservation: what `reserve` gave.
            charged: whether the service counted the request; ``None`` when nobody can know.
            allowance: what the reply said of the pools.
            park: the pool that the reply declared spent.
        """


class MemoryLedger:
    """A ledger for one process. Spent pools open again by themselves at their reset.

    Args:
        clock: seconds since the epoch.
    """

    blocking = False

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Start with nothing parked."""
        self._clock = clock
        self._parked: dict[str | None, Park] = {}
        self._lock = threading.Lock()
        self.allowance: Allowance | None = None

    def reserve(self, model: str) -> Reservation | Park:
        """Leave to ask ``model`` once, or the spent pool that forbids it."""
        now = self._clock()
        if self._parked:
            # ``owner/name:Provider`` is paid by the provider's own key, outside the free
            # allowance (official documentation, API-Provider page), so no account pool binds it.
            pools = (model,) if ":" in model else (model, None)
            with self._lock:
                for pool in pools:
                    park = self._parked.get(pool)
                    if park is None:
                        continue
                    if park.until > now:
                        return park
                    del self._parked[pool]
        return Reservation(model, now)

    def settle(
        self,
        reservation: Reservation,
        *,
        charged: bool | None,
        allowance: Allowance | None = None,
        park: Park | None = None,
    ) -> None:
        """Close a reservation; park the pool that the reply declared spent."""
        if allowance is not None:
            self.allowance = allowance
        if park is not None:
            with self._lock:
                self._parked[park.model if park.scope == "model" else None] = park

    def parked(self) -> tuple[Park, ...]:
        """The pools that are spent now."""
        now = self._clock()
        return tuple(park for park in self._parked.values() if park.until > now)

    def forget(self) -> None:
        """Open every pool, for instance after Magicubes were earned."""
        with self._lock:
            self._parked.clear()
