"""Remembers what is spent, so that a spent pool costs one request and then none.

It is asked twice for every attempt: `reserve` before it is sent and `settle` after its reply was
judged. The drivers in ``_io.py`` do the asking, never the flow, so that a store may do I/O.

A unit goes reserved -> settled, refunded or unknown. Whoever reserves sends at once, so that a
process which dies in between has probably been charged: what nobody settles counts as spent until
a reply of the service says otherwise. So nothing is ever left open, to be reclaimed by a guess.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import convert
from msgspec.structs import replace

from ..errors import ConfigurationError, ErrorDetails
from .allowance import Allowance, day_of, granted_a_day
from .asking import Asking, ask
from .budget import Budget
from .clock import ServiceClock
from .evidence import bucket_of, of_block, of_end, of_headers, of_strike
from .lots import LOTS, Lot, granted, reported
from .memory import MemoryStore
from .outage import Downgraded, StandIn
from .reservation import QuotaBlock, Reservation, pools_of
from .snapshot import DayUse, Quota, history_of, quotas_of
from .steps import LASTING, Ran, Step, Store, StoreError

__all__ = ["Ledger", "MemoryLedger"]

_NO_BUDGET = Budget()


class Ledger:
    """What accounts have spent, kept in whatever store.

    An account is a text that stands for a token at an address and does not lead back to the token.

    Args:
        store: where the numbers are kept.
        clock: seconds since the epoch; by default the service's time, learnt from its replies.
    """

    def __init__(self, store: Store, clock: Callable[[], float] | None = None) -> None:
        """Open nothing yet."""
        self._store = store
        self._clock = clock
        self._clocks: dict[str, ServiceClock] = {}
        # The lasting cells of each account as last seen: which lots there are, for the most part.
        self._seen: dict[str, dict[str, Any]] = {}
        self._programs: dict[tuple[str, str, str | None], tuple[tuple[Any, ...], Asking]] = {}
        # Settlements that change nothing for others ride with the next reservation.
        self._owed: dict[str, deque[Step]] = {}

    @property
    def name(self) -> str:
        """The name by which another process opens the same ledger, see `open_ledger`."""
        return "memory"

    @property
    def blocking(self) -> bool:
        """Whether the methods do I/O; an event loop then keeps them in a thread."""
        return self._store.blocking

    # --- around a call --------------------------------------------------------------------

    def reserve(
        self, account: str, model: str, *, tier: str | None = None, budget: Budget | None = None
    ) -> Reservation | QuotaBlock:
        """Leave to ask ``model`` once, or what forbids it.

        Args:
            account: whose allowance.
            model: model ID. One with a provider (``owner/name:Provider``) is paid by the
                provider's own key, so that no pool of the account binds it.
            tier: the model's price class.
            budget: limits of the user's own.

        Raises:
            ConfigurationError: the ledger cannot be used, and its owner chose to refuse then.
        """
        looked = account not in self._seen
        if looked:
            self._look(account)
        while True:
            now, day = self._today(account)
            shares = isinstance(self._store, StandIn) and self._store.shares(now)
            asking = self._asking(account, model, tier, _bounded(budget, shares), now, day)
            if isinstance(asking, QuotaBlock):
                if looked:
                    return asking
                self._look(account)  # what was seen may have changed since
                looked = True
                continue
            try:
                tests = self._shared(asking) if shares else asking.tests
                ran = self._run(account, tests, asking.changes, now=now)
            except Downgraded:
                continue
            if ran.failed is None:
                return asking.reservation.granted(ran.pages, now)
            refusal = asking.refusal(ran)
            if refusal is not None:
                return refusal

    def settle(
        self,
        reservation: Reservation,
        *,
        charged: bool | None,
        allowance: Allowance | None = None,
        block: QuotaBlock | None = None,
        strike: str | None = None,
        at: float | None = None,
    ) -> None:
        """Close a reservation. Call it once.

        Args:
            reservation: what `reserve` gave.
            charged: whether the service counted the request; ``None`` when nobody can know.
            allowance: what the reply said of the pools.
            block: the pool that the reply declared spent.
            strike: the words of a refusal without a reason.
            at: when the service sent the reply, seconds since the epoch, by its own clock.
        """
        closing = {"charged": charged, "block": block, "strike": strike, "allowance": allowance}
        if self.put_off(reservation, **closing, at=at):
            return
        given, account = reservation, reservation.account
        self._hear(account, at)
        changes = [] if charged is None else of_end(given, charged=charged)
        if charged and given.strikes:
            changes += [Step("drop", LASTING, f"{word} {given.model}") for word in _STRIKES]
        if block is not None:
            changes += of_block(block)
        if strike is not None:
            changes += of_strike(given, self._look(account), self._now(account), strike)
        if allowance is not None:
            now = self._now(account)
            pages = self._read(account, (LASTING, day_of(now)))
            tests, more = of_headers(given, allowance, pages, now, charged=bool(charged))
            if self._run(account, tests, [*changes, *more]).failed is None:
                return
        self._run(account, (), changes)

    def put_off(self, reservation: Reservation, **closing: Any) -> bool:
        """Settle without touching the store, where that can wait. False where it cannot.

        A call that went well changes nothing for others: its end rides with the next reservation.
        """
        charged, account = closing["charged"], reservation.account
        if any(closing.get(word) is not None for word in ("block", "strike", "allowance")):
            return False
        if charged is False or (charged and reservation.strikes):
            return False
        self._hear(account, closing.get("at"))
        if charged:
            step = of_end(reservation, charged=True)
            self._owed.setdefault(account, deque()).extend(step)
        return True

    def block(self, account: str, block: QuotaBlock) -> None:
        """Leave a pool alone that was declared spent outside of any call."""
        self._run(account, (), of_block(block))

    def blocked(self, account: str, model: str) -> QuotaBlock | None:
        """What forbids asking ``model`` now; costs nothing and reserves nothing."""
        cells, now = self._look(account), self._now(account)
        for pool in pools_of(model):
            if cells.get(f"until {pool}", 0.0) > now:
                return convert(cells[f"block {pool}"], QuotaBlock)
        return None

    # --- what the user tells and asks -----------------------------------------------------

    def quotas(self, account: str, budget: Budget | None = None) -> tuple[Quota, ...]:
        """The account's pool, then those of its models that were asked today or are spent."""
        self._look(account)
        now, day = self._today(account)
        pages = self._read(account, (LASTING, day))
        return quotas_of(pages, now, day, budget or _NO_BUDGET)

    def history(self, account: str, days: int = 14) -> tuple[DayUse, ...]:
        """What was spent on each of the last ``days`` days, oldest first, without idle days."""
        today = dt.date.fromisoformat(self._today(account)[1])
        names = [(today - dt.timedelta(days=back)).isoformat() for back in range(days)]
        return history_of(self._read(account, names))

    def grant(self, account: str, *lots: Lot) -> None:
        """Tell of Magicubes that were granted, so that they are spent in the order they expire."""
        cells = self._look(account)
        self._run(account, (), [*granted(cells, lots, self._now(account)), *_opened(cells)])

    def report(self, account: str, balance: float) -> None:
        """Tell the Magicubes that the service says are left. A spent account opens again."""
        cells, now = self._look(account), self._now(account)
        halves = math.floor(2 * balance)
        changes = [
            *reported(cells, halves, now),
            Step("put", LASTING, "heard balance", round(now)),
            Step("put", LASTING, "unit", "magicubes"),
        ]
        self._run(account, (), changes + (_opened(cells) if halves > 0 else []))

    def forget(self, account: str | None = None) -> None:
        """Forget an account, spent pools and counts alike; or all accounts."""
        try:
            self._store.clear(account)
        except StoreError as error:
            raise _unusable(error) from None
        self._seen.clear()
        self._owed.clear()

    def close(self) -> None:
        """Let go of files and connections; a later call opens them again."""
        self._store.close()

    # --- underneath -----------------------------------------------------------------------

    def _now(self, account: str) -> float:
        return self._clock() if self._clock is not None else self._clock_of(account)()

    def _today(self, account: str) -> tuple[float, str]:
        """The time, and the day of the allowance.

        A day that has begun for one process has begun for all, whatever their clocks say, unless
        the service itself has told the time.
        """
        now = self._now(account)
        day, begun = day_of(now), self._seen.get(account, {}).get("day", "")
        return now, day if self._clock is None and self._clock_of(account).is_sure else max(
            day, begun
        )

    def _clock_of(self, account: str) -> ServiceClock:
        return self._clocks.get(account) or self._clocks.setdefault(account, ServiceClock())

    def _hear(self, account: str, at: float | None) -> None:
        if at is not None:
            self._clock_of(account).hear(at)

    def _shared(self, asking: Asking) -> list[Step]:
        """The tests, with the bounds of limits cut to this process's share."""
        assert isinstance(self._store, StandIn)
        account, bound = asking.reservation.account, self._store.bound
        return [
            step if refusal is None else step._replace(b=bound(account, *step[1:3], step.b))
            for step, refusal in zip(asking.tests, asking.refusals, strict=True)
        ]

    def _asking(
        self, account: str, model: str, tier: str | None, budget: Budget, now: float, day: str
    ) -> Asking | QuotaBlock:
        """The program of a reservation; the last one again where it still holds."""
        cells = self._seen.setdefault(account, {})
        rests_on = (budget, day, bucket_of(now), cells.get("day"), cells.get(LOTS))
        key = (account, model, tier)
        last = self._programs.get(key)
        if last is not None and last[0] == rests_on:
            return last[1]
        asking = ask(account, model, tier, budget, cells, now, day)
        if isinstance(asking, Asking) and not cells.get(LOTS) and budget.keep is None:
            self._programs[key] = rests_on, asking
        return asking

    def _run(
        self,
        account: str,
        tests: Sequence[Step],
        changes: Sequence[Step],
        *,
        now: float | None = None,
    ) -> Ran:
        owed, paid = self._owed.get(account), list[Step]()
        while owed:
            with suppress(IndexError):  # another thread pays too
                paid.append(owed.popleft())
        moment = self._now(account) if now is None else now
        try:
            ran = self._store.run(account, moment, tests, [*paid, *changes])
        except StoreError as error:
            raise _unusable(error) from None
        except Downgraded:
            if now is not None:
                raise
            ran = self._store.run(account, moment, tests, [*paid, *changes])
        if ran.failed is not None and paid:
            self._owed[account].extend(paid)
        self._seen[account] = ran.pages.setdefault(LASTING, {})
        return ran

    def _read(self, account: str, pages: Sequence[str]) -> dict[str, dict[str, Any]]:
        if self._owed.get(account):
            self._run(account, (), ())
        try:
            return self._store.read(account, pages)
        except StoreError as error:
            raise _unusable(error) from None

    def _look(self, account: str) -> dict[str, Any]:
        """The lasting cells as they are now."""
        cells = self._read(account, (LASTING,)).get(LASTING, {})
        self._seen[account] = cells
        return cells


class MemoryLedger(Ledger):
    """A ledger for one process.

    Args:
        clock: seconds since the epoch; by default the service's time, learnt from its replies.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """Start with nothing spent."""
        super().__init__(MemoryStore(), clock)


_STRIKES = ("strikes", "struck")


def _bounded(budget: Budget | None, shares: bool) -> Budget:
    """The budget; while only a share of a limit may be used, there must be one."""
    budget = budget or _NO_BUDGET
    if shares and budget.calls is None and budget.magicubes is None:
        return replace(budget, magicubes=granted_a_day())
    return budget


def _opened(cells: Mapping[str, Any]) -> list[Step]:
    """The changes that open a spent account, when it has been given something."""
    if "until " not in cells:
        return []
    return [Step("drop", LASTING, "until "), Step("drop", LASTING, "block ")]


def _unusable(error: StoreError) -> ConfigurationError:
    return ConfigurationError(
        f"The ledger: {error}. Mend or remove it, name another one in MODELSCOPE_LEDGER, or set "
        "that to 'memory' to count in each process alone.",
        details=ErrorDetails(reason="ledger_unusable"),
    )
