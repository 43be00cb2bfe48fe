"""The task registry: which kind of work there is, how it travels, which class serves it.

Adding a task is one row here, one file in ``_wire/`` and its samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from ._wire import chat, chat_request, embeddings
from ._wire.outcomes import Failure, Reply
from .errors import UnsupportedTaskError
from .models import ModelProfile
from .types import ChatDelta, ChatRequest, EmbeddingRequest

__all__ = ["TASKS", "Encoded", "Opening", "Task", "check_task"]


class Encoded(Struct, frozen=True):
    """A request ready to send.

    Attributes:
        body: JSON.
        streaming: whether a stream was asked for.
        adjustments: what is sent otherwise than asked, and why.
        read: turns a good reply into the result, or into what the body says instead.
    """

    body: bytes
    streaming: bool
    adjustments: tuple[str, ...]
    read: Callable[[Reply], Any | Failure]


class Opening(Struct, frozen=True):
    """A stream that began well: its decoder and the delta of its first payload."""

    decoder: chat.ChatDecoder
    first: ChatDelta | None


class Task(Struct, frozen=True):
    """One kind of work.

    Attributes:
        name: as in `ModelProfile.task`.
        path: address under the base URL.
        encode: request, profile and whether to stream, to what is sent.
        work: what a model of this task does, for messages.
        langchain: class that serves it in LangChain.
        llamaindex: class that serves it in LlamaIndex.
    """

    name: str
    path: str
    encode: Callable[[Any, ModelProfile, bool], Encoded]
    work: str
    langchain: str
    llamaindex: str


def _encode_chat(request: ChatRequest, profile: ModelProfile, stream: bool) -> Encoded:
    encoded = chat_request.encode(request, profile, stream=stream)

    def read(reply: Reply) -> Any | Failure:
        if not reply.body.strip():
            return Failure("", empty=True)
        if not reply.streaming:
            return chat.decode(reply.body, encoded.answer_tool)
        decoder = chat.ChatDecoder(encoded.answer_tool)
        first = decoder.feed(reply.body)
        if isinstance(first, Failure):
            return first
        if decoder.done:
            return Failure("", empty=True)
        return Opening(decoder, first)

    return Encoded(encoded.body, encoded.streaming, encoded.adjustments, read)


def _encode_embedding(request: EmbeddingRequest, profile: ModelProfile, stream: bool) -> Encoded:
    def read(reply: Reply) -> Any | Failure:
        return embeddings.decode(reply.body, count=len(request.texts))

    return Encoded(embeddings.encode(request, profile), False, (), read)


TASKS: dict[str, Task] = {
    "chat": Task("chat", chat.PATH, _encode_chat, "chats", "ChatModelScope", "ModelScope"),
    "embedding": Task(
        "embedding",
        embeddings.PATH,
        _encode_embedding,
        "embeds text",
        "ModelScopeEmbeddings",
        "ModelScopeEmbedding",
    ),
}


def check_task(profile: ModelProfile, wanted: str) -> Task:
    """The row of the wanted task.

    Raises:
        UnsupportedTaskError: the model does another kind of work; names the class that serves it.
    """
    if profile.task == wanted:
        return TASKS[wanted]
    right = TASKS.get(profile.task)
    if right is None:
        raise UnsupportedTaskError(
            f"Model {profile.id!r} is for the task {profile.task!r}; here one is needed that "
            f"{TASKS[wanted].work}. Choose such a model."
        )
    raise UnsupportedTaskError(
        f"Model {profile.id!r} {right.work}; here one is needed that {TASKS[wanted].work}. For "
        f"this model use {right.langchain} in LangChain or {right.llamaindex} in LlamaIndex."
    )
