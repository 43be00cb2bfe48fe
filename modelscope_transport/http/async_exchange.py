"""One request and its reply in an event loop, over a connection and parser of aiohttp's.

Laws of this file: no policy. A time limit wakes the waiter with an error, and cancels nothing. An
exchange that was begun ends once; its connection serves again only where nothing follows the reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from aiohttp.http import HttpProcessingError

from ..language import translated as _
from .async_connections import LoopConnections, drop_socket, is_quiet, unsent
from .outgoing import Limits

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

__all__ = ["FAILED", "Exchange"]

# Bytes of one line of a head; of a body in one write; and of what was written and has not gone out.
_LONGEST_LINE = 1 << 16
_PIECE = 1 << 17
_MOST_WAITING = 1 << 20
# Seconds between two looks at an upload that does not go out.
_LOOK = 0.01

_says_close = re.compile(rb"\r\nconnection:[^\r]*\bclose\b", re.IGNORECASE).search

# What aiohttp and asyncio raise: RuntimeError for what is closed, ValueError for an odd host.
FAILED = (
    aiohttp.ClientError,
    aiohttp.EofStream,
    HttpProcessingError,
    OSError,
    RuntimeError,
    ValueError,
    httpx.TransportError,
)


class Exchange(httpx.AsyncByteStream):
    """A request and its reply on one connection; iterated once, it gives the body as it arrives.

    Args:
        owner: what is to live until the exchange has ended.
        connections: where the connection comes from.
        server: where it leads.
        connection: the connection.
        limits: of the exchange.
    """

    def __init__(
        self,
        owner: object,
        connections: LoopConnections,
        server: aiohttp.ClientRequest,
        connection: Connection,
        limits: Limits,
    ) -> None:
        assert connection.protocol is not None
        self._owner: object | None = owner
        self._connections = connections
        self._server = server
        self._connection: Connection | None = connection
        self._protocol = connection.protocol
        self._limits = limits
        self._payload: aiohttp.StreamReader | None = None
        self._error: httpx.TransportError | None = None
        self._begun = False
        self._unwritten = memoryview(b"")
        self._is_sent = self._heard = False
        self._keeps_alive = True
        self._ends_with_connection = False
        self._left, self._moved_at = -1, 0.0
        self._look: asyncio.Handle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        connections.exchanges[self._protocol] = self
        if limits.deadline < math.inf:
            left = limits.deadline - time.monotonic()
            self._deadline = connections.loop.call_later(left, self._is_late)

    # --- sending ----------------------------------------------------------------------------

    async def send(self, method: str, head: memoryview, body: bytes) -> httpx.Response:
        """Send a request and wait for the head of its reply."""
        protocol = self._protocol
        transport = protocol.transport
        if transport is None:
            raise httpx.ConnectError(_("the server closed the connection at once"))
        protocol.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=None if self._limits.read == math.inf else self._limits.read,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        self._keeps_alive &= not _says_close(head)
        _note_first_bytes(protocol, self._hear)
        transport.write(b"".join((head, body[:_PIECE])))
        self._unwritten = memoryview(body)[_PIECE:]
        self._send_on()
        message, payload = await protocol.read()
        while message.code < 200:
            if message.code == 101:
                raise httpx.RemoteProtocolError(_("the server changes the protocol, unasked"))
            if self._is_sent:
                protocol.start_timeout()  # which ended with the informational reply
            message, payload = await protocol.read()
        self._payload = payload
        self._ends_with_connection = not message.chunked and not any(
            name.lower() == b"content-length" for name, _ in message.raw_headers
        )
        if payload.at_eof():
            self.end(reusable=True)
        return httpx.Response(message.code, headers=list(message.raw_headers), stream=self)

    def _hear(self) -> None:
        self._heard = True

    def _send_on(self) -> None:
        """Write the body in pieces, between other work of the loop, and see that it goes out."""
        transport, loop = self._protocol.transport, self._connections.loop
        if transport is None or transport.is_closing() or self._connection is None:
            return
        waiting, now, limit = unsent(transport), loop.time(), self._limits.write
        left = waiting + len(self._unwritten)
        if not left:
            self._is_sent = True
            self._protocol.start_timeout()
            return
        if left != self._left:
            self._left, self._moved_at = left, now
        elif now - self._moved_at >= limit and self._payload is None:
            self._cut(
                httpx.WriteTimeout(_("the server took no byte for {limit} s").format(limit=limit))
            )
            return
        if self._unwritten and waiting < _MOST_WAITING:
            transport.write(self._unwritten[:_PIECE])
            self._unwritten = self._unwritten[_PIECE:]
            self._look = loop.call_soon(self._send_on)
        else:
            self._look = loop.call_later(_LOOK, self._send_on)

    # --- receiving --------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[bytes]:
        begun, self._begun = self._begun, True
        return _Pieces(_refuse if begun else self._piece)

    async def _piece(self) -> bytes:
        if self._connection is None:
            raise self._error or StopAsyncIteration
        payload, failure = self._payload, None
        assert payload is not None
        try:
            data = await payload.readany()
        except FAILED as error:
            data = self._unread()
            if not data:
                failure = self.failure(error)
        except BaseException:
            self.end(reusable=False)
            raise
        if failure is None and payload.at_eof():
            failure = self._finish()
        if data:
            return data
        raise failure or StopAsyncIteration

    def _finish(self) -> httpx.TransportError | None:
        """End a body that was read to its end; or what to raise because that is no end."""
        broken = self._protocol.exception()
        if self._ends_with_connection and isinstance(broken, OSError):
            return self.failure(broken)
        self.end(reusable=True)
        return None

    def _unread(self) -> bytes:
        """What had arrived before the connection broke."""
        payload = self._payload
        error = None if payload is None else payload.exception()
        if payload is None or error is None or self._error is not None:
            return b""
        payload.set_exception(None)  # type: ignore[arg-type] # else it gives out nothing
        try:
            return payload.read_nowait()
        finally:
            payload.set_exception(error)

    # --- the end ----------------------------------------------------------------------------

    def failure(self, error: BaseException) -> httpx.TransportError:
        """End the exchange; what to raise for what has ended it."""
        if self._error is None:
            self._error = self._as_ours(error)
            # What the parser raises shows what the server sent, which may be a secret.
            self._error.__cause__ = error if isinstance(error, OSError) else None
        self.end(reusable=False)
        return self._error

    def _as_ours(self, error: BaseException) -> httpx.TransportError:
        if isinstance(error, httpx.TransportError):
            return error
        if isinstance(error, TimeoutError):
            return httpx.ReadTimeout(_("no byte for {read} s").format(read=self._limits.read))
        broken = error if isinstance(error, OSError) else self._protocol.exception()
        text = (
            _("the connection broke: {broken}").format(broken=broken)
            if isinstance(broken, OSError)
            else ""
        )
        if not self._is_sent and self._payload is None:
            return httpx.WriteError(text or _("the server left before it had the whole request"))
        if text and (self._payload is not None or not self._heard):
            return httpx.ReadError(text)
        if isinstance(error, HttpProcessingError) or isinstance(broken, HttpProcessingError):
            return httpx.RemoteProtocolError(_("the reply is not what HTTP/1.1 allows"))
        return httpx.RemoteProtocolError(_("the server left before the end of its reply"))

    def connection_lost(self) -> None:
        """Wake a reader whom aiohttp does not wake, because its parser has failed."""
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(self._protocol.exception() or aiohttp.ServerDisconnectedError())

    def _is_late(self) -> None:
        is_sending = not self._is_sent and self._payload is None
        late = httpx.WriteTimeout if is_sending else httpx.ReadTimeout
        self._cut(late(_("the deadline has passed")))

    def _cut(self, error: httpx.TransportError) -> None:
        """End the exchange with an error, which wakes its waiter."""
        if self._connection is None:
            return
        self._error = error
        self._protocol.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)
        self.end(reusable=False)

    def end(self, *, reusable: bool) -> None:
        """Give the connection back, if it can be used again, or close it; once."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        protocol, self._owner = self._protocol, None
        _note_first_bytes(protocol, None)
        self._connections.exchanges.pop(protocol, None)
        for timer in (self._deadline, self._look):
            if timer is not None:
                timer.cancel()
        transport = protocol.transport
        if transport is not None:
            is_sent = not self._unwritten and not unsent(transport)
            if reusable and self._keeps_alive and is_sent and is_quiet(protocol):
                connection.release()
                self._connections.keep(self._server)
                return
            if self._connections.loop.is_closed():
                protocol.transport = None
                drop_socket(transport)
            else:
                transport.abort()
        connection.close()

    def close_after(self) -> None:
        """Close the connection when the reply has ended."""
        self._keeps_alive = False

    async def drain(self, seconds: float) -> None:
        """Read to the end within so many seconds, so that the connection can serve again."""
        with contextlib.suppress(httpx.TransportError, TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(seconds):
                while True:
                    await self._piece()

    async def aclose(self) -> None:
        """Close the connection, unless the reply was read to its end."""
        if self._payload is not None and self._payload.at_eof():
            self.end(reusable=True)
        self._cut(httpx.ReadError(_("the reply was closed before its end")))


def _note_first_bytes(protocol: ResponseHandler, note: Callable[[], None] | None) -> None:
    """Call ``note`` once, when the next bytes come; with ``None``, do not.

    uvloop has looked up by then where bytes go: there nothing is called.
    """
    vars(protocol).pop("data_received", None)
    if note is None:
        return

    def first(data: bytes) -> None:
        _note_first_bytes(protocol, None)
        note()
        protocol.data_received(data)

    vars(protocol)["data_received"] = first


class _Pieces:
    """An iterator over what a coroutine returns; an asynchronous generator costs more."""

    def __init__(self, piece: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
        self._piece = piece

    def __aiter__(self) -> _Pieces:
        return self

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        return self._piece()


async def _refuse() -> bytes:
    raise httpx.StreamConsumed
