"""Cuts a connection at its deadline, from outside the thread that waits on it.

A read's own time limit starts anew with every byte, so a server that drips keeps a reader for
ever. Shutting the socket down ends the read at once. One thread serves the process; it starts
with the first watch and sleeps until the nearest deadline, but looks up now and then while there
is one: waking it for every deadline that is nearer would cost more than the rest of a watch.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import socket
import threading
import time
from typing import Any

from .._forks import begin_anew_in_child

__all__ = ["Watch", "shut", "watch"]

# Seconds between two looks at the deadlines while there are any.
_LOOK = 0.25


class Watch:
    """One connection and its deadline; ``cancel`` when the reply is whole.

    Attributes:
        deadline: when to cut it, on the monotonic clock.
        sock: its socket, once there is one.
        open: whether it may still be cut.
        cut: whether it was.
    """

    __slots__ = ("_watchdog", "cut", "deadline", "open", "sock")

    def __init__(self, watchdog: _Watchdog, sock: Any | None, deadline: float) -> None:
        self._watchdog = watchdog
        self.sock = sock
        self.deadline = deadline
        self.open = True
        self.cut = False

    def follow(self, sock: Any) -> None:
        """Watch another socket from now on: the connection has moved to it."""
        self._watchdog.follow(self, sock)

    def cancel(self) -> None:
        """Let the socket live: once this returns it will not be cut."""
        self._watchdog.cancel(self)


def shut(sock: Any) -> None:
    """End every read and write on a socket, of whatever kind, without closing it."""
    with contextlib.suppress(OSError):
        if isinstance(sock, socket.socket):
            # Not the TLS socket's own method: that one also takes away the session which a
            # reader in another thread is using.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
            return
        # What an event loop shows is no socket, and uvloop's refuses to be shut down.
        with socket.fromfd(sock.fileno(), sock.family, sock.type) as twin:
            twin.shutdown(socket.SHUT_RDWR)


class _Watchdog:
    def __init__(self) -> None:
        self._ticket = itertools.count()
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """Start anew: in a forked child there is no thread, and the lock may be held for ever."""
        self._heap: list[tuple[float, int, Watch]] = []
        self._cancelled = 0
        self._wakes_at = math.inf
        self._wake = threading.Condition()
        self._started = False

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, sock: Any | None, deadline: float) -> Watch:
        entry = Watch(self, sock, deadline)
        with self._wake:
            heapq.heappush(self._heap, (deadline, next(self._ticket), entry))
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="modelscope-deadlines", daemon=True).start()
            elif deadline < self._wakes_at:
                self._wake.notify()
        return entry

    def follow(self, entry: Watch, sock: Any) -> None:
        with self._wake:
            if entry.open:
                entry.sock = sock
            elif entry.cut:
                shut(sock)

    def cancel(self, entry: Watch) -> None:
        # Under the lock, so that a socket which goes to the next call is not cut for the last one.
        with self._wake:
            entry.sock = None
            if not entry.open:
                return
            entry.open = False
            self._cancelled += 1
            if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
                self._heap = [item for item in self._heap if item[2].open]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def _run(self) -> None:
        while True:
            with self._wake:
                now = time.monotonic()
                while self._heap and (self._heap[0][0] <= now or not self._heap[0][2].open):
                    entry = heapq.heappop(self._heap)[2]
                    if not entry.open:
                        self._cancelled -= 1
                        continue
                    entry.open, entry.cut = False, True
                    if entry.sock is not None:
                        shut(entry.sock)
                        entry.sock = None
                wait = min(self._heap[0][0] - now, _LOOK) if self._heap else None
                self._wakes_at = math.inf if wait is None else now + wait
                self._wake.wait(wait)


_watchdog = _Watchdog()


def watch(sock: Any | None, deadline: float) -> Watch:
    """Shut ``sock`` down at ``deadline``, on the monotonic clock, unless cancelled before."""
    return _watchdog.add(sock, deadline)
