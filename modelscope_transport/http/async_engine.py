"""The async engine: requests over HTTP/1.1 in every event loop, on aiohttp's connector and parser.

aiohttp's ``ClientSession`` is left out: it repeats requests by itself, and prepares headers,
cookies and addresses anew for each of them. What stands below it does the work here: its connector
opens and keeps connections (``async_connections.py``), its protocol parses replies, and its
``StreamReader`` holds back a server that is faster than its reader (``async_exchange.py``).

Laws of this file: no policy, and no second attempt. What leaves is a reply or one of httpx's
errors.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import weakref
from collections.abc import Callable

import httpx

from .._forks import begin_anew_in_child
from ..language import translated as _
from .async_connections import LoopConnections, close_all
from .async_exchange import FAILED, Exchange
from .outgoing import Limits, head_of, limits_of, note_sending

__all__ = ["AsyncEngine"]


class AsyncEngine(httpx.AsyncBaseTransport):
    """Sends requests of one account over HTTP/1.1 and keeps its connections, for each loop apart.

    A request's extensions bound it: ``"timeout"``, seconds for ``connect``, ``read`` and ``write``
    as httpx has them, and ``"deadline"``, the end of the whole exchange with its body on
    ``time.monotonic()``. It may be used in several loops, one after another or in threads.

    Args:
        tls: makes the context for encrypted connections; called once, at the first.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, LoopConnections] = {}
        begin_anew_in_child(self)
        # At the end of the process the connections end by themselves.
        weakref.finalize(self, close_all, self._loops).atexit = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its reply; the stream reads its body.

        It raises what `SyncEngine.handle_request` does.
        """
        head, body = head_of(request), await request.aread()
        exchange = await self._begin(request.url, limits_of(request))
        try:
            note_sending(request)
            return await exchange.send(request.method, head, body)
        except FAILED as error:
            failure = exchange.failure(error)
        except BaseException:
            exchange.end(reusable=False)
            raise
        raise failure  # not where the error was caught: it would be shown with it

    async def _begin(self, url: httpx.URL, limits: Limits) -> Exchange:
        limit = min(limits.connect, limits.deadline - time.monotonic())
        if limit <= 0:
            raise httpx.ConnectTimeout(_("there is no time left to connect"))
        try:
            connections = await self._of_loop()
            server, connection = await connections.connect(url, self._known_tls, limit)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(
                _("no connection within {limit:.1f} s").format(limit=limit)
            ) from error
        except FAILED as error:
            found = error.__cause__ or error  # without aiohttp's words around it
            raise httpx.ConnectError(str(found) or type(found).__name__) from error
        return Exchange(self, connections, server, connection, limits)

    async def _of_loop(self) -> LoopConnections:
        """The connections of the running loop."""
        loop = asyncio.get_running_loop()
        connections = self._loops.get(loop)
        if connections is None or not connections.is_open():
            connections = self._loops[loop] = LoopConnections(loop, self._loops)
            await connections.open()
        return connections

    def _known_tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = self._tls()
            return self._context

    async def aclose(self) -> None:
        """Close the idle connections of this loop, and each other one after its reply.

        The engine goes on serving.
        """
        connections = self._loops.get(asyncio.get_running_loop())
        if connections is not None:
            await connections.close_idle()

    def begin_anew(self) -> None:
        """Leave the connections to the process that this one is a fork of."""
        self._lock = threading.Lock()
        self._loops.clear()
