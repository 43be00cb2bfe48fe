"""Cuts a connection at its deadline, from outside the thread that waits on it.

A read's own time limit starts anew with every byte, so a server that drips keeps a reader for
ever. Shutting the socket down ends the read at once. One thread serves the process; it starts
with the first watch and sleeps until the nearest deadline.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import socket
import threading
import time
from typing import Any

__all__ = ["Watch", "shut", "watch"]


class Watch:
    """One socket and its deadline; ``cancel`` when the reply is whole."""

    __slots__ = ("deadline", "sock")

    def __init__(self, sock: Any, deadline: float) -> None:
        self.sock: Any | None = sock
        self.deadline = deadline

    def cancel(self) -> None:
        """Let the socket live."""
        self.sock = None


def shut(sock: Any) -> None:
    """End every read and write on a socket, of whatever kind, without closing it."""
    with contextlib.suppress(OSError):
        if isinstance(sock, socket.socket):
            # Not the TLS socket's own method: that one also takes away the session which a
            # reader in another thread is using.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:
            sock.shutdown(socket.SHUT_RDWR)


class _Watchdog:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Watch]] = []
        self._ticket = itertools.count()
        self._wake = threading.Condition()
        self._started = False

    def add(self, entry: Watch) -> None:
        with self._wake:
            heapq.heappush(self._heap, (entry.deadline, next(self._ticket), entry))
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="modelscope-deadlines", daemon=True).start()
            elif self._heap[0][2] is entry:
                self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                now = time.monotonic()
                while self._heap and (self._heap[0][0] <= now or self._heap[0][2].sock is None):
                    entry = heapq.heappop(self._heap)[2]
                    if entry.sock is not None:
                        shut(entry.sock)
                self._wake.wait(self._heap[0][0] - now if self._heap else None)


_watchdog = _Watchdog()


def _after_fork() -> None:
    global _watchdog
    _watchdog = _Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def watch(sock: Any, deadline: float) -> Watch:
    """Shut ``sock`` down at ``deadline``, on the monotonic clock, unless cancelled before."""
    entry = Watch(sock, deadline)
    _watchdog.add(entry)
    return entry
