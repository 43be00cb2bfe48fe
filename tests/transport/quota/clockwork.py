"""A clock for tests, and what it shows at first."""

from __future__ import annotations

import time

# 2026-11-22 10:00 in UTC+8
MORNING = 1_795_312_800.0


class Hands:
    """A clock whose hands the test moves, or lets run."""

    def __init__(self, now: float = MORNING) -> None:
        self.now = now
        self._begun: float | None = None

    def run(self) -> None:
        """Move by itself from now on."""
        self._begun = time.monotonic()

    def __call__(self) -> float:
        return self.now + (0.0 if self._begun is None else time.monotonic() - self._begun)
