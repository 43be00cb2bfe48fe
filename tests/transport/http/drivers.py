"""The two engines behind one face, so that a test can be written once and hold for both."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from modelscope_transport.http.sync_engine import SyncEngine

__all__ = ["SLACK", "AsyncDriver", "Driver", "MakeEngine", "Opened", "SyncDriver", "exchange"]

# Two cores are shared with other work: how many seconds late an exact deadline may look.
SLACK = 1.5


def no_tls() -> ssl.SSLContext:
    """Stand for TLS where none is to be spoken."""
    raise AssertionError("a plain connection needs no TLS")


def exchange(
    url: str,
    body: bytes | None = None,
    *,
    method: str | None = None,
    headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]] | None = None,
    deadline: float | None = None,
    **limits: float,
) -> httpx.Request:
    """A request whose limits are far off, where not told otherwise.

    Args:
        url: where to.
        body: to post; a ``GET`` without.
        method: another one.
        headers: further ones.
        deadline: the end of the exchange on ``time.monotonic()``.
        limits: seconds for ``connect``, ``read``, ``write``.
    """
    extensions: dict[str, Any] = {
        "timeout": {"connect": 30.0, "read": 30.0, "write": 30.0, "pool": 30.0, **limits}
    }
    if deadline is not None:
        extensions["deadline"] = deadline
    method = method or ("GET" if body is None else "POST")
    return httpx.Request(method, url, headers=headers, content=body, extensions=extensions)


class Opened:
    """A reply whose head has arrived.

    Attributes:
        status: of HTTP.
        headers: as they came.
    """

    def __init__(self, driver: Driver, response: httpx.Response, pieces: Any) -> None:
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self._driver = driver
        self._pieces = pieces

    def piece(self) -> bytes:
        """The next bytes of the body; empty at its end."""
        return self._driver.next_piece(self._pieces)

    def rest(self) -> bytes:
        """All that is still to come."""
        found = []
        while piece := self.piece():
            found.append(piece)
        return b"".join(found)

    def drain(self, seconds: float) -> None:
        """Read to the end within so many seconds, for the connection's sake."""
        self._driver.drain_reply(self.response, seconds)

    def close(self) -> None:
        """Let go of the reply."""
        self._driver.close_reply(self.response)


class SyncDriver:
    """Drives the sync engine."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] = no_tls) -> None:
        self.engine: Any = SyncEngine(tls)

    def open(self, request: httpx.Request) -> Opened:
        """Send a request and read the head of its reply."""
        response = self.engine.handle_request(request)
        return Opened(self, response, self.pieces(response))

    def send(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        """Send a request and read its whole reply."""
        opened = self.open(request)
        try:
            return opened.status, opened.headers, opened.rest()
        finally:
            opened.close()

    def pieces(self, response: httpx.Response) -> Any:
        return iter(response.stream)  # type: ignore[arg-type]

    def next_piece(self, pieces: Any) -> bytes:
        return next(pieces, b"")

    def drain_reply(self, response: httpx.Response, seconds: float) -> None:
        response.stream.drain(seconds)  # type: ignore[union-attr]

    def close_reply(self, response: httpx.Response) -> None:
        response.stream.close()  # type: ignore[union-attr]

    def close(self) -> None:
        """Close the engine's idle connections."""
        self.engine.close()

    def end(self) -> None:
        """Leave nothing behind."""
        self.close()


class AsyncDriver:
    """Drives the async engine, in an event loop of its own that runs while there is work."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] = no_tls) -> None:
        from modelscope_transport.http.async_engine import AsyncEngine

        self.engine: Any = AsyncEngine(tls)
        self.loop = asyncio.new_event_loop()

    def open(self, request: httpx.Request) -> Opened:
        """Send a request and read the head of its reply."""
        response = self.loop.run_until_complete(self.engine.handle_async_request(request))
        return Opened(self, response, self.pieces(response))

    def send(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        """Send a request and read its whole reply."""
        opened = self.open(request)
        try:
            return opened.status, opened.headers, opened.rest()
        finally:
            opened.close()

    def pieces(self, response: httpx.Response) -> Any:
        return aiter(response.stream)  # type: ignore[arg-type]

    def next_piece(self, pieces: Any) -> bytes:
        async def ask() -> bytes:
            return await anext(pieces, b"")

        return self.loop.run_until_complete(ask())

    def drain_reply(self, response: httpx.Response, seconds: float) -> None:
        self.loop.run_until_complete(response.stream.drain(seconds))  # type: ignore[union-attr]

    def close_reply(self, response: httpx.Response) -> None:
        self.loop.run_until_complete(response.stream.aclose())  # type: ignore[union-attr]

    def close(self) -> None:
        """Close the engine's idle connections of this loop."""
        self.loop.run_until_complete(self.engine.aclose())

    def end(self) -> None:
        """Leave nothing behind."""
        self.close()
        with contextlib.suppress(RuntimeError):
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


Driver = SyncDriver | AsyncDriver
MakeEngine = Callable[..., Driver]
