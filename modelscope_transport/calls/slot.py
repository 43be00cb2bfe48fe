"""One call's right to be on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .limiter import ConcurrencyLimiter

__all__ = ["Slot"]


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
