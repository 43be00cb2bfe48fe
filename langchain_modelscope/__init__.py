"""LangChain's classes for ModelScope API-Inference."""

try:
    import langchain_core as _langchain_core  # noqa: F401
except ModuleNotFoundError as _error:
    if _error.name != "langchain_core":
        raise
    raise ModuleNotFoundError(
        "langchain_modelscope needs LangChain. Install it with: "
        'pip install "modelscope-adapters[langchain]"',
        name=_error.name,
    ) from None

from .chat_models import ChatModelScope
from .embeddings import ModelScopeEmbeddings
from .errors import (
    ModelScopeAccountNotLinkedError,
    ModelScopeAccountNotVerifiedError,
    ModelScopeAPIConnectionError,
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
    is_retryable,
)
from .registration import register

ModelScopeChatEndpoint = ChatModelScope
"""The name of the class in the package ``langchain-modelscope-integration``."""

__all__ = [
    "ChatModelScope",
    "ModelScopeAPIConnectionError",
    "ModelScopeAPITimeoutError",
    "ModelScopeAccountNotLinkedError",
    "ModelScopeAccountNotVerifiedError",
    "ModelScopeAuthenticationError",
    "ModelScopeChatEndpoint",
    "ModelScopeConfigurationError",
    "ModelScopeContentRefusedError",
    "ModelScopeContextLengthError",
    "ModelScopeEmbeddings",
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
    "is_retryable",
    "register",
]
