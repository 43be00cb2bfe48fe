"""What the rules say: how the service charges, when a day begins, what one reply said."""

from __future__ import annotations

import datetime as dt
import functools
import math
import tomllib
from importlib import resources
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

__all__ = [
    "UTC8",
    "Allowance",
    "assumed_price",
    "day_of",
    "end_of",
    "granted_a_day",
    "next_reset",
    "price_in_tenths",
    "quota_rules",
    "tenths_of",
]

# A fixed offset: China has had no daylight saving since 1991, so no time zone database is needed.
UTC8 = dt.timezone(dt.timedelta(hours=8), "UTC+8")


class Allowance(Struct, frozen=True, kw_only=True):
    """What one reply said, in calls a day. ``None`` where it said nothing.

    The service sent these four numbers as headers until the summer of 2026 (limits page as of
    2026-06-13) and has been seen without them since (2026-10-04), so every one is optional.
    """

    account_limit: int | None = None
    account_remaining: int | None = None
    model_limit: int | None = None
    model_remaining: int | None = None

    def known(self) -> dict[str, int]:
        """The numbers that were sent, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


# Read now, because at the first call it may be that no file can be opened any more; parsed then.
_TEXT = (
    resources.files("modelscope_transport").joinpath("data/quota.toml").read_text(encoding="utf-8")
)


@functools.cache
def quota_rules() -> dict[str, Any]:
    """The rules in ``data/quota.toml``: each with its numbers, source and date."""
    return tomllib.loads(_TEXT)


@functools.cache
def _reset_at() -> dt.timedelta:
    hour, minute = map(int, quota_rules()["calls_a_day"]["resets_at"].split(":"))
    return dt.timedelta(hours=hour, minutes=minute)


@functools.lru_cache(maxsize=8)
def _day_of_second(second: int) -> str:
    return (dt.datetime.fromtimestamp(second, UTC8) - _reset_at()).date().isoformat()


def day_of(now: float) -> str:
    """The day of the allowance at ``now`` (seconds since the epoch), ISO."""
    return _day_of_second(math.floor(now))


def next_reset(now: float) -> dt.datetime:
    """The next daily reset after ``now`` (seconds since the epoch), as an aware datetime."""
    return end_of(day_of(now))


def end_of(day: str) -> dt.datetime:
    """When a day of the allowance (ISO) is over."""
    following = dt.date.fromisoformat(day) + dt.timedelta(days=1)
    return dt.datetime.combine(following, dt.time(), UTC8) + _reset_at()


def tenths_of(magicubes: float) -> int:
    """Whole tenths of a Magicube, so that every sum is exact; what is less is cut off.

    Prices and balances are multiples of 0.1 (deductions recorded 2026-10: 0.2 a call).
    """
    return math.floor(10 * magicubes + 1e-6)


@functools.cache
def price_in_tenths(price_class: str | None) -> int | None:
    """The published price of a call of a class, in tenths; ``None`` for a class not on record."""
    price = quota_rules()["magicubes"]["cost"].get(price_class)
    return None if price is None else tenths_of(price)


@functools.cache
def assumed_price() -> int:
    """What a call of a class not on record is taken to cost, in tenths."""
    return tenths_of(quota_rules()["magicubes"]["assumed_cost"])


def granted_a_day() -> float:
    """Magicubes that the service grants a day: a guess, where nothing better is known."""
    return float(quota_rules()["magicubes"]["granted_a_day"])
