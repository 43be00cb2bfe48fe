"""Why there was no reply, or no whole one: what an engine raises, as calls understand it."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Literal

import httpx
from msgspec import Struct

from .decompression import UnreadableBodyError

__all__ = ["Cause", "ForbiddenDestinationError", "Unanswered", "describe_failure"]

Cause = Literal["connection", "timeout", "certificate", "proxy", "unknown_host", "forbidden"]

# Nothing was sent, or not all of it: the service cannot have accepted the request.
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.WriteError,
    httpx.WriteTimeout,
)


class ForbiddenDestinationError(httpx.TransportError):
    """A request may not go to an address that the user did not write."""


class Unanswered(Struct, frozen=True):
    """Why there is no reply.

    Attributes:
        cause: what went wrong.
        message: the HTTP library's words.
        sent: whether the request may have reached the service, so that it may be charged.
        repeatable: whether it was surely not accepted: it was not sent whole, or the connection
            was reset before a byte of a reply, as a system does with what no program has read.
    """

    cause: Cause
    message: str
    sent: bool
    repeatable: bool


def describe_failure(error: Exception, deadline: float, *, answered: bool) -> Unanswered:
    """What an engine's error means, before or after the head of a reply had come."""
    if isinstance(error, ForbiddenDestinationError):
        return Unanswered("forbidden", str(error), sent=False, repeatable=False)
    unsent = isinstance(error, _UNSENT) and not answered
    reset = isinstance(error, httpx.ReadError) and not answered
    cause: Cause = "connection"
    if isinstance(error, httpx.TimeoutException) or time.monotonic() >= deadline:
        cause = "timeout"
    elif _causes(error, ssl.SSLCertVerificationError):
        cause = "certificate"
    elif _causes(error, httpx.ProxyError):
        cause = "proxy"
    elif _causes(error, socket.gaierror):
        cause = "unknown_host"
    return Unanswered(cause, _words(error), sent=not unsent, repeatable=unsent or reset)


def _causes(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error of that kind is behind this one."""
    while error is not None:
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        if isinstance(error, kind) or isinstance(inner, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _words(error: Exception) -> str:
    if isinstance(error, UnreadableBodyError):
        return f"({error})"
    return str(error) or type(error).__name__
