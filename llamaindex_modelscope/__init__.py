"""LlamaIndex's classes for ModelScope API-Inference: `ModelScope` and `ModelScopeEmbedding`."""

try:
    import llama_index.core as _core  # noqa: F401
except ModuleNotFoundError as error:  # what is missing is not of this package: say whose it is
    raise ModuleNotFoundError(
        "llamaindex_modelscope needs LlamaIndex, which is not installed. Run: "
        "pip install 'modelscope-adapters[llamaindex]'",
        name=error.name,
    ) from error

from .embeddings import ModelScopeEmbedding
from .errors import (
    ErrorDetails,
    ModelScopeAccountNotLinkedError,
    ModelScopeAccountNotVerifiedError,
    ModelScopeAPIConnectionError,
    ModelScopeAPIStatusError,
    ModelScopeAPITimeoutError,
    ModelScopeAuthenticationError,
    ModelScopeConfigurationError,
    ModelScopeContentRefusedError,
    ModelScopeContextLengthError,
    ModelScopeEmptyReplyError,
    ModelScopeError,
    ModelScopeInvalidRequestError,
    ModelScopeModelNotServedError,
    ModelScopeQuotaExceededError,
    ModelScopeRateLimitError,
    ModelScopeServerError,
    ModelScopeStreamInterruptedError,
    ModelScopeUnexpectedReplyError,
    ModelScopeUnsupportedTaskError,
    errors_to_retry,
)
from .llms import ModelScope

__all__ = [
    "ErrorDetails",
    "ModelScope",
    "ModelScopeAPIConnectionError",
    "ModelScopeAPIStatusError",
    "ModelScopeAPITimeoutError",
    "ModelScopeAccountNotLinkedError",
    "ModelScopeAccountNotVerifiedError",
    "ModelScopeAuthenticationError",
    "ModelScopeConfigurationError",
    "ModelScopeContentRefusedError",
    "ModelScopeContextLengthError",
    "ModelScopeEmbedding",
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
    "errors_to_retry",
]
