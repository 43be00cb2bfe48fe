"""Many streams, half of them left in the middle: nothing is kept open and no memory is lost.

The suite reads some hundreds; ``SOAK=10000`` (``make soak``) as many as that.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable

import pytest

from modelscope_transport import Client
from modelscope_transport.emulator import LocalService
from tests.soak.looking import COUNTED, descriptors, resident
from tests.transport.callers import chat_request, settled

STREAMS = int(os.environ.get("SOAK", "400"))
# Streams before the first look: what is made once is made by then.
WARM = max(100, STREAMS // 10)
MOST_GROWTH = 5 << 20

pytestmark = pytest.mark.skipif(
    not COUNTED, reason="counts descriptors and memory in Linux's /proc"
)


def read_sync(client: Client, count: int) -> None:
    for number in range(count):
        stream = client.stream_chat(chat_request())
        if number % 2:
            next(iter(stream))
            stream.close()
        else:
            assert "".join(delta.text for delta in stream)


def read_async(client: Client, count: int) -> None:
    async def read() -> None:
        for number in range(count):
            stream = await client.aio.stream_chat(chat_request())
            if number % 2:
                await anext(aiter(stream))
                await stream.aclose()
            else:
                assert "".join([delta.text async for delta in stream])
        await client.aio.aclose()

    asyncio.run(read())


def compare(read: Callable[[Client, int], None]) -> None:
    """Look before and after; fails where something was left behind."""
    with LocalService() as service:
        client = Client(service.token, base_url=service.base_url, ledger=None)

        def look() -> tuple[int, int]:
            client.close()
            assert asyncio.run(settled(lambda: service.connections == 0))
            service.requests.clear()
            gc.collect()
            return descriptors(), resident()

        read(client, WARM)
        open_before, memory_before = look()
        for _ in range(10):
            read(client, STREAMS // 10)
            service.requests.clear()  # what the service keeps is not the client's
        open_after, memory_after = look()
    assert open_after == open_before
    assert memory_after - memory_before <= MOST_GROWTH, sys.version


@pytest.mark.parametrize("read", [read_sync, read_async], ids=["sync", "async"])
def test_streams_leave_nothing_behind(read: Callable[[Client, int], None]) -> None:
    # A process of its own: what earlier tests had left open might be closed meanwhile.
    process = multiprocessing.get_context("spawn").Process(target=compare, args=(read,))
    process.start()
    process.join()
    assert process.exitcode == 0
