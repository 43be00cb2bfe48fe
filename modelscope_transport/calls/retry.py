"""Whether to try again, and after how long. Pure functions; nothing here sleeps.

The numbers are those of clients that have earned trust, the strictest of each: two retries,
half a second doubled up to eight (openai-python 3.54), full jitter and a budget over all calls
of 500 tokens, 5 a retry, 10 after a timeout, 1 back a success (botocore's standard mode).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from msgspec import Struct

from .._forks import begin_anew_in_child

__all__ = ["RetryBudget", "RetryPolicy"]


class RetryPolicy(Struct, frozen=True):
    """How often and how patiently a call is tried again.

    Attributes:
        max_retries: further attempts after the first; 0 for none.
        first_delay: upper bound of the first wait, in seconds; doubled for each next one.
        longest_delay: upper bound of every wait that the service did not ask for.
    """

    max_retries: int = 2
    first_delay: float = 0.5
    longest_delay: float = 8.0

    def delay(
        self,
        retries: int,
        *,
        retry_after: float | None = None,
        remaining: float,
        chance: Callable[[], float] = random.random,
    ) -> float | None:
        """Seconds to wait before the next attempt, or ``None`` to give up.

        Args:
            retries: retries already made.
            retry_after: seconds the service asked for; obeyed exactly, never shortened.
            remaining: seconds until the call's deadline; a wait past it is refused now rather
                than slept through, and the error carries ``retry_after``.
            chance: source of numbers in [0, 1).
        """
        if retries >= self.max_retries:
            return None
        if retry_after is not None:
            wait = retry_after
        else:
            # Full jitter: many callers refused together must not come back together.
            bound: float = min(self.longest_delay, self.first_delay * 2.0 ** min(retries, 60))
            wait = bound * chance()
        return wait if wait < remaining else None


class RetryBudget:
    """Bounds the retries of all calls of an account together, so that an outage is not fed.

    With the default numbers 100 calls that fail at the same time make at most 100 retries.

    Args:
        tokens: what it holds at first, and at most.
        cost: tokens of one retry; twice as many after a timeout. A success puts one back.
    """

    def __init__(self, tokens: float = 500, cost: float = 5) -> None:
        """Start full."""
        self._capacity = self._tokens = tokens
        self._cost = cost
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """In a forked child: another thread of the parent may hold the lock."""
        self._lock = threading.Lock()

    def spend(self, *, timed_out: bool = False) -> bool:
        """Take one retry out. False when none is left."""
        cost = 2 * self._cost if timed_out else self._cost
        with self._lock:
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def refill(self) -> None:
        """A success puts one token back."""
        if self._tokens < self._capacity:
            with self._lock:
                self._tokens = min(self._capacity, self._tokens + 1)
