"""Lets objects reset themselves in a forked child process.

In the child, a lock that another thread of the parent held at the fork would never be released, and
open connections still belong to the parent. A file that is open in SQLite is closed before a fork.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from typing import Protocol

__all__ = ["begin_anew_in_child", "close_for_forks", "leave_to_the_parent"]


class _BeginsAnew(Protocol):
    def begin_anew(self) -> None:
        """Forget the locks, the threads and the connections of the parent process."""


class _HoldsFile(Protocol):
    def lock_and_close(self) -> threading.Lock | None:
        """Close an SQLite file before a fork, which a child would use as if it held its locks.

        Returns:
            The lock that keeps it closed until the fork is done; ``None``: there is no need, or
            another thread uses the file for too long.
        """


# Numbered, so that objects reset in the order in which they were made.
_numbers = itertools.count()
_things: weakref.WeakValueDictionary[int, _BeginsAnew] = weakref.WeakValueDictionary()
_files: weakref.WeakValueDictionary[int, _HoldsFile] = weakref.WeakValueDictionary()
# By the thread that forks.
_locked: dict[int, list[threading.Lock]] = {}
_left_to_the_parent: list[object] = []


def begin_anew_in_child(thing: _BeginsAnew) -> None:
    """Call an object's ``begin_anew`` in every forked child, for as long as the object lives."""
    _things[next(_numbers)] = thing


def close_for_forks(thing: _HoldsFile) -> None:
    """Call an object's ``lock_and_close`` before every fork, and release that lock afterwards."""
    _files[next(_numbers)] = thing


def leave_to_the_parent(*things: object) -> None:
    """Keep things from being closed in this process: the parent still uses them."""
    _left_to_the_parent.extend(thing for thing in things if thing is not None)


def _close() -> None:
    locked = _locked[threading.get_ident()] = []
    for thing in list(_files.values()):
        lock = thing.lock_and_close()
        if lock is not None:
            locked.append(lock)


def _go_on() -> None:
    for lock in _locked.pop(threading.get_ident(), ()):
        lock.release()


def _begin_anew() -> None:
    _locked.clear()
    for thing in list(_things.values()):
        thing.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close, after_in_parent=_go_on, after_in_child=_begin_anew)
