"""Through a proxy: httpx's own transports, which know HTTP and SOCKS proxies.

Their own ``close`` ends what goes on, too, and the clients of an account share a transport: here
only what is idle is closed. httpx has no public name for that, see `_idle`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ssl
import urllib.parse
import weakref
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import httpx

from .._forks import begin_anew_in_child, leave_to_the_parent
from ..errors import ConfigurationError
from ..language import translated as _
from ..secret import Secret
from .guarded import GuardedAsyncTransport, GuardedTransport

__all__ = ["parse_proxy", "through_proxy", "through_proxy_async"]

_SOCKS = ("socks5", "socks5h")
_SCHEMES = ("http", "https", *_SOCKS)
_KEPT = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30.0)


def parse_proxy(address: Secret) -> httpx.Proxy:
    """A proxy, taken apart.

    Raises:
        ConfigurationError: it is not an address of a proxy, or a package is missing.
    """
    problem = _problem_of(address)
    if problem == "package":
        raise ConfigurationError(
            _("A SOCKS proxy needs the package socksio: pip install 'httpx[socks]'.")
        )
    if problem is not None:
        raise ConfigurationError(
            _(
                "The proxy cannot be used: it is not an address such as "
                "http://user:password@host:port, of one of {schemes}; special characters "
                "of a password are percent-encoded."
            ).format(schemes=", ".join(_SCHEMES))
        )
    return httpx.Proxy(address.reveal())


def _problem_of(address: Secret) -> str | None:
    # Apart, so that a traceback which shows local variables shows no part of the address.
    try:
        parts = urllib.parse.urlsplit(address.reveal())
        if parts.scheme not in _SCHEMES or not parts.hostname:
            return "address"
        if parts.scheme in _SOCKS:
            importlib.import_module("socksio")
        httpx.Proxy(address.reveal())
    except ImportError:
        return "package"
    except (ValueError, httpx.InvalidURL):
        return "address"
    return None


def through_proxy(proxy: httpx.Proxy, tls: ssl.SSLContext) -> GuardedTransport:
    """The sync way through a proxy."""
    transport = httpx.HTTPTransport(verify=tls, proxy=_encrypted(proxy, tls), limits=_KEPT)

    def send(request: httpx.Request) -> httpx.Response:
        with _named(proxy):
            return transport.handle_request(request)

    def close() -> None:
        for connection in _idle(transport):
            connection.close()

    return GuardedTransport(send, close)


def through_proxy_async(proxy: httpx.Proxy, tls: ssl.SSLContext) -> GuardedAsyncTransport:
    """The way of event loops through a proxy."""
    transports = _LoopTransports(_encrypted(proxy, tls), tls)

    async def send(request: httpx.Request) -> httpx.Response:
        with _named(proxy):
            return await (await transports.get()).handle_async_request(request)

    async def close() -> None:
        transport = transports.made()
        if transport is not None:
            for connection in _idle(transport):
                await connection.aclose()

    return GuardedAsyncTransport(send, close)


@contextlib.contextmanager
def _named(proxy: httpx.Proxy) -> Iterator[None]:
    """Say which proxy it was: where one stands between, nothing else is connected to."""
    try:
        yield
    except (httpx.ConnectError, httpx.ProxyError) as error:
        raise httpx.ProxyError(f"{proxy.url.netloc.decode()}: {error}") from error


def _idle(transport: httpx.HTTPTransport | httpx.AsyncHTTPTransport) -> list[Any]:
    """The connections on which nothing goes on.

    Where httpx's pool has another name, there are none, and they stay until a server closes them.
    """
    pool = getattr(transport, "_pool", None)
    return [one for one in getattr(pool, "connections", ()) if one.is_idle()]


def _encrypted(proxy: httpx.Proxy, tls: ssl.SSLContext) -> httpx.Proxy:
    if proxy.url.scheme == "https":
        proxy.ssl_context = tls  # else every connection reads the certificates anew
    return proxy


class _LoopTransports:
    """httpx's transport for each event loop, since a connection belongs to the loop that opened it.

    A loop that shuts down in order closes its asynchronous generators while it still runs, and so
    the transport that one of them holds. In a loop that was only closed the connections are left to
    the collector: httpx shows no way to their sockets.
    """

    def __init__(self, proxy: httpx.Proxy, tls: ssl.SSLContext) -> None:
        self._proxy, self._tls = proxy, tls
        self._held: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncHTTPTransport, object]] = {}
        begin_anew_in_child(self)
        # Held until then: the collector takes what is in a cycle in any order, sockets first.
        weakref.finalize(self, self._held.clear)

    def begin_anew(self) -> None:
        """In a forked child: leave alone what is the parent's."""
        leave_to_the_parent(dict(self._held))
        self._held.clear()

    async def get(self) -> httpx.AsyncHTTPTransport:
        """That of the running loop."""
        transport = self.made()
        if transport is None:
            for loop in [loop for loop in list(self._held) if loop.is_closed()]:
                self._held.pop(loop, None)  # another thread may have done so
            transport = httpx.AsyncHTTPTransport(verify=self._tls, proxy=self._proxy, limits=_KEPT)
            guard = _close_with_loop(transport)
            await anext(guard)
            self._held[asyncio.get_running_loop()] = transport, guard
        return transport

    def made(self) -> httpx.AsyncHTTPTransport | None:
        """That of the running loop, if there is one."""
        held = self._held.get(asyncio.get_running_loop())
        return held and held[0]


async def _close_with_loop(transport: httpx.AsyncHTTPTransport) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await transport.aclose()
