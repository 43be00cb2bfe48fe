"""What an account's attempts have to pass: the limiter of their model, then the ledger."""

from __future__ import annotations

import math
import weakref
from typing import Literal

from msgspec import Struct

from .._cancellation import finish_anyway
from .._wire.failure_table import Kind
from .._wire.failures import Verdict
from ..quota import Budget, Closing, ConcurrencyShare, Ledger, QuotaBlock, Reservation
from .attempt import Attempt
from .limiter import ConcurrencyLimiter

__all__ = ["Admission", "Concurrency", "Limiters"]

Concurrency = int | None | Literal["adaptive"]


class Limiters:
    """The limiters of one account, by model; LLM and embedding objects share them.

    Args:
        concurrency: calls to one model at once: a number, ``None`` for any, ``"adaptive"`` to find
            out how many the service takes.
        account: the account's name in the ledger.
        ledger: through which processes find that out together, if it is shared; held weakly.
    """

    def __init__(
        self, concurrency: Concurrency, account: str = "", ledger: Ledger | None = None
    ) -> None:
        self._size = _size(concurrency)
        self._account = account
        self._ledger = weakref.ref(ledger) if ledger is not None and ledger.is_shared else None
        self._limiters: dict[str, ConcurrencyLimiter] = {}

    def of(self, model: str) -> ConcurrencyLimiter:
        """The limiter of a model."""
        limiter = self._limiters.get(model)
        if limiter is None:  # of two threads that make one, both use the first
            limiter = self._limiters.setdefault(model, self._new(model))
        return limiter

    def _new(self, model: str) -> ConcurrencyLimiter:
        ledger_ref = self._ledger
        if ledger_ref is None:
            return ConcurrencyLimiter(self._size)

        def open_share() -> ConcurrencyShare | None:
            ledger = ledger_ref()
            return None if ledger is None else ledger.share(self._account, model)

        return ConcurrencyLimiter(self._size, open_share)


def _size(concurrency: Concurrency) -> float | None:
    if concurrency is None:
        return math.inf
    return None if isinstance(concurrency, str) else concurrency


def _was_answered(verdict: Verdict) -> bool:
    """Whether there was a reply, which may or may not say the time."""
    return verdict.kind is Kind.GOOD or verdict.details.status_code is not None


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

    def settle(self, reservation: Reservation, closing: Closing) -> None:
        """Report to the ledger what came of a reservation; see `Ledger.settle`."""
        if self.ledger is not None:
            self.ledger.settle(reservation, closing)

    def observe(self, attempt: Attempt) -> None:
        """Let the ledger learn what a free reply says: the balance, what today grants, the time."""
        verdict = attempt.verdict
        if self.ledger is None or verdict is None:
            return
        if attempt.balance is not None:
            self.ledger.report(self.account, attempt.balance.available, at=verdict.at)
        elif attempt.earnings is not None:
            self.ledger.record_statement(self.account, earnings=attempt.earnings)
        elif _was_answered(verdict):
            self.ledger.observe_time(self.account, verdict.at)

    def record_block(self, attempt: Attempt, block: QuotaBlock) -> None:
        """Record a pool that was declared spent when its call had long been settled."""
        if self.ledger is not None:
            self.ledger.block(self.account, block, tier=attempt.tier)

    # --- async ----------------------------------------------------------------------------

    async def ablocked(self, attempt: Attempt) -> QuotaBlock | None:
        """`blocked`, in an event loop."""
        if self.ledger is None:
            return None
        return await self.ledger.ablocked(self.account, attempt.model, tier=attempt.tier)

    async def areserve(self, attempt: Attempt) -> Reservation | QuotaBlock | None:
        """`reserve`, in an event loop. What is reserved for a cancelled caller is given back."""
        if self.ledger is None:
            return None
        return await self.ledger.areserve(
            self.account, attempt.model, tier=attempt.tier, budget=self.budget
        )

    async def asettle(self, reservation: Reservation, closing: Closing) -> None:
        """`settle`, in an event loop; it is done also when the caller is cancelled."""
        if self.ledger is not None:
            await self.ledger.asettle(reservation, closing)

    async def aobserve(self, attempt: Attempt) -> None:
        """`observe`, in an event loop; it is done also when the caller is cancelled."""
        verdict = attempt.verdict
        if self.ledger is None or verdict is None:
            return
        if attempt.balance is not None:
            balance = attempt.balance.available
            await finish_anyway(self.ledger.areport(self.account, balance, at=verdict.at))
        elif attempt.earnings is not None:
            earnings = attempt.earnings
            await finish_anyway(self.ledger.arecord_statement(self.account, earnings=earnings))
        elif _was_answered(verdict):
            self.ledger.observe_time(self.account, verdict.at)

    async def arecord_block(self, attempt: Attempt, block: QuotaBlock) -> None:
        """`record_block`, in an event loop; it is done also when the caller is cancelled."""
        if self.ledger is not None:
            await finish_anyway(self.ledger.ablock(self.account, block, tier=attempt.tier))
