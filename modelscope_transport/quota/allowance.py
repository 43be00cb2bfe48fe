"""One reading of the allowance, and when a spent one comes back."""

from __future__ import annotations

import datetime as dt
import functools
import tomllib
from importlib import resources
from typing import Any

from msgspec import Struct

__all__ = ["UTC8", "Allowance", "next_reset", "quota_rules"]

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
        pairs = {
            "account_limit": self.account_limit,
            "account_remaining": self.account_remaining,
            "model_limit": self.model_limit,
            "model_remaining": self.model_remaining,
        }
        return {name: value for name, value in pairs.items() if value is not None}


@functools.cache
def quota_rules() -> dict[str, Any]:
    """The rules in ``data/quota.toml``: each with its numbers, source and date."""
    package = resources.files(__package__.rpartition(".")[0])
    return tomllib.loads(package.joinpath("data/quota.toml").read_text(encoding="utf-8"))


def next_reset(now: float) -> dt.datetime:
    """The next daily reset after ``now`` (seconds since the epoch), as an aware datetime."""
    hour, minute = map(int, quota_rules()["calls_a_day"]["resets_at"].split(":"))
    here = dt.datetime.fromtimestamp(now, UTC8)
    today = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > here else today + dt.timedelta(days=1)
