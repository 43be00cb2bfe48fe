"""Token, address, proxy: the argument first, then the environment.

The only file that reads ``os.environ``, but for the language in `language.py`. Whatever is wrong is
reported here in one sentence, before any request, and never with the token in it.
"""

from __future__ import annotations

import hashlib
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping

from msgspec import Struct

from .destinations import is_loopback
from .errors import ConfigurationError
from .language import translated as _
from .secret import Secret, hide, mask_address, unmask_address
from .token_file import stored_token

__all__ = [
    "BASE_URL",
    "BASE_URL_VARIABLES",
    "CA_VARIABLES",
    "LEDGER_VARIABLE",
    "TOKEN_PAGE",
    "TOKEN_VARIABLES",
    "Settings",
    "hub_url",
    "is_modelscope",
    "resolve_address",
    "resolve_base_url",
    "resolve_ca_bundle",
    "resolve_key",
    "resolve_ledger",
    "resolve_proxy",
    "resolve_token",
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
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
LEDGER_VARIABLE = "MODELSCOPE_LEDGER"


class Settings(Struct, frozen=True, kw_only=True):
    """How to reach one service.

    Attributes:
        token: the access token.
        base_url: address of the service, without a slash at the end.
        owner: a name for the account, where it has several tokens; by default the token's
            fingerprint.
        proxy: address of a proxy, or ``None`` for none.
        account_kind: ends the account's name; for the ledger, see `quota.NO_PROVIDERS`.
        headers: further headers of every request, names and values.
        connect_timeout: seconds for a connection to come up.
        idle_timeout: seconds without a byte after which a reply counts as lost.
    """

    token: Secret
    base_url: str = BASE_URL
    owner: str | None = None
    account_kind: str = ""
    proxy: Secret | None = None
    headers: Mapping[str, Secret] = {}
    connect_timeout: float = 10.0
    idle_timeout: float = 120.0

    def account(self) -> str:
        """A short name for the account at this address, which does not lead back to the token."""
        whole = f"{self.base_url} {self.owner or self.token.fingerprint()}".encode()
        name = hashlib.blake2b(whole, digest_size=8, person=b"ms-adapters").hexdigest()
        return name + self.account_kind

    def time_limits(self, remaining: float) -> dict[str, float]:
        """Time limits of one request, by what it waits for, with ``remaining`` seconds left."""
        connect = max(0.001, min(self.connect_timeout, remaining))
        wait = max(0.001, min(self.idle_timeout, remaining))
        return {"connect": connect, "pool": connect, "read": wait, "write": wait}


_HUBS = ("modelscope.cn", "modelscope.ai")
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


def _passed_or_set(passed: Secret | None, variables: tuple[str, ...]) -> Secret:
    """A token as it was passed, else the first set variable's; empty where there is none."""
    token = _text(passed, "api_key")
    return Secret(token or _first_set(variables) or "")


def _text(passed: object, name: str) -> str:
    """A text as it was passed, without the white space around it; empty for ``None``."""
    if isinstance(passed, Secret):
        return passed.reveal().strip()
    if passed is None or isinstance(passed, str):
        return (passed or "").strip()
    raise ConfigurationError(
        _("{name} must be a text, and is of type {kind}.").format(
            name=name, kind=type(passed).__name__
        )
    )


def resolve_token(api_key: str | Secret | None = None) -> Secret:
    """The token: ``api_key``, the first set variable of `TOKEN_VARIABLES`, then the stored one.

    White space around it is cut off. Its form is not checked further, since tokens of several
    forms exist (``ms-`` and a UUID; OAuth tokens of about 475 characters).

    Raises:
        ConfigurationError: no token, or one that cannot be sent in a header.
    """
    api_key = hide(api_key)  # a traceback that shows locals must not show it
    secret = _passed_or_set(api_key, TOKEN_VARIABLES)
    if not secret.reveal():
        secret = stored_token() or secret
    if not secret.reveal():
        raise ConfigurationError(
            _(
                "There is no ModelScope token. Create one at {page}, then type "
                "`modelscope-adapters login`, set {variable} or pass api_key=…."
            ).format(page=TOKEN_PAGE, variable=TOKEN_VARIABLES[0])
        )
    # Checked here, and not shown: h11 would print it whole in its own complaint.
    if not _TOKEN.fullmatch(secret.reveal()):
        raise ConfigurationError(
            _(
                "The ModelScope token holds a space, a line break, a full-width or "
                "another character that no token has. Copy it again from {token_page}."
            ).format(token_page=TOKEN_PAGE)
        )
    return secret


def token_variable() -> str | None:
    """The environment variable that the token comes from."""
    return next((name for name in TOKEN_VARIABLES if _first_set((name,))), None)


def resolve_key(api_key: str | Secret | None, variable: str | None = None) -> Secret:
    """The token of another platform: ``api_key``, else the environment variable named.

    Raises:
        ConfigurationError: no token, or one that cannot be sent in a header.
    """
    api_key = hide(api_key)  # a traceback that shows locals must not show it
    secret = _passed_or_set(api_key, (variable,) if variable else ())
    if not _TOKEN.fullmatch(secret.reveal()):
        raise ConfigurationError(
            _(
                "The other platform's token is missing or holds a character that no token "
                "has. Pass api_key=… or set {variable}."
            ).format(variable=variable or _("the environment variable that api_key_env names"))
        )
    return secret


def resolve_ledger(name: str = "auto") -> str:
    """The ledger's name: ``name``; for ``"auto"`` what the environment says, if it does.

    Raises:
        ConfigurationError: see `resolve_address`.
    """
    name = _text(name, "ledger")
    said = (_first_set((LEDGER_VARIABLE,)) or "auto") if name == "auto" else name
    return resolve_address(said)


def resolve_address(address: str) -> str:
    """The address of a Redis that came by a pickle or a file, with its credentials again.

    They are those of the address in ``MODELSCOPE_LEDGER``, where that is the same server.

    Args:
        address: as `mask_address` left it; any other is handed back as it is.

    Raises:
        ConfigurationError: the environment does not hold the credentials.
    """
    whole = unmask_address(address, _first_set((LEDGER_VARIABLE,)) or "")
    if whole is None:
        raise ConfigurationError(
            _(
                "The address {address} came without its password, which leaves no process. Set "
                "{variable} to the address of the same server, password included, in the "
                "environment of this process."
            ).format(address=mask_address(address), variable=LEDGER_VARIABLE)
        )
    return whole


def resolve_base_url(base_url: str | None = None) -> str:
    """The address: ``base_url``, then `BASE_URL_VARIABLES`, then the service's own.

    Raises:
        ConfigurationError: not an address, a password inside it, or ``http`` to another machine,
            where everybody on the way could read the token.
    """
    url = _text(base_url, "base_url") or _first_set(BASE_URL_VARIABLES) or BASE_URL
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018 - reading it is the check
    except ValueError:
        parts, host = urllib.parse.urlsplit(""), None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            _(
                "The base URL {url} holds a user name or password. Leave them out; the "
                "token goes into api_key."
            ).format(url=_shown(url))
        )
    if host and (parts.query or parts.fragment):
        raise ConfigurationError(
            _("The base URL {url} must end with its path, such as {base_url}.").format(
                url=_shown(url), base_url=BASE_URL
            )
        )
    strays = {".", ".."} & set(parts.path.split("/"))
    if not host or len(host) > 253 or strays or not _ADDRESS.fullmatch(url):
        raise ConfigurationError(
            _("The base URL {url} is not a web address. Use one such as {base_url}.").format(
                url=_shown(url), base_url=BASE_URL
            )
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            _(
                "The base URL {url} would send the token unencrypted. Use https; http is "
                "for this machine's own addresses (127.0.0.1, localhost) only."
            ).format(url=_shown(url))
        )
    return url.rstrip("/")


