"""One object for each event loop: made in it, closed with it.

A connection belongs to the loop that opened it. ``asyncio.run``, and what else shuts a loop down in
order, closes the loop's asynchronous generators while the loop still runs; there is no other hook,
so each thing here is held by such a generator. What is left of a loop that ended in another way is
dropped when the next loop is seen and at the end of the interpreter.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any, Generic, Protocol, TypeVar

from .._forks import begin_anew_in_child

__all__ = ["PerLoop"]


class _Closes(Protocol):
    async def aclose(self) -> None:
        """Close, in the loop that it belongs to."""

    def drop(self) -> None:
        """Let go of its sockets, with the loop closed; nothing can be awaited any more."""


T = TypeVar("T", bound=_Closes)

# What a loop holds: the thing, and the generator that ends with the loop.
_Held = dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]]

# Of owners that are gone, or the parent's in a fork: kept from being deleted before their loops.
_left: list[_Held[Any]] = []
_all: weakref.WeakSet[PerLoop[Any]] = weakref.WeakSet()


class PerLoop(Generic[T]):
    """What `make` makes, once for each event loop.

    Args:
        make: makes one, in its running loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._held: _Held[T] = {}
        _all.add(self)
        begin_anew_in_child(self)
        weakref.finalize(self, _abandon, self._held)

    async def get(self) -> T:
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None:
            for others in (self._held, *_left):
                _drop(others)
            made, things = self._make(), self._held
            guard = _close_with_loop(made, lambda: things.pop(loop, None))
            await anext(guard)
            held = things[loop] = made, guard
        return held[0]

    def made(self) -> T | None:
        """That of the running loop, if there is one."""
        held = self._held.get(asyncio.get_running_loop())
        return held and held[0]

    def begin_anew(self) -> None:
        """In a forked child: leave alone what is the parent's."""
        _left.append(dict(self._held))
        self._held.clear()


async def _close_with_loop(
    thing: _Closes, forget: Callable[[], object]
) -> AsyncGenerator[None, None]:
    loop = asyncio.get_running_loop()
    try:
        yield
    finally:
        forget()
        # Where the loop has no such hook the collector comes by, with no loop to wait in.
        if loop.is_running():
            await thing.aclose()
        else:
            thing.drop()


def _drop(held: _Held[Any], *, at_exit: bool = False) -> None:
    """Drop what belongs to loops that will not run again."""
    # Over a copy: loops of other threads come and go here too.
    for loop in list(held):
        if loop.is_closed() or (at_exit and not loop.is_running()):
            found = held.pop(loop, None)
            if found is not None:
                found[0].drop()


def _abandon(held: _Held[Any]) -> None:
    """End what an owner has left that is gone, in whatever state the loops are."""
    _drop(held)
    if not held:
        return
    _left.append(held)
    for loop, (_, guard) in list(held.items()):
        with contextlib.suppress(RuntimeError):  # it was closed just now
            loop.call_soon_threadsafe(_close_soon, loop, guard)


def _close_soon(loop: asyncio.AbstractEventLoop, guard: AsyncGenerator[None, None]) -> None:
    _closing.add(task := loop.create_task(_close(guard)))
    task.add_done_callback(_closing.discard)


async def _close(guard: AsyncGenerator[None, None]) -> None:
    await guard.aclose()


_closing: set[asyncio.Task[None]] = set()


@atexit.register
def _drop_all() -> None:
    for held in [per_loop._held for per_loop in list(_all)] + _left:
        _drop(held, at_exit=True)
