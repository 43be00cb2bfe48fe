"""One thing for each event loop: made in it, closed with it.

A connection belongs to the loop that opened it. ``asyncio.run``, and what else shuts a loop down in
order, closes the loop's asynchronous generators while the loop still runs; there is no other hook,
so each thing here is held by such a generator. What is left of a loop that ended in another way is
dropped when the next loop is seen and at the end of the interpreter.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["PerLoop"]


class _Closes(Protocol):
    async def aclose(self) -> None:
        """Close, in the loop that it belongs to."""

    def drop(self) -> None:
        """Let go of its sockets, with the loop closed; nothing can be awaited any more."""


T = TypeVar("T", bound=_Closes)

_all: weakref.WeakSet[PerLoop[Any]] = weakref.WeakSet()


class PerLoop(Generic[T]):
    """What `make` makes, once for each event loop.

    Args:
        make: makes one, in its running loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._held: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = {}
        _all.add(self)

    async def get(self) -> T:
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None:
            self._drop_closed()
            thing = self._make()
            guard = _close_with_loop(thing, lambda: self._held.pop(loop, None))
            await anext(guard)
            self._held[loop] = held = thing, guard
        return held[0]

    async def aclose(self) -> None:
        """Close that of the running loop; a later `get` makes another one."""
        held = self._held.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held[1].aclose()

    def _drop_closed(self, *, at_exit: bool = False) -> None:
        # Over a copy: loops of other threads come and go here too.
        for loop in list(self._held):
            if loop.is_closed() or (at_exit and not loop.is_running()):
                held = self._held.pop(loop, None)
                if held is not None:
                    held[0].drop()

    def forget(self) -> None:
        """In a forked child: leave what is the parent's alone, and keep it from being deleted."""
        _inherited.append(self._held)
        self._held = {}


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


_inherited: list[Any] = []


@atexit.register
def _drop_all() -> None:
    for per_loop in list(_all):
        with contextlib.suppress(RuntimeError):  # a loop ended in another thread meanwhile
            per_loop._drop_closed(at_exit=True)


def _forget_all() -> None:
    for per_loop in list(_all):
        per_loop.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
