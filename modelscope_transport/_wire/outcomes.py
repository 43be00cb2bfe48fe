"""What can come of an attempt, and what is read off any reply before it is judged."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import logging
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .._sse import ErrorEvent
from ..language import translated as _
from ..quota import Allowance, QuotaBlock
from .lenient_json import UNREADABLE, read_json

__all__ = [
    "AnswerBody",
    "Failure",
    "NoReply",
    "Outcome",
    "Refused",
    "Reply",
    "describe",
    "open_body",
    "read_allowance",
    "read_date",
    "read_failure",
    "read_refusal",
    "read_request_id",
    "read_retry_after",
    "telling_headers",
]

_T = TypeVar("_T")
_log = logging.getLogger("modelscope_transport")
_LONGEST_MESSAGE = 500
# A clock that shows a time outside of it (2001 to 2100) is not set.
_THIS_CENTURY = 978_307_200.0, 4_102_444_800.0


class Reply(Struct, frozen=True):
    """The service answered.

    Attributes:
        status: HTTP status.
        headers: names in lower case.
        body: the whole body or, of a stream, its first payload.
        streaming: whether ``body`` is the first payload of a stream whose rest is still to come.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    streaming: bool = False


class NoReply(Struct, frozen=True):
    """No answer came.

    Attributes:
        cause: ``"connection"``, ``"timeout"`` (silence or the deadline), ``"queue"`` (other calls
            held every slot), ``"certificate"``, ``"proxy"``, ``"unknown_host"``, ``"forbidden"``
            (an address that the user did not write).
        message: what the HTTP library said.
        sent: whether the request may have reached the service, so that it may be charged.
        repeatable: whether it was surely not accepted, so that a second one is paid for once.
    """

    cause: Literal[
        "connection", "timeout", "queue", "certificate", "proxy", "unknown_host", "forbidden"
    ]
    message: str
    sent: bool
    repeatable: bool = False


class Refused(Struct, frozen=True):
    """The ledger knows that the pool is spent, or that a budget is: nothing was sent."""

    block: QuotaBlock


Outcome = Reply | NoReply | Refused


class Failure(Struct, frozen=True):
    """What an error body says, whichever of the service's envelopes it came in."""

    message: str
    code: str | None = None
    request_id: str | None = None
    empty: bool = False
    unreadable: bool = False


class _Envelope(Struct):
    error: Any = None
    errors: Any = None
    detail: Any = None
    message: Any = None
    Message: Any = None
    code: Any = None
    Code: Any = None
    request_id: Any = None


_envelope = msgspec.json.Decoder(_Envelope)


def read_failure(body: bytes) -> Failure:
    """Read an error body: ``error``, ``errors``, ``detail``, the hub's form, plain text, HTML."""
    try:
        envelope = read_json(_envelope, body)
    except UNREADABLE:
        text = body[: 4 * _LONGEST_MESSAGE].decode("utf-8", "replace").strip()
        is_page = text[:15].lower().startswith(("<!doctype", "<html", "<head", "<?xml"))
        return Failure(_("a web page") if is_page else _cut(text), unreadable=True)
    outer = {
        "message": envelope.message or envelope.Message,
        "code": envelope.code or envelope.Code,
        "request_id": envelope.request_id,
    }
    inner = envelope.error or envelope.errors or envelope.detail
    return describe(inner or outer, request_id=envelope.request_id)


# Codes that some services send with a success.
_SUCCESS_CODES = (0, 200, "0", "200")


def read_refusal(body: bytes) -> Failure | None:
    """What a JSON object that stands in an answer's place refuses; ``None`` where it says nothing.

    An event that is named an error is one whatever it holds.
    """
    failure = read_failure(body)
    says = bool(failure.message or failure.code)
    if isinstance(body, ErrorEvent):
        told = failure if says else describe(body.decode("utf-8", "replace"))
        return replace(told, unreadable=False)
    if failure.unreadable:
        # Its form was looked at where the answer's fields stand; this one's fields hold no text.
        return failure
    envelope = read_json(_envelope, body)
    is_success = envelope.code in _SUCCESS_CODES or envelope.Code in _SUCCESS_CODES
    return failure if says and not is_success else None


