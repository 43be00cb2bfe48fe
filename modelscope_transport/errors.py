"""Every error of this package.

::

    ModelScopeError                 .details, one ErrorDetails
    |- ConfigurationError           no token, bad token, bad address; no request was sent
    |- UnsupportedTaskError         this model does another kind of work; no request was sent
    |- APIConnectionError           no answer came
    |  `- APITimeoutError           not in time
    |- APIStatusError               answered, and refused
    |  |- AuthenticationError       token wrong or withdrawn
    |  |- AccountNotLinkedError     no Alibaba Cloud account bound
    |  |- AccountNotVerifiedError   no real name verified
    |  |- ModelNotServedError       no such model, retired, not served
    |  |- InvalidRequestError       the request itself is wrong (also raised before it is sent)
    |  |  |- ContextLengthError     more tokens than the model's window
    |  |  `- ContentRefusedError    the service's content check said no
    |  |- RateLimitError            too fast: again in a moment
    |  `- ServerError               5xx, or "server busy"
    |- QuotaExceededError           the allowance is spent: again when it comes back
    |- EmptyReplyError              a success with nothing in it
    |- UnexpectedReplyError         a success that cannot be read
    `- StreamInterruptedError       a stream that broke after it began; .partial

Laws of this file: an error is rebuilt from its one positional text, pickles with its details,
holds neither token nor request, and derives from ``Exception`` alone, because frameworks read
meaning into built-in bases. Its message ends with the place that says more: the section of the
troubleshooting page that is named after the class. `QuotaExceededError` is no `RateLimitError`:
waiting a moment cannot help, and code that waits on the one must not wait on the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from .answers import ChatResult
from .language import resolve_language
from .language import translated as _

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AccountNotLinkedError",
    "AccountNotVerifiedError",
    "AuthenticationError",
    "ConfigurationError",
    "ContentRefusedError",
    "ContextLengthError",
    "EmptyReplyError",
    "ErrorDetails",
    "InvalidRequestError",
    "ModelNotServedError",
    "ModelScopeError",
    "QuotaExceededError",
    "RateLimitError",
    "ServerError",
    "StreamInterruptedError",
    "UnexpectedReplyError",
    "UnsupportedTaskError",
]


# Without an address: the pages are published nowhere yet.
_PAGES = {"en": "docs/troubleshooting.md", "zh": "docs/troubleshooting.zh.md"}
# How a sentence ends, in both languages.
_ENDS = (".", "!", "?", "…", "。", "！", "？")


class ErrorDetails(Struct, frozen=True, kw_only=True):
    """What is known of a failure. ``None`` where nothing is.

    Attributes:
        reason: name of the row of the failure table that fits, for instance ``"model_spent"``.
        status_code: HTTP status; also of a failure that came inside a 200.
        code: the service's own error code.
        request_id: the service's id of the request.
        model: model ID that was asked.
        server_message: the service's own words, shortened, without secrets.
        headers: the reply's headers that say something of limits and ids.
        retry_after: seconds after which a new try makes sense.
        scope: which pool is spent, ``"account"`` or ``"model"``.
        limit: size of that pool, in ``unit``.
        used: what is used of it, in ``unit``.
        remaining: what is left of it.
        unit: ``"calls"`` or ``"magicubes"``.
        price: Magicubes; calls of this price or above are refused, cheaper ones are not.
        unfetched: Magicubes that a sign-in on the website would grant today, where that is known.
        resets_at: when it comes back, with a time zone; of Magicubes, when more may come at the
            earliest: they are granted at a sign-in on the website.
        alternatives: model IDs that may still serve.
        attempts: HTTP requests this call has taken.
        partial: what had arrived of a stream.
        task_id: the image task that had been accepted, to be looked after later.
    """

    reason: str | None = None
    status_code: int | None = None
    code: str | None = None
    request_id: str | None = None
    model: str | None = None
    server_message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    scope: Literal["account", "model"] | None = None
    limit: float | None = None
    used: float | None = None
    remaining: float | None = None
    unit: Literal["calls", "magicubes"] | None = None
    price: float | None = None
    unfetched: float | None = None
    resets_at: dt.datetime | None = None
    alternatives: tuple[str, ...] = ()
    attempts: int = 0
    partial: ChatResult | None = None
    task_id: str | None = None


class ModelScopeError(Exception):
    """Base of every error of this package.

    Args:
        message: what happened, then what to do.
        details: what is known of the failure.
    """

    def __init__(self, message: str = "", *, details: ErrorDetails | None = None) -> None:
        """Keep the message as the only positional argument, so that pickle can rebuild it."""
        super().__init__(message)
        self.details = details or ErrorDetails()

    def __str__(self) -> str:
        """The message, then the section of the troubleshooting page that is about this class."""
        message = Exception.__str__(self)
        # A message may be that of another error, which names its section already.
        if not message or any(page in message for page in _PAGES.values()):
            return message
        message = message if message.endswith(_ENDS) else message + _(".")
        kind = next(kind for kind in type(self).__mro__ if kind.__module__ == __name__)
        place = f"{_PAGES[resolve_language()]}#{kind.__name__.lower()}"
        return _("{message} See {place}.").format(message=message, place=place)

    @property
    def status_code(self) -> int | None:
        """HTTP status, or ``None`` when no reply came."""
        return self.details.status_code

    @property
    def request_id(self) -> str | None:
        """The service's id of the request."""
        return self.details.request_id

    @property
    def model(self) -> str | None:
        """Model ID that was asked."""
        return self.details.model

    @property
    def reason(self) -> str | None:
        """Name of the row of the failure table that fits."""
        return self.details.reason


