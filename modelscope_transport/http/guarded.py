"""Deadlines for what httpx itself sends: its transports through a proxy, and a user's client.

httpx bounds each wait, not the whole: a server that sends a byte now and then holds a caller for
ever. Here a sync request's socket is shut at its deadline (``deadlines.py``); in an event loop
every wait ends there.

Laws of this file: what leaves is a reply or one of httpx's errors, also where the user's client is
one of httpx2, whose errors have the same names.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx

from .._cancellation import cancel_once, finish_anyway
from ..language import translated as _
from .deadlines import Watch, shut, watch
from .outgoing import note_sending

__all__ = ["GuardedAsyncTransport", "GuardedTransport"]


def _late() -> httpx.ReadTimeout:
    return httpx.ReadTimeout(_("the deadline of the call has passed"))


def _as_httpx(error: Exception) -> Exception:
    """The transport error that an error of httpx or httpx2 stands for; any other error as it is."""
    if isinstance(error, httpx.TransportError | httpx.StreamError):
        return error
    if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2"):
        return error
    kind = getattr(httpx, type(error).__name__, httpx.TransportError)
    known = isinstance(kind, type) and issubclass(kind, httpx.TransportError)
    return (kind if known else httpx.TransportError)(str(error))


class _Translated:
    """Raises httpx's errors in place of httpx2's, and of others at a deadline that has passed."""

    def __init__(self, is_late: Callable[[], bool], trace: _Trace | None = None) -> None:
        self._is_late = is_late
        self._trace = trace

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            return
        found = _late() if self._is_late() else _as_httpx(error)
        if self._trace is not None and type(found) is RuntimeError:
            found = self._trace.unusable(found)
        failed = isinstance(found, httpx.HTTPError | TimeoutError)
        if failed and self._trace is not None and self._trace.is_tunnel:
            slow = self._trace.is_slow() or isinstance(found, httpx.TimeoutException | TimeoutError)
            found = (httpx.ConnectTimeout if slow else httpx.ConnectError)(str(found))
        if found is not error:
            raise found from error


class _Trace:
    """Follows a request while httpx sends it, which calls this at each step.

    Args:
        request: the request.
        limit_tunnel: called with ``True`` when a proxy is asked for a tunnel, with ``False`` when
            it has opened one: the time to connect bounds that as a whole, httpx only each wait.
        follow: called with each socket that comes up, and again with TLS around it.
        is_slow: whether the time to connect has passed.

    Attributes:
        is_tunnel: whether a proxy has been asked for a tunnel and has not opened it yet, so that
            nothing of the request itself was sent.
        is_sent: whether some of the request itself may have been sent.
    """

    def __init__(
        self,
        request: httpx.Request,
        limit_tunnel: Callable[[bool], None],
        follow: Callable[[Any], None] | None = None,
        is_slow: Callable[[], bool] = lambda: False,
    ) -> None:
        self._request = request
        self._limit_tunnel = limit_tunnel
        self._follow = follow
        self.is_slow = is_slow
        self.is_tunnel = self.is_sent = False

    def notice(self, event: str, info: Mapping[str, Any]) -> None:
        """Learn of a step."""
        if event.endswith(".send_request_headers.started"):
            before, self.is_tunnel = self.is_tunnel, info["request"].method == b"CONNECT"
            if self.is_tunnel is not before:
                self._limit_tunnel(self.is_tunnel)
            self.is_sent = not self.is_tunnel
            if self.is_sent:
                note_sending(self._request)
        elif self._follow and event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._follow(info["return_value"].get_extra_info("socket"))

    def unusable(self, error: RuntimeError) -> httpx.TransportError:
        """What it means that a client is closed, or belongs to another event loop."""
        kind = httpx.TransportError if self.is_sent else httpx.ConnectError
        said = _(
            "the HTTP client cannot be used ({error}); pass one that is open and, for event loops, "
            "is used in one loop only"
        )
        return kind(said.format(error=error))

    async def anotice(self, event: str, info: Mapping[str, Any]) -> None:
        """`notice`, in an event loop."""
        self.notice(event, info)


class _TunnelLimit:
    """Bounds by the time to connect how long a proxy takes to open a tunnel for a sync request.

    Args:
        guard: watches the socket for the whole of the call.
        request: the request.
    """

    def __init__(self, guard: Watch, request: httpx.Request) -> None:
        self._guard = guard
        self._request = request
        self._watch: Watch | None = None

    @property
    def is_cut(self) -> bool:
        """Whether it took too long."""
        return self._watch is not None and self._watch.cut

    def switch(self, on: bool) -> None:
        """Begin or end to watch."""
        if on:
            end = min(self._guard.deadline, _connected_by(self._request))
            self._watch = watch(self._guard.sock, end)
        elif self._watch is not None:
            self._watch.cancel()

    def follow(self, sock: Any) -> None:
        """Watch another socket from now on; none where other requests share it (HTTP/2)."""
        if getattr(sock, "selected_alpn_protocol", str)() == "h2":
            sock = None
        self._guard.follow(sock)
        if self._watch is not None:
            self._watch.follow(sock)


def _reply_of(response: Any, stream: Any) -> httpx.Response:
    """The reply with a stream of ours, from a response of httpx or httpx2."""
    headers = response.headers.raw
    if response.is_stream_consumed:  # by an event hook; what is kept of it is uncompressed
        headers = [field for field in headers if field[0].lower() != b"content-encoding"]
    return httpx.Response(response.status_code, headers=headers, stream=stream)


def _is_shared(response: Any) -> bool:
    """Whether other requests may be on their way on the connection of a response."""
    return getattr(response, "http_version", "") == "HTTP/2"


class _Body(httpx.SyncByteStream):
    def __init__(self, response: Any, guard: Watch, after: Callable[[], None]) -> None:
        self._response = response
        self._guard = guard
        self._after = after
        self._is_shared = _is_shared(response)
        self._may_shut = not self._is_shared

    def __iter__(self) -> Iterator[bytes]:
        if self._response.is_stream_consumed:
            yield self._response.content
        else:
            with _Translated(lambda: self._guard.cut):
                for data in self._response.stream:
                    if self._guard.cut and self._is_shared:
                        raise _late()  # its socket was not shut
                    yield data
        self._may_shut = False

    def drain(self, seconds: float) -> None:
        """Read to the end within so many seconds, so that the connection can serve again."""
        if not self._may_shut:
            return  # it serves others already; behind the end httpx would look for ever
        limit = watch(self._guard.sock, time.monotonic() + seconds)
        with contextlib.suppress(Exception):
            for _ in self._response.stream:
                pass
            self._may_shut = False
        limit.cancel()

    def close(self) -> None:
        if self._may_shut and self._guard.sock is not None:
            shut(self._guard.sock)  # another thread may be waiting for its next bytes
        self._guard.cancel()
        with contextlib.suppress(Exception):
            self._response.close()
        self._after()


class GuardedTransport(httpx.BaseTransport):
    """Sends as httpx does, within the deadline of each request.

    Args:
        send: sends a request and returns the response with its stream unread.
        close: closes idle connections.
    """

    def __init__(self, send: Callable[[httpx.Request], Any], close: Callable[[], None]) -> None:
        self._send = send
        self._close = close
        self._closings = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its stream ends with `httpx.ReadTimeout` at the deadline."""
        guard = watch(None, min(request.extensions.get("deadline", math.inf), _far_off()))
        tunnel_limit = _TunnelLimit(guard, request)
        trace = _Trace(
            request, tunnel_limit.switch, tunnel_limit.follow, lambda: tunnel_limit.is_cut
        )
        request.extensions = {**request.extensions, "trace": trace.notice}
        try:
            with _Translated(lambda: guard.cut, trace):
                response = self._send(request)
        except BaseException:
            guard.cancel()
            tunnel_limit.switch(False)
            raise
        network = response.extensions.get("network_stream")
        if network is not None:  # a connection that came up for an earlier request
            sock = network.get_extra_info("socket")
            if _is_shared(response):
                guard.follow(None)
            elif sock is not None and sock is not guard.sock:
                guard.follow(sock)
        closings = self._closings

        def after() -> None:
            if self._closings != closings:
                self._close()

        return _reply_of(response, _Body(response, guard, after))

    def close(self) -> None:
        """Close idle connections, and those in use after their replies."""
        self._closings += 1
        self._close()


