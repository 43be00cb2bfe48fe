"""What an account's attempts have to pass: the limiter of their model, then the ledger.

Laws of this file: a ledger that does I/O is asked in threads of its own, never in an event loop and
never in threads that the loop's other users may have filled with calls waiting for a slot.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from msgspec import Struct

from .._cancellation import finish_anyway
from ..quota import Budget, Ledger, QuotaBlock, Reservation
from .attempt import Attempt
from .limiter import ConcurrencyLimiter

__all__ = ["Admission", "Concurrency", "Limiters"]

T = TypeVar("T")
Concurrency = int | None | Literal["adaptive"]


class Limiters:
    """The limiters of one account, by model; LLM and embedding objects share them.

    Args:
        concurrency: calls to one model at once: a number, ``None`` for any, ``"adaptive"`` to find
            out how many the service takes.
    """

    def __init__(self, concurrency: Concurrency) -> None:
        self._size = _size(concurrency)
        self._limiters: dict[str, ConcurrencyLimiter] = {}
        self._lock = threading.Lock()

    def of(self, model: str) -> ConcurrencyLimiter:
        """The limiter of a model."""
        limiter = self._limiters.get(model)
        if limiter is None:
            with self._lock:
                limiter = self._limiters.setdefault(model, ConcurrencyLimiter(self._size))
        return limiter


def _size(concurrency: Concurrency) -> float | None:
    if concurrency is None:
        return math.inf
    return None if isinstance(concurrency, str) else concurrency


class Admission(Struct, frozen=True):
    """The limits of one account.

    Attributes:
        account: the account's name in the ledger.
        ledger: where its units are counted; ``None`` for nowhere.
        limiters: how many of its calls are on their way at once.
        budget: limits of the user's own.
    """

    account: str
    ledger: Ledger | None
    limiters: Limiters
    budget: Budget | None = None

    # --- sync -----------------------------------------------------------------------------

    def blocked(self, attempt: Attempt) -> QuotaBlock | None:
        """What forbids an attempt now; nothing is reserved."""
        if self.ledger is None:
            return None
        return self.ledger.blocked(self.account, attempt.model, tier=attempt.tier)

    def reserve(self, attempt: Attempt) -> Reservation | QuotaBlock | None:
        """A unit of the allowance, or what forbids to take one."""
        if self.ledger is None:
            return None
        return self.ledger.reserve(
            self.account, attempt.model, tier=attempt.tier, budget=self.budget
        )

    def settle(self, reservation: Reservation, closing: dict[str, Any]) -> None:
        """Report to the ledger what came of a reservation; see `Ledger.settle`."""
        if self.ledger is not None:
            self.ledger.settle(reservation, **closing)

    def observe(self, attempt: Attempt) -> None:
        """Let the ledger learn the time and the balance that a free reply says."""
        at = None if attempt.verdict is None else attempt.verdict.at
        if self.ledger is None or (at is None and attempt.balance is None):
            return
        if attempt.balance is not None:
            self.ledger.report(self.account, attempt.balance.available, at=at)
        else:
            self.ledger.observe_time(self.account, at)

    def record_block(self, attempt: Attempt, block: QuotaBlock) -> None:
        """Record a pool that was declared spent when its call had long been settled."""
        if self.ledger is not None:
            self.ledger.block(self.account, block, tier=attempt.tier)

    # --- async ----------------------------------------------------------------------------

    async def ablocked(self, attempt: Attempt) -> QuotaBlock | None:
        """`blocked`, in an event loop."""
        return await self._off_loop(self.blocked, attempt)

    async def areserve(self, attempt: Attempt) -> Reservation | QuotaBlock | None:
        """`reserve`, in an event loop. What is reserved for a cancelled caller is given back."""
        return await self._off_loop(self.reserve, attempt, undo=self._undo)

    async def asettle(self, reservation: Reservation, closing: dict[str, Any]) -> None:
        """`settle`, in an event loop; it is done also when the caller is cancelled."""
        if self.ledger is not None and not self.ledger.defer(reservation, **closing):
            await finish_anyway(self._off_loop(self.settle, reservation, closing))

    async def aobserve(self, attempt: Attempt) -> None:
        """`observe`, in an event loop."""
        if attempt.balance is not None:
            await finish_anyway(self._off_loop(self.observe, attempt))
        else:
            self.observe(attempt)

    async def arecord_block(self, attempt: Attempt, block: QuotaBlock) -> None:
        """`record_block`, in an event loop; it is done also when the caller is cancelled."""
        await finish_anyway(self._off_loop(self.record_block, attempt, block))

    def _undo(self, reserved: Reservation | QuotaBlock | None) -> None:
        if isinstance(reserved, Reservation):
            self.settle(reserved, {"charged": False})

    async def _off_loop(
        self, ask: Callable[..., T], *args: Any, undo: Callable[[T], None] | None = None
    ) -> T:
        """Ask the ledger, in a thread where it does I/O."""
        if self.ledger is None or not self.ledger.blocking:
            return ask(*args)
        loop = asyncio.get_running_loop()
        asking = loop.run_in_executor(_threads(), functools.partial(ask, *args))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # What the thread takes all the same, no call will use.
            if undo is not None:
                asking.add_done_callback(lambda done: _undone(done, undo))
            raise


def _undone(done: asyncio.Future[T], undo: Callable[[T], None]) -> None:
    if not done.cancelled() and done.exception() is None:
        _threads().submit(undo, done.result())


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, thread_name_prefix="modelscope-ledger")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)
