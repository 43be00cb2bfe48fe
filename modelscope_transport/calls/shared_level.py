"""The level of a limiter that all processes of an account share, through the ledger.

A process that makes calls has slots of the shared level, see ``quota/shares.py``, and hands them
out by itself: a call that finds a free slot asks no one. One thread of the limiter talks to the
ledger. It starts when a call finds no slot, reports successes and refusals, renews the lease while
calls are on their way, however long they take, gives the slots back when there are none, and ends.

Laws of this file: the callers, threads and event loops alike, never do I/O here. A ledger that
fails stops no call: the limiter goes on by what this process learns alone, until the ledger answers
again.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..quota import ConcurrencyShare, Share

if TYPE_CHECKING:
    from .limiter import ConcurrencyLimiter

__all__ = ["Demand", "SharedLevel"]

# Seconds: the longest pause between two questions while slots are lacking and nothing changes, the
# pause after a ledger has failed, and how long an interpreter that exits waits for the giving back.
_LONGEST_POLL, _AFTER_FAILURE, _AT_EXIT = 0.25, 1.0, 2.0


class Demand(NamedTuple):
    """What a process has to say to the ledger.

    Attributes:
        wanted: calls that are on their way or wait for a slot.
        inside: calls that are on their way.
        successes: calls that the service has taken since the last question.
        too_fast: the epoch in which a call was sent that was too fast; ``None``: there was none.
    """

    wanted: int
    inside: int
    successes: int
    too_fast: int | None


_NOTHING = Demand(0, 0, 0, None)
_levels: weakref.WeakSet[SharedLevel] = weakref.WeakSet()


class SharedLevel:
    """Keeps a limiter at the level that all processes of the account share.

    Args:
        limiter: whose slots these are.
        open_share: opens this process's share; ``None``: the ledger is gone.
    """

    def __init__(
        self, limiter: ConcurrencyLimiter, open_share: Callable[[], ConcurrencyShare | None]
    ) -> None:
        self._limiter = limiter
        self._open_share = open_share
        self.begin_anew()
        _levels.add(self)

    def begin_anew(self) -> None:
        """Forget the thread and the share: in a forked child they are the parent's."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._polls = False
        self._exits = False

    def ask(self, *, at_once: bool = False) -> bool:
        """Have the ledger asked for slots; False where no thread can be started.

        ``at_once``: also where it was just asked and is to be asked again soon.
        """
        with self._lock:
            if self._thread is not None:
                if at_once or not self._polls:
                    self._wake.set()
                return True
            thread = threading.Thread(target=self._keep, name="modelscope-concurrency", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter exits, or the system has no more threads
                return False
            self._thread = thread
            return True

    def give_back(self) -> None:
        """Give all slots back, because the interpreter exits."""
        with self._lock:
            thread, self._exits = self._thread, True
            self._wake.set()
        if thread is not None:
            thread.join(_AT_EXIT)

    # --- in the thread --------------------------------------------------------------------

    def _keep(self) -> None:
        """Ask the ledger, as often as it says, until there are no more calls."""
        share: Share | None = None
        ledger: ConcurrencyShare | None = None
        said: Demand | None = None
        pause = 0.0
        while True:
            self._wake.clear()
            polled, self._polls = self._polls, False
            demand = self._limiter.demand(keep=not polled)
            before, share = share, None
            with contextlib.suppress(Exception):  # a ledger that fails speaks up at `reserve`
                ledger = ledger or self._open_share()
                if ledger is not None:
                    share = _asked(ledger, _NOTHING if self._exits else demand)
            self._limiter.follow(share)
            if self._is_over(demand):
                return
            unchanged = (demand, share) == (said, before)
            said = demand
            pause = _pause(share, pause if unchanged else 0.0)
            self._polls = share is None or pause <= _LONGEST_POLL
            self._wake.wait(pause)

    def _is_over(self, demand: Demand) -> bool:
        with self._lock:
            if not self._exits and (demand.wanted or self._wake.is_set()):
                return False
            self._thread = None
            return True


def _asked(ledger: ConcurrencyShare, demand: Demand) -> Share:
    return ledger.update(
        demand.wanted, demand.inside, successes=demand.successes, too_fast=demand.too_fast
    )


def _pause(share: Share | None, last: float) -> float:
    """Seconds until the next question."""
    if share is None:
        return _AFTER_FAILURE
    if share.renew_in > _LONGEST_POLL:
        return share.renew_in
    return min(_LONGEST_POLL, max(share.renew_in, last * 1.5))


def _at_exit() -> None:
    for level in list(_levels):
        level.give_back()


atexit.register(_at_exit)
