"""The transport's errors as LangChain's own, so that its retries and fallbacks understand them.

Each class here is two things at once: the transport's class of the same name, with its details,
and the class that LangChain gives this meaning. An error that a retry cannot help is a
``RuntimeError`` as well, because LangGraph's default ``RetryPolicy`` retries every error but a few
built-in classes.

Laws of this file: `NATIVE` is the only table, `native_errors` the only way from one tree to the
other, for calls and generators, sync and async; an error is rebuilt from its one positional text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from modelscope_transport import errors as transport
from modelscope_transport.errors import ErrorDetails, ModelScopeError
from modelscope_transport.language import translated as _

__all__ = [
    "NATIVE",
    "ModelScopeAPIConnectionError",
    "ModelScopeAPITimeoutError",
    "ModelScopeAccountNotLinkedError",
    "ModelScopeAccountNotVerifiedError",
    "ModelScopeAuthenticationError",
    "ModelScopeConfigurationError",
    "ModelScopeContentRefusedError",
    "ModelScopeContextLengthError",
    "ModelScopeEmptyReplyError",
    "ModelScopeError",
    "ModelScopeInvalidRequestError",
    "ModelScopeModelNotServedError",
    "ModelScopeQuotaExceededError",
    "ModelScopeRateLimitError",
    "ModelScopeServerError",
    "ModelScopeStreamInterruptedError",
    "ModelScopeUnexpectedReplyError",
    "ModelScopeUnsupportedTaskError",
    "Refusal",
    "is_retryable",
    "native_errors",
]


class Refusal:
    """What is known of the service's reply, in the form LangChain's traces look for.

    Attributes:
        status_code: HTTP status.
        headers: headers that say something of limits and ids.
        text: the service's own words, shortened, without secrets.
    """

    def __init__(self, details: ErrorDetails) -> None:
        self._details = details
        self.status_code = details.status_code
        self.headers: Mapping[str, str] = details.headers
        self.text = details.server_message or ""

    def json(self) -> dict[str, Any]:
        """The details that are known, as plain values."""
        facts: dict[str, Any] = msgspec.to_builtins(
            msgspec.structs.replace(self._details, partial=None, headers={})
        )
        return {name: value for name, value in facts.items() if value}


class _Native(ModelScopeError):
    """Any of the classes below."""

    @property
    def response(self) -> Refusal:
        """The reply, for traces; an error that no reply caused has none.

        Raises:
            AttributeError: there was no reply. So ``hasattr`` is the question to ask.
        """
        if self.details.status_code is None:
            raise AttributeError(_("no reply came, so there is no response"))
        return Refusal(self.details)


# --- before any request -----------------------------------------------------------------------


class ModelScopeConfigurationError(_Native, transport.ConfigurationError, ModelError, RuntimeError):
    """No token, a malformed token, a bad address. No request was sent."""


class ModelScopeUnsupportedTaskError(
    _Native, transport.UnsupportedTaskError, ModelError, RuntimeError
):
    """The model does another kind of work. No request was sent."""


# --- no whole answer --------------------------------------------------------------------------


class ModelScopeAPIConnectionError(_Native, transport.APIConnectionError, ModelConnectionError):
    """No answer came."""


class ModelScopeAPITimeoutError(
    ModelScopeAPIConnectionError, transport.APITimeoutError, ModelTimeoutError
):
    """No answer within the deadline, or silence for too long."""


class ModelScopeStreamInterruptedError(
    _Native, transport.StreamInterruptedError, ModelConnectionError
):
    """A stream broke after its first content; ``partial`` holds what had arrived."""


class ModelScopeEmptyReplyError(_Native, transport.EmptyReplyError, ModelAPIError):
    """A success with nothing in it. A retry often helps."""


class ModelScopeUnexpectedReplyError(
    _Native, transport.UnexpectedReplyError, ModelAPIError, RuntimeError
):
    """A reply that cannot be read: most often the base URL is not the service's."""

    is_retryable = False


