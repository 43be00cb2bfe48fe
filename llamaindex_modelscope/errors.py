"""The errors of this package, as LlamaIndex can use them.

Each derives from a class of ``modelscope_transport.errors``, where the tree is drawn, and has its
name with ``ModelScope`` before it. The two about limits are also a ``WorkflowRuntimeError``, the
one error of LlamaIndex that users of agents and workflows already catch.

Laws of this file: no error of the service derives from ``ValueError``, ``TypeError``,
``AttributeError``, ``LookupError`` or ``RuntimeError``. LlamaIndex catches those where a model's
*words* may be wrong: a query engine then answers "Empty Response" and an evaluator scores 0.0, and
a spent allowance would pass for a bad answer. For the same reason `native_errors` lets none of them
through. `ModelScopeOutputParserError` alone is a ``ValueError``: it speaks of the model's words.
"""

from __future__ import annotations

import random
from types import TracebackType
from typing import Final

from llama_index.core.output_parsers.base import OutputParserException
from llama_index.core.utils import ErrorToRetry
from workflows.errors import WorkflowRuntimeError

from modelscope_transport.calls import RetryPolicy
from modelscope_transport.errors import (
    AccountNotLinkedError,
    AccountNotVerifiedError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    ContentRefusedError,
    ContextLengthError,
    EmptyReplyError,
    ErrorDetails,
    InvalidRequestError,
    ModelNotServedError,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnexpectedReplyError,
    UnsupportedTaskError,
)
from modelscope_transport.language import translated as _

from .pacing import ModelScopeRateLimiter

__all__ = [
    "NATIVE",
    "ErrorDetails",
    "ModelScopeAPIConnectionError",
    "ModelScopeAPIStatusError",
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
    "ModelScopeOutputParserError",
    "ModelScopeQuotaExceededError",
    "ModelScopeRateLimitError",
    "ModelScopeRetryPolicy",
    "ModelScopeServerError",
    "ModelScopeStreamInterruptedError",
    "ModelScopeUnexpectedReplyError",
    "ModelScopeUnsupportedTaskError",
    "errors_to_retry",
    "native_errors",
]


class ModelScopeOutputParserError(OutputParserException, ValueError):
    """A model's answer makes no object of the class that was asked for.

    It speaks of the model's words and not of the service: therefore it is core's
    ``OutputParserException`` and a ``ValueError``, which core expects of its programs, and no
    `ModelScopeError`.

    Attributes:
        raw_answer: the answer's text, or the arguments of its call; ``None`` where not known.
    """

    def __init__(self, message: str, *, raw_answer: str | None = None) -> None:
        super().__init__(message)
        self.raw_answer = raw_answer

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the answer in a pickle."""
        return type(self), self.args, {"raw_answer": self.raw_answer}


class ModelScopeConfigurationError(ConfigurationError):
    """No token, a malformed token, a bad address. No request was sent."""


class ModelScopeUnsupportedTaskError(UnsupportedTaskError):
    """The model does another kind of work. No request was sent."""


class ModelScopeAPIConnectionError(APIConnectionError):
    """No answer came."""


class ModelScopeAPITimeoutError(ModelScopeAPIConnectionError, APITimeoutError):
    """No answer within the deadline, or silence for too long."""


class ModelScopeAPIStatusError(APIStatusError):
    """The service answered and refused."""


class ModelScopeAuthenticationError(ModelScopeAPIStatusError, AuthenticationError):
    """The token is wrong or was withdrawn."""


class ModelScopeAccountNotLinkedError(ModelScopeAPIStatusError, AccountNotLinkedError):
    """No Alibaba Cloud account is bound to the ModelScope account."""


class ModelScopeAccountNotVerifiedError(ModelScopeAPIStatusError, AccountNotVerifiedError):
    """The bound Alibaba Cloud account has no verified real name."""


class ModelScopeModelNotServedError(ModelScopeAPIStatusError, ModelNotServedError):
    """No such model, or it was withdrawn, or it is not served."""


class ModelScopeInvalidRequestError(ModelScopeAPIStatusError, InvalidRequestError):
    """The request is wrong; without a status code it was not sent."""


class ModelScopeContextLengthError(ModelScopeInvalidRequestError, ContextLengthError):
    """The conversation is longer than the model's window."""


class ModelScopeContentRefusedError(ModelScopeInvalidRequestError, ContentRefusedError):
    """The service's content check refused the request or the answer."""


class ModelScopeRateLimitError(ModelScopeAPIStatusError, RateLimitError, WorkflowRuntimeError):
    """Too fast. The same call succeeds after ``retry_after`` seconds, or in a moment."""


class ModelScopeServerError(ModelScopeAPIStatusError, ServerError):
    """The service failed or is busy."""


