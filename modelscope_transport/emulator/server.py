"""A small HTTP/1.1 server: asyncio in a thread of its own, made for loopback and for tests.

It reads one request after another from each connection, asks the handler for an answer and plays
the answer's steps. It knows no path and no model. When a client goes away its handler is cancelled
at once, so that whatever stands behind the answer (another server, say) stops working too.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from modelscope_transport.emulator.answers import Answer, Pause, Raw, Reply, Reset, Step, wire

MAX_HEAD = 256 * 1024
MAX_BODY = 256 * 1024 * 1024
_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

    Attributes:
        method: ``GET``, ``POST``, …
        path: The path without the query.
        headers: Names in lower case.
        body: The parsed JSON, or None where there is none.
        time: When it arrived, by the service's clock: seconds since the epoch.
        query: The query's last value for each name.
        content: The body's bytes.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    time: float
    query: dict[str, str] = field(default_factory=dict)
    content: bytes = field(default=b"", repr=False)


Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]


class Server:
    """Serve a handler on a real socket.

    Args:
        handler: Called on the server's own event loop for each request.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        clock: Where ``Request.time`` comes from.
    """

    def __init__(
        self, handler: Handler, host: str, port: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.handler, self.host, self.port, self.clock = handler, host, port, clock
        self.connections: set[Connection] = set()
        self._loop = asyncio.SelectorEventLoop()  # the one kind that watches a listener everywhere
        self._arriving: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(
            target=self._run, name="modelscope-local-service", daemon=True
        )

    def start(self) -> None:
        """Bind and serve; returns when the socket listens.

        Raises:
            OSError: The address cannot be bound.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            self._listener = socket.create_server(
                (self.host, self.port), family=family, backlog=1024
            )
        except OSError:
            self._loop.close()
            raise
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and the socket, and join the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        loop = self._loop
        loop.add_reader(self._listener, self._accept)
        try:
            loop.run_forever()
        finally:
            loop.remove_reader(self._listener)
            self._listener.close()
            loop.run_until_complete(self._end())
            loop.close()

    def _accept(self) -> None:
        """Accept a client; asyncio's own server loses those that come while it closes."""
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # the client has gone already
        client.setblocking(False)
        arrival = self._loop.connect_accepted_socket(lambda: Connection(self), client)
        task = self._loop.create_task(arrival)
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _end(self) -> None:
        """End every connection, also one that is arriving, and see its socket closed."""
        await asyncio.gather(*self._arriving, return_exceptions=True)
        for connection in self.connections.copy():
            connection.end()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()
        await asyncio.sleep(0)  # the last sockets close in the loop's next round


class Connection(asyncio.Protocol):
    """One client: requests in, answers out, one at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._reader = asyncio.StreamReader(limit=MAX_HEAD)
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to serve (asyncio calls this)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # asyncio sets it only where the socket names its protocol, which an accepted one may not;
        # without it a small event waits 40 ms for the client's acknowledgement
        wire = transport.get_extra_info("socket")
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        """Receive bytes (asyncio calls this)."""
        self._reader.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop working for a client that is gone (asyncio calls this)."""
        self._server.connections.discard(self)
        self._writable.set()
        self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads too slowly (asyncio calls this)."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up (asyncio calls this)."""
        self._writable.set()

    def end(self) -> None:
        """Cancel what runs and close."""
        self._task.cancel()
        self._transport.abort()

    async def _serve(self) -> None:
        try:
            while True:
                request = await self._read()
                answer = await self._server.handler(request)
                await self._answer(request, answer)
                if isinstance(answer, Raw) and not answer.keep:
                    break
                if request.headers.get("connection", "").lower() == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        except (ValueError, asyncio.LimitOverrunError) as wrong:
            text = f"400 Bad Request: {wrong}"
            self._transport.write(Reply(400, text, {"connection": "close"}).render())
        finally:
            self._transport.close()

    async def _read(self) -> Request:
        text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        arrived = self._server.clock()
        first, *lines = text[:-4].split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        content = await self._content(headers)
        url = urlsplit(target)
        body = None
        with suppress(ValueError, RecursionError):
            body = json.loads(content) if content else None
        return Request(
            method, unquote(url.path), headers, body, arrived, dict(parse_qsl(url.query)), content
        )

    async def _content(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            length = int(headers.get("content-length", "0"))
            if length > MAX_BODY:
                raise ValueError(length)
            return await self._reader.readexactly(length) if length else b""
        content = bytearray()
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            content += (await self._reader.readexactly(size + 2))[:-2]
        while (await self._reader.readline()).strip():
            pass  # trailers
        return bytes(content)

    async def _answer(self, request: Request, answer: Answer) -> None:
        steps: AsyncGenerator[Step, None]
        async with aclosing(wire(answer)) as steps:
            async for step in steps:
                if isinstance(step, Pause):
                    await asyncio.sleep(min(step.seconds, 86_400))
                elif isinstance(step, Reset):
                    self._reset()
                else:
                    no_body = request.method == "HEAD"
                    self._transport.write(
                        step.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if no_body else step
                    )
                    await self._writable.wait()
                    if self._transport.is_closing():
                        raise ConnectionResetError

    def _reset(self) -> None:
        """Send a TCP reset: what was written but not sent is thrown away."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()
        raise ConnectionResetError