def resolve_ca_bundle() -> str | None:
    """File of the certificates to trust, as the environment names it; ``None`` for the usual ones.

    The variables are those of OpenSSL, requests and curl, in this order (`CA_VARIABLES`).
    """
    return _first_set(CA_VARIABLES)


def is_modelscope(base_url: str) -> bool:
    """Whether an address is one of ModelScope's own hosts, whose model IDs name their owner."""
    return _own_hub(base_url) is not None


def hub_url(base_url: str) -> str | None:
    """Address of the hub that belongs to a service: models' pages, prices, the balance.

    ``None`` for an address of the user's own, whose hub is not known. The local service is its own
    hub.
    """
    hub = _own_hub(base_url)
    if hub is not None:
        return f"https://{hub}"
    parts = urllib.parse.urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}" if is_loopback(parts.hostname or "") else None


def _own_hub(base_url: str) -> str | None:
    """The hub that one of ModelScope's own hosts belongs to; ``None`` of any other host."""
    host = urllib.parse.urlsplit(base_url).hostname or ""
    return next((hub for hub in _HUBS if host == hub or host.endswith(f".{hub}")), None)


def _shown(url: str) -> str:
    """An address fit for a message: without password and query, letters outside ASCII escaped."""
    if not any(sign in url for sign in "./:"):
        return _("that was given")  # a token in the wrong place, perhaps
    head = re.split("[?#]", url)[0].rpartition("@")[2]
    return ascii(head if head == url else f"...{head}")


def resolve_proxy(base_url: str, proxy: str | Secret | None = None) -> Secret | None:
    """The proxy: ``proxy``, else what the environment says for this address, else ``None``.

    ``proxy="none"`` goes around every proxy, which a domestic host often needs.
    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are obeyed; a proxy is never
    used for this machine's own addresses unless it is passed. It is a secret as a whole, since a
    password may stand in it.
    """
    proxy = hide(proxy)
    passed = _text(proxy, "proxy")
    found = passed or _proxy_for(base_url)
    if not found or passed.lower() == "none":
        return None
    return Secret(found if "://" in found else f"http://{found}")


def _proxy_for(base_url: str) -> str | None:
    parts = urllib.parse.urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxies: Mapping[str, str] = urllib.request.getproxies()
    found = (proxies.get(parts.scheme) or proxies.get("all") or "").strip()
    if not found or is_loopback(host) or urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    return found
