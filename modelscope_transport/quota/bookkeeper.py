"""The ledger's work on an account, written once for threads and event loops.

Each piece is a generator of what it wants of the store, see ``runner.py``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from .allowance import day_of, end_of, granted_a_day, tenths_of
from .budget import Budget
from .cells import (
    ACCOUNT,
    BALANCE,
    BLOCKED_UNTIL,
    DAY,
    LOTS,
    LOTS_VERSION,
    PRICE,
    REFUSALS,
    REFUSED_AT,
)
from .clock import AccountClock
from .earnings import Earnings
from .evidence import (
    bucket_of,
    is_misdated,
    of_block,
    of_end,
    of_headers,
    of_move,
    of_open,
    of_success,
    of_trial_end,
    of_unexplained,
)
from .looking import ASKING, of_report, of_statement, question_for, take_lease
from .lots import Lot, granted
from .outage import StandIn, Switched
from .program import MOMENT, ReservationProgram, block_in, build, price_of
from .reservation import Closing, QuotaBlock, Reservation, pools_of
from .runner import Runner, Work
from .steps import LASTING, Step

__all__ = ["NO_BUDGET", "Bookkeeper"]

NO_BUDGET = Budget()


class Bookkeeper:
    """Reserves, settles and learns.

    Args:
        runner: what runs the work on a store.
        clock: seconds since the epoch; by default the service's time, learnt from its replies.
    """

    def __init__(self, runner: Runner, clock: Callable[[], float] | None) -> None:
        self.runner = runner
        self._clock = clock
        self._clocks: dict[str, AccountClock] = {}
        self._programs: dict[tuple[str, str, str | None], tuple[Any, ReservationProgram]] = {}
        # Since when this process is waiting for a day of an account to be confirmed.
        self._unconfirmed: dict[tuple[str, str], float] = {}
        # When a call of an account to a model last succeeded, by this process's knowledge.
        self._succeeded: dict[tuple[str, str], float] = {}

    def reserving(
        self, account: str, model: str, tier: str | None, budget: Budget
    ) -> Work[Reservation | QuotaBlock]:
        """Build the program and run it, until it holds or is refused."""
        runner = self.runner
        if account not in runner.seen:
            yield from runner.look(account)
        while True:
            now, day, confirmed = self.today(account)
            bounds, doubt = self._bounded(account, budget, now), None
            if not confirmed and bounds != NO_BUDGET:
                refusal = yield from self._confirming(account)
                if refusal is not None:
                    return refusal
                now, day, confirmed = self.today(account)
                if not confirmed:  # the call itself finds it out, within what the last day leaves
                    doubt, day = _unconfirmed(day), runner.seen[account].get(DAY.word, day)
            program = self._program(account, model, tier, bounds, now, day)
            try:
                ran = yield from runner.run(
                    account, now, program.tests, program.changes, has_limits=True
                )
            except Switched:
                continue
            if ran.failed is None:
                reservation = program.reservation.granted(ran.pages, now)
                return reservation if doubt is None else replace(reservation, undated=True)
            refusal = program.refusal(ran, now)
            if doubt is not None and refusal is not None and refusal.reason in ("budget", "kept"):
                refusal = doubt
            if refusal is not None and not (yield from self._ends_pause(account, model, refusal)):
                return (yield from self._asking(account, refusal, now))
            self._programs.pop((account, model, tier), None)  # built on cells that have changed

    def settling(self, reservation: Reservation, closing: Closing) -> Work[None]:
        """Close a reservation, with what its reply taught."""
        account, model, runner = reservation.account, reservation.model, self.runner
        charged, unexplained = closing.charged, closing.unexplained
        cells = yield from runner.look(account)
        now = self.now(account)
        changes = [] if charged is None else of_end(reservation, charged=charged)
        if reservation.undated and charged:
            _, day, confirmed = self.today(account)
            changes += of_move(reservation, day) if confirmed else []
        if charged and cells.get(REFUSALS.name(model)):
            changes += of_success(model, cells)
        elif reservation.refusals and unexplained is None:
            changes += of_trial_end(model, cells, now)
        if closing.block is not None:
            changes += of_block(closing.block, cells, now, reservation.reserved_at)
        if unexplained is not None:
            changes += of_unexplained(reservation, cells, now, unexplained)
        if closing.allowance is not None:
            pages = yield from runner.read(account, (LASTING, day_of(now)))
            tests, more = of_headers(
                reservation, closing.allowance, pages, now, charged=bool(charged)
            )
            ran = yield from runner.run(account, now, tests, [*changes, *more])
            if ran.failed is None:
                return
        yield from runner.run(account, now, (), changes)

    def defer(self, reservation: Reservation, closing: Closing) -> bool:
        """Settle without touching the store. False where that cannot wait.

        A call that went well changes nothing for others: its end rides with the next reservation.
        """
        account, model, charged = reservation.account, reservation.model, closing.charged
        seen = self.runner.seen.get(account, {})
        if closing.at is not None or charged:
            self.observe(account, closing.at)
        if (closing.block, closing.unexplained, closing.allowance) != (None, None, None):
            return False
        if charged is False or reservation.undated or reservation.refusals:
            return False
        if REFUSALS.name(model) in seen:
            return False
        if charged:
            self._succeeded[account, model] = self.now(account)
            self.runner.defer(account, of_end(reservation, charged=True))
        return True

    def blocking(self, account: str, block: QuotaBlock, tier: str | None) -> Work[None]:
        """Block a pool."""
        cells = yield from self.runner.look(account)
        now = self.now(account)
        if block.unit == "magicubes" and block.price is None:
            block = replace(block, price=price_of(tier, cells)[0] / 10)
        yield from self.runner.run(account, now, (), of_block(block, cells, now))

    def looking(self, account: str, model: str, tier: str | None) -> Work[QuotaBlock | None]:
        """What forbids a call now, and what to ask the service before that is believed."""
        cells = yield from self.runner.look(account)
        now = self.now(account)
        pool = _blocked_pool(cells, pools_of(model, account), price_of(tier, cells)[0], now)
        if pool is None:
            return None
        return (yield from self._asking(account, block_in(cells, pool, now), now))

    def _confirming(self, account: str) -> Work[QuotaBlock | None]:
        """What comes first where only this host's clock says that a day has begun.

        The service is asked, by one process; the others wait a moment for what it hears. ``None``:
        the day is confirmed, or the service could not be asked.
        """
        yield from self.runner.look(account)  # another process may have heard the time meanwhile
        now, day, confirmed = self.today(account)
        if confirmed:
            return None
        if now - self._unconfirmed.setdefault((account, day), now) >= ASKING:
            return None
        refusal = yield from self._asking(account, _unconfirmed(day), now)
        return refusal if refusal.ask else replace(refusal, pending=True, wait=MOMENT)

    def _asking(self, account: str, refusal: QuotaBlock, now: float) -> Work[QuotaBlock]:
        """The refusal, and what to ask the service first, if this process is to do so."""
        cells = self.runner.seen[account]
        if refusal.wait is None:
            refusal = replace(refusal, wait=max(0.0, refusal.blocked_until - now))
        question = question_for(refusal, self.clock_of(account).is_sure, cells, now)
        if question is None:
            return refusal
        ran = yield from self.runner.run(account, now, *take_lease(question, cells, now))
        return refusal if ran.failed is not None else replace(refusal, ask=question)

    def _ends_pause(self, account: str, model: str, refusal: QuotaBlock) -> Work[bool]:
        """Whether a success that this process has had since ends the pause of a model."""
        if refusal.reason != "unexplained":
            return False
        cells = self.runner.seen[account]
        if self._succeeded.get((account, model), 0.0) <= cells.get(REFUSED_AT.name(model), 0.0):
            return False
        changes = of_success(model, cells)
        yield from self.runner.run(account, self.now(account), (), changes)
        return True

    def reporting(self, account: str, balance: float, at: float | None) -> Work[None]:
        """Take a balance over, in Magicubes, and the time at which the service said it."""
        if at is not None:
            self.observe(account, at)
        tenths = tenths_of(balance)
        cells = yield from self.runner.look(account)
        for _ in range(5):
            now = self.now(account)
            tests, changes = of_report(cells, tenths, now)
            ran = yield from self.runner.run(account, now, tests, changes)
            if ran.failed is None:
                return
            cells = ran.pages[LASTING]
        # The lots change faster than they are read: take the service's number over without tests.
        yield from self.runner.run(account, now, (), changes)

    def recording(
        self, account: str, rates: Mapping[str, float] | None, earnings: Earnings | None
    ) -> Work[None]:
        """Keep what the service's books say."""
        yield from self.runner.look(account)
        now = self.now(account)
        yield from self.runner.run(account, now, (), of_statement(rates, earnings, now))

    def granting(self, account: str, lots: Sequence[Lot]) -> Work[None]:
        """Add lots."""
        cells = yield from self.runner.look(account)
        while True:
            now = self.now(account)
            same = Step("same", LASTING, LOTS_VERSION.word, cells.get(LOTS_VERSION.word, 0))
            changes = [*granted(cells, lots, now), *of_open(cells, ACCOUNT, BALANCE)]
            ran = yield from self.runner.run(account, now, (same,), changes)
            if ran.failed is None:
                return
            cells = ran.pages[LASTING]

    # --- time and day ---------------------------------------------------------------------

    def _program(
        self, account: str, model: str, tier: str | None, budget: Budget, now: float, day: str
    ) -> ReservationProgram:
        """The program of a reservation; the last one again where it still holds."""
        cells = self.runner.seen.setdefault(account, {})
        rests_on = (
            budget,
            day,
            bucket_of(now),
            DAY.word in cells,
            cells.get(LOTS_VERSION.word),
            cells.get(REFUSALS.name(model)),
        )
        key = (account, model, tier)
        last = self._programs.get(key)
        if last is not None and last[0] == rests_on:
            return last[1]
        program = build(account, model, tier, budget, cells, now, day)
        # What is drawn from lots, and who tries after a refusal, is worked out each time.
        if not (cells.get(LOTS.word) or program.reservation.refusals or budget.keep is not None):
            self._programs[key] = rests_on, program
        return program

    def _bounded(self, account: str, budget: Budget, now: float) -> Budget:
        """The budget. While only a share of each limit may be used, one is set where none is."""
        store = self.runner.store
        if not isinstance(store, StandIn) or not store.shares:
            return budget
        if budget.calls is None and budget.magicubes is None:
            budget = replace(budget, magicubes=granted_a_day())
        if budget.keep is None:
            return budget
        return replace(budget, keep=store.kept(account, budget.keep, now))

    def clock_of(self, account: str) -> AccountClock:
        """The clock of an account."""
        clock = self._clocks.get(account)
        return clock or self._clocks.setdefault(account, AccountClock(self._clock))

    def now(self, account: str) -> float:
        """Seconds since the epoch."""
        return self.clock_of(account).now(self.runner.seen.get(account, {}))

    def today(self, account: str) -> tuple[float, str, bool]:
        """The time, the day of the allowance, and whether the day is confirmed."""
        cells, clock = self.runner.seen.get(account, {}), self.clock_of(account)
        now = clock.now(cells)
        return now, *clock.day(now, cells)

    def dating(self, account: str) -> Work[dt.date]:
        """The day of the allowance."""
        yield from self.runner.look(account)
        return dt.date.fromisoformat(self.today(account)[1])

    def observe(self, account: str, at: float | None) -> None:
        """Learn the time of a reply; ``None``: it did not say."""
        steps = self.clock_of(account).observe(at, self.runner.seen.get(account, {}))
        self.runner.defer(account, steps)


def _blocked_pool(
    cells: Mapping[str, Any], pools: Sequence[str], price: int, now: float
) -> str | None:
    """The first pool that is blocked for a call of a price; ``None`` where none is."""
    for pool in (*pools, BALANCE) if ACCOUNT in pools else pools:
        is_concerned = pool != BALANCE or price >= cells.get(PRICE.name(BALANCE), 0)
        is_blocked = cells.get(BLOCKED_UNTIL.name(pool), 0.0) > now
        if is_blocked and is_concerned and not is_misdated(pool, cells, now):
            return pool
    return None


def _unconfirmed(day: str) -> QuotaBlock:
    """The refusal while only this host's clock says that a day has begun."""
    return QuotaBlock(
        scope="account", model=None, blocked_until=end_of(day).timestamp(), reason="day"
    )
