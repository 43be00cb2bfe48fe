"""How many calls to one model are on their way at once.

The service promises room for one call and limits more of them from moment to moment (official
documentation, limits page as of 2026-08-22). So a limiter starts with one, lets in more while calls
succeed, and half as many when one was too fast; what proved too many is tried again only after
many successes, so that few requests are wasted on finding out.

Laws of this file: threads and event loops share a limiter, first come, first served. Nobody waits for
himself: whoever holds a slot is given further ones at once, and a thread that runs an event loop
is never made to wait in it, because what it waits for may be in its own hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable

__all__ = ["ConcurrencyLimiter", "Slot"]

# Successes before one more than proved too many is tried again: at first, at least, at most.
_PATIENCE, _LEAST, _MOST = 32, 8, 256


class Slot:
    """One call's slot inside. Give it back with `release`, or drop it."""

    __slots__ = ("_gate", "_owner", "cut")

    def __init__(self, limiter: ConcurrencyLimiter, owner: object, cut: int) -> None:
        self._gate: ConcurrencyLimiter | None = limiter
        self._owner = owner
        self.cut = cut

    @property
    def is_alone(self) -> bool:
        """Whether no other call is inside."""
        return self._gate is None or self._gate.inside == 1

    def succeeded(self) -> None:
        """The service took the call."""
        if self._gate is not None:
            self._gate.grow()

    def was_too_fast(self) -> None:
        """The service refused the call for being too fast."""
        if self._gate is not None:
            self._gate.shrink(self)

    def release(self) -> None:
        """Give the slot to the next who waits. Twice does no harm."""
        limiter, self._gate = self._gate, None
        if limiter is not None:
            limiter.take_back(self._owner)

    def __del__(self) -> None:
        """A stream that is dropped unread gives its slot back as well."""
        limiter, self._gate = self._gate, None
        if limiter is not None:
            limiter.take_back_later(self._owner)


class _Waiter:
    """Somebody outside; ``wake`` tells him that he is in."""

    __slots__ = ("gone", "owner", "slot", "wake")

    def __init__(self, owner: object, wake: Callable[[], object]) -> None:
        self.owner = owner
        self.wake = wake
        self.slot: Slot | None = None
        self.gone = False


_gates: weakref.WeakSet[ConcurrencyLimiter] = weakref.WeakSet()


def _after_fork() -> None:
    for limiter in list(_gates):
        limiter.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class ConcurrencyLimiter:
    """Places for the calls to one model of one account.

    Args:
        size: how many slots; ``None`` finds it out by the service's replies.
    """

    def __init__(self, size: float | None = None) -> None:
        self._adapts = size is None
        self._size: float = 1 if size is None else size
        # How many at once have proved too many, and successes until they are tried again.
        self._too_many: float | None = None
        self._patience = _PATIENCE
        self._successes = 0
        self._cut = 0
        self.begin_anew()
        _gates.add(self)

    def begin_anew(self) -> None:
        """Forget who is inside and who waits: in a forked child they are somebody else's."""
        self._lock = threading.Lock()
        self.inside = 0
        self._owners: Counter[object] = Counter()
        self._waiting: deque[_Waiter] = deque()
        self._dropped: deque[object] = deque()

    @property
    def size(self) -> float:
        """How many slots there are now."""
        return self._size

    # --- coming in ------------------------------------------------------------------------

    def try_acquire(self) -> Slot | None:
        """A slot if there is one now, or if the caller cannot be made to wait."""
        owner, _ = _owner()
        with self._lock:
            self._sweep()
            free = self.inside < self._size and not self._waiting
            return self._let_in(owner) if free or self._owners[owner] else None

    def acquire(self, deadline: float) -> Slot | None:
        """A slot, as soon as there is one before ``deadline`` (monotonic), else ``None``."""
        owner, runs_loop = _owner()
        ready = threading.Event()
        waiter = _Waiter(owner, ready.set)
        with self._lock:
            if runs_loop:
                return self._let_in(owner)
            self._waiting.append(waiter)
            self._admit()
        try:
            ready.wait(max(0.0, deadline - time.monotonic()))
        finally:
            slot = self._come_in_or_go(waiter)
        return slot

    async def acquire_async(self, deadline: float) -> Slot | None:
        """`acquire`, for an event loop."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        waiter = _Waiter(_owner()[0], lambda: loop.call_soon_threadsafe(ready.set))
        with self._lock:
            self._waiting.append(waiter)
            self._admit()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline - time.monotonic()):
                    await ready.wait()
        except BaseException:
            slot = self._come_in_or_go(waiter)
            if slot is not None:
                slot.release()
            raise
        return self._come_in_or_go(waiter)

    def _come_in_or_go(self, waiter: _Waiter) -> Slot | None:
        with self._lock:
            waiter.gone = True
            return waiter.slot

    def _let_in(self, owner: object) -> Slot:
        self.inside += 1
        self._owners[owner] += 1
        return Slot(self, owner, self._cut)

    def _admit(self) -> None:
        """Let in who waits longest, while there is room."""
        while self._waiting and (self.inside < self._size or self._waiting[0].gone):
            waiter = self._waiting.popleft()
            if waiter.gone:
                continue
            waiter.slot = self._let_in(waiter.owner)
            try:
                waiter.wake()
            except RuntimeError:  # his event loop is closed
                waiter.slot._gate = None
                waiter.slot = None
                self._go(waiter.owner)

    # --- going out ------------------------------------------------------------------------

    def take_back(self, owner: object) -> None:
        """One inside has left."""
        with self._lock:
            self._go(owner)
            self._sweep()
            self._admit()

    def take_back_later(self, owner: object) -> None:
        """The same from a finalizer, which may run while this very thread holds the lock."""
        self._dropped.append(owner)
        if self._lock.acquire(blocking=False):
            try:
                self._sweep()
                self._admit()
            finally:
                self._lock.release()

    def _sweep(self) -> None:
        while self._dropped:
            self._go(self._dropped.popleft())

    def _go(self, owner: object) -> None:
        self.inside -= 1
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]

    # --- learning -------------------------------------------------------------------------

    def grow(self) -> None:
        """A call was taken: perhaps more can come in."""
        if not self._adapts:
            return
        with self._lock:
            if self.inside < self._size and not self._waiting:
                return  # nobody was held up, so nothing is known of more
            self._successes += 1
            if self._too_many is None:
                self._size += 1
            elif self._size + 1 < self._too_many:
                if self._successes < self._size:
                    return
                self._size += 1
            elif self._successes >= self._patience:
                self._size += 1
                self._too_many = self._size + 1
                self._patience = max(_LEAST, self._patience // 2)
            else:
                return
            self._successes = 0
            self._admit()

    def shrink(self, slot: Slot) -> None:
        """A call was too fast: half as many from now on.

        Those that were let in before the last time knew no better, so they count as one with it.
        """
        if not self._adapts:
            return
        with self._lock:
            if slot.cut != self._cut or self._size == 1:
                return
            self._cut += 1
            if self._too_many is not None:
                self._patience = min(_MOST, self._patience * 4)
            self._too_many = max(2, self.inside)
            self._size = max(1, self._size // 2)
            self._successes = 0


def _owner() -> tuple[object, bool]:
    """Who asks, the task or else the thread; and whether the thread runs an event loop."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return threading.current_thread(), False
    return task or threading.current_thread(), True
