"""Through a proxy: httpx's own transports, which know HTTP and SOCKS proxies."""

from __future__ import annotations

import importlib
import ssl
import urllib.parse

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
    return GuardedTransport(transport.handle_request, transport.close)


def through_proxy_async(proxy: httpx.Proxy, tls: ssl.SSLContext) -> GuardedAsyncTransport:
    """The way of event loops through a proxy."""
    transports = PerLoop(lambda: _LoopTransport(_encrypted(proxy, tls), tls))

    async def send(request: httpx.Request) -> httpx.Response:
        return await (await transports.get()).transport.handle_async_request(request)

    return GuardedAsyncTransport(send, transports.aclose)


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
