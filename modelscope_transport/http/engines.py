"""The engines of one account: how its requests leave, sync and in event loops.

Laws of this file: accounts never share an engine, so no connection serves two tokens. An engine is
imported when it is first needed: a program without event loops never loads aiohttp.
"""

from __future__ import annotations

import functools
import ssl

import httpx

from ..secret import Secret
from .tls import tls_context

__all__ = ["Engines", "engines_of"]


class Engines:
    """What sends the requests of one account.

    Args:
        proxy: address of a proxy to go through.
        bundle: file of the certificates to trust; see `tls_context`.

    Raises:
        ConfigurationError: the proxy cannot be used.
    """

    def __init__(self, proxy: Secret | None, bundle: str | None) -> None:
        """Build nothing yet, but say at once that a proxy cannot be used."""
        self._bundle = bundle
        self._proxy: httpx.Proxy | None = None
        if proxy is not None:
            from .proxies import parse_proxy

            self._proxy = parse_proxy(proxy)

    @property
    def has_proxy(self) -> bool:
        """Whether names of hosts are resolved by a proxy."""
        return self._proxy is not None

    def _tls(self) -> ssl.SSLContext:
        return tls_context(self._bundle)

    @functools.cached_property
    def sync(self) -> httpx.BaseTransport:
        """The sync engine."""
        if self._proxy is not None:
            from .proxies import through_proxy

            return through_proxy(self._proxy, self._tls())
        from .sync_engine import SyncEngine

        return SyncEngine(self._tls)

    @functools.cached_property
    def aio(self) -> httpx.AsyncBaseTransport:
        """The engine of event loops."""
        if self._proxy is not None:
            from .proxies import through_proxy_async

            return through_proxy_async(self._proxy, self._tls())
        from .async_engine import AsyncEngine

        return AsyncEngine(self._tls)

    def close(self) -> None:
        """Close the idle connections of the sync engine, if there is one."""
        engine = vars(self).get("sync")
        if engine is not None:
            engine.close()

    async def aclose(self) -> None:
        """Close the idle connections of this event loop, if there are any."""
        engine = vars(self).get("aio")
        if engine is not None:
            await engine.aclose()


@functools.lru_cache(maxsize=64)
def engines_of(account: str, proxy: Secret | None, bundle: str | None) -> Engines:
    """The engines that all clients of an account, see `Settings.account`, share."""
    del account  # it only tells one account's engines from another's
    return Engines(proxy, bundle)
