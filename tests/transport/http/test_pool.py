"""Idle connections: newest first, and safe over threads, forks and event loops."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from modelscope_transport.http import pool as _pool
from modelscope_transport.http.pool import MOST_IDLE, Idle, LoopIdle


class Connection:
    """A connection of both colours that knows its loop."""

    def __init__(self) -> None:
        self.closed_in: list[Any] = []
        self.hung_up = False

    def is_usable(self) -> bool:
        return not self.hung_up

    def close(self) -> None:
        self.closed_in.append(None)

    async def aclose(self) -> None:
        self.closed_in.append(asyncio.get_running_loop())


# --- sync


def test_the_connection_used_last_serves_next() -> None:
    idle = Idle(Connection)
    first, second = idle.take(), idle.take()
    assert first is not second
    idle.give(first)
    idle.give(second)
    assert idle.take() is second
    assert idle.take() is first


def test_a_connection_whose_server_hung_up_serves_nobody() -> None:
    idle = Idle(Connection)
    first, second = idle.take(), idle.take()
    idle.give(first)
    idle.give(second)
    second.hung_up = True
    assert idle.take() is first
    assert second.closed_in == [None]


def test_more_idle_connections_than_anybody_needs_are_closed() -> None:
    idle = Idle(Connection)
    connections = [idle.take() for _ in range(MOST_IDLE + 3)]
    for connection in connections:
        idle.give(connection)
    assert [bool(connection.closed_in) for connection in connections] == [False] * MOST_IDLE + [
        True
    ] * 3


def test_closing_closes_what_is_idle_and_no_more() -> None:
    idle = Idle(Connection)
    kept, given = idle.take(), idle.take()
    idle.give(given)
    idle.close()
    assert (kept.closed_in, given.closed_in) == ([], [None])
    assert idle.take() is not given


def test_threads_never_share_a_connection() -> None:
    idle: Idle[Connection] = Idle(Connection)
    in_use: set[Connection] = set()
    shared: list[Connection] = []

    def use() -> None:
        for _ in range(500):
            connection = idle.take()
            if connection in in_use:
                shared.append(connection)
            in_use.add(connection)
            in_use.discard(connection)
            idle.give(connection)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not shared
    assert len({idle.take() for _ in range(8)}) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_leaves_its_parents_connections_alone() -> None:
    idle = Idle(Connection)
    mine = idle.take()
    idle.give(mine)
    child = os.fork()
    if child == 0:
        os._exit(0 if idle.take() is not mine and not mine.closed_in else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert idle.take() is mine


# --- async


async def test_a_loop_has_its_own_connections() -> None:
    idle = LoopIdle(Connection)
    mine = await idle.take()
    await idle.give(mine)

    def elsewhere() -> Connection:
        return asyncio.run(idle.take())

    other = await asyncio.to_thread(elsewhere)
    assert other is not mine
    assert await idle.take() is mine
    await idle.aclose()


async def test_a_connection_of_a_loop_whose_server_hung_up_serves_nobody() -> None:
    idle = LoopIdle(Connection)
    first, second = await idle.take(), await idle.take()
    await idle.give(first)
    await idle.give(second)
    second.hung_up = True
    assert await idle.take() is first
    assert second.closed_in == [asyncio.get_running_loop()]
    await idle.aclose()


def test_connections_go_away_with_their_loop() -> None:
    idle = LoopIdle(Connection)

    async def call() -> Connection:
        connection = await idle.take()
        await idle.give(connection)
        return connection

    first, second = asyncio.run(call()), asyncio.run(call())
    assert first is not second
    assert len(first.closed_in) == len(second.closed_in) == 1


async def test_closing_closes_those_of_this_loop() -> None:
    idle = LoopIdle(Connection)
    kept, given = await idle.take(), await idle.take()
    await idle.give(given)
    await idle.aclose()
    await idle.aclose()
    assert (len(kept.closed_in), len(given.closed_in)) == (0, 1)
    await idle.give(kept)
    assert len(kept.closed_in) == 1, "there is no list to go back to"


async def test_more_idle_connections_than_a_loop_needs_are_closed() -> None:
    idle = LoopIdle(Connection)
    connections = [await idle.take() for _ in range(MOST_IDLE + 2)]
    for connection in connections:
        await idle.give(connection)
    assert sum(bool(connection.closed_in) for connection in connections) == 2
    await idle.aclose()


def test_loops_that_come_and_go_in_many_threads_do_not_disturb_each_other() -> None:
    idle = LoopIdle(Connection)
    rounds: list[int] = []

    async def call() -> None:
        first = await idle.take()
        await idle.give(first)
        assert await idle.take() is first
        await idle.give(first)

    def run() -> None:
        for number in range(60):
            asyncio.run(call())
            rounds.append(number)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rounds) == 6 * 60


def test_loops_that_are_gone_are_not_kept() -> None:
    idle = LoopIdle(Connection)
    for _ in range(20):
        asyncio.run(idle.take())
    assert len(idle._loops) <= 1


# --- the end of the process


def test_at_the_end_idle_connections_are_closed() -> None:
    idle = Idle(Connection)
    connection = idle.take()
    idle.give(connection)
    _pool._close_all()
    assert connection.closed_in == [None]