def describe(error: Any, *, request_id: Any = None) -> Failure:
    """A failure from the value of an ``error`` or ``errors`` field, whatever its type."""
    if isinstance(error, list) and error:
        error = error[0]
    if not isinstance(error, dict):
        return Failure(_cut(_said(error)), request_id=_text(request_id))
    message = error.get("message") or error.get("msg") or error.get("type") or ""
    code = error.get("code") or error.get("http_code")
    message, kind = _said(message), _said(error.get("type") or "")
    if kind and kind not in message:
        # The kind tells some refusals apart whose sentences are alike.
        code = f"{_said(code)} {kind}" if code else kind
    return Failure(
        _cut(message),
        code=_text(code),
        request_id=_text(error.get("request_id") or request_id),
    )


class AnswerBody(Struct):
    """The fields by which a body that should be an answer reports an error instead."""

    error: Any = None
    errors: Any = None
    request_id: Any = None

    def failure(self) -> Failure:
        """The error that is reported."""
        return describe(self.error or self.errors, request_id=self.request_id)


def open_body(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T | Failure:
    """Decode a body; one that cannot be read, or that reports an error, is a failure."""
    try:
        answer = read_json(decoder, body)
    except UNREADABLE:
        return replace(read_failure(body), unreadable=True)
    if isinstance(answer, AnswerBody) and (answer.error or answer.errors):
        return answer.failure()
    return answer


def _text(value: Any) -> str | None:
    return None if value in (None, "") else _said(value)[:200]


def _said(value: Any) -> str:
    try:
        return str(value)
    except RecursionError:  # read in fewer calls than it takes to write it out
        return ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…"


_ALLOWANCE_HEADERS = {
    "account_limit": "modelscope-ratelimit-requests-limit",
    "account_remaining": "modelscope-ratelimit-requests-remaining",
    "model_limit": "modelscope-ratelimit-model-requests-limit",
    "model_remaining": "modelscope-ratelimit-model-requests-remaining",
}
_MOST_CALLS = 10**9


def read_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """The four numbers of the calls-a-day rule; nonsense counts as absent and is logged once."""
    numbers = {}
    for name, header in _ALLOWANCE_HEADERS.items():
        value = headers.get(header, "").strip()
        if value.isascii() and value.isdigit() and len(value) < 12 and int(value) < _MOST_CALLS:
            numbers[name] = int(value)
        elif value:
            _complain(header)
    return Allowance(**numbers) if numbers else None


@functools.cache
def _complain(header: str) -> None:
    _log.warning(_("The service sends a %s that is not a number; it is passed over."), header)


def read_retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds of a ``Retry-After``, given as a number or as a date; ``None`` for nonsense."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = _epoch(value)
        if date is None:
            return None
        seconds = date - (time.time() if now is None else now)
    return max(0.0, seconds) if seconds < float("inf") else None


@functools.lru_cache(maxsize=8)
def _epoch(date: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(date)
        # The form of asctime has no zone; every date in HTTP is GMT (RFC 9110, 5.6.7).
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def read_date(headers: Mapping[str, str]) -> float | None:
    """When the service sent a reply, by its own clock: seconds since the epoch."""
    at = _epoch(headers.get("date", "")) if "date" in headers else None
    return at if at is not None and _THIS_CENTURY[0] < at < _THIS_CENTURY[1] else None


def read_request_id(headers: Mapping[str, str]) -> str | None:
    """The service's id of a request, in a header that its official MCP server reads too."""
    return headers.get("x-request-id")


def telling_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers worth keeping with an error: limits, waits and ids. Never a cookie."""
    return {
        name: (_host(value) if name == "location" else value)[:200]
        for name, value in headers.items()
        if name in ("retry-after", "content-type", "location")
        or "ratelimit" in name
        or "request-id" in name
    }


def _host(location: str) -> str:
    """Where a redirect leads, without path and query: they may repeat what was sent."""
    try:
        parts = urllib.parse.urlsplit(location)
    except ValueError:
        return "nowhere"
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, "", "", "")) if host else "this host"