class ConfigurationError(ModelScopeError):
    """No token, a malformed token, a bad address. No request was sent."""


class UnsupportedTaskError(ModelScopeError):
    """The model does another kind of work. No request was sent."""


class APIConnectionError(ModelScopeError):
    """No answer came."""


class APITimeoutError(APIConnectionError):
    """No answer within the deadline, or silence for too long."""


class APIStatusError(ModelScopeError):
    """The service answered and refused."""


class AuthenticationError(APIStatusError):
    """The token is wrong or was withdrawn."""


class AccountNotLinkedError(APIStatusError):
    """No Alibaba Cloud account is bound to the ModelScope account."""


class AccountNotVerifiedError(APIStatusError):
    """The bound Alibaba Cloud account has no verified real name."""


class ModelNotServedError(APIStatusError):
    """No such model, or it was withdrawn, or it is not served."""


class InvalidRequestError(APIStatusError):
    """The request is wrong; without a status code it was not sent."""


class ContextLengthError(InvalidRequestError):
    """The conversation is longer than the model's window."""


class ContentRefusedError(InvalidRequestError):
    """The service's content check refused the request or the answer."""


class RateLimitError(APIStatusError):
    """Too fast. The same call succeeds in a moment."""

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a new try makes sense, where known."""
        return self.details.retry_after


class ServerError(APIStatusError):
    """The service failed or is busy."""


class QuotaExceededError(ModelScopeError):
    """The allowance of the account or of one model is spent; another call cannot help today."""

    @property
    def scope(self) -> Literal["account", "model"] | None:
        """Which pool is spent."""
        return self.details.scope

    @property
    def limit(self) -> float | None:
        """Size of the pool, in ``details.unit``."""
        return self.details.limit

    @property
    def remaining(self) -> float | None:
        """What is left of it."""
        return self.details.remaining

    @property
    def resets_at(self) -> dt.datetime | None:
        """When it comes back, with a time zone."""
        return self.details.resets_at

    @property
    def alternatives(self) -> tuple[str, ...]:
        """Model IDs that may still serve."""
        return self.details.alternatives


class EmptyReplyError(ModelScopeError):
    """A success with nothing in it. A new try often helps."""


class UnexpectedReplyError(ModelScopeError):
    """A reply that cannot be read."""


class StreamInterruptedError(ModelScopeError):
    """A stream broke after it had begun, or ended with neither a finish reason nor ``[DONE]``.

    Where the service itself ended it with an error, that error is the ``__cause__``, and its
    details (reason, scope, reset) are this one's too.
    """

    @property
    def partial(self) -> ChatResult | None:
        """What had arrived."""
        return self.details.partial
