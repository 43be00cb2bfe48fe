"""`load`: the right object for a model, whichever kind of work it does."""

from __future__ import annotations

from typing import Any, overload

from pydantic import SecretStr

from modelscope_transport.catalogue import (
    ChatTask,
    EmbeddingTask,
    ImageTask,
    PipelineTask,
    RerankTask,
    Task,
)
from modelscope_transport.client import Client
from modelscope_transport.secret import hide

from ._argument_table import CONNECTION
from ._connection import OWN, reveal
from .chat_models import ChatModelScope
from .embeddings import ModelScopeEmbeddings
from .errors import native_errors
from .image_tool import ModelScopeImageTool
from .pipeline_tool import ModelScopePipelineTool
from .rerank import ModelScopeRerank

__all__ = ["aload", "load"]

Loaded = (
    ChatModelScope
    | ModelScopeEmbeddings
    | ModelScopeImageTool
    | ModelScopePipelineTool
    | ModelScopeRerank
)

# The classes that the rows of the task registry name.
_CLASSES: dict[str, type[Loaded]] = {
    served.__name__: served
    for served in (
        ChatModelScope,
        ModelScopeEmbeddings,
        ModelScopeImageTool,
        ModelScopePipelineTool,
        ModelScopeRerank,
    )
}


@overload
def load(
    model: str, task: ChatTask, *, look_up: bool = True, **arguments: Any
) -> ChatModelScope: ...
@overload
def load(
    model: str, task: EmbeddingTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeEmbeddings: ...
@overload
def load(
    model: str, task: ImageTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeImageTool: ...
@overload
def load(
    model: str, task: RerankTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeRerank: ...
@overload
def load(
    model: str, task: PipelineTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopePipelineTool: ...
@overload
def load(
    model: str, task: str | None = None, *, look_up: bool = True, **arguments: Any
) -> Loaded: ...
def load(model: str, task: str | None = None, *, look_up: bool = True, **arguments: Any) -> Loaded:
    """The object that serves a model in LangChain.

    Args:
        model: model ID, ``owner/name``.
        task: ModelScope's name of its task, for instance ``"text-to-image-synthesis"``. Without
            it, it comes from the model data, from the ID's own words
            (``nlp_structbert_sentiment-classification_…``) or from the hub, in this order; a model
            that is not known is taken to chat.
        look_up: whether the hub may be asked; what it says is kept.
        arguments: those of the class, such as ``api_key``, ``timeout``, ``temperature``, ``size``.

    Returns:
        A `ChatModelScope`, `ModelScopeEmbeddings`, `ModelScopeImageTool`, `ModelScopeRerank` or
        `ModelScopePipelineTool`.

    Raises:
        ModelScopeModelNotServedError: there is no such model; near names are in the message.
        ModelScopeUnsupportedTaskError: its task is another one, or is not served.
        ModelScopeConfigurationError: there is no such task, no token, an unknown argument.
    """
    arguments = _hidden(arguments)  # a traceback shows local variables
    with native_errors():
        row = _client(arguments).task_of(model, task, look_up=look_up)
    return _made(row, model, arguments)


@overload
async def aload(
    model: str, task: ChatTask, *, look_up: bool = True, **arguments: Any
) -> ChatModelScope: ...
@overload
async def aload(
    model: str, task: EmbeddingTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeEmbeddings: ...
@overload
async def aload(
    model: str, task: ImageTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeImageTool: ...
@overload
async def aload(
    model: str, task: RerankTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopeRerank: ...
@overload
async def aload(
    model: str, task: PipelineTask, *, look_up: bool = True, **arguments: Any
) -> ModelScopePipelineTool: ...
@overload
async def aload(
    model: str, task: str | None = None, *, look_up: bool = True, **arguments: Any
) -> Loaded: ...
async def aload(
    model: str, task: str | None = None, *, look_up: bool = True, **arguments: Any
) -> Loaded:
    """As `load`, without blocking the event loop while the hub is asked."""
    arguments = _hidden(arguments)
    with native_errors():
        row = await _client(arguments).aio.task_of(model, task, look_up=look_up)
    return _made(row, model, arguments)


def _hidden(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments, credentials hidden: also those that a class will refuse."""
    return {
        word: SecretStr(value)
        if isinstance(value, str) and word.endswith(("key", "token", "proxy"))
        else value
        for word, value in arguments.items()
    }


def _client(arguments: dict[str, Any]) -> Client:
    """What the object will reach the service with, so that the hub is asked the same way."""
    client: Client | None = arguments.get("client")
    if client is not None:
        return client
    named = {
        CONNECTION[word].now if word in CONNECTION else word: value
        for word, value in arguments.items()
        if value is not None
    }
    own = {name: named[name] for name in (*OWN, "timeout") if name in named}
    own |= {name: hide(reveal(own[name])) for name in ("api_key", "proxy") if name in own}
    return Client(**own)


def _made(row: Task, model: str, arguments: dict[str, Any]) -> Loaded:
    served = _CLASSES[row.langchain]
    if served is ModelScopePipelineTool:
        arguments = {"task": row.name, **arguments}
    return served(model=model, **arguments)
