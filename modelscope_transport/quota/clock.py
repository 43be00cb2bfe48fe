"""The service's time, whatever the host's clock says; and the day of the allowance by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .allowance import day_of
from .cells import ASK_AGAIN_AT, DAY, SERVICE_TIME
from .steps import LASTING, Step

__all__ = ["AccountClock", "ServiceClock"]

# Replies say whole seconds and travel for a while; nearer than this the clocks agree.
_AGREE = 2.0
# How old the time in the ledger may grow before a reply renews it, in seconds.
_RENEWED = 600.0


def _steady() -> float:
    """Seconds by a clock that cannot be set and that counts while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; macOS and Windows count sleep anyway
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class ServiceClock:
    """Seconds since the epoch: the host's at first, then by the dates of the service's replies.

    In between it runs by a steady clock, so that setting the host's clock back or forward opens no
    new day: only a reply of the service can say that one has come.

    Args:
        wall: the host's clock, seconds since the epoch.
        steady: seconds from any moment on, never set.

    Attributes:
        is_sure: whether a reply has said the time.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = _steady,
    ) -> None:
        self._steady = steady
        self._offset = wall() - steady()
        self.is_sure = False

    def __call__(self) -> float:
        """Now."""
        return self._steady() + self._offset

    def observe(self, date: float) -> None:
        """Learn the service's time from a reply that has just come."""
        self.is_sure = True
        if abs(self() - date) > _AGREE:
            self._offset = date - self._steady()


class AccountClock:
    """The time and the day of one account, by all that is known.

    A process without a reply of the service yet does not trust its host's clock alone: the time
    in the ledger is a lower bound, and a day that is newer than the ledger's is *unconfirmed*.

    Args:
        given: a clock of the caller's own, which is believed unless it is a `ServiceClock`.
    """

    def __init__(self, given: Callable[[], float] | None = None) -> None:
        self._given = given
        self.service = ServiceClock()
        # The service says no time, so the host's must do.
        self._believes_host = False
        if isinstance(given, ServiceClock):
            self._given, self.service = None, given

    @property
    def is_sure(self) -> bool:
        """Whether its time is the service's, or as near to it as can be had."""
        return self._given is not None or self.service.is_sure or self._believes_host

    def now(self, cells: Mapping[str, Any]) -> float:
        """Seconds since the epoch."""
        if self._given is not None:
            return self._given()
        now = self.service()
        return now if self.service.is_sure else max(now, cells.get(SERVICE_TIME.word, 0.0))

    def day(self, now: float, cells: Mapping[str, Any]) -> tuple[str, bool]:
        """The day of the allowance, and whether it is confirmed.

        A day that has begun for one process has begun for all, whatever their clocks say, unless
        the service itself has told the time.
        """
        day, begun = day_of(now), cells.get(DAY.word, "")
        if self._given is not None or self.service.is_sure or not begun:
            return day, True
        return max(day, begun), day <= begun or self._believes_host

    def observe(self, date: float | None, cells: Mapping[str, Any]) -> list[Step]:
        """Learn the time from a reply, if it said so; the changes that let other processes know."""
        if date is None:
            if self.is_sure or SERVICE_TIME.word in cells:
                return []
            self._believes_host = True
            asked = ASK_AGAIN_AT.name("time")  # each process has to find this out for itself
            return [Step("drop", LASTING, asked)] if asked in cells else []
        self.service.observe(date)
        if self._given is not None:
            return []
        known, day = cells.get(SERVICE_TIME.word, 0), day_of(date)
        if abs(date - known) < _RENEWED and cells.get(DAY.word) == day:
            return []
        return [
            Step("put", LASTING, SERVICE_TIME.word, round(date)),
            Step("put", LASTING, DAY.word, day),
        ]
