"""Work that is finished although its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["finish_anyway"]

T = TypeVar("T")

# Event loops hold their tasks weakly.
_finishing: set[asyncio.Task[Any]] = set()


async def finish_anyway(work: Coroutine[Any, Any, T]) -> T:
    """Do something to its end even when the caller is cancelled, or cancelled twice."""
    task = asyncio.ensure_future(work)
    _finishing.add(task)
    task.add_done_callback(_finishing.discard)
    return await asyncio.shield(task)
