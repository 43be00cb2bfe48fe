"""How many calls to one model are on their way at once.

The service promises room for one call and limits more of them from moment to moment (official
documentation, limits page as of 2026-08-22). How many it takes is found out by AIMD. Where a ledger
is shared, all processes of the account find the level out together, and a limiter hands out this
process's slots of it: ``shared_level.py``.

Laws of this file: threads and event loops share a limiter, first come, first served. No caller
waits for itself: the holder of a slot is given further ones at once, and a thread that runs an
event loop is never made to wait in it, because what it waits for may be in its own hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from .._forks import begin_anew_in_child
from ..quota import AIMD, ConcurrencyShare, Share
from .shared_level import Demand, SharedLevel

__all__ = ["ConcurrencyLimiter", "Slot"]

# Seconds between two looks for calls whose event loop was closed under them.
_LOOKS_EVERY = 1.0


class Slot:
    """One call's right to be on its way. Give it back with `release`, or drop it."""

    __slots__ = ("_limiter", "_owner", "epoch")

    def __init__(self, limiter: ConcurrencyLimiter, owner: object, epoch: int) -> None:
        self._limiter: ConcurrencyLimiter | None = limiter
        self._owner = owner
        self.epoch = epoch  # of the limiter's level when it was given, see `AIMD`

    @property
    def is_alone(self) -> bool:
        """Whether no other call is on its way, from this process or another."""
        return self._limiter is None or self._limiter.inside + self._limiter.others == 1

    def record_success(self) -> None:
        """The service accepted the call."""
        if self._limiter is not None:
            self._limiter.increase()

    def record_refusal(self) -> None:
        """The service refused the call for being too fast."""
        if self._limiter is not None:
            self._limiter.decrease(self)

    def release(self) -> None:
        """Give the slot to the next caller that waits. A second call does nothing."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.release(self._owner)

    def __del__(self) -> None:
        """A stream that is dropped unread gives its slot back as well."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.release_later(self._owner)


class _Waiter:
    """A caller that waits; ``wake`` lets it know that it has a slot."""

    __slots__ = ("gone", "owner", "slot", "wake")

    def __init__(self, owner: object, wake: Callable[[], object]) -> None:
        self.owner = owner
        self.wake = wake
        self.slot: Slot | None = None
        self.gone = False


