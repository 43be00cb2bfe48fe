"""LangChain's classes for ModelScope API-Inference."""

import importlib
import typing

try:
    import langchain_core as _langchain_core  # noqa: F401
except ModuleNotFoundError as _error:
    if _error.name != "langchain_core":
        raise
    from modelscope_transport.language import translated as _

    _said = _(
        "langchain_modelscope needs LangChain. Install it with: "
        'pip install "modelscope-adapters[langchain]"'
    )
    raise ModuleNotFoundError(_said, name=_error.name) from None

from .chat_models import ChatModelScope
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

if typing.TYPE_CHECKING:
    from ._tool_calls import ModelScopeToolError
    from .embeddings import ModelScopeEmbeddings
    from .image_tool import ModelScopeImageTool
    from .loading import aload, load
    from .pipeline_tool import ModelScopePipelineTool
    from .rerank import ModelScopeRerank

__all__ = [
    "ChatModelScope",
    "ModelScopeAPIConnectionError",
    "ModelScopeAPITimeoutError",
    "ModelScopeAccountNotLinkedError",
    "ModelScopeAccountNotVerifiedError",
    "ModelScopeAuthenticationError",
    "ModelScopeBatch",
    "ModelScopeChatEndpoint",
    "ModelScopeConfigurationError",
    "ModelScopeContentRefusedError",
    "ModelScopeContextLengthError",
    "ModelScopeEmbeddings",
    "ModelScopeEmptyReplyError",
    "ModelScopeError",
    "ModelScopeImageTool",
    "ModelScopeInvalidRequestError",
    "ModelScopeModelNotServedError",
    "ModelScopePipelineTool",
    "ModelScopeQuotaExceededError",
    "ModelScopeRateLimitError",
    "ModelScopeRerank",
    "ModelScopeServerError",
    "ModelScopeStreamInterruptedError",
    "ModelScopeToolError",
    "ModelScopeUnexpectedReplyError",
    "ModelScopeUnsupportedTaskError",
    "aload",
    "is_retryable",
    "load",
    "register",
]

# What not everybody uses is imported at its first use.
_LATE = {
    "ModelScopeBatch": "batches",
    "ModelScopeEmbeddings": "embeddings",
    "ModelScopeImageTool": "image_tool",
    "ModelScopePipelineTool": "pipeline_tool",
    "ModelScopeRerank": "rerank",
    "ModelScopeToolError": "_tool_calls",
    "aload": "loading",
    "load": "loading",
}


def __getattr__(name: str) -> typing.Any:
    """Import a class of a task beyond chat; or look the version up."""
    if name == "__version__":
        return importlib.import_module("modelscope_transport").__version__
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{module}", __name__), name)
