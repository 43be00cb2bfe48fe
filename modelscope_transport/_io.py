"""Drives a flow, sync and async.

Laws of this file: the only one that imports httpx and, in a call's way, the only one that sleeps
or awaits. It decides nothing: it waits as told, sends as told, and hands what came of it to the
flow. Network failure enters the flow as a value.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx

from ._body import UnreadableBodyError
from ._exchange import AsyncExchange, Exchange, finish_anyway
from ._flow import Attempt, Flow, Handover
from ._pool import Idle, LoopIdle
from ._stream import StreamReader
from ._wire.outcomes import NoReply, Outcome, Refused, Reply
from .errors import ConfigurationError
from .quota import Ledger, Park, Reservation
from .settings import Settings
from .types import ChatDelta

__all__ = ["Line"]


@functools.cache
def _tls() -> ssl.SSLContext:
    """One context for the process: building one costs more than a hundred calls do."""
    return httpx.create_ssl_context()


@functools.cache
def _no_tls() -> ssl.SSLContext:
    """A stand-in for addresses without TLS, so that no certificates are read for them."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=60.0)
_Pools = tuple[Idle[httpx.HTTPTransport], LoopIdle[httpx.AsyncHTTPTransport]]


@functools.cache
def _pools(origin: str, proxy: str | None) -> _Pools:
    """The connections that every client of one address and proxy shares."""
    context = _tls if origin.startswith("https") or proxy is not None else _no_tls

    def make(transport: Any) -> Any:
        try:
            return transport(verify=context(), limits=_ONE, proxy=proxy, trust_env=False)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"The proxy cannot be used: {error}.") from None

    return (
        Idle(functools.partial(make, httpx.HTTPTransport)),
        LoopIdle(functools.partial(make, httpx.AsyncHTTPTransport)),
    )


