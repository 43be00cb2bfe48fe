"""One policy for every address that the user did not write.

It may come from a reply, a hub's page or a model's tool call. Allowed are ``https`` to hosts
of the public internet and the origin of the base URL itself, nothing else: not this machine, not
its network, not a cloud's address of credentials (169.254.169.254).
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Iterable

from .language import translated as _

__all__ = ["is_loopback", "is_public", "origin_of", "why_refused"]


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, in lower case."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def is_loopback(host: str) -> bool:
    """Whether a host's name or IP address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public(addresses: Iterable[str]) -> bool:
    """Whether every one of a host's IP addresses belongs to the public internet."""
    found = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    return bool(found) and all(_is_public(address) for address in found)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_global and not address.is_multicast


def why_refused(url: str, base_url: str = "") -> str | None:
    """Why a request may not go to an address; ``None`` where it may, as far as its text shows.

    The host of an allowed address must still prove public when it is resolved, see `is_public`.

    Args:
        url: the address.
        base_url: address of the service, whose own origin is allowed.

    Returns:
        The reason, without anything of the address that may be a password.
    """
    if not url.isprintable() or any(sign.isspace() for sign in url):
        return _("it holds a line break, a space or a control character")
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - reading it is the check
        host.encode("idna")
    except ValueError:
        return _("it is not a web address")
    if not host:
        return _("it names no host")
    if parts.username is not None or parts.password is not None:
        return _("it holds a user name or password")
    if base_url and origin_of(url) == origin_of(base_url):
        return None
    if parts.scheme != "https":
        return _("it is not encrypted (https)")
    return None if _may_be_public(host) else _("it leads into this machine or a private network")


def _may_be_public(host: str) -> bool:
    host = host.rstrip(".").lower()
    try:
        return is_public([host])
    except ValueError:
        pass
    # A name. Old forms of IPv4 (0x7f.1, 2130706433) are resolved as addresses by many systems.
    last = host.rpartition(".")[2]
    old_form = last.isdigit() or last.startswith("0x")
    private = host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return not (old_form or private)
