"""The way to one service: its endpoints, and the engine or client that requests go through.

Laws of this file: one request, one try. What goes wrong is one of `BROKEN`, which
`describe_failure` puts into words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx

from ..destinations import is_public
from ..language import translated as _
from ..settings import Settings, resolve_ca_bundle
from .async_reply import AsyncOpenReply
from .endpoints import Endpoint, EndpointResolver
from .engines import engines_of
from .failures import ForbiddenDestinationError
from .given_client import check_client, through_client, through_client_async
from .reply import OpenReply
from .sync_connection import resolve

__all__ = ["Channel"]


class Channel:
    """Sends requests to one service, sync and async.

    Args:
        settings: token, address, proxy, further headers, time limits.
        http_client: a client of httpx or httpx2 to send through instead of the account's engine.
        http_async_client: the same for event loops.

    Raises:
        ConfigurationError: the proxy or a client cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        http_client: Any = None,
        http_async_client: Any = None,
    ) -> None:
        self._settings = settings
        self._endpoints = EndpointResolver(settings)
        self._engines = engines_of(settings.account(), settings.proxy, resolve_ca_bundle())
        self._given: httpx.BaseTransport | None = None
        self._given_async: httpx.AsyncBaseTransport | None = None
        if http_client is not None:
            check_client(http_client, is_async=False)
            self._given = through_client(http_client)
        if http_async_client is not None:
            check_client(http_async_client, is_async=True)
            self._given_async = through_client_async(http_async_client)

    def send(
        self,
        path: str,
        body: bytes,
        deadline: float,
        own: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        note: Callable[[], None] | None = None,
    ) -> OpenReply:
        """Send a request and wait for the head of its reply.

        Args:
            path: under the base URL, or a whole address; see `Attempt.path`.
            body: JSON to post; empty for a ``GET``.
            deadline: end of the call on ``time.monotonic()``.
            own: further headers of this request.
            extra: headers of the caller's, which are for the service alone.
            note: called before the first byte goes out, or where that cannot be known, as early
                as it may.
        """
        endpoint = self._endpoints.resolve(path)
        if self._must_look_up(endpoint):
            _check_public(_addresses(endpoint.url, self._connected_by(deadline)))
        request = self._endpoints.request(endpoint, body, deadline, own, extra, note)
        return OpenReply((self._given or self._engines.sync).handle_request(request))

    async def asend(
        self,
        path: str,
        body: bytes,
        deadline: float,
        own: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        note: Callable[[], None] | None = None,
    ) -> AsyncOpenReply:
        """`send`, in an event loop."""
        endpoint = self._endpoints.resolve(path)
        if self._must_look_up(endpoint):
            end = self._connected_by(deadline)
            _check_public(await asyncio.to_thread(_addresses, endpoint.url, end))
        request = self._endpoints.request(endpoint, body, deadline, own, extra, note)
        engine = self._given_async or self._engines.aio
        return AsyncOpenReply(await engine.handle_async_request(request))

    def _connected_by(self, deadline: float) -> float:
        """When a connection that is begun now has to be there, the name of its host included."""
        now = time.monotonic()
        return now + self._settings.time_limits(deadline - now)["connect"]

    def _must_look_up(self, endpoint: Endpoint) -> bool:
        """Whether to look at what its host's name stands for; refuse what its text forbids."""
        if endpoint.refusal is not None:
            raise ForbiddenDestinationError(endpoint.refusal)
        return not (endpoint.is_trusted or self._engines.has_proxy)

    def close(self) -> None:
        """Close the idle sync connections of the account."""
        self._engines.close()

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        await self._engines.aclose()


def _check_public(addresses: Iterable[str]) -> None:
    if not is_public(addresses):
        raise ForbiddenDestinationError(_("its host is not on the public internet"))


def _addresses(url: httpx.URL, deadline: float) -> list[str]:
    """The IP addresses of a host."""
    try:
        found = resolve(url.host, 443, deadline)
    except TimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except (OSError, ValueError) as error:
        raise httpx.ConnectError(str(error)) from error
    return [str(info[4][0]) for info in found]
