"""Idle connections: newest first, at constant cost, safe over threads, forks and event loops.

httpcore's own pool walks all its connections at every request and every close, which is quadratic
with many in flight (three quarters of the time of 500 streams was measured there). Here each
connection is a pool of one, and this list is all the bookkeeping there is.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["Idle", "LoopIdle"]

# More idle connections than this are closed: one account is promised one call at a time.
MOST_IDLE = 64


class _Closes(Protocol):
    def is_usable(self) -> bool: ...
    def close(self) -> None: ...


class _ClosesAsync(Protocol):
    def is_usable(self) -> bool: ...
    async def aclose(self) -> None: ...


S = TypeVar("S", bound=_Closes)
A = TypeVar("A", bound=_ClosesAsync)

_all: weakref.WeakSet[Idle[_Closes] | LoopIdle[_ClosesAsync]] = weakref.WeakSet()


def _forget_all() -> None:
    for idle in list(_all):
        idle.forget()


@atexit.register
def _close_all() -> None:
    for idle in list(_all):
        if isinstance(idle, Idle):  # the others went with their loops
            idle.close()


if hasattr(os, "register_at_fork"):
    # A child that wrote to its parent's sockets would garble both conversations.
    os.register_at_fork(after_in_child=_forget_all)


class Idle(Generic[S]):
    """Connections of the sync colour. A deque's ends are atomic, so no lock is needed."""

    def __init__(self, make: Callable[[], S]) -> None:
        self._make = make
        self._idle: deque[S] = deque()
        _all.add(self)  # type: ignore[arg-type]

    def take(self) -> S:
        """The usable connection that was used last, or a new one."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._make()
            if connection.is_usable():
                return connection
            connection.close()

    def give(self, connection: S) -> None:
        """Keep a connection for the next call."""
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def forget(self) -> None:
        """Drop the connections without touching them."""
        self._idle = deque()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()


class _OfLoop(Generic[A]):
    """The idle connections of one event loop, closed when the loop shuts down."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.idle: deque[A] = deque()
        self.guard: AsyncGenerator[None, None] | None = None

    async def close_with_loop(self) -> AsyncGenerator[None, None]:
        # `asyncio.run` closes the loop's generators while the loop still runs: the only hook
        # there is for saying good-bye in time.
        try:
            yield
        finally:
            # Where the loop has no such hook (nest_asyncio takes it away) the collector comes by,
            # and there is no loop to wait in any more.
            while self.idle and self.loop.is_running():
                await self.idle.pop().aclose()


class LoopIdle(Generic[A]):
    """Connections of the async colour, apart for each event loop: none outlives its loop."""

    def __init__(self, make: Callable[[], A]) -> None:
        self._make = make
        self._loops: dict[asyncio.AbstractEventLoop, _OfLoop[A]] = {}
        _all.add(self)  # type: ignore[arg-type]

    async def take(self) -> A:
        """The usable connection of this loop that was used last, or a new one."""
        loop = asyncio.get_running_loop()
        mine = self._loops.get(loop)
        if mine is None:
            # In place, and over a copy: other threads' loops come and go here too.
            for other in list(self._loops):
                if other.is_closed():
                    self._loops.pop(other, None)
            mine = self._loops[loop] = _OfLoop(loop)
            mine.guard = mine.close_with_loop()
            await anext(mine.guard)
        while mine.idle:
            connection = mine.idle.pop()
            if connection.is_usable():
                return connection
            await connection.aclose()
        return self._make()

    async def give(self, connection: A) -> None:
        """Keep a connection for the next call in this loop."""
        mine = self._loops.get(asyncio.get_running_loop())
        if mine is not None and len(mine.idle) < MOST_IDLE:
            mine.idle.append(connection)
        else:
            await connection.aclose()

    def forget(self) -> None:
        """Drop the connections without touching them."""
        self._loops = {}

    async def aclose(self) -> None:
        """Close the idle connections of this loop."""
        mine = self._loops.pop(asyncio.get_running_loop(), None)
        if mine is not None and mine.guard is not None:
            await mine.guard.aclose()
