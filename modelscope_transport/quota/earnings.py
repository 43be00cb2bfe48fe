"""How Magicubes are granted, and what today still grants, as the service's own rules say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from .allowance import day_of
from .cells import EARNINGS

__all__ = ["DAILY_SIGN_IN", "EarnRule", "Earnings", "earnings_in", "unfetched_of"]

DAILY_SIGN_IN = "daily_active"
"""The rule of the daily grant, by the name that public clients record (2026-10-06)."""


class EarnRule(Struct, frozen=True):
    """One way in which Magicubes are granted.

    Attributes:
        name: the service's name of the rule; ``"daily_active"`` is the daily sign-in.
        a_day: most Magicubes a day.
        earned: Magicubes granted today.
    """

    name: str
    a_day: float
    earned: float

    @property
    def unfetched(self) -> float:
        """Magicubes that today can still bring."""
        return max(0.0, self.a_day - self.earned)


class Earnings(Struct, frozen=True):
    """All ways in which Magicubes are granted.

    Attributes:
        rules: each with what it has granted today.
    """

    rules: tuple[EarnRule, ...]


def earnings_in(cells: Mapping[str, Any], now: float) -> tuple[EarnRule, ...]:
    """How Magicubes are granted; what was reported on another day says nothing of today."""
    observed, rules = cells.get(EARNINGS.word, (0.0, ()))
    return tuple(EarnRule(*rule) for rule in rules) if day_of(observed) == day_of(now) else ()


def unfetched_of(earnings: Iterable[EarnRule]) -> float | None:
    """Magicubes that a sign-in would grant, by the rules; ``None`` where they do not say."""
    return next((rule.unfetched for rule in earnings if rule.name == DAILY_SIGN_IN), None)
