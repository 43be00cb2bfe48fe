"""Where requests go, and what they carry there.

Laws of this file: no I/O. The token goes to the service and its hub, to no one else. A request goes
to an address that the user did not write only where `destinations` allows it.
"""

from __future__ import annotations

import functools
import posixpath
import time
import urllib.parse
from collections.abc import Callable, Mapping
from importlib import metadata

import httpx
from msgspec import Struct

from ..destinations import origin_of, why_refused
from ..language import translated as _
from ..settings import Settings, hub_url

__all__ = ["Endpoint", "EndpointResolver"]

# Endpoints that are cached: every image task has an address of its own, so there may be many.
_MOST_KNOWN = 256


@functools.cache
def _version() -> str:
    return metadata.version("modelscope-adapters")


def _user_agent() -> str:
    try:
        return f"modelscope-adapters/{_version()}"
    except metadata.PackageNotFoundError:  # also where no further file can be opened
        return "modelscope-adapters"


class Endpoint(Struct, frozen=True):
    """An address, and what every request there has in common.

    Attributes:
        url: the address.
        is_trusted: whether the token may be shown there.
        headers: of every request.
        refusal: why nothing may be sent there; ``None`` where it may.
    """

    url: httpx.URL
    is_trusted: bool
    headers: list[tuple[bytes, bytes]]
    refusal: str | None = None

    def __repr__(self) -> str:
        """Say where, and nothing of the token in the headers."""
        return f"<{self.url}>"


class EndpointResolver:
    """The addresses of one service.

    Args:
        settings: token, address, further headers, time limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, Endpoint] = {}
        # What another server gets to see: an image's address may lead anywhere.
        self._public = {"user-agent": _user_agent(), "accept-encoding": "identity"}
        self._own = {
            "authorization": f"Bearer {settings.token.reveal()}",
            "content-type": "application/json",
            **self._public,
            **{name.lower(): value.reveal() for name, value in settings.headers.items()},
        }

    def resolve(self, path: str) -> Endpoint:
        """Where a path leads, or a whole address (see `Attempt.path`)."""
        endpoint = self._known.get(path)
        if endpoint is None:
            endpoint = self._endpoint(*_whole(self._settings.base_url, path))
            if len(self._known) < _MOST_KNOWN:
                self._known[path] = endpoint
        return endpoint

    def _endpoint(self, url: str, is_trusted: bool) -> Endpoint:
        refusal = None if is_trusted else why_refused(url, self._settings.base_url)
        if refusal is not None:
            return Endpoint(httpx.URL(), is_trusted, [], refusal)
        netloc = urllib.parse.urlsplit(url).netloc
        name, colon, port = netloc.rpartition("@")[2].partition(":")
        if not netloc.startswith("["):
            host = name.encode("idna").decode() + colon + port
            url = url.replace(netloc, host, 1)
        # What a server wrote may hold letters that no request line can.
        try:
            where = httpx.URL(urllib.parse.quote(url, safe="!#$%&'()*+,/:;=?@[]~"))
        except httpx.InvalidURL:  # such as one of more than 65,536 characters
            return Endpoint(httpx.URL(), False, [], _("it is not a web address"))
        headers = {"host": where.netloc.decode("ascii")}
        headers |= self._own if is_trusted else self._public
        return Endpoint(where, is_trusted, _encoded(headers))

    def request(
        self,
        endpoint: Endpoint,
        body: bytes,
        deadline: float,
        own: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        note: Callable[[], None] | None = None,
    ) -> httpx.Request:
        """A request to an endpoint; its arguments are those of `Channel.send`."""
        headers = [*endpoint.headers]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        more = {**(extra or {})} if endpoint.is_trusted else {}
        more |= own or {}
        if more:
            added = _encoded({name.lower(): value for name, value in more.items()})
            replaced = {name for name, _value in added}
            headers = [field for field in headers if field[0] not in replaced] + added
        limits = self._settings.time_limits(deadline - time.monotonic())
        request = httpx.Request(
            "POST" if body else "GET",
            endpoint.url,
            headers=headers,
            stream=httpx.ByteStream(body),  # its headers are complete: httpx need not look for any
            extensions={"timeout": limits, "deadline": deadline, "sending": note},
        )
        request.read()
        return request


def _whole(base_url: str, path: str) -> tuple[str, bool]:
    """The whole address of a path, and whether the token may be shown there.

    A path lies under the base URL; with ``/../`` beside its last part.
    """
    if path[:8].lower().startswith(("https://", "http://")):
        return path, _is_own(base_url, path)
    if not path.startswith("/"):
        return path, False  # behind the base URL it could turn that into another host's
    base = urllib.parse.urlsplit(base_url)
    whole, mark, query = path.partition("?")
    whole = base.path.rstrip("/") + whole
    if "/../" in whole:
        whole = posixpath.normpath(whole)
    return f"{base.scheme}://{base.netloc}{whole}{mark}{query}", True


def _is_own(base_url: str, url: str) -> bool:
    try:
        return origin_of(url) in (origin_of(base_url), hub_url(base_url))
    except ValueError:
        return False


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    # Spaces around a value do not belong to it (RFC 9110, 5.5), and httpx refuses to send them.
    return [
        (name.encode("ascii"), value.strip().encode("ascii")) for name, value in headers.items()
    ]
