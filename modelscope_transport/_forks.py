"""Lets objects reset themselves in a forked child process.

In the child, a lock that another thread of the parent held at the fork would never be released, and
open connections still belong to the parent.
"""

from __future__ import annotations

import itertools
import os
import weakref
from typing import Protocol

__all__ = ["begin_anew_in_child", "leave_to_the_parent"]


class _BeginsAnew(Protocol):
    def begin_anew(self) -> None:
        """Forget the locks, the threads and the connections of the parent process."""


# Numbered, so that objects reset in the order in which they were made.
_numbers = itertools.count()
_things: weakref.WeakValueDictionary[int, _BeginsAnew] = weakref.WeakValueDictionary()
_left_to_the_parent: list[object] = []


def begin_anew_in_child(thing: _BeginsAnew) -> None:
    """Call an object's ``begin_anew`` in every forked child, for as long as the object lives."""
    _things[next(_numbers)] = thing


def leave_to_the_parent(*things: object) -> None:
    """Keep things from being closed in this process: the parent still uses them."""
    _left_to_the_parent.extend(thing for thing in things if thing is not None)


def _begin_anew() -> None:
    for thing in list(_things.values()):
        thing.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