class ConcurrencyLimiter:
    """Slots for the calls to one model of one account.

    Args:
        size: how many slots; ``None`` finds it out by the service's replies.
        open_share: opens this process's share of what all processes of the account find out
            together; ``None``: there is no such thing.

    Attributes:
        inside: calls that are on their way.
        others: slots that other processes have, as far as is known.
    """

    def __init__(
        self,
        size: float | None = None,
        open_share: Callable[[], ConcurrencyShare | None] | None = None,
    ) -> None:
        self._adapts = size is None
        self._size: float = 1 if size is None else size
        self._shared = SharedLevel(self, open_share) if self._adapts and open_share else None
        self._alone = AIMD()
        self._epoch = self._accepted = 0
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the slots and who waits: in a forked child they are the parent's."""
        self._lock = threading.RLock()
        self.inside = 0
        self._owners: Counter[object] = Counter()
        self._waiting: deque[_Waiter] = deque()
        self._dropped: deque[object] = deque()
        self._looks_at = 0.0
        # Of the shared level: most calls inside since the last question, and a refusal to report.
        self.others = self._peak = 0
        self._too_fast: int | None = None
        self._follows = self._shared is not None
        if self._shared is not None:
            self._size = self._accepted = 0
            self._shared.begin_anew()

    @property
    def size(self) -> float:
        """How many slots there are now."""
        return self._size

    # --- acquiring ------------------------------------------------------------------------

    def try_acquire(self) -> Slot | None:
        """A slot if there is one now, or if the caller cannot be made to wait."""
        owner, _ = _owner()
        with self._lock:
            if self._dropped:
                self._take_back_dropped()
            free = self.inside < self._size and not self._waiting
            return self._give(owner) if free or self._owners[owner] else None

    def acquire(self, deadline: float) -> Slot | None:
        """A slot, as soon as there is one before ``deadline`` (monotonic), else ``None``."""
        owner, runs_loop = _owner()
        ready = threading.Event()
        waiter = _Waiter(owner, ready.set)
        with self._lock:
            if runs_loop:
                return self._give(owner)
            self._waiting.append(waiter)
            self._serve_waiting()
            self._ask_for_more()
        try:
            ready.wait(max(0.0, deadline - time.monotonic()))
        except BaseException:  # Ctrl-C
            slot = self._stop_waiting(waiter)
            if slot is not None:
                slot.release()
            raise
        return self._stop_waiting(waiter)

    async def acquire_async(self, deadline: float) -> Slot | None:
        """`acquire`, in an event loop."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        waiter = _Waiter(_owner()[0], lambda: loop.call_soon_threadsafe(ready.set))
        with self._lock:
            self._waiting.append(waiter)
            self._serve_waiting()
            self._ask_for_more()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline - time.monotonic()):
                    await ready.wait()
        except BaseException:
            slot = self._stop_waiting(waiter)
            if slot is not None:
                slot.release()
            raise
        return self._stop_waiting(waiter)

    def _stop_waiting(self, waiter: _Waiter) -> Slot | None:
        with self._lock:
            waiter.gone = True
            return waiter.slot

    def _give(self, owner: object) -> Slot:
        self.inside += 1
        if self.inside > self._peak:
            self._peak = self.inside
        self._owners[owner] += 1
        return Slot(self, owner, self._epoch)

    def _serve_waiting(self) -> None:
        """Give free slots to those who wait longest."""
        self._take_back_dropped()
        if self._waiting and self.inside >= self._size:
            self._take_back_closed()
        while self._waiting and (self.inside < self._size or self._waiting[0].gone):
            waiter = self._waiting.popleft()
            if waiter.gone:
                continue
            waiter.slot = self._give(waiter.owner)
            try:
                waiter.wake()
            except RuntimeError:  # its event loop is closed
                waiter.slot._limiter = None
                waiter.slot = None
                self._take_back(waiter.owner)

    # --- releasing ------------------------------------------------------------------------

    def release(self, owner: object) -> None:
        """A slot is free again."""
        if self._is_interrupted():
            self._dropped.append(owner)
            return
        with self._lock:
            self._take_back(owner)
            self._serve_waiting()

    def release_later(self, owner: object) -> None:
        """The same from a finalizer, which may run while this very thread holds the lock."""
        self._dropped.append(owner)
        if not self._is_interrupted() and self._lock.acquire(blocking=False):
            try:
                self._serve_waiting()
            finally:
                self._lock.release()

    def _is_interrupted(self) -> bool:
        """Whether this very thread holds the lock: the collector drops a stream meanwhile."""
        return self._lock._is_owned()  # type: ignore[attr-defined, no-any-return]

    def _take_back_dropped(self) -> None:
        while self._dropped:
            self._take_back(self._dropped.popleft())

    def _take_back_closed(self) -> None:
        """Take back what tasks hold whose event loop was closed under them: they never end."""
        now = time.monotonic()
        if now < self._looks_at:  # there may be many
            return
        self._looks_at = now + _LOOKS_EVERY
        for owner in list(self._owners):
            if isinstance(owner, asyncio.Task) and owner.get_loop().is_closed():
                self.inside -= self._owners.pop(owner)

    def _take_back(self, owner: object) -> None:
        if owner not in self._owners:
            return  # its event loop was closed
        self.inside -= 1
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]

    # --- AIMD, alone ----------------------------------------------------------------------

    def increase(self) -> None:
        """A call was accepted: add a slot, if others had to wait and it has not proved too many."""
        if not self._adapts:
            return
        with self._lock:
            if self._follows:
                self._accepted += 1
                return
            if self.inside < self._size and not self._waiting:
                return  # none was held up, so nothing is known of more
            self._alone.increase()
            self._use_level()

    def decrease(self, slot: Slot) -> None:
        """A call was too fast: half as many slots from now on."""
        if not self._adapts:
            return
        with self._lock:
            if self._follows:
                if slot.epoch == self._epoch:
                    self._report_refusal()
            elif self._size > 1:  # a refusal of the only one says nothing of how many at once
                self._alone.decrease(slot.epoch, self.inside)
                self._use_level()

    def _use_level(self) -> None:
        self._size, self._epoch = self._alone.level, self._alone.epoch
        self._serve_waiting()

    # --- AIMD, together -------------------------------------------------------------------

    def demand(self, *, keep: bool) -> Demand:
        """What to say to the ledger; a limiter that wants nothing hands out no more slots.

        Args:
            keep: whether slots that were used since the last question are wanted still.
        """
        with self._lock:
            self._take_back_dropped()
            wanted = self.inside + sum(not waiter.gone for waiter in self._waiting)
            if keep:
                wanted = max(wanted, self._peak)
            self._peak = self.inside
            too_fast, self._too_fast = self._too_fast, None
            successes = 0
            if self._follows:
                successes, self._accepted = self._accepted, 0
                if not wanted:
                    self._size = 0
            return Demand(wanted, self.inside, successes, too_fast)

    def follow(self, share: Share | None) -> None:
        """Use this share from now on; ``None``: find the level out alone."""
        with self._lock:
            if share is None:
                self._lead()
            else:
                self._follows, self._size = True, share.slots
                self._epoch, self.others = share.epoch, share.others
            self._serve_waiting()

    def _lead(self) -> None:
        """Go on alone, from what this process has of the shared level."""
        if self._follows:
            self._follows, self.others, self._accepted = False, 0, 0
            self._alone.level, self._alone.epoch = max(1, int(self._size)), self._epoch
            self._alone.successes, self._size = 0, self._alone.level

    def _ask_for_more(self) -> None:
        if self._shared is None or not self._waiting:
            return
        if not self._shared.ask():
            self._lead()
            self._serve_waiting()

    def _report_refusal(self) -> None:
        """Have the level cut for all; until it is, this process sends fewer."""
        if self._too_fast is None and self._shared is not None:
            self._too_fast = self._epoch
            self._size = min(self._size, max(1, self._size // 2))
            self._shared.ask(at_once=True)


def _owner() -> tuple[object, bool]:
    """Who asks, the task or else the thread; and whether the thread runs an event loop."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return threading.current_thread(), False
    return task or threading.current_thread(), True