def _connected_by(request: httpx.Request) -> float:
    limit = (request.extensions.get("timeout") or {}).get("connect")
    return time.monotonic() + limit if limit is not None else _far_off()


def _far_off() -> float:
    return time.monotonic() + 7 * 86400.0


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(
        self, response: Any, deadline: float, trace: _Trace, after: Callable[[], Awaitable[None]]
    ) -> None:
        self._response = response
        self._deadline = deadline
        self._trace = trace
        self._after = after
        self._is_whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._response.is_stream_consumed:
            yield self._response.content
            return
        chunks = aiter(self._response.stream)
        while True:
            with _Translated(lambda: time.monotonic() >= self._deadline, self._trace):
                async with asyncio.timeout(self._deadline - time.monotonic()):
                    data = await cancel_once(anext(chunks, None))
            if data is None:
                self._is_whole = True
                return
            yield data

    async def drain(self, seconds: float) -> None:
        """Read to the end within so many seconds, so that the connection can serve again."""
        if self._is_whole:
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(seconds):
                async for _data in self:
                    pass

    async def aclose(self) -> None:
        await finish_anyway(_let_go(self._response))
        await self._after()


async def _let_go(response: Any) -> None:
    with contextlib.suppress(Exception):  # such as that its event loop is closed
        await response.aclose()


class GuardedAsyncTransport(httpx.AsyncBaseTransport):
    """`GuardedTransport` for event loops."""

    def __init__(
        self,
        send: Callable[[httpx.Request], Awaitable[Any]],
        aclose: Callable[[], Awaitable[None]],
    ) -> None:
        self._send = send
        self._aclose = aclose
        self._closings = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its stream ends with `httpx.ReadTimeout` at the deadline."""
        deadline = min(request.extensions.get("deadline", math.inf), _far_off())
        limit = asyncio.timeout(deadline - time.monotonic())

        def limit_tunnel(on: bool) -> None:
            end = min(deadline, _connected_by(request)) if on else deadline
            limit.reschedule(asyncio.get_running_loop().time() + end - time.monotonic())

        trace = _Trace(request, limit_tunnel)
        request.extensions = {**request.extensions, "trace": trace.anotice}
        with _Translated(lambda: time.monotonic() >= deadline, trace):
            async with limit:
                response = await cancel_once(self._send(request), _let_go)
        closings = self._closings

        async def after() -> None:
            if self._closings != closings:
                await self._aclose()

        return _reply_of(response, _AsyncBody(response, deadline, trace, after))

    async def aclose(self) -> None:
        """Close idle connections, and those in use after their replies."""
        self._closings += 1
        await self._aclose()
