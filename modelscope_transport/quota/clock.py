"""The service's time, whatever the host's clock says."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["ServiceClock"]

# Replies tell whole seconds and travel for a while; nearer than this the clocks agree.
_AGREE = 2.0


def _steady() -> float:
    """Seconds by a clock that nobody can set and that counts while the machine sleeps."""
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
        is_sure: whether a reply has told the time.
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

    def hear(self, date: float) -> None:
        """Learn the service's time from a reply that has just come."""
        self.is_sure = True
        if abs(self() - date) > _AGREE:
            self._offset = date - self._steady()
