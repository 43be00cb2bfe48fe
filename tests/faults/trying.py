"""One cell of the table: a way of asking meets a fault, and everything about it is observed."""

from __future__ import annotations

import asyncio
import inspect
import ssl
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from modelscope_transport import Client
from modelscope_transport.quota import MemoryLedger
from tests.faults.replies import HONEST
from tests.faults.rows import Case
from tests.faults.server import FaultServer, serving

__all__ = ["Seen", "attempt"]


@dataclass
class Seen:
    """What was observed.

    Attributes:
        text: the answer.
        error: what was raised instead.
        seconds: that the call took.
        requests: that reached the server.
        visits: connections to the host that a redirect names.
        heard: bytes that the server read.
        open: connections open after the call, its model still in use.
        left: connections open after the client was closed, or its event loop has ended.
        slots: of the limiters, still taken.
        counted: calls in the ledger.
        shown: the error's traceback, as a program would log it.
    """

    text: str | None = None
    error: BaseException | None = None
    seconds: float = 0.0
    requests: int = 0
    visits: int = 0
    heard: int = 0
    open: int = 0
    left: int = 0
    slots: float = 0
    counted: int = 0
    shown: str = ""


def attempt(
    way: Callable[[Client], Any],
    case: Case,
    form: str,
    *,
    token: str,
    limits: dict[str, float],
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> Seen:
    """Let one way of asking meet one case.

    Args:
        way: see ways.py.
        case: what the server does, and what is expected.
        form: of the call.
        token: of the account.
        limits: ``timeout`` and ``idle_timeout`` of the client.
        tls: makes the server speak TLS.
        host: its name in the client's base URL.
    """
    with serving(case.acts, honest=HONEST[form], times=case.times, tls=tls) as server:
        scheme = "https" if tls else "http"
        client = Client(
            token,
            base_url=f"{scheme}://{host}:{server.port}/v1",
            ledger=MemoryLedger(),
            proxy="none",
            **limits,
        )
        # a retry waits for nothing but a Retry-After
        client._core.policy = replace(client._core.policy, first_delay=0.0)
        seen = Seen()
        most = int(case.kept)
        if inspect.iscoroutinefunction(way):
            asyncio.run(_observe_async(way, client, server, most, seen))
        else:
            _observe(way, client, server, most, seen)
        client.close()
        seen.left = server.wait_until_open(0)
        seen.requests, seen.visits, seen.heard = len(server.requests), server.visits, server.heard
        limiters = client._core.account.limiters.values()
        seen.slots = sum(one.inside for each in limiters for one in each._limiters.values())
        ledger = client.ledger
        assert ledger is not None
        seen.counted = sum(day.calls for day in ledger.history(client.account))
        return seen


def _observe(
    way: Callable[[Client], str], client: Client, server: FaultServer, most: int, seen: Seen
) -> None:
    begun = time.monotonic()
    try:
        seen.text = way(client)
    except BaseException as error:  # noqa: BLE001 - whatever comes is what is looked at
        _note(error, seen)
    seen.seconds = time.monotonic() - begun
    seen.open = server.wait_until_open(most)


async def _observe_async(
    way: Callable[[Client], Any], client: Client, server: FaultServer, most: int, seen: Seen
) -> None:
    begun = time.monotonic()
    try:
        seen.text = await way(client)
    except BaseException as error:  # noqa: BLE001 - whatever comes is what is looked at
        _note(error, seen)
    seen.seconds = time.monotonic() - begun
    seen.open = await asyncio.to_thread(server.wait_until_open, most)


def _note(error: BaseException, seen: Seen) -> None:
    seen.error = error
    seen.shown = "".join(traceback.format_exception(error))
