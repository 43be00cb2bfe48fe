"""What the drivers and the actors of these tests share: a clock in a file, and a client on it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from modelscope_transport import Client, RedisLedger
from modelscope_transport.client.response_cache import ResponseCache


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
    """Makes a client on the Redis and the clock of a test; goes to actors by pickle."""

    def __init__(self, url: str, redis: str, clock: str, *, cached: bool = True) -> None:
        self.url, self.redis, self.clock, self.cached = url, redis, clock, cached

    def __call__(self) -> Client:
        return Client(
            base_url=self.url,
            ledger=RedisLedger(self.redis, clock=FileClock(self.clock)),
            cache=ResponseCache(self.redis) if self.cached else None,
            timeout=60,
        )