class ModelScopeServerError(_Native, transport.ServerError, ModelAPIError):
    """The service failed or is busy."""


# --- refused ----------------------------------------------------------------------------------


class ModelScopeAuthenticationError(
    _Native, transport.AuthenticationError, ModelAuthenticationError, RuntimeError
):
    """The token is wrong or was withdrawn."""


class ModelScopeAccountNotLinkedError(
    _Native, transport.AccountNotLinkedError, ModelPermissionDeniedError, RuntimeError
):
    """No Alibaba Cloud account is bound to the ModelScope account."""


class ModelScopeAccountNotVerifiedError(
    _Native, transport.AccountNotVerifiedError, ModelPermissionDeniedError, RuntimeError
):
    """The bound Alibaba Cloud account has no verified real name."""


class ModelScopeModelNotServedError(
    _Native, transport.ModelNotServedError, ModelNotFoundError, RuntimeError
):
    """No such model, or it was withdrawn, or it is not served."""


class ModelScopeInvalidRequestError(
    _Native, transport.InvalidRequestError, ModelInvalidRequestError, RuntimeError
):
    """The request is wrong; without a status code it was not sent."""


class ModelScopeContextLengthError(
    ModelScopeInvalidRequestError, transport.ContextLengthError, ContextOverflowError
):
    """The conversation is longer than the model's window."""


class ModelScopeContentRefusedError(ModelScopeInvalidRequestError, transport.ContentRefusedError):
    """The service's content check refused the request or the answer."""


class ModelScopeRateLimitError(_Native, transport.RateLimitError, ModelRateLimitError):
    """Too fast. The same call succeeds in a moment."""


class ModelScopeQuotaExceededError(
    _Native, transport.QuotaExceededError, ModelRateLimitError, RuntimeError
):
    """The allowance of the account or of one model is spent until ``resets_at``.

    A retry cannot help: ``ModelRetryMiddleware``, from LangChain 1.3.16 on, and LangGraph's
    default ``RetryPolicy`` leave it alone; ``with_fallbacks`` and ``ModelFallbackMiddleware`` move
    on to the next model.
    """

    is_retryable = False


NATIVE: dict[type[ModelScopeError], type[ModelScopeError]] = {
    transport.ConfigurationError: ModelScopeConfigurationError,
    transport.UnsupportedTaskError: ModelScopeUnsupportedTaskError,
    transport.APIConnectionError: ModelScopeAPIConnectionError,
    transport.APITimeoutError: ModelScopeAPITimeoutError,
    transport.StreamInterruptedError: ModelScopeStreamInterruptedError,
    transport.EmptyReplyError: ModelScopeEmptyReplyError,
    transport.UnexpectedReplyError: ModelScopeUnexpectedReplyError,
    transport.ServerError: ModelScopeServerError,
    transport.AuthenticationError: ModelScopeAuthenticationError,
    transport.AccountNotLinkedError: ModelScopeAccountNotLinkedError,
    transport.AccountNotVerifiedError: ModelScopeAccountNotVerifiedError,
    transport.ModelNotServedError: ModelScopeModelNotServedError,
    transport.InvalidRequestError: ModelScopeInvalidRequestError,
    transport.ContextLengthError: ModelScopeContextLengthError,
    transport.ContentRefusedError: ModelScopeContentRefusedError,
    transport.RateLimitError: ModelScopeRateLimitError,
    transport.QuotaExceededError: ModelScopeQuotaExceededError,
}


@contextmanager
def native_errors() -> Iterator[None]:
    """Turn the transport's errors into LangChain's, the original as ``__cause__``."""
    try:
        yield
    except _Native:
        raise
    except ModelScopeError as error:
        native = NATIVE.get(type(error))
        if native is None:
            raise
        raise native(*error.args, details=error.details) from error


def is_retryable(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment.

    For ``model.with_retry(retry_if_exception_type=is_retryable)``, which by default would try
    again after every error, a spent allowance included.
    """
    return isinstance(error, ModelError) and error.is_retryable
