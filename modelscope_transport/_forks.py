"""Lets objects reset themselves in a forked child process.

In the child, a lock that another thread of the parent held at the fork would never be released, and
open connections still belong to the parent. A file that is open in SQLite is closed before a fork.
"""

from __future__ import annotations

import itertools
import os
import weakref
from typing import Protocol

__all__ = ["begin_anew_in_child", "close_for_forks", "leave_to_the_parent"]


class _BeginsAnew(Protocol):
    def begin_anew(self) -> None:
        """Forget the locks, the threads and the connections of the parent process."""


class _Closes(Protocol):
    def before_fork(self) -> None:
        """Close what must not be open in a fork, and keep it closed."""

    def after_fork(self) -> None:
        """In the parent: it may be opened again."""


# Numbered, so that objects reset in the order in which they were made.
_numbers = itertools.count()
_things: weakref.WeakValueDictionary[int, _BeginsAnew] = weakref.WeakValueDictionary()
_closing: weakref.WeakValueDictionary[int, _Closes] = weakref.WeakValueDictionary()
_left_to_the_parent: list[object] = []


def begin_anew_in_child(thing: _BeginsAnew) -> None:
    """Call an object's ``begin_anew`` in every forked child, for as long as the object lives."""
    _things[next(_numbers)] = thing


def close_for_forks(thing: _Closes) -> None:
    """Call an object's ``before_fork`` and ``after_fork`` around every fork of this process."""
    _closing[next(_numbers)] = thing


def leave_to_the_parent(*things: object) -> None:
    """Keep things from being closed in this process: the parent still uses them."""
    _left_to_the_parent.extend(thing for thing in things if thing is not None)


def _close() -> None:
    for thing in list(_closing.values()):
        thing.before_fork()


def _go_on() -> None:
    for thing in list(_closing.values()):
        thing.after_fork()


def _begin_anew() -> None:
    for thing in list(_things.values()):
        thing.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close, after_in_parent=_go_on, after_in_child=_begin_anew)
