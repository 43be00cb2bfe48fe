"""What becomes of an object in a forked child: it begins anew.

A lock that another thread of the parent held at the fork would never be released in the child, and
connections are the parent's.
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


# Numbered, so that what was there first begins first: a later one may use it as it begins.
_numbers = itertools.count()
_things: weakref.WeakValueDictionary[int, _BeginsAnew] = weakref.WeakValueDictionary()
_left_to_the_parent: list[object] = []


def begin_anew_in_child(thing: _BeginsAnew) -> None:
    """Have an object begin anew in each forked child, for as long as it lives."""
    _things[next(_numbers)] = thing


def leave_to_the_parent(*things: object) -> None:
    """Keep what must not be closed here: it would be the parent's that is closed."""
    _left_to_the_parent.extend(thing for thing in things if thing is not None)


def _begin_anew() -> None:
    for thing in list(_things.values()):
        thing.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
