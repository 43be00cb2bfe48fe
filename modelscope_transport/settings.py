"""Token, address, proxy: the argument first, then the environment.

The only file that reads ``os.environ``. Whatever is wrong is said here in one sentence, before
any request, and never with the token in it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import AnyStr, Literal

from msgspec import Struct

from .errors import ConfigurationError

__all__ = [
    "BASE_URL",
    "BASE_URL_VARIABLES",
    "LANGUAGE_VARIABLE",
    "LEDGER_VARIABLE",
    "TOKEN_PAGE",
    "TOKEN_VARIABLES",
    "Secret",
    "Settings",
    "hub_url",
    "is_safe_url",
    "resolve_base_url",
    "resolve_key",
    "resolve_language",
    "resolve_ledger",
    "resolve_proxy",
    "resolve_token",
    "speak",
    "token_variable",
]

BASE_URL = "https://api-inference.modelscope.cn/v1"
TOKEN_PAGE = "https://modelscope.cn/my/myaccesstoken"
# All four are in use: litellm and ms-agent; the 2025 LangChain package and the official documents;
# modelscope and modelscope_hub; placeholders of the official documents.
TOKEN_VARIABLES = (
    "MODELSCOPE_API_KEY",
    "MODELSCOPE_SDK_TOKEN",
    "MODELSCOPE_API_TOKEN",
    "MODELSCOPE_ACCESS_TOKEN",
)
BASE_URL_VARIABLES = ("MODELSCOPE_API_BASE", "MODELSCOPE_BASE_URL")
LEDGER_VARIABLE = "MODELSCOPE_LEDGER"
LANGUAGE_VARIABLE = "MODELSCOPE_LANG"


class Secret:
    """A token that does not show itself: not in ``repr``, ``str``, pickle or a copy of its state.

    Args:
        value: the token.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Hide the value."""
        self._value = value

    def reveal(self) -> str:
        """The token itself."""
        return self._value

    def masked(self, text: AnyStr, *, always: bool = True) -> AnyStr:
        """A text of somebody else's without the token: a server that echoes it spreads it.

        Args:
            text: a text, or a body.
            always: ``False`` leaves a short token, which is a placeholder for a server of one's
                own and a word of its answers.
        """
        if not always and len(self._value) < 16:
            return text
        if isinstance(text, bytes):
            return text.replace(self._value.encode(), b"***")
        return text.replace(self._value, "***")

    def fingerprint(self) -> str:
        """A short name for the token that does not lead back to it."""
        digest = hashlib.blake2b(self._value.encode(), digest_size=8, person=b"ms-adapters")
        return digest.hexdigest()

    def __repr__(self) -> str:
        """Say that there is one."""
        return "Secret('**********')"

    def __eq__(self, other: object) -> bool:
        """Equal when the tokens are."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash of the token."""
        return hash(self._value)

    def __reduce__(self) -> str:
        """Refuse: a token does not go into a pickle."""
        raise TypeError("a token cannot be pickled; it is found again in the environment")


class Settings(Struct, frozen=True, kw_only=True):
    """How to reach the service.

    Attributes:
        token: the access token.
        base_url: address of the service, without a slash at the end.
        proxy: address of a proxy, or ``None`` for none.
        timeout: total deadline of a call, seconds; waits, retries and the stream included.
        connect_timeout: seconds for a connection to come up.
        stall_timeout: seconds without a byte after which a reply counts as lost.
        max_retries: further attempts after the first.
        owner: a name for the account, where it has several tokens; by default the token's
            fingerprint.
    """

    token: Secret
    base_url: str = BASE_URL
    owner: str | None = None
    proxy: str | None = None
    # A call that is not streamed has been seen to take 19 minutes and then fail (2026-09-24), and
    # thinking models are silent for long; ten minutes in all and two of silence bound both.
    timeout: float = 600.0
    connect_timeout: float = 10.0
    stall_timeout: float = 120.0
    max_retries: int = 2

    def account(self) -> str:
        """A short name for the account at this address, which does not lead back to the token."""
        whole = f"{self.base_url} {self.owner or self.token.fingerprint()}".encode()
        return hashlib.blake2b(whole, digest_size=8, person=b"ms-adapters").hexdigest()

    def time_limits(self, remaining: float) -> dict[str, float]:
        """Time limits of one request, by what it waits for, with ``remaining`` seconds left."""
        connect = max(0.001, min(self.connect_timeout, remaining))
        wait = max(0.001, min(self.stall_timeout, remaining))
        return {"connect": connect, "pool": connect, "read": wait, "write": wait}


_TOKEN = re.compile(r"[!-~]+")
# Plain ASCII: a look-alike of the service's host in other letters must not get the token.
_ADDRESS = re.compile(
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*)(:\d+)?(/[\w.~-]*)*",
    re.I | re.A,
)


def _first_set(names: tuple[str, ...]) -> str | None:
    for name in names:
        value = os.environ.get(name, "").strip()
        if value:
            return value
    return None


