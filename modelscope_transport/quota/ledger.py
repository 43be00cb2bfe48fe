"""Remembers what is spent, so that a spent pool costs one request and then none.

It is asked twice for every attempt: `reserve` before it is sent and `settle` after its reply was
judged. Each has a twin for event loops, with ``a`` before its name.

A unit goes reserved -> settled, refunded or unknown. What is reserved is sent at once, so that a
process which dies in between has probably been charged: what is never settled counts as spent until
a reply of the service says otherwise. So nothing is ever left open, to be reclaimed by a guess.

The ledger advises: it refuses where the service has said no, or the user has set a `Budget`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from .bookkeeper import NO_BUDGET, Bookkeeper
from .budget import Budget
from .earnings import Earnings
from .history import DayUse, history_of
from .lots import Lot
from .memory import MemoryStore
from .mending import mend
from .program import price_of
from .reservation import Closing, QuotaBlock, Reservation
from .runner import Begun, Runner, Work, unusable
from .shares import ConcurrencyShare
from .snapshot import Quota, quotas_of
from .statement import ClassUse, Statement, statement_of
from .steps import LASTING, Pages, Store, StoreError

__all__ = ["Ledger"]


class Ledger:
    """What accounts have spent, kept in whatever store.

    An account is a text that stands for a token at an address and does not lead back to the token.

    Args:
        store: where the numbers are kept.
        clock: seconds since the epoch; by default the service's time, learnt from its replies.
    """

    def __init__(self, store: Store, clock: Callable[[], float] | None = None) -> None:
        """Open nothing yet."""
        self._runner = Runner(store)
        self._books = Bookkeeper(self._runner, clock)

    @property
    def name(self) -> str:
        """The name by which another process opens the same ledger, see `open_ledger`."""
        return "memory"

    @property
    def blocking(self) -> bool:
        """Whether the sync methods do I/O; an event loop then uses the async ones."""
        return self._runner.store.blocking

    @property
    def is_shared(self) -> bool:
        """Whether other processes see what is counted here."""
        return not isinstance(self._runner.store, MemoryStore)

    # --- around a call --------------------------------------------------------------------

    def reserve(
        self, account: str, model: str, *, tier: str | None = None, budget: Budget | None = None
    ) -> Reservation | QuotaBlock:
        """A reservation for one request to ``model``, or what forbids it.

        Args:
            account: whose allowance.
            model: model ID. One with a provider (``owner/name:Provider``) is paid by the
                provider's own key, so that no pool of the account binds it.
            tier: the model's price class.
            budget: limits of the user's own.

        Raises:
            ConfigurationError: the ledger cannot be used, and its user named it.
        """
        work = partial(self._books.reserving, account, model, tier, budget or NO_BUDGET)
        return self._runner.play(account, work)

    async def areserve(
        self, account: str, model: str, *, tier: str | None = None, budget: Budget | None = None
    ) -> Reservation | QuotaBlock:
        """`reserve`, for an event loop. A reservation that is cancelled is given back."""
        work = partial(self._books.reserving, account, model, tier, budget or NO_BUDGET)
        begun = self._runner.begin(account, work)
        if not isinstance(begun, Begun):
            return begun
        asking = asyncio.ensure_future(self._runner.afinish(account, work, begun))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(self._give_back)
            raise

    def settle(self, reservation: Reservation, closing: Closing) -> None:
        """Close a reservation, as its request ended. Call it once."""
        if not self._books.defer(reservation, closing):
            work = partial(self._books.settling, reservation, closing)
            self._runner.play(reservation.account, work)

    async def asettle(self, reservation: Reservation, closing: Closing) -> None:
        """`settle`, for an event loop. It is done also when the caller is cancelled."""
        if not self._books.defer(reservation, closing):
            work = partial(self._books.settling, reservation, closing)
            await self._runner.aplay(reservation.account, work)

    def block(self, account: str, block: QuotaBlock, *, tier: str | None = None) -> None:
        """Block a pool that was declared spent outside of any call.

        Args:
            account: whose pool.
            block: the pool. Of a balance that is too small without a price, the price is that of
                ``tier``.
            tier: price class of the model whose call was refused.
        """
        self._runner.play(account, partial(self._books.blocking, account, block, tier))

    async def ablock(self, account: str, block: QuotaBlock, *, tier: str | None = None) -> None:
        """`block`, for an event loop."""
        await self._runner.aplay(account, partial(self._books.blocking, account, block, tier))

    def blocked(self, account: str, model: str, *, tier: str | None = None) -> QuotaBlock | None:
        """What forbids asking ``model`` now, as `reserve` says it; reserves nothing."""
        return self._runner.play(account, partial(self._books.looking, account, model, tier))

    async def ablocked(
        self, account: str, model: str, *, tier: str | None = None
    ) -> QuotaBlock | None:
        """`blocked`, for an event loop."""
        work = partial(self._books.looking, account, model, tier)
        return await self._runner.aplay(account, work)

    def share(self, account: str, model: str) -> ConcurrencyShare:
        """This process's part of the calls that the service takes at once for a model."""
        return ConcurrencyShare(self._books, account, model)

    # --- what the service says outside of a call ------------------------------------------

    def report(self, account: str, balance: float, *, at: float | None = None) -> None:
        """Take over the Magicubes that the service says are left.

        Prices that the balance pays are open again.

        Args:
            account: whose balance.
            balance: Magicubes that can be spent.
            at: when the service sent its reply, seconds since the epoch, by its own clock.
        """
        self._runner.play(account, partial(self._books.reporting, account, balance, at))

    async def areport(self, account: str, balance: float, *, at: float | None = None) -> None:
        """`report`, for an event loop."""
        await self._runner.aplay(account, partial(self._books.reporting, account, balance, at))

    def observe_time(self, account: str, at: float | None) -> None:
        """Learn the time from a reply that cost nothing; ``None``: the reply did not say it."""
        self._books.observe(account, at)

    def record_statement(
        self,
        account: str,
        *,
        rates: Mapping[str, float] | None = None,
        earnings: Earnings | None = None,
    ) -> None:
        """Keep what the service's books say.

        Args:
            account: whose books.
            rates: Magicubes of a call, by price class.
            earnings: the rules by which Magicubes are granted.
        """
        self._runner.play(account, partial(self._books.recording, account, rates, earnings))

    async def arecord_statement(
        self,
        account: str,
        *,
        rates: Mapping[str, float] | None = None,
        earnings: Earnings | None = None,
    ) -> None:
        """`record_statement`, for an event loop."""
        await self._runner.aplay(account, partial(self._books.recording, account, rates, earnings))

    def grant(self, account: str, *lots: Lot) -> None:
        """Add Magicubes that were granted, so that they are spent in the order they expire."""
        self._runner.play(account, partial(self._books.granting, account, lots))

    # --- what is known --------------------------------------------------------------------

    def quotas(self, account: str, budget: Budget | None = None) -> tuple[Quota, ...]:
        """The account's pool for each unit that bounds it, then those of models asked or spent."""

        def work() -> Work[tuple[Quota, ...]]:
            yield from self._runner.look(account)
            now, day, _ = self._books.today(account)
            pages = yield from self._runner.read(account, (LASTING, day), now)
            return quotas_of(pages, now, day, budget or NO_BUDGET)

        return self._runner.play(account, work)

    def today(self, account: str) -> dt.date:
        """The day of the allowance, in UTC+8, by the service's time as far as it is known."""
        return self._runner.play(account, partial(self._books.dating, account))

    def price(self, account: str, tier: str | None) -> int:
        """What a call of a class costs, in tenths of a Magicube.

        As the service has said; else as published; else what ``data/quota.toml`` assumes.
        """

        def work() -> Work[int]:
            return price_of(tier, (yield from self._runner.look(account)))[0]

        return self._runner.play(account, work)

    def history(self, account: str, days: int = 14) -> tuple[DayUse, ...]:
        """What was spent on each of the last ``days`` days, oldest first, without idle days."""

        def work() -> Work[tuple[DayUse, ...]]:
            now, day, _ = self._books.today(account)
            today = dt.date.fromisoformat(day)
            names = [(today - dt.timedelta(days=back)).isoformat() for back in range(days)]
            return history_of((yield from self._runner.read(account, names, now)))

        return self._runner.play(account, work)

    def statement(
        self, account: str, service_use: Sequence[ClassUse] = (), days: int = 14
    ) -> Statement:
        """The account's books: balance, lots, prices and grants, and use by day and price class.

        Args:
            account: whose books.
            service_use: what the service says was spent, to be compared with the ledger's count.
            days: how many days back the ledger's count goes.
        """
        history = self.history(account, days)

        def work() -> Work[Statement]:
            cells = yield from self._runner.look(account)
            return statement_of(cells, self._books.now(account), history, service_use)

        return self._runner.play(account, work)

    def mend(self) -> list[str]:
        """Drop damaged cells, of all accounts.

        Returns:
            Their names.

        Raises:
            ConfigurationError: the ledger cannot be used at all.
        """
        try:
            return mend(self._runner.store)
        except StoreError as error:
            raise unusable(error) from None

    def export(self) -> dict[str, Pages]:
        """All that is kept, by account, page and cell.

        Raises:
            ConfigurationError: the ledger cannot be used at all.
        """
        store = self._runner.store
        try:
            return {account: store.pages(account) for account in store.accounts()}
        except StoreError as error:
            raise unusable(error) from None

    def forget(self, account: str | None = None) -> None:
        """Forget an account, spent pools and counts alike; or all accounts."""
        try:
            self._runner.store.clear(account)
        except StoreError as error:
            raise unusable(error) from None
        self._runner.seen.clear()
        self._runner.deferred.clear()

    async def aclose(self) -> None:
        """Close the connections of this event loop; they end with it anyway."""
        close = getattr(self._runner.store, "aclose", None)
        if close is not None:
            await close()

    def close(self) -> None:
        """Close files and connections; a later call opens them again."""
        self._runner.store.close()

    def _give_back(self, asked: asyncio.Future[Reservation | QuotaBlock]) -> None:
        """Refund a reservation whose caller is gone; it will not be sent."""
        if asked.cancelled() or asked.exception() is not None:
            return
        taken = asked.result()
        if isinstance(taken, Reservation):
            with contextlib.suppress(RuntimeError):  # the loop has ended: it stays counted
                task = asyncio.ensure_future(self.asettle(taken, Closing(charged=False)))
                _unfinished.add(task)
                task.add_done_callback(_unfinished.discard)


# An event loop holds its tasks by weak references only.
_unfinished: set[asyncio.Task[None]] = set()
