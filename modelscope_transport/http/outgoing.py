"""How a request goes out of both kinds of engine: where to, its head, and its limits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import httpx

from ..language import translated as _

__all__ = [
    "MOST_UNSENT",
    "TOKEN",
    "Limits",
    "Origin",
    "head_of",
    "limits_of",
    "note_sending",
    "origin_of",
]

# Bytes that the system may hold back unsent. More of them would hide that an upload moves.
MOST_UNSENT = 1 << 17
# A name of a header or a method (RFC 9110, 5.6.2).
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# Scheme, host and port.
Origin = tuple[bytes, bytes, int]
_is_request = re.compile(
    TOKEN + rb" [!-~]++ HTTP/1\.1\r\n(?:" + TOKEN + rb": [^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n"
).fullmatch


class Limits(NamedTuple):
    """How long an exchange may take; ``math.inf`` for no limit.

    Attributes:
        connect: seconds for looking up a name, connecting to one of its addresses, and TLS.
        read: seconds in which no byte comes.
        write: seconds in which no byte goes out.
        deadline: the end of the whole exchange with its body, on ``time.monotonic()``.
    """

    connect: float
    read: float
    write: float
    deadline: float


def limits_of(request: httpx.Request) -> Limits:
    """The limits in the extensions ``"timeout"``, as httpx has them, and ``"deadline"``."""
    given = request.extensions.get("timeout") or {}
    limits = (given.get("connect"), given.get("read"), given.get("write"))
    found = (*limits, request.extensions.get("deadline"))
    return Limits(*[math.inf if limit is None else limit for limit in found])


def note_sending(request: httpx.Request) -> None:
    """Call the extension ``"sending"``, if there is one: what comes may be the first byte sent."""
    # Taken out: what it belongs to holds the reply, and a reply may hold its request.
    note: Callable[[], None] | None = request.extensions.pop("sending", None)
    if note is not None:
        note()


def origin_of(url: httpx.URL) -> Origin:
    """The server of an address."""
    port = url.port or (443 if url.raw_scheme == b"https" else 80)
    return url.raw_scheme, url.raw_host, port


def head_of(request: httpx.Request) -> memoryview:
    """The request line and the headers, exactly as they were given.

    They hold the token: as a memoryview they do not show it where a traceback shows locals.

    Raises:
        httpx.LocalProtocolError: they would be read as something else.
        httpx.UnsupportedProtocol: the address is neither http nor https.
    """
    if request.url.scheme not in ("http", "https") or not request.url.host:
        raise httpx.UnsupportedProtocol(_("an address begins with http:// or https:// and a host"))
    head = _head(request)
    if head is None:
        raise httpx.LocalProtocolError(_("the method, the path or a header is not valid in HTTP/1"))
    return head


def _head(request: httpx.Request) -> memoryview | None:
    # Apart, so that a traceback which shows local variables does not show the token.
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s" % field for field in request.headers.raw]
    head = b"\r\n".join((*lines, b"", b""))
    sound = head.count(b"\n") == len(lines) + 1 and _is_request(head)
    return memoryview(head) if sound else None
