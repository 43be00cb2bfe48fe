"""LlamaIndex's classes for ModelScope API-Inference: `ModelScope` and `ModelScopeEmbedding`."""

import importlib
import typing

try:
    import llama_index.core as _core  # noqa: F401
except ModuleNotFoundError as error:  # what is missing is not of this package: say whose it is
    from modelscope_transport.language import translated as _

    _said = _(
        "llamaindex_modelscope needs LlamaIndex, which is not installed. Run: "
        "pip install 'modelscope-adapters[llamaindex]'"
    )
    raise ModuleNotFoundError(_said, name=error.name) from error

import types

import wrapt

from ._progress import ModelScopeProgressEvent
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
    ModelScopeOutputParserError,
    ModelScopeQuotaExceededError,
    ModelScopeRateLimitError,
    ModelScopeRetryPolicy,
    ModelScopeServerError,
    ModelScopeStreamInterruptedError,
    ModelScopeUnexpectedReplyError,
    ModelScopeUnsupportedTaskError,
    errors_to_retry,
)
from .llms import ModelScope
from .pacing import ModelScopeRateLimiter

if typing.TYPE_CHECKING:
    from .image_tool import ModelScopeImageToolSpec
    from .loading import aload, load
    from .pipeline_tool import ModelScopePipelineToolSpec
    from .rerank import ModelScopeRerank
    from .resuming import resumable

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
    "ModelScopeImageToolSpec",
    "ModelScopeInvalidRequestError",
    "ModelScopeModelNotServedError",
    "ModelScopeOutputParserError",
    "ModelScopePipelineToolSpec",
    "ModelScopeProgressEvent",
    "ModelScopeQuotaExceededError",
    "ModelScopeRateLimitError",
    "ModelScopeRateLimiter",
    "ModelScopeRerank",
    "ModelScopeRetryPolicy",
    "ModelScopeServerError",
    "ModelScopeStreamInterruptedError",
    "ModelScopeUnexpectedReplyError",
    "ModelScopeUnsupportedTaskError",
    "aload",
    "errors_to_retry",
    "load",
    "resumable",
]

# What not everybody uses is imported at its first use.
_LATE = {
    "ModelScopeImageToolSpec": "image_tool",
    "ModelScopePipelineToolSpec": "pipeline_tool",
    "ModelScopeRerank": "rerank",
    "aload": "loading",
    "load": "loading",
    "resumable": "resuming",
}


def __getattr__(name: str) -> typing.Any:
    """Import a class of a task beyond chat and embeddings; or look the version up."""
    if name == "__version__":
        return importlib.import_module("modelscope_transport").__version__
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{module}", __name__), name)


def __dir__() -> list[str]:
    """Also the classes that are imported at their first use."""
    return sorted({*globals(), *_LATE})


@wrapt.when_imported("llama_index.core.llms.loading")
def _recognise_llm(module: types.ModuleType) -> None:
    # ``load_llm`` knows the classes in a table of its module. That module imports the OpenAI
    # package where there is one, so it is not imported for this entry's sake.
    module.RECOGNIZED_LLMS[ModelScope.class_name()] = ModelScope


@wrapt.when_imported("llama_index.core.embeddings.loading")
def _recognise_embedding(module: types.ModuleType) -> None:
    module.RECOGNIZED_EMBEDDINGS[ModelScopeEmbedding.class_name()] = ModelScopeEmbedding