class Line:
    """The way to one service: addresses, headers, connections and the ledger to ask.

    Args:
        settings: token, address, time limits.
        ledger: where spent pools are remembered; ``None`` for nowhere.
        headers: further headers of every request.
        http_client: an ``httpx.Client`` to send through instead of the shared connections.
        http_async_client: an ``httpx.AsyncClient``, likewise.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger | None,
        headers: Mapping[str, str],
        http_client: httpx.Client | None = None,
        http_async_client: httpx.AsyncClient | None = None,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._token = settings.token.reveal().encode()
        self._base = httpx.URL(settings.base_url)
        self._urls: dict[str, httpx.URL] = {}
        self._headers = httpx.Headers(
            {
                "authorization": f"Bearer {settings.token.reveal()}",
                "content-type": "application/json",
                "accept-encoding": "identity",
                **headers,
            }
        )
        origin = f"{self._base.scheme}://{self._base.netloc.decode()}"
        self._idle, self._loop_idle = _pools(origin, settings.proxy)
        self._client, self._async_client = http_client, http_async_client

    # --- both colours ---------------------------------------------------------------------

    def _request(
        self, attempt: Attempt, remaining: float, extra: Mapping[str, str] | None
    ) -> httpx.Request:
        url = self._urls.get(attempt.path)
        if url is None:
            path = self._base.raw_path.decode().rstrip("/") + attempt.path
            url = self._urls[attempt.path] = self._base.copy_with(raw_path=path.encode())
        headers = self._headers
        if extra:
            headers = httpx.Headers({**headers, **extra})
        settings = self._settings
        connect = max(0.001, min(settings.connect_timeout, remaining))
        wait = max(0.001, min(settings.stall_timeout, remaining))
        timeout = {"connect": connect, "pool": connect, "read": wait, "write": wait}
        return httpx.Request(
            "POST", url, headers=headers, content=attempt.body, extensions={"timeout": timeout}
        )

    def _reply(self, response: httpx.Response, body: bytes, *, streaming: bool = False) -> Reply:
        if self._token in body:
            body = body.replace(self._token, b"***")  # a server that echoes it spreads it
        return Reply(response.status_code, _lower(response), body, streaming)

    @staticmethod
    def _no_reply(error: httpx.HTTPError, deadline: float) -> NoReply:
        late = isinstance(error, httpx.TimeoutException) or time.monotonic() >= deadline
        unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
        return NoReply(
            "timeout" if late else "connection",
            str(error) or type(error).__name__,
            sent=not isinstance(error, unsent),
        )

    # --- sync -----------------------------------------------------------------------------

    def drive(
        self, flow: Flow, deadline: float, extra: Mapping[str, str] | None = None
    ) -> tuple[Handover, Exchange | None]:
        """Play a flow to its end.

        Returns:
            What the flow handed over and, for a stream, the open exchange with the rest of it.

        Raises:
            ModelScopeError: what the flow raised.
        """
        try:
            attempt = next(flow)
            while True:
                if attempt.delay:
                    time.sleep(attempt.delay)
                leave = self._ledger.reserve(attempt.model) if self._ledger else None
                exchange: Exchange | None = None
                try:
                    outcome: Outcome
                    if isinstance(leave, Park):
                        outcome = Refused(leave)
                    else:
                        outcome, exchange = self._send(attempt, deadline, extra)
                    following = flow.send(outcome)
                except StopIteration as stop:
                    handover, given = stop.value, exchange
                    exchange = None
                    return handover, given
                finally:
                    if exchange is not None:
                        exchange.close()
                    if self._ledger and isinstance(leave, Reservation):
                        self._ledger.settle(leave, **_settlement(attempt))
                attempt = following
        finally:
            flow.close()

    def _send(
        self, attempt: Attempt, deadline: float, extra: Mapping[str, str] | None
    ) -> tuple[Outcome, Exchange | None]:
        request = self._request(attempt, deadline - time.monotonic(), extra)
        try:
            exchange = self._open(request, deadline)
        except httpx.HTTPError as error:
            return self._no_reply(error, deadline), None
        response = exchange.response
        try:
            if _is_stream(response):
                return self._reply(response, exchange.first(), streaming=True), exchange
            body = exchange.read()
        except httpx.HTTPError as error:
            exchange.close()
            return self._no_reply(error, deadline), None
        except BaseException:
            exchange.close()
            raise
        exchange.close()
        return self._reply(response, body), None

    def _open(self, request: httpx.Request, deadline: float) -> Exchange:
        if self._client is not None:
            response = self._client.send(request, stream=True, follow_redirects=False)
            return Exchange(response, None, None, deadline)
        connection = self._idle.take()
        try:
            response = connection.handle_request(request)
        except BaseException:
            connection.close()
            raise
        return Exchange(response, self._idle, connection, deadline)

    @staticmethod
    def deltas(exchange: Exchange, reader: StreamReader) -> Iterator[ChatDelta]:
        """The deltas of a handed-over stream; closes the exchange at the end, or when dropped."""
        try:
            yield from reader.begin()
            broken = None
            try:
                while not reader.ended and (data := next(exchange.chunks, None)) is not None:
                    yield from reader.feed(data)
            except (httpx.HTTPError, UnreadableBodyError) as error:
                broken = str(error) or type(error).__name__
            yield from reader.finish(exchange.late() or broken)
            exchange.drain()
        finally:
            exchange.close()

    def close(self) -> None:
        """Close the idle connections of the sync colour."""
        self._idle.close()

    # --- async: the same, with await ------------------------------------------------------

    async def adrive(
        self, flow: Flow, deadline: float, extra: Mapping[str, str] | None = None
    ) -> tuple[Handover, AsyncExchange | None]:
        """`drive`, for an event loop. A store that does I/O is kept off the loop."""
        ledger = self._ledger
        try:
            attempt = next(flow)
            while True:
                if attempt.delay:
                    await asyncio.sleep(attempt.delay)
                leave: Reservation | Park | None = None
                if ledger:
                    leave = await _off_loop(ledger, ledger.reserve, attempt.model)
                exchange: AsyncExchange | None = None
                try:
                    outcome: Outcome
                    if isinstance(leave, Park):
                        outcome = Refused(leave)
                    else:
                        outcome, exchange = await self._asend(attempt, deadline, extra)
                    following = flow.send(outcome)
                except StopIteration as stop:
                    handover, given = stop.value, exchange
                    exchange = None
                    return handover, given
                finally:
                    if exchange is not None:
                        await exchange.aclose()
                    if ledger and isinstance(leave, Reservation):
                        await _off_loop(ledger, ledger.settle, leave, **_settlement(attempt))
                attempt = following
        finally:
            flow.close()

    async def _asend(
        self, attempt: Attempt, deadline: float, extra: Mapping[str, str] | None
    ) -> tuple[Outcome, AsyncExchange | None]:
        request = self._request(attempt, deadline - time.monotonic(), extra)
        exchange: AsyncExchange | None = None
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                exchange = await self._aopen(request, deadline)
                response = exchange.response
                if _is_stream(response):
                    reply = self._reply(response, await exchange.first(), streaming=True)
                    given, exchange = exchange, None
                    return reply, given
                return self._reply(response, await exchange.read()), None
        except httpx.HTTPError as error:
            return self._no_reply(error, deadline), None
        except TimeoutError:
            return NoReply("timeout", "the deadline of the call", sent=True), None
        finally:
            if exchange is not None:
                await exchange.aclose()

    async def _aopen(self, request: httpx.Request, deadline: float) -> AsyncExchange:
        if self._async_client is not None:
            response = await self._async_client.send(request, stream=True, follow_redirects=False)
            return AsyncExchange(response, None, None, deadline)
        connection = await self._loop_idle.take()
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await finish_anyway(connection.aclose())
            raise
        return AsyncExchange(response, self._loop_idle, connection, deadline)

    @staticmethod
    async def adeltas(exchange: AsyncExchange, reader: StreamReader) -> AsyncIterator[ChatDelta]:
        """`deltas`, for an event loop."""
        try:
            for delta in reader.begin():
                yield delta
            broken = None
            try:
                while not reader.ended and (data := await anext(exchange.chunks, None)) is not None:
                    for delta in reader.feed(data):
                        yield delta
            except (httpx.HTTPError, UnreadableBodyError) as error:
                broken = str(error) or type(error).__name__
            for delta in reader.finish(exchange.late() or broken):
                yield delta
            await exchange.drain()
        finally:
            await exchange.aclose()

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        await self._loop_idle.aclose()


def _lower(response: httpx.Response) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in response.headers.raw
    }


def _is_stream(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return response.is_success and kind.lower().startswith("text/event-stream")


def _settlement(attempt: Attempt) -> dict[str, Any]:
    """What the ledger is told; without a verdict (cancelled) nobody knows of a charge."""
    verdict = attempt.verdict
    if verdict is None:
        return {"charged": None}
    return {"charged": verdict.charged, "allowance": verdict.allowance, "park": verdict.park}


async def _off_loop(ledger: Ledger, ask: Any, *args: Any, **kwargs: Any) -> Any:
    if ledger.blocking:
        return await asyncio.to_thread(ask, *args, **kwargs)
    return ask(*args, **kwargs)
