"""A fork in the middle of another thread's work."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def fork(work: Callable[[], object]) -> int:
    """Work in a forked child; its process ID. It ends with 1 where the work raised an error."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def has_succeeded(child: int) -> bool:
    """Whether a child did its work to the end, which is waited for."""
    return os.waitpid(child, 0)[1] == 0


def fork_around(
    first: Callable[[], object], between: Callable[[], object], last: Callable[[], object]
) -> bool:
    """Do the first and the last thing in a forked child, and what is between in the parent.

    Returns:
        Whether the child did both.
    """
    (is_open, opened), (is_closed, closed) = os.pipe(), os.pipe()

    def work() -> None:
        first()
        os.write(opened, b".")
        os.read(is_closed, 1)
        last()

    child = fork(work)
    os.read(is_open, 1)
    between()
    os.write(closed, b".")
    return has_succeeded(child)


def in_a_fork(lock: threading.Lock, work: Callable[[], int]) -> int:
    """Work in a fork that begins while another thread holds a lock.

    Returns:
        What the work returned; below 0 where it came to no end.
    """
    busy, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            busy.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    busy.wait()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)  # it would wait for ever
        with contextlib.suppress(BaseException):
            os._exit(work())
        os._exit(100)
    done.set()
    thread.join()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def open_files(path: Path) -> int:
    """How many descriptors of this process lead to a file."""
    found, wanted = 0, path.stat()
    for descriptor in range(1024):
        with contextlib.suppress(OSError):
            found += os.path.samestat(os.fstat(descriptor), wanted)
    return found
