"""A ledger for one process, which forgets with it."""

from __future__ import annotations

from collections.abc import Callable

from .ledger import Ledger
from .memory import MemoryStore

__all__ = ["MemoryLedger"]


class MemoryLedger(Ledger):
    """A ledger for one process.

    Args:
        clock: seconds since the epoch; by default the service's time, learnt from its replies.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """Start with nothing spent."""
        super().__init__(MemoryStore(), clock)