def resolve_token(api_key: str | None = None) -> Secret:
    """The token: ``api_key``, then the first set variable of `TOKEN_VARIABLES`.

    White space around it is cut off. Its form is not checked further, since tokens of several
    forms exist (``ms-`` and a UUID; OAuth tokens of about 475 characters).

    Raises:
        ConfigurationError: no token, or one that cannot be sent in a header.
    """
    secret = Secret((api_key or "").strip() or _first_set(TOKEN_VARIABLES) or "")
    del api_key  # a traceback that shows locals must not show it
    if not secret.reveal():
        raise ConfigurationError(
            "There is no ModelScope token. Create one at "
            f"{TOKEN_PAGE} and pass api_key=… or set {TOKEN_VARIABLES[0]}."
        )
    # The value is not shown: h11 would print it whole in its own complaint.
    if not _TOKEN.fullmatch(secret.reveal()):
        raise ConfigurationError(
            "The ModelScope token holds a space, a line break, a full-width or another character "
            f"that no token has. Copy it again from {TOKEN_PAGE}."
        )
    return secret


def token_variable() -> str | None:
    """The environment variable that the token comes from."""
    return next((name for name in TOKEN_VARIABLES if _first_set((name,))), None)


def resolve_key(api_key: str | None, variable: str | None = None) -> Secret:
    """The token of another platform: ``api_key``, else the environment variable named.

    Raises:
        ConfigurationError: no token, or one that cannot be sent in a header.
    """
    secret = Secret((api_key or "").strip() or (_first_set((variable,)) if variable else "") or "")
    del api_key  # a traceback that shows locals must not show it
    if not _TOKEN.fullmatch(secret.reveal()):
        raise ConfigurationError(
            "The other platform's token is missing or holds a character that no token has. Pass "
            f"api_key=… or set {variable or 'the environment variable that api_key_env names'}."
        )
    return secret


def resolve_ledger(name: str = "auto") -> str:
    """The ledger's name: ``name``; for ``"auto"`` what the environment says, if it does."""
    return (_first_set((LEDGER_VARIABLE,)) or "auto") if name == "auto" else name


_spoken: Literal["en", "zh"] | None = None


def speak(language: Literal["en", "zh"] | None) -> None:
    """Choose the language of messages for this process; ``None`` leaves it to the environment."""
    global _spoken
    _spoken = language


def resolve_language() -> Literal["en", "zh"]:
    """The language of messages: what was chosen, then ``MODELSCOPE_LANG``, then the locale."""
    if _spoken is not None:
        return _spoken
    # The order of POSIX; a locale that names no language ("C", "POSIX") is English.
    found = _first_set((LANGUAGE_VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG")) or ""
    return "zh" if found.lower().startswith("zh") else "en"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def resolve_base_url(base_url: str | None = None) -> str:
    """The address: ``base_url``, then `BASE_URL_VARIABLES`, then the service's own.

    Raises:
        ConfigurationError: not an address, a password inside it, or ``http`` to another machine,
            where everybody on the way could read the token.
    """
    url = (base_url or "").strip() or _first_set(BASE_URL_VARIABLES) or BASE_URL
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urllib.parse.urlsplit(""), None, None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"The base URL {_shown(url)} holds a user name or password. Leave them out; "
            "the token goes into api_key."
        )
    if host and (parts.query or parts.fragment):
        raise ConfigurationError(
            f"The base URL {_shown(url)} must end with its path, such as {BASE_URL}."
        )
    strays = {".", ".."} & set(parts.path.split("/"))
    if not host or len(host) > 253 or strays or not _ADDRESS.fullmatch(url):
        raise ConfigurationError(
            f"The base URL {_shown(url)} is no web address. Use one such as {BASE_URL}."
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            f"The base URL {_shown(url)} would send the token unencrypted. Use https; "
            "http is for this machine's own addresses (127.0.0.1, localhost) only."
        )
    del port  # reading it above was the check
    return url.rstrip("/")


def hub_url(base_url: str) -> str | None:
    """Address of the hub that belongs to a service: models' pages, prices, the balance.

    ``None`` for an address of the user's own, whose hub nobody knows. The local service is its own
    hub.
    """
    parts = urllib.parse.urlsplit(base_url)
    host = parts.hostname or ""
    for hub in ("modelscope.cn", "modelscope.ai"):
        if host == hub or host.endswith(f".{hub}"):
            return f"https://{hub}"
    return f"{parts.scheme}://{parts.netloc}" if _is_loopback(host) else None


def is_safe_url(url: str) -> bool:
    """Whether something may be fetched from there: ``https``, or this machine's own addresses."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    )


def _shown(url: str) -> str:
    """An address fit for a message: without a password or a query, a look-alike as what it is."""
    if not any(sign in url for sign in "./:"):
        return "that was given"  # a token in the wrong place, perhaps
    head = re.split("[?#]", url)[0].rpartition("@")[2]
    return ascii(head if head == url else f"...{head}")


def resolve_proxy(base_url: str, proxy: str | None = None) -> str | None:
    """The proxy: ``proxy``, else what the environment says for this address, else ``None``.

    ``proxy="none"`` goes around every proxy, which a domestic host often needs.
    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are obeyed; a proxy is never
    used for this machine's own addresses unless it is passed.
    """
    found = None if proxy and proxy.lower() == "none" else proxy or _proxy_for(base_url)
    if found is None:
        return None
    return found if "://" in found else f"http://{found}"


def _proxy_for(base_url: str) -> str | None:
    parts = urllib.parse.urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxies: Mapping[str, str] = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or _is_loopback(host) or urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    return found
