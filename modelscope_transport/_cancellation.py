"""Work that is finished, or ended in order, although its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["cancel_once", "finish_anyway"]

T = TypeVar("T")

# Event loops hold their tasks weakly.
_finishing: set[asyncio.Task[Any]] = set()


async def finish_anyway(work: Coroutine[Any, Any, T]) -> T:
    """Do something to its end even when the caller is cancelled, or cancelled twice."""
    task = asyncio.ensure_future(work)
    _finishing.add(task)
    task.add_done_callback(_finishing.discard)
    return await asyncio.shield(task)


async def cancel_once(work: Awaitable[T], undo: Callable[[T], Awaitable[None]] | None = None) -> T:
    """Do something that is cancelled with its caller, but only once.

    A second time would break off how it cleans up.

    Args:
        work: what to do, in a task of its own.
        undo: called with what came of it where the caller was cancelled just then.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,))
        return task.result()
    except asyncio.CancelledError:
        await finish_anyway(_end(task, undo))
        raise
    finally:
        del task  # which holds its error, which holds this frame


async def _end(task: asyncio.Future[T], undo: Callable[[T], Awaitable[None]] | None) -> None:
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled() and task.exception() is None and undo is not None:
        await undo(task.result())
