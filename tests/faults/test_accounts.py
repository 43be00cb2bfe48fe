"""A connection belongs to one token."""

from __future__ import annotations

import asyncio

import pytest

from modelscope_transport import Client
from tests.faults.replies import HONEST
from tests.faults.server import serving
from tests.faults.ways import WAYS


def test_two_tokens_share_no_connection(canary: str) -> None:
    ask = WAYS["langchain", "sync", "whole"]
    with serving([HONEST["whole"]]) as server:
        place = f"http://127.0.0.1:{server.port}/v1"
        clients = [Client(token, base_url=place, ledger=None) for token in (canary, canary + "0")]
        for client in clients * 2:
            assert ask(client) == "Hello"
        assert server.wait_until_open(1, seconds=0.0) == 2
        assert len(server.requests) == 4
        for client in clients:
            client.close()
        assert server.wait_until_open(0) == 0


@pytest.mark.parametrize("adapter", ["langchain", "llamaindex"])
def test_two_tokens_share_no_connection_of_an_event_loop(adapter: str, canary: str) -> None:
    ask = WAYS[adapter, "async", "whole"]
    with serving([HONEST["whole"]]) as server:
        place = f"http://127.0.0.1:{server.port}/v1"
        clients = [Client(token, base_url=place, ledger=None) for token in (canary, canary + "0")]

        async def ask_all() -> int:
            for client in clients * 2:
                assert await ask(client) == "Hello"
            return server.wait_until_open(1, seconds=0.0)

        assert asyncio.run(ask_all()) == 2
        assert len(server.requests) == 4
        assert server.wait_until_open(0) == 0
