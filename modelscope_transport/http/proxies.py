"""Through a proxy: httpx's own transports, which know HTTP and SOCKS proxies.

Their own ``close`` ends what goes on, too, and the clients of an account share a transport: here
only what is idle is closed. httpx has no public name for that, see `_idle`.
"""

from __future__ import annotations

import importlib
import ssl
import urllib.parse
from typing import Any

import httpx

from ..errors import ConfigurationError
from ..language import translated as _
from ..secret import Secret
from .guarded import GuardedAsyncTransport, GuardedTransport
from .loops import PerLoop

__all__ = ["parse_proxy", "through_proxy", "through_proxy_async"]

_SOCKS = ("socks5", "socks5h")
_SCHEMES = ("http", "https", *_SOCKS)
_KEPT = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30.0)


def parse_proxy(address: Secret) -> httpx.Proxy:
    """A proxy, taken apart.

    Raises:
        ConfigurationError: it is no address of a proxy, or a package is missing.
    """
    problem = _problem_of(address)
    if problem == "package":
        raise ConfigurationError(
            _("A SOCKS proxy needs the package socksio: pip install 'httpx[socks]'.")
        )
    if problem is not None:
        raise ConfigurationError(
            _(
                "The proxy cannot be used: it is no address such as "
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

    def close() -> None:
        for connection in _idle(transport):
            connection.close()

    return GuardedTransport(transport.handle_request, close)


def through_proxy_async(proxy: httpx.Proxy, tls: ssl.SSLContext) -> GuardedAsyncTransport:
    """The way of event loops through a proxy."""
    transports = PerLoop(lambda: _LoopTransport(_encrypted(proxy, tls), tls))

    async def send(request: httpx.Request) -> httpx.Response:
        return await (await transports.get()).transport.handle_async_request(request)

    async def close() -> None:
        made = transports.made()
        if made is not None:
            for connection in _idle(made.transport):
                await connection.aclose()

    return GuardedAsyncTransport(send, close)


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


class _LoopTransport:
    """The transport of one event loop."""

    def __init__(self, proxy: httpx.Proxy, tls: ssl.SSLContext) -> None:
        self.transport = httpx.AsyncHTTPTransport(verify=tls, proxy=proxy, limits=_KEPT)

    async def aclose(self) -> None:
        """Close its connections."""
        await self.transport.aclose()

    def drop(self) -> None:
        """Leave its connections to the collector: httpx shows no way to their sockets."""
