"""Credentials that no output shows, and their removal from what servers say.

Laws of this file: a secret leaves only by `Secret.reveal`; it goes into no ``repr``, ``str``,
pickle or copy of an object's state.
"""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from collections.abc import Iterable

from .language import translated as _

__all__ = ["Redactor", "Secret", "hide", "join_address", "mask_address", "unmask_address"]


class Secret:
    """A credential: a token, the URL of a proxy, the value of a header."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Hide the value."""
        self._value = value

    def reveal(self) -> str:
        """The credential itself."""
        return self._value

    def fingerprint(self) -> str:
        """A short name for the credential that does not lead back to it."""
        digest = hashlib.blake2b(self._value.encode(), digest_size=8, person=b"ms-adapters")
        return digest.hexdigest()

    def __repr__(self) -> str:
        """Say that there is one."""
        return "Secret('**********')"

    def __eq__(self, other: object) -> bool:
        """Equal when the credentials are."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash of the credential."""
        return hash(self._value)

    def __reduce__(self) -> str:
        """Refuse: a credential does not go into a pickle."""
        raise TypeError(_("a credential cannot be pickled; it is found again in the environment"))


def hide(value: str | Secret | None) -> Secret | None:
    """A credential as it was passed, hidden at once; ``None`` stays ``None``.

    A traceback that shows local variables then shows no credential:
    ``api_key = hide(api_key)`` is the first statement of a function that takes one.
    """
    return Secret(value) if isinstance(value, str) else value


_MASK = "***"
# A shorter value of a header is more likely a word of every answer than a credential.
_SHORTEST_HEADER = 8
# Fewer letters of one tell nothing, and are those of many words.
_SHORTEST_PART = 4


class Redactor:
    """Takes credentials out of the words of others: a server that echoes one would spread it.

    Args:
        tokens: access tokens; replaced however short they are.
        proxies: URLs of proxies, of which the passwords are taken out.
        headers: values of headers that the user gave.
    """

    __slots__ = ("_words",)

    def __init__(
        self,
        tokens: Iterable[Secret],
        proxies: Iterable[Secret] = (),
        headers: Iterable[Secret] = (),
    ) -> None:
        """Collect the forms in which the credentials may come back."""
        words = {token.reveal() for token in tokens}
        values = {header.reveal().strip() for header in headers}  # as they are sent
        words |= {value for value in values if len(value) >= _SHORTEST_HEADER}
        for proxy in proxies:
            words |= _proxy_words(proxy.reveal())
        # The longest first: one may be a part of another.
        self._words = sorted(filter(None, words), key=len, reverse=True)

    def beside(self, headers: Iterable[str]) -> Redactor:
        """One for a call that has headers of its own."""
        both = Redactor((), headers=map(Secret, headers))
        both._words = sorted({*self._words, *both._words}, key=len, reverse=True)
        return both

    def __call__(self, text: str) -> str:
        """The text without the credentials."""
        for word in self._words:
            text = text.replace(word, _MASK)
        return self._without_half(text)

    def _without_half(self, text: str) -> str:
        """The text without the first part of a credential, as a cut leaves it at the end."""
        whole = text.removesuffix("…")
        for word in self._words:
            for size in range(len(word) - 1, _SHORTEST_PART - 1, -1):
                if whole.endswith(word[:size]):
                    return whole[:-size] + _MASK + text[len(whole) :]
        return text

    def __repr__(self) -> str:
        """Show nothing of them."""
        return "Redactor()"

    def __reduce__(self) -> str:
        """Refuse, as `Secret` does."""
        raise TypeError(_("credentials cannot be pickled"))


def _proxy_words(url: str) -> set[str]:
    """The password of a proxy as it is written, as it is meant and as HTTP sends it."""
    user, _, password = urllib.parse.urlsplit(url).netloc.rpartition("@")[0].partition(":")
    if not password:
        return set()
    plain = urllib.parse.unquote(password)
    pair = f"{urllib.parse.unquote(user)}:{plain}".encode()
    return {url, password, plain, base64.b64encode(pair).decode()}


_SECRET_OPTIONS = ("username", "password")  # redis-py's, and those of its sentinels and its TLS key


def mask_address(address: str) -> str:
    """An address of a server, with ``***`` in place of what it holds of credentials.

    Args:
        address: with or without a user and a password, and options such as ``?password=…``; what
            is no such address is handed back as it is.
    """
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:  # a bracket that stands alone; nobody knows where the password is
        kind, is_address, _rest = address.partition("://")
        return f"{kind}://{_MASK}" if is_address else address
    credentials, at, host = parts.netloc.rpartition("@")
    options = _options(parts.query)
    hidden = [(name, _MASK if _is_secret(name) else value) for name, value in options]
    if hidden != options:
        parts = parts._replace(query=urllib.parse.urlencode(hidden, safe="*"))
    if credentials:
        parts = parts._replace(netloc=f"{_MASK}{at}{host}")
    return join_address(parts) if credentials or hidden != options else address


def unmask_address(address: str, known: str) -> str | None:
    """An address as `mask_address` left it, with the credentials of a known one.

    Args:
        address: the address; one that is not masked is handed back as it is.
        known: an address that holds its credentials.

    Returns:
        ``None`` where the known address is of another server, or does not hold all of them.
    """
    if not _is_masked(address):
        return address
    try:
        parts, whole = urllib.parse.urlsplit(address), urllib.parse.urlsplit(known)
    except ValueError:
        return None
    if _is_masked(known) or _server(parts) != _server(whole):
        return None
    theirs = dict(_options(whole.query))
    options = [
        (name, theirs.get(name, value) if value == _MASK else value)
        for name, value in _options(parts.query)
    ]
    netloc = whole.netloc if parts.netloc.startswith(f"{_MASK}@") else parts.netloc
    filled = join_address(parts._replace(netloc=netloc, query=urllib.parse.urlencode(options)))
    lacks = "@" in parts.netloc and "@" not in netloc
    return None if lacks or _is_masked(filled) else filled


def join_address(parts: urllib.parse.SplitResult) -> str:
    """An address out of its parts; ``geturl`` alone loses the ``//`` of a socket's ``unix://``."""
    url = parts.geturl()
    return url if "://" in url or not parts.scheme else url.replace(":", "://", 1)


def _is_masked(address: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return False
    return parts.netloc.startswith(f"{_MASK}@") or any(
        _is_secret(name) and value == _MASK for name, value in _options(parts.query)
    )


def _server(parts: urllib.parse.SplitResult) -> tuple[str, str, str]:
    """What two addresses of one server have in common; the path is that of a socket's file."""
    host = parts.netloc.rpartition("@")[2]
    return parts.scheme, host, "" if host else parts.path


def _options(query: str) -> list[tuple[str, str]]:
    return urllib.parse.parse_qsl(query, keep_blank_values=True)


def _is_secret(option: str) -> bool:
    return option.endswith(_SECRET_OPTIONS)
