"""Drives a flow, sync and async.

Laws of this file: the only one that imports httpx and, in a call's way, the only one that sleeps
or awaits, but for leave to send. It decides nothing: it waits as told, sends as told, and hands
what came of it to the flow. Network failure enters the flow as a value.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from msgspec import Struct

from ._admission import Admission
from ._body import UnreadableBodyError
from ._exchange import AsyncExchange, Exchange, Wire, finish_anyway
from ._flow import Attempt, Flow, Handover
from ._pool import Idle, LoopIdle
from ._watchdog import watch
from ._wire.outcomes import NoReply, Outcome, Reply
from .errors import ConfigurationError
from .settings import Settings, resolve_address

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
_Pools = tuple[Idle[Wire], LoopIdle[httpx.AsyncHTTPTransport]]


@functools.cache
def _pools(origin: str, proxy: str | None) -> _Pools:
    """The connections that every client of one address and proxy shares."""
    context = _tls if origin.startswith("https") or proxy is not None else _no_tls

    def make(transport: Any) -> Any:
        try:
            return transport(verify=context(), limits=_ONE, proxy=proxy, trust_env=False)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ConfigurationError(f"The proxy cannot be used: {error}") from None

    def connect() -> Wire:
        transport = make(httpx.HTTPTransport)
        return Wire(transport.handle_request, transport.close)

    return (
        Idle(connect),
        LoopIdle(functools.partial(make, httpx.AsyncHTTPTransport)),
    )


_Open = Exchange | AsyncExchange
_LATE = "the deadline of the call"
# What a broken connection raises in the middle of a stream.
_BROKEN = (httpx.HTTPError, httpx.StreamError)


class _Place(Struct, frozen=True):
    """An address, whether it may see the token, and the connections there."""

    url: httpx.URL
    trusted: bool
    idle: Idle[Wire]
    loop_idle: LoopIdle[httpx.AsyncHTTPTransport]


class Line:
    """The way to one service: addresses, headers, connections, and who may send.

    Args:
        settings: token, address, time limits.
        admission: whom to ask before an attempt is sent.
        headers: further headers of every request.
        http_client: an ``httpx.Client`` to send through instead of the shared connections.
        http_async_client: an ``httpx.AsyncClient``, likewise.
        platforms: the ways to other services that the user named, for attempts that are theirs.
    """

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        headers: Mapping[str, str],
        http_client: httpx.Client | None = None,
        http_async_client: httpx.AsyncClient | None = None,
        platforms: tuple[Line, ...] = (),
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._platforms = platforms
        self._token = settings.token
        self._places: dict[str, _Place] = {}
        self._headers = httpx.Headers(
            {
                "authorization": f"Bearer {self._token.reveal()}",
                "content-type": "application/json",
                "accept-encoding": "identity",
                **{name.lower(): value for name, value in headers.items()},
            }
        )
        self._home = self._place("")
        # What a stranger's server gets to see: an image's address may lead anywhere.
        self._public = {name: self._headers[name] for name in ("user-agent", "accept-encoding")}
        self._async_client = http_async_client
        self._through: Callable[[Any], Any] | None = None
        if http_client is not None:
            send = functools.partial(http_client.send, stream=True, follow_redirects=False)
            self._through = send

    # --- both colours ---------------------------------------------------------------------

    def _line_of(
        self, attempt: Attempt, extra: Mapping[str, str] | None
    ) -> tuple[Line, Mapping[str, str] | None]:
        """The way of an attempt, and the caller's headers, which are for the service alone."""
        if attempt.platform is None:
            return self, extra
        return self._platforms[attempt.platform], None

    def _request(
        self, attempt: Attempt, place: _Place, remaining: float, extra: Mapping[str, str] | None
    ) -> httpx.Request:
        headers: Mapping[str, str] = self._headers if place.trusted else self._public
        more = {**((extra if place.trusted else None) or {}), **(attempt.headers or {})}
        if more:
            headers = {**headers, **{name.lower(): value for name, value in more.items()}}
        return httpx.Request(
            "POST" if attempt.body else "GET",
            place.url,
            headers=headers,
            content=attempt.body or None,
            extensions={"timeout": self._settings.time_limits(remaining)},
        )

    def _place(self, path: str) -> _Place:
        """Where an attempt goes: an address, and the connections there."""
        place = self._places.get(path)
        if place is None:
            url, trusted = resolve_address(self._settings.base_url, path)
            there = httpx.URL(url)
            origin = f"{there.scheme}://{there.netloc.decode()}"
            place = _Place(there, trusted, *_pools(origin, self._settings.proxy))
            if len(self._places) < 256:  # every image task has an address of its own
                self._places[path] = place
        return place

    def _reply(self, exchange: _Open, body: bytes, *, streaming: bool = False) -> Reply:
        masked = self._token.masked
        found = masked(body, always=not exchange.response.is_success)
        headers = {name: masked(value) for name, value in exchange.headers().items()}
        return Reply(exchange.response.status_code, headers, found, streaming)

    def _no_reply(self, error: httpx.HTTPError, deadline: float) -> NoReply:
        late = isinstance(error, httpx.TimeoutException) or time.monotonic() >= deadline
        unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
        return NoReply(
            "timeout" if late else "connection",
            self._token.masked(str(error) or type(error).__name__),
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
                line, more = self._line_of(attempt, extra)
                ticket = line._admission.admit(attempt, deadline)
                exchange: Exchange | None = None
                handover: Handover | None = None
                try:
                    outcome: Outcome | None = ticket.refusal
                    if outcome is None:
                        outcome, exchange = line._send(attempt, deadline, more)
                    following = flow.send(outcome)
                except StopIteration as stop:
                    handover = stop.value
                    if exchange is not None:
                        exchange.then(ticket.hand_over())
                finally:
                    settled = False
                    try:
                        line._admission.settle(ticket, attempt)
                        settled = True
                    finally:
                        if exchange is not None and not (handover and settled):
                            exchange.close()  # nobody gets it
                if handover is not None:
                    return handover, exchange
                attempt = following
        finally:
            flow.close()

    def _send(
        self, attempt: Attempt, deadline: float, extra: Mapping[str, str] | None
    ) -> tuple[Outcome, Exchange | None]:
        place = self._place(attempt.path)
        request = self._request(attempt, place, deadline - time.monotonic(), extra)
        to_close: Exchange | None = None
        try:
            exchange = to_close = self._open(request, place, deadline)
            try:
                streaming = exchange.is_stream()
                body = exchange.first() if streaming else exchange.read()
            except UnreadableBodyError as error:
                streaming, body = False, f"({error})".encode()
            if exchange.cut():
                return NoReply("timeout", _LATE, sent=True), None
            reply = self._reply(exchange, body, streaming=streaming)
            if not streaming:
                return reply, None
            to_close = None
            return reply, exchange
        except httpx.HTTPError as error:
            return self._no_reply(error, deadline), None
        finally:
            if to_close is not None:
                to_close.close()

    def _open(self, request: httpx.Request, place: _Place, deadline: float) -> Exchange:
        idle = place.idle if self._through is None else None
        # Through a client of the user's own nothing is known of its connections but the new ones.
        wire = place.idle.take() if self._through is None else Wire(self._through, lambda: None)
        guard = watch(None, deadline)
        try:
            response = wire.send(request, guard)
        except BaseException:
            guard.cancel()
            wire.close()
            raise
        return Exchange(response, idle, wire, guard, _BROKEN)

    def close(self) -> None:
        """Close the idle connections of the sync colour."""
        self._home.idle.close()

    # --- async: the same, with await ------------------------------------------------------

    async def adrive(
        self, flow: Flow, deadline: float, extra: Mapping[str, str] | None = None
    ) -> tuple[Handover, AsyncExchange | None]:
        """`drive`, for an event loop."""
        try:
            attempt = next(flow)
            while True:
                if attempt.delay:
                    await asyncio.sleep(attempt.delay)
                line, more = self._line_of(attempt, extra)
                ticket = await line._admission.aadmit(attempt, deadline)
                exchange: AsyncExchange | None = None
                handover: Handover | None = None
                try:
                    outcome: Outcome | None = ticket.refusal
                    if outcome is None:
                        outcome, exchange = await line._asend(attempt, deadline, more)
                    following = flow.send(outcome)
                except StopIteration as stop:
                    handover = stop.value
                    if exchange is not None:
                        exchange.then(ticket.hand_over())
                finally:
                    settled = False
                    try:
                        await line._admission.asettle(ticket, attempt)
                        settled = True
                    finally:
                        if exchange is not None and not (handover and settled):
                            await exchange.aclose()  # nobody gets it
                if handover is not None:
                    return handover, exchange
                attempt = following
        finally:
            flow.close()

    async def _asend(
        self, attempt: Attempt, deadline: float, extra: Mapping[str, str] | None
    ) -> tuple[Outcome, AsyncExchange | None]:
        place = self._place(attempt.path)
        request = self._request(attempt, place, deadline - time.monotonic(), extra)
        to_close: AsyncExchange | None = None
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                exchange = to_close = await self._aopen(request, place, deadline)
                try:
                    streaming = exchange.is_stream()
                    body = await (exchange.first() if streaming else exchange.read())
                except UnreadableBodyError as error:
                    streaming, body = False, f"({error})".encode()
                reply = self._reply(exchange, body, streaming=streaming)
                if not streaming:
                    return reply, None
                to_close = None
                return reply, exchange
        except httpx.HTTPError as error:
            return self._no_reply(error, deadline), None
        except TimeoutError:
            return NoReply("timeout", _LATE, sent=True), None
        finally:
            if to_close is not None:
                await to_close.aclose()

    async def _aopen(self, request: httpx.Request, place: _Place, deadline: float) -> AsyncExchange:
        if self._async_client is not None:
            response = await self._async_client.send(request, stream=True, follow_redirects=False)
            return AsyncExchange(response, None, None, deadline, _BROKEN)
        connection = await place.loop_idle.take()
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await finish_anyway(connection.aclose())
            raise
        return AsyncExchange(response, place.loop_idle, connection, deadline, _BROKEN)

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        await self._home.loop_idle.aclose()