class ModelScopeQuotaExceededError(QuotaExceededError, WorkflowRuntimeError):
    """The allowance of the account or of one model is spent, until ``resets_at``.

    It is not a `ModelScopeRateLimitError`: code that waits a moment and tries again must not do
    so here.
    """


class ModelScopeEmptyReplyError(EmptyReplyError):
    """A success with nothing in it. A retry often helps."""


class ModelScopeUnexpectedReplyError(UnexpectedReplyError):
    """A reply that cannot be read."""


class ModelScopeStreamInterruptedError(StreamInterruptedError):
    """A stream broke after its first content; what had arrived is in ``partial``."""


NATIVE: Final[dict[type[ModelScopeError], type[ModelScopeError]]] = {
    APIConnectionError: ModelScopeAPIConnectionError,
    APIStatusError: ModelScopeAPIStatusError,
    APITimeoutError: ModelScopeAPITimeoutError,
    AccountNotLinkedError: ModelScopeAccountNotLinkedError,
    AccountNotVerifiedError: ModelScopeAccountNotVerifiedError,
    AuthenticationError: ModelScopeAuthenticationError,
    ConfigurationError: ModelScopeConfigurationError,
    ContentRefusedError: ModelScopeContentRefusedError,
    ContextLengthError: ModelScopeContextLengthError,
    EmptyReplyError: ModelScopeEmptyReplyError,
    InvalidRequestError: ModelScopeInvalidRequestError,
    ModelNotServedError: ModelScopeModelNotServedError,
    QuotaExceededError: ModelScopeQuotaExceededError,
    RateLimitError: ModelScopeRateLimitError,
    ServerError: ModelScopeServerError,
    StreamInterruptedError: ModelScopeStreamInterruptedError,
    UnexpectedReplyError: ModelScopeUnexpectedReplyError,
    UnsupportedTaskError: ModelScopeUnsupportedTaskError,
}

# What LlamaIndex catches on the way and reads as something else.
_MISREAD = (ValueError, TypeError, AttributeError, LookupError, RuntimeError)


class native_errors:
    """Everything raised inside leaves as an error of this module, the original as its cause.

    For sync code, coroutines and generators alike. Each error is a new instance, since LlamaIndex
    marks the instances that it has reported.

    Args:
        limiter: the object's rate limiter; one of ours holds calls back after one was too fast.
    """

    __slots__ = ("_limiter",)

    def __init__(self, limiter: object = None) -> None:
        self._limiter = limiter

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Replace the error, if there is one."""
        if error is None:
            return
        if isinstance(error, ModelScopeError):
            # In the middle of a stream it is the cause of the interruption.
            said = error.__cause__ if isinstance(error, StreamInterruptedError) else error
            if isinstance(said, RateLimitError) and isinstance(
                self._limiter, ModelScopeRateLimiter
            ):
                self._limiter.hold(said.retry_after)
            native = NATIVE.get(type(error))
            if native is not None:
                raise native(*error.args, details=error.details) from error
        elif isinstance(error, _MISREAD):
            raise ModelScopeError(
                _("The call could not be carried out: {kind}: {error}").format(
                    kind=type(error).__name__, error=error
                )
            ) from error


# What a retry may help. A spent allowance is not among them.
_MAY_HEAL = (
    ModelScopeRateLimitError,
    ModelScopeServerError,
    ModelScopeEmptyReplyError,
    ModelScopeAPIConnectionError,
)


def errors_to_retry() -> list[ErrorToRetry]:
    """The errors that a retry may help, for core's ``retry_on_exceptions_with_backoff``."""
    return [ErrorToRetry(error) for error in _MAY_HEAL]


class ModelScopeRetryPolicy:
    """When a workflow's step is retried: ``@step(retry_policy=ModelScopeRetryPolicy())``.

    After the wait that the service asks for, else after 2 seconds, doubled each time up to 30,
    spread at random. Never when the allowance is spent or the request is wrong. Each call inside
    the step has already tried as often as its ``max_retries`` says.

    Args:
        max_retries: further attempts of the step.
        timeout: seconds after the first failure until it gives up.
    """

    def __init__(self, max_retries: int = 3, timeout: float = 300.0) -> None:
        self.timeout = timeout
        self._policy = RetryPolicy(max_retries, first_delay=2.0, longest_delay=30.0)

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """Seconds to wait before the next try; ``None`` to give up.

        Args:
            elapsed_time: seconds since the first failure.
            attempts: failures so far.
            error: the last failure.
            seed: seed of the random part of the wait.
        """
        if not isinstance(error, _MAY_HEAL):
            return None
        return self._policy.delay(
            attempts - 1,
            retry_after=error.details.retry_after,
            remaining=self.timeout - elapsed_time,
            chance=random.Random(seed).random,
        )
