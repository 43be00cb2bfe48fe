"""Drives a flow, sync and async.

Laws of this file: the only one that imports httpx and, in a call's way, the only one that sleeps
or awaits, but for leave to send. It decides nothing: it waits as told, sends as told, and hands
what came of it to the flow. Network failure enters the flow as a value.

A request goes out over a connection of ours (``_direct.py``) or, where the user gave an httpx
client of their own, through that and its hooks.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
from collections.abc import Mapping
from typing import Any

import httpx

from .._wire.outcomes import NoReply, Outcome, Reply
from ..http._direct import (
    BROKEN,
    LATE,
    UNSENT,
    Direct,
    DirectInLoop,
    noticing,
)
from ..http.deadlines import Watch, watch
from ..http.decompression import UnreadableBodyError
from ..http.endpoints import EndpointResolver, Place
from ..http.reply import (
    Arrived,
    AsyncExchange,
    Exchange,
    Outgoing,
    finish_anyway,
    lower,
)
from ..settings import Settings
from .admission import Admission
from .policy import Attempt, Flow, Handover

__all__ = ["Driver"]


@functools.cache
def _tls() -> ssl.SSLContext:
    """One context for the process: building one costs more than a hundred calls do."""
    return httpx.create_ssl_context()


class _Given:
    """A client of the user's own, sync or async, in the place of a connection of ours."""

    sent = True  # so far as is known

    def __init__(self, client: Any) -> None:
        self._send = functools.partial(client.send, stream=True, follow_redirects=False)

    def send(self, outgoing: Outgoing, guard: Watch) -> Arrived:
        # Nothing is known of its connections but the new ones.
        return _arrived(self._send(_request(outgoing, trace=noticing(guard.follow))))

    async def asend(self, outgoing: Outgoing) -> Arrived:
        return _arrived(await self._send(_request(outgoing)))

    def close(self) -> None:
        """Its connections are its own."""

    async def aclose(self) -> None:
        """Its connections are its own."""


def _request(outgoing: Outgoing, **extensions: Any) -> httpx.Request:
    return httpx.Request(
        outgoing.method,
        outgoing.url,
        headers=outgoing.headers,
        content=outgoing.body or None,
        extensions={"timeout": outgoing.limits, **extensions},
    )


def _arrived(response: httpx.Response) -> Arrived:
    headers = lower(response.headers.raw)
    if response.is_stream_consumed:  # by an event hook; what httpx keeps is uncompressed
        headers.pop("content-encoding", None)
        return Arrived(response.status_code, headers, httpx.ByteStream(response.content))
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    return Arrived(response.status_code, headers, response.stream, sock)


_Open = Exchange | AsyncExchange
_LATE = "the deadline of the call"
# What a failing connection raises: httpx's own, and httpcore's where there is no httpx between.
_FAILED = (httpx.HTTPError, httpx.StreamError, *BROKEN)
_TOO_SLOW = (httpx.TimeoutException, *LATE)
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, *UNSENT)


class Driver:
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
        platforms: tuple[Driver, ...] = (),
    ) -> None:
        self._admission = admission
        self._platforms = platforms
        self._token = settings.token
        self._addresses = EndpointResolver(settings, headers, _tls)
        self._addresses.find("")  # what cannot be used is said before any request
        self._given = None if http_client is None else _Given(http_client)
        self._given_async = None if http_async_client is None else _Given(http_async_client)

    # --- both colours ---------------------------------------------------------------------

    def _line_of(
        self, attempt: Attempt, extra: Mapping[str, str] | None
    ) -> tuple[Driver, Mapping[str, str] | None]:
        """The way of an attempt, and the caller's headers, which are for the service alone."""
        if attempt.platform is None:
            return self, extra
        return self._platforms[attempt.platform], None

    def _reply(self, exchange: _Open, body: bytes, *, streaming: bool = False) -> Reply:
        masked = self._token.masked
        reply = exchange.reply
        found = masked(body, always=not reply.is_good())
        headers = {name: masked(value) for name, value in reply.headers.items()}
        return Reply(reply.status, headers, found, streaming)

    def _no_reply(self, error: Exception, deadline: float, *, sent: bool) -> NoReply:
        late = isinstance(error, _TOO_SLOW) or time.monotonic() >= deadline
        return NoReply(
            "timeout" if late else "connection",
            self._token.masked(str(error) or type(error).__name__),
            sent=sent and not isinstance(error, _NOT_SENT),
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
        place = self._addresses.find(attempt.path)
        remaining = deadline - time.monotonic()
        outgoing = self._addresses.outgoing(place, attempt.body, remaining, attempt.headers, extra)
        wire = self._given or place.idle.take()
        to_close: Exchange | None = None
        try:
            exchange = to_close = self._open(outgoing, place, wire, deadline)
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
        except _FAILED as error:
            return self._no_reply(error, deadline, sent=wire.sent), None
        finally:
            if to_close is not None:
                to_close.close()

    def _open(
        self, outgoing: Outgoing, place: Place, wire: _Given | Direct, deadline: float
    ) -> Exchange:
        pool = place.idle if self._given is None else None
        guard = watch(None, deadline)
        try:
            arrived = wire.send(outgoing, guard)
        except BaseException:
            guard.cancel()
            wire.close()
            raise
        return Exchange(arrived, pool, wire, guard, _FAILED)

    def close(self) -> None:
        """Close the idle connections of the sync colour."""
        for place in self._addresses.known():
            place.idle.close()
        for line in self._platforms:
            line.close()

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
        place = self._addresses.find(attempt.path)
        remaining = deadline - time.monotonic()
        outgoing = self._addresses.outgoing(place, attempt.body, remaining, attempt.headers, extra)
        wire = self._given_async or await place.loop_idle.take()
        to_close: AsyncExchange | None = None
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                exchange = to_close = await self._aopen(outgoing, place, wire, deadline)
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
        except _FAILED as error:
            return self._no_reply(error, deadline, sent=wire.sent), None
        except TimeoutError:
            return NoReply("timeout", _LATE, sent=wire.sent), None
        finally:
            if to_close is not None:
                await to_close.aclose()

    async def _aopen(
        self, outgoing: Outgoing, place: Place, wire: _Given | DirectInLoop, deadline: float
    ) -> AsyncExchange:
        pool = place.loop_idle if self._given_async is None else None
        try:
            arrived = await wire.asend(outgoing)
        except BaseException:
            await finish_anyway(wire.aclose())
            raise
        return AsyncExchange(arrived, pool, wire, deadline, _FAILED)

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        for place in self._addresses.known():
            await place.loop_idle.aclose()
        for line in self._platforms:
            await line.aclose()
