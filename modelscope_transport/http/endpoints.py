"""Where requests go, what they carry there, and the connections that lead there.

Laws of this file: no I/O. The token goes to the service and its hub, to nobody else.
"""

from __future__ import annotations

import functools
import importlib
import posixpath
import ssl
import urllib.parse
from collections.abc import Callable, Mapping

from msgspec import Struct

from ..errors import ConfigurationError
from ..settings import Settings, hub_url
from ._direct import Address, Direct, DirectInLoop, Proxy, connections
from .pool import Idle, LoopIdle
from .reply import Outgoing

__all__ = ["EndpointResolver", "Place"]

_SOCKS = ("socks5", "socks5h")
_SCHEMES = ("http", "https", *_SOCKS)


class Place(Struct, frozen=True):
    """An address, and what every request there has in common.

    Attributes:
        url: the address.
        address: the same, taken apart.
        trusted: whether the token may be shown there.
        headers: of every request.
        idle: connections of the sync colour.
        loop_idle: connections of event loops.
    """

    url: str
    address: Address
    trusted: bool
    headers: dict[bytes, bytes]
    idle: Idle[Direct]
    loop_idle: LoopIdle[DirectInLoop]

    def __repr__(self) -> str:
        """Say where, and nothing of the token in the headers."""
        return f"<{self.url}>"


class EndpointResolver:
    """The addresses of one service.

    Args:
        settings: token, address, proxy, time limits.
        headers: further headers of every request.
        tls: makes the context for encrypted connections.
    """

    def __init__(
        self,
        settings: Settings,
        headers: Mapping[str, str],
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._places: dict[str, Place] = {}
        self._headers = _encoded(
            {
                "authorization": f"Bearer {settings.token.reveal()}",
                "content-type": "application/json",
                "accept-encoding": "identity",
                **headers,
            }
        )
        # What a stranger's server gets to see: an image's address may lead anywhere.
        self._public = {name: self._headers[name] for name in (b"user-agent", b"accept-encoding")}

    def find(self, path: str) -> Place:
        """Where a path leads, or a whole address (see `Attempt.path`)."""
        place = self._places.get(path)
        if place is None:
            place = self._place(*_whole(self._settings.base_url, path))
            if len(self._places) < 256:  # every image task has an address of its own
                self._places[path] = place
        return place

    def known(self) -> list[Place]:
        """The places that were asked for so far."""
        return list(self._places.values())

    def _place(self, url: str, trusted: bool) -> Place:
        # What a server wrote may be an address with letters that no request line can hold.
        netloc = urllib.parse.urlsplit(url).netloc
        name, colon, port = netloc.rpartition("@")[2].partition(":")
        host = name.encode("idna").decode() + colon + port
        url = urllib.parse.quote(url.replace(netloc, host, 1), safe="!#$%&'()*+,/:;=?@[]~")
        address, headers = Address(url), {b"host": host.encode()}
        headers |= self._headers if trusted else self._public
        server = address.scheme, address.host, address.port
        pools = _pools(server, self._settings.proxy, self._tls)
        return Place(url, address, trusted, headers, *pools)

    def outgoing(
        self,
        place: Place,
        body: bytes,
        remaining: float,
        own: Mapping[str, str] | None,
        extra: Mapping[str, str] | None,
    ) -> Outgoing:
        """A request, ready to be sent.

        Args:
            place: where to.
            body: JSON to post; empty for a ``GET``.
            remaining: seconds that the call has left.
            own: further headers of this request.
            extra: headers of the caller's, which are for the service alone.
        """
        headers = place.headers
        if own or (extra and place.trusted):
            more = {**((extra if place.trusted else None) or {}), **(own or {})}
            headers = {**headers, **_encoded(more)}
        lines = list(headers.items())
        if body:
            lines.append((b"content-length", b"%d" % len(body)))
        limits = self._settings.time_limits(remaining)
        method = "POST" if body else "GET"
        return Outgoing(method, place.url, place.address, lines, body, limits)


def _whole(base_url: str, path: str) -> tuple[str, bool]:
    """The whole address of a path, and whether the token may be shown there.

    Args:
        base_url: address of the service.
        path: under ``base_url``; with ``/../`` beside its last part; or a whole address.
    """
    base = urllib.parse.urlsplit(base_url)
    if path.startswith(("https://", "http://")):
        there = urllib.parse.urlsplit(path)
        origin = f"{there.scheme}://{there.netloc}"
        return path, origin in (f"{base.scheme}://{base.netloc}", hub_url(base_url))
    whole, mark, query = path.partition("?")
    whole = base.path.rstrip("/") + whole
    if "/../" in whole:
        whole = posixpath.normpath(whole)
    return f"{base.scheme}://{base.netloc}{whole}{mark}{query}", True


def _encoded(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.lower().encode(): value.encode() for name, value in headers.items()}


@functools.cache
def _pools(
    server: tuple[bytes, bytes, int | None],
    proxy: str | None,
    tls: Callable[[], ssl.SSLContext],
) -> tuple[Idle[Direct], LoopIdle[DirectInLoop]]:
    """The connections that every client of one server and proxy shares."""
    scheme, host, port = server
    there = Address(scheme=scheme, host=host, port=port, target=b"/")
    return connections(there, None if proxy is None else _proxy(proxy), tls)


def _proxy(address: str) -> Proxy:
    try:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise ValueError
        if parts.scheme in _SOCKS:
            importlib.import_module("socksio")
        there = Address(scheme=parts.scheme, host=parts.hostname, port=parts.port, target="/")
    except ImportError:
        raise ConfigurationError(
            "A SOCKS proxy needs the package socksio: pip install 'httpx[socks]'."
        ) from None
    except ValueError:  # its own words may repeat a part of the password
        raise ConfigurationError(
            "The proxy cannot be used: it is no address such as http://user:password@host:port, "
            f"of one of {', '.join(_SCHEMES)}; signs of a password are written in per cent."
        ) from None
    user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
    return Proxy(there, (user, password) if user or password else None)
