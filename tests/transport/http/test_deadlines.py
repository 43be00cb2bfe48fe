"""Connections are cut at their deadline, from outside; nothing is kept of those that ended."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from modelscope_transport.http.deadlines import _Watchdog, shut, watch


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(20)
        right.settimeout(20)
        yield left, right


def test_a_read_ends_at_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    begun = time.monotonic()
    watch(pair[0], begun + 0.05)
    assert pair[0].recv(1) == b""
    assert 0.05 <= time.monotonic() - begun < 5


def test_a_deadline_that_has_passed_cuts_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    watch(pair[0], time.monotonic() - 1)
    assert pair[0].recv(1) == b""


def test_a_nearer_deadline_is_not_kept_waiting_by_a_farther_one(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    watch(pair[1], time.monotonic() + 3600).cancel()
    far = watch(pair[1], time.monotonic() + 3600)
    watch(pair[0], time.monotonic() + 0.05)
    assert pair[0].recv(1) == b""
    far.cancel()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_watches_its_own_deadlines(pair: tuple[socket.socket, socket.socket]) -> None:
    far = watch(pair[1], time.monotonic() + 3600)  # whose thread is the parent's alone
    child = os.fork()
    if child == 0:
        pair[0].settimeout(5)
        try:
            watch(pair[0], time.monotonic() + 0.05)
            os._exit(0 if pair[0].recv(1) == b"" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    far.cancel()


def test_a_deadline_beyond_the_next_look_wakes_nobody(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    watchdog, woken = _Watchdog(), []
    far = watchdog.add(pair[1], time.monotonic() + 3600)
    while math.isinf(watchdog._wakes_at):  # until its thread is asleep
        assert not far.cut
    monkeypatch.setattr(watchdog._wake, "notify", lambda: woken.append(1))
    watchdog.add(pair[0], time.monotonic() + 0.3)
    assert pair[0].recv(1) == b""  # cut in time all the same
    assert not woken
    assert not far.cut
    far.cancel()


def test_what_was_cancelled_lives(pair: tuple[socket.socket, socket.socket]) -> None:
    watch(pair[0], time.monotonic() + 0.02).cancel()
    watch(pair[1], time.monotonic() + 0.05)
    assert pair[1].recv(1) == b""  # a later deadline has passed by now
    pair[0].settimeout(0)
    with contextlib.suppress(ConnectionError, BrokenPipeError):
        assert pair[0].recv(1) == b""  # the other end is gone, this one was not cut


def test_a_watch_tells_whether_it_has_cut(pair: tuple[socket.socket, socket.socket]) -> None:
    early, late = watch(pair[0], time.monotonic()), watch(pair[1], time.monotonic() + 3600)
    assert pair[0].recv(1) == b""
    assert (early.cut, late.cut) == (True, False)
    late.cancel()
    assert not late.cut


def test_a_cancelled_watch_holds_no_socket() -> None:
    left, right = socket.socketpair()
    with right:
        gone = weakref.ref(left)
        watch(left, time.monotonic() + 3600).cancel()
        left.close()
        del left
        gc.collect()
        assert gone() is None


def test_thousands_of_cancelled_watches_are_not_kept_until_their_deadlines() -> None:
    watchdog = _Watchdog()
    left, right = socket.socketpair()
    with left, right:
        alive = [watchdog.add(left, time.monotonic() + 3600) for _ in range(10)]
        for _ in range(5000):
            watchdog.add(left, time.monotonic() + 600).cancel()
        assert len(watchdog) < 300
        assert all(not entry.cut for entry in alive)
        for entry in alive:
            entry.cancel()


def test_cancelling_races_with_cutting_and_neither_breaks() -> None:
    left, right = socket.socketpair()
    with left, right:
        threads = [threading.Thread(target=_race, args=(left,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # The thread that cuts is still alive.
        fresh, other = socket.socketpair()
        with fresh, other:
            fresh.settimeout(20)
            watch(fresh, time.monotonic())
            assert fresh.recv(1) == b""


def _race(sock: socket.socket) -> None:
    for _ in range(300):
        watch(sock, time.monotonic()).cancel()


def test_a_connection_that_comes_up_too_late_is_cut_at_once(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    guard = watch(None, time.monotonic())
    marker = watch(pair[1], time.monotonic() + 0.02)
    assert pair[1].recv(1) == b""  # the earlier deadline has passed as well
    assert guard.cut
    assert marker.cut
    fresh, other = socket.socketpair()
    with fresh, other:
        fresh.settimeout(20)
        guard.follow(fresh)
        assert fresh.recv(1) == b""


def test_a_guard_that_was_cancelled_follows_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    guard = watch(None, time.monotonic() + 3600)
    guard.cancel()
    guard.follow(pair[0])
    assert guard.sock is None
    pair[1].sendall(b"a")
    assert pair[0].recv(1) == b"a"


def test_a_closed_socket_is_left_alone() -> None:
    left, right = socket.socketpair()
    left.close()
    right.close()
    shut(left)


def test_a_socket_of_another_kind_is_shut_as_well(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    class Transports:
        """What an event loop gives: not a socket, but one stands behind it."""

        family, type, proto = pair[0].family, pair[0].type, pair[0].proto

        def fileno(self) -> int:
            return pair[0].fileno()

        def shutdown(self, how: int) -> None:
            raise TypeError("transport sockets do not support shutdown()")

    shut(Transports())
    assert pair[0].recv(1) == b""
