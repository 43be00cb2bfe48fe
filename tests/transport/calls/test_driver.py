"""A flow is played to its end, and what is opened on the way is closed, sync and async."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport import Client, Platform, QuotaExceededError
from modelscope_transport._wire.failures import judge
from modelscope_transport._wire.outcomes import NoReply, Outcome, Reply
from modelscope_transport.answers import Origin
from modelscope_transport.calls.attempt import Attempt, Flow, Handover
from modelscope_transport.emulator import LocalService
from tests.transport.callers import CHAT, settled

ORIGIN = Origin(CHAT, CHAT, attempts=1)


def free(path: str = "/models", **how: Any) -> Attempt:
    return Attempt(path, b"", CHAT, free=True, **how)


def chatting(**how: Any) -> Attempt:
    body = b'{"model": "%s", "messages": [{"role": "user", "content": "Hi"}]}' % CHAT.encode()
    return Attempt("/chat/completions", body, CHAT, **how)


def flow_of(*attempts: Attempt, seen: list[Outcome] | None = None, end: Any = None) -> Flow:
    """A flow of these attempts whatever comes of them; it raises or hands over its ``end``."""
    for attempt in attempts:
        outcome = yield attempt
        attempt.verdict = judge(outcome, None, model=attempt.model)
        if seen is not None:
            seen.append(outcome)
    if isinstance(end, Exception):
        raise end
    return Handover(end, ORIGIN)


class Sync:
    """Plays flows by the sync driver of a client."""

    def __init__(self, service: LocalService | str, **options: Any) -> None:
        if isinstance(service, LocalService):
            options = {"api_key": service.token, "base_url": service.base_url, **options}
        else:
            options = {"api_key": "ms-1", "base_url": service, **options}
        self.client = Client(**{"ledger": None, **options})

    def run(self, flow: Flow, seconds: float = 20.0) -> tuple[Handover, Any]:
        return self.client._core.driver.run(flow, time.monotonic() + seconds)

    def close(self, exchange: Any) -> None:
        exchange.close()

    def end(self) -> None:
        self.client.close()


class Async(Sync):
    """Plays flows by the async driver, in a loop of its own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.loop = asyncio.new_event_loop()

    def run(self, flow: Flow, seconds: float = 20.0) -> tuple[Handover, Any]:
        driver = self.client._core.async_driver
        return self.loop.run_until_complete(driver.run(flow, time.monotonic() + seconds))

    def close(self, exchange: Any) -> None:
        self.loop.run_until_complete(exchange.aclose())

    def end(self) -> None:
        if not self.loop.is_closed():
            self.loop.run_until_complete(self.client.aio.aclose())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def player(request: pytest.FixtureRequest) -> Generator[Callable[..., Any], None, None]:
    made: list[Any] = []

    def make(*args: Any, **options: Any) -> Any:
        made.append(request.param(*args, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_a_flow_gets_the_outcome_of_each_attempt(player: Any, service: LocalService) -> None:
    seen: list[Outcome] = []
    handover, exchange = player(service).run(flow_of(free(), chatting(), seen=seen, end="value"))
    assert handover == Handover("value", ORIGIN)
    assert [outcome.status for outcome in seen if isinstance(outcome, Reply)] == [200, 200]
    assert exchange._closed, "a whole reply needs it no longer"


def test_a_stream_is_handed_over_open(player: Any, service: LocalService) -> None:
    attempt = chatting()
    attempt.body = attempt.body[:-1] + b', "stream": true}'
    made = player(service)
    _, exchange = made.run(flow_of(attempt))
    assert exchange.is_stream
    assert not exchange._closed
    limiter = exchange._admission.limiters.of(CHAT)
    assert limiter.inside == 1
    made.close(exchange)
    assert limiter.inside == 0


def test_a_wait_comes_before_its_attempt(player: Any, service: LocalService) -> None:
    begun = time.monotonic()
    player(service).run(flow_of(free(delay=0.2)))
    assert time.monotonic() - begun >= 0.2


def test_what_a_flow_raises_is_raised_and_its_exchange_closed(
    player: Any, service: LocalService
) -> None:
    made = player(service)
    attempt = chatting()
    with pytest.raises(QuotaExceededError, match="spent"):
        made.run(flow_of(attempt, end=QuotaExceededError("spent")))
    assert made.client._core._services[0].admission.limiters.of(CHAT).inside == 0


def test_a_flow_is_ended_with_its_call(player: Any, service: LocalService) -> None:
    ended = threading.Event()

    def flow() -> Flow:
        try:
            yield free()
            raise ValueError("of the flow's own")
        finally:
            ended.set()

    with pytest.raises(ValueError, match="of the flow's own"):
        player(service).run(flow())
    assert ended.is_set()


async def test_a_call_that_is_cancelled_lets_go_of_everything(service: LocalService) -> None:
    service.next("silence")
    made, ended = Sync(service), asyncio.Event()

    def flow() -> Flow:
        try:
            yield chatting()
        finally:
            ended.set()
        raise AssertionError("nothing is to be sent to it")

    driver = made.client._core.async_driver
    call = asyncio.create_task(driver.run(flow(), time.monotonic() + 20))
    assert await settled(lambda: len(service.requests) == 1)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert ended.is_set()
    assert made.client._core._services[0].admission.limiters.of(CHAT).inside == 0
    await made.client.aio.aclose()


# --- what was never sent


@pytest.mark.parametrize("timeout", [0.2, 5.0], ids=["silent", "hangs up"])
def test_what_got_no_farther_than_the_proxy_was_not_sent(player: Any, timeout: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def serve() -> None:
            wire, _ = proxy.accept()
            with wire:
                wire.recv(65_536)
                if timeout < 1:
                    wire.recv(65_536)  # until the caller has left

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        seen: list[Outcome] = []
        made = player("https://h.example/v1", proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}")
        made.run(flow_of(chatting(), seen=seen), timeout)
        thread.join(10)
    (outcome,) = seen
    assert isinstance(outcome, NoReply)
    assert not outcome.sent


# --- the end


def test_closing_closes_what_leads_to_the_platforms_too(player: Any, tmp_path: Path) -> None:
    with LocalService() as service, LocalService() as paid:
        other = Platform(paid.base_url, models={"*": CHAT}, api_key=paid.token, max_calls=1)
        made = player(service, platforms=(other,), ledger=str(tmp_path / "ledger.db"))
        made.run(flow_of(free(), free(platform=1)))
        assert (service.connections, paid.connections) == (1, 1)
        made.end()
        for each in (service, paid):
            assert asyncio.run(settled(lambda each=each: each.connections == 0))  # type: ignore[misc]


def test_only_the_service_gets_the_callers_headers(
    player: Any, service: LocalService, tmp_path: Path
) -> None:
    with LocalService() as paid:
        other = Platform(paid.base_url, models={"*": CHAT}, api_key=paid.token, max_calls=1)
        made = player(service, platforms=(other,), ledger=str(tmp_path / "ledger.db"))
        driver = made.client._core.driver if type(made) is Sync else made.client._core.async_driver
        work = driver.run(
            flow_of(free(), free(platform=1)), time.monotonic() + 20, {"x-trace": "here"}
        )
        if type(made) is Async:
            made.loop.run_until_complete(work)
        assert service.requests[-1].headers["x-trace"] == "here"
        assert "x-trace" not in paid.requests[-1].headers
        made.end()
