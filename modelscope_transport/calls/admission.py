"""Leave to send: a slot among the calls on their way, then a unit of the allowance.

Laws of this file: both colours, one class each; it waits, but never past the call's deadline. A
ledger that does I/O is asked in threads of its own, never in an event loop and never in threads
that the loop's other users may have filled with calls waiting for a slot.
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

from .._wire.failure_table import Kind
from .._wire.outcomes import NoReply, Refused
from ..http.reply import finish_anyway
from ..quota import (
    Budget,
    Ledger,
    QuotaBlock,
    Reservation,
)
from .limiter import ConcurrencyLimiter, Slot
from .policy import Attempt

__all__ = ["Admission", "Concurrency", "Limiters", "Ticket"]

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
        self._gates: dict[str, ConcurrencyLimiter] = {}
        self._lock = threading.Lock()

    def of(self, model: str) -> ConcurrencyLimiter:
        """The limiter of a model."""
        limiter = self._gates.get(model)
        if limiter is None:
            with self._lock:
                limiter = self._gates.setdefault(model, ConcurrencyLimiter(self._size))
        return limiter


def _size(concurrency: Concurrency) -> float | None:
    if concurrency is None:
        return math.inf
    return None if isinstance(concurrency, str) else concurrency


class Ticket(Struct):
    """What an attempt holds while it is on its way.

    Attributes:
        refusal: what came of it already, where it may not be sent.
        slot: its slot in the limiter.
    """

    refusal: Refused | NoReply | None = None
    slot: Slot | None = None

    def hand_over(self) -> Callable[[], None]:
        """Let a stream keep the slot; it gives it back when it is closed."""
        slot, self.slot = self.slot, None
        return slot.release if slot is not None else _nothing


def _nothing() -> None:
    pass


class Admission(Struct, frozen=True):
    """What an account's attempts have to pass.

    Attributes:
        account: the account's name in the ledger.
        ledger: where its units are counted; ``None`` for nowhere.
        limiters: its limiters.
        budget: limits of the user's own.
    """

    account: str
    ledger: Ledger | None
    limiters: Limiters
    budget: Budget | None = None

    # --- sync -----------------------------------------------------------------------------

    def admit(self, attempt: Attempt, deadline: float) -> Ticket:
        """Wait for leave to send, until ``deadline`` (monotonic) at most."""
        ticket = Ticket()
        if attempt.free:
            return ticket
        limiter = self.limiters.of(attempt.model)
        ticket.slot = limiter.try_acquire()
        if ticket.slot is None:
            # A spent pool is not worth waiting for.
            ticket.refusal = _refused(self._blocked(attempt))
            if ticket.refusal is not None:
                return ticket
            ticket.slot = limiter.acquire(deadline)
            if ticket.slot is None:
                ticket.refusal = _crowded(limiter)
                return ticket
        try:
            _take(ticket, attempt, self._reserve(attempt))
        except BaseException:
            ticket.slot.release()
            raise
        return ticket

    def settle(self, ticket: Ticket, attempt: Attempt) -> None:
        """Close a ticket, once, whatever has come of the attempt."""
        closing = _learn(ticket, attempt)
        try:
            if self.ledger is not None and attempt.reservation is not None:
                self.ledger.settle(attempt.reservation, **closing)
        finally:
            if ticket.slot is not None:
                ticket.slot.release()

    # --- async: the same, with await ------------------------------------------------------

    async def aadmit(self, attempt: Attempt, deadline: float) -> Ticket:
        """`admit`, for an event loop."""
        ticket = Ticket()
        if attempt.free:
            return ticket
        limiter = self.limiters.of(attempt.model)
        ticket.slot = limiter.try_acquire()
        if ticket.slot is None:
            ticket.refusal = _refused(await self._off_loop(self._blocked, attempt))
            if ticket.refusal is not None:
                return ticket
            ticket.slot = await limiter.acquire_async(deadline)
            if ticket.slot is None:
                ticket.refusal = _crowded(limiter)
                return ticket
        try:
            leave = await self._off_loop(self._reserve, attempt, undo=self._undo)
            _take(ticket, attempt, leave)
        except BaseException:
            ticket.slot.release()
            raise
        return ticket

    async def asettle(self, ticket: Ticket, attempt: Attempt) -> None:
        """`settle`, for an event loop."""
        closing = _learn(ticket, attempt)
        ledger, reservation = self.ledger, attempt.reservation
        try:
            if (
                ledger is not None
                and reservation is not None
                and not ledger.defer(reservation, **closing)
            ):
                close = functools.partial(ledger.settle, reservation, **closing)
                await finish_anyway(self._off_loop(close))
        finally:
            if ticket.slot is not None:
                ticket.slot.release()

    # --- underneath -----------------------------------------------------------------------

    def _blocked(self, attempt: Attempt) -> QuotaBlock | None:
        return self.ledger.blocked(self.account, attempt.model) if self.ledger else None

    def _reserve(self, attempt: Attempt) -> Reservation | QuotaBlock | None:
        if self.ledger is None:
            return None
        return self.ledger.reserve(
            self.account, attempt.model, tier=attempt.tier, budget=self.budget
        )

    def _undo(self, leave: Reservation | QuotaBlock | None) -> None:
        if self.ledger is not None and isinstance(leave, Reservation):
            self.ledger.settle(leave, charged=False)

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
            # What the thread takes nevertheless, nobody will send.
            if undo is not None:
                asking.add_done_callback(lambda done: _undone(done, undo))
            raise


def _take(ticket: Ticket, attempt: Attempt, leave: Reservation | QuotaBlock | None) -> None:
    if isinstance(leave, QuotaBlock):
        ticket.refusal = _refused(leave)
    else:
        attempt.reservation = leave


def _undone(done: asyncio.Future[T], undo: Callable[[T], None]) -> None:
    if not done.cancelled() and done.exception() is None:
        _threads().submit(undo, done.result())


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, thread_name_prefix="modelscope-ledger")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)


def _learn(ticket: Ticket, attempt: Attempt) -> dict[str, Any]:
    """Tell the limiter what came of the attempt; return what the ledger is to be told."""
    closing, slot = attempt.settlement(), ticket.slot
    if ticket.refusal is not None or slot is None:
        return closing
    if attempt.verdict is not None and attempt.verdict.too_fast:
        # Where others were on their way, the refusal has a reason: there were too many of them.
        if not slot.is_alone:
            closing.pop("unexplained", None)
        slot.was_too_fast()
    elif attempt.verdict is not None and attempt.verdict.kind is Kind.GOOD:
        slot.succeeded()
    return closing


def _refused(block: QuotaBlock | None) -> Refused | None:
    return None if block is None else Refused(block)


def _crowded(limiter: ConcurrencyLimiter) -> NoReply:
    return NoReply(
        "queue", f"{limiter.inside} other calls to this model are on their way", sent=False
    )
