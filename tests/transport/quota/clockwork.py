"""A clock for tests, and what it shows at first."""

from __future__ import annotations

# 2026-11-22 10:00 in UTC+8
MORNING = 1_795_312_800.0


class Hands:
    """A clock whose hands the test moves."""

    def __init__(self, now: float = MORNING) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
