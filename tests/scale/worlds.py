"""What the drivers and the actors of these tests share: a clock in a file, and a client on it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from modelscope_transport import Client, Platform, RedisLedger, ResponseCache

MODEL = "Qwen/Qwen3-8B"
PAID_KEY = "KEY_OF_THE_PAID_PLATFORM"


class FileClock:
    """The host's clock, moved by the seconds that stand in a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self) -> float:
        return time.time() + float(Path(self.path).read_text() or 0)

    def move(self, seconds: float) -> None:
        moved = float(Path(self.path).read_text() or 0) + seconds
        fresh = Path(f"{self.path}.{os.getpid()}")
        fresh.write_text(str(moved))
        fresh.replace(self.path)


async def look_often(seconds: float) -> None:
    """A wait of a job on a clock that jumps."""
    await asyncio.sleep(min(seconds, 0.2))


class MakeClient:
    """Makes a client on the Redis and the clock of a test; goes to actors by pickle.

    Args:
        url: the service.
        redis: where all count, and keep what was paid for.
        clock: the file of a `FileClock`.
        paid: a second service, which costs money.
        cap: calls a day that it may be asked.
    """

    def __init__(
        self, url: str, redis: str, clock: str, paid: str | None = None, cap: int = 0
    ) -> None:
        self.url, self.redis, self.clock, self.paid, self.cap = url, redis, clock, paid, cap

    def __call__(self) -> Client:
        platforms = ()
        if self.paid is not None:
            given = {"models": {"*": MODEL}, "max_calls": self.cap, "api_key_env": PAID_KEY}
            platforms = (Platform(self.paid, **given),)
        return Client(
            base_url=self.url,
            ledger=RedisLedger(self.redis, clock=FileClock(self.clock)),
            cache=ResponseCache(self.redis),
            platforms=platforms,
            timeout=60,
        )
