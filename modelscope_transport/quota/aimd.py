"""AIMD, additive increase and multiplicative decrease: how many calls at once the service takes.

As TCP finds out what a network takes: the level begins with one, grows by one while calls succeed
and others wait, and is halved when a call was refused for being too fast. What proved too many is
tried again only after many successes, so that few requests are wasted.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = ["AIMD"]

# Successes before one more than proved too many is tried again: at first, at least, at most.
_PATIENCE, _LEAST, _MOST = 32, 8, 256


class AIMD(Struct):
    """The level, and what was learnt on the way to it.

    Attributes:
        level: calls at once.
        too_many: how many at once have proved too many.
        patience: successes until those are tried again.
        successes: since the level last changed.
        epoch: number of decreases so far. A call that was sent in an earlier epoch could not know
            of the decrease; its refusal makes no further one.
    """

    level: int = 1
    too_many: int | None = None
    patience: int = _PATIENCE
    successes: int = 0
    epoch: int = 0

    def increase(self) -> None:
        """A call was accepted while the level was in full use."""
        self.successes += 1
        if self.too_many is not None:
            is_tested = self.level + 1 < self.too_many
            if self.successes < (self.level if is_tested else self.patience):
                return
            if not is_tested:
                self.too_many = self.level + 2
                self.patience = max(_LEAST, self.patience // 2)
        self.level += 1
        self.successes = 0

    def decrease(self, epoch: int, inside: int) -> None:
        """A call of an epoch was refused for being too fast, with ``inside`` calls on their way."""
        if epoch != self.epoch:
            return
        self.epoch += 1
        if self.too_many is not None:
            self.patience = min(_MOST, self.patience * 4)
        self.too_many = max(2, inside)
        self.level = max(1, self.level // 2)
        self.successes = 0
