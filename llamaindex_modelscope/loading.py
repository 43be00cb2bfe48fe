"""`load`: the right object for a model, whichever kind of work it does."""

from __future__ import annotations

from typing import Any, overload

from modelscope_transport.catalogue import (
    ChatTask,
    EmbeddingTask,
    ImageTask,
    PipelineTask,
    RerankTask,
    Task,
)
from modelscope_transport.client import Client

from ._connected import REACH, client_for, hidden_in
from .embeddings import ModelScopeEmbedding
from .errors import native_errors
from .image_tool import ModelScopeImageToolSpec
from .llms import ModelScope
from .pipeline_tool import ModelScopePipelineToolSpec
from .rerank import ModelScopeRerank

__all__ = ["aload", "load"]

# The classes that the rows of the task registry name.
_CLASSES: dict[str, Any] = {
    served.__name__: served
    for served in (
        ModelScope,
        ModelScopeEmbedding,
        ModelScopeImageToolSpec,
        ModelScopePipelineToolSpec,
        ModelScopeRerank,
    )
}


@overload
def load(model: str, task: ChatTask, *, look_up: bool = True, **arguments: Any) -> ModelScope: ...
@overload
def load(
    model: str, task: EmbeddingTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeEmbedding: ...
@overload
def load(
    model: str, task: ImageTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeImageToolSpec: ...
@overload
def load(
    model: str, task: RerankTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeRerank: ...
@overload
def load(
    model: str, task: PipelineTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopePipelineToolSpec: ...
@overload
def load(model: str, task: str | None = None, *, look_up: bool = True, **arguments: Any) -> Any: ...


def load(model: str, task: str | None = None, *, look_up: bool = True, **arguments: Any) -> Any:
    """The object that serves a model in LlamaIndex.

    Args:
        model: model ID, ``owner/name``.
        task: ModelScope's name of its task, for instance ``"text-to-image-synthesis"``. Without
            it, it comes from the model data, from the ID's own words
            (``nlp_structbert_sentiment-classification_…``) or from the hub, in this order; a model
            that is not known is taken to chat.
        look_up: whether the hub may be asked; what it says is kept.
        arguments: those of the class, such as ``api_key``, ``timeout``, ``temperature``, ``size``.

    Returns:
        A `ModelScope`, `ModelScopeEmbedding`, `ModelScopeImageToolSpec`, `ModelScopeRerank` or
        `ModelScopePipelineToolSpec`.

    Raises:
        ModelScopeModelNotServedError: there is no such model; near names are in the message.
        ModelScopeUnsupportedTaskError: its task is another one, or is not served.
        ModelScopeConfigurationError: there is no such task, no token, an unknown argument.
    """
    arguments = hidden_in(arguments)  # a traceback shows local variables
    with native_errors():
        row = _client(arguments).task_of(model, task, look_up=look_up)
    return _made(row, model, arguments)


@overload
async def aload(
    model: str, task: ChatTask, *, look_up: bool = True, **arguments: Any
) -> ModelScope: ...
@overload
async def aload(
    model: str, task: EmbeddingTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeEmbedding: ...
@overload
async def aload(
    model: str, task: ImageTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeImageToolSpec: ...
@overload
async def aload(
    model: str, task: RerankTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeRerank: ...
@overload
async def aload(
    model: str, task: PipelineTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopePipelineToolSpec: ...
@overload
async def aload(
    model: str, task: str | None = None, *, look_up: bool = True, **arguments: Any
) -> Any: ...


async def aload(
    model: str, task: str | None = None, *, look_up: bool = True, **arguments: Any
) -> Any:
    """As `load`, without blocking the event loop while the hub is asked."""
    arguments = hidden_in(arguments)
    with native_errors():
        row = await _client(arguments).aio.task_of(model, task, look_up=look_up)
    return _made(row, model, arguments)


def _client(arguments: dict[str, Any]) -> Client:
    """What the object will reach the service with, so that the hub is asked the same way."""
    reach = {name: arguments.get(name) for name in REACH}
    reach["base_url"] = reach["base_url"] or arguments.get("api_base")
    return client_for(arguments.get("client"), **reach)


def _made(row: Task, model: str, arguments: dict[str, Any]) -> Any:
    served = _CLASSES[row.llamaindex]
    if served is ModelScopePipelineToolSpec:
        arguments = {"task": row.name, **arguments}
    return served(model=model, **arguments)
