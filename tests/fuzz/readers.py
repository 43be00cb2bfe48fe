"""Everything that reads a whole reply: its body goes in, an answer or a failure comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelscope_transport import (
    ChatDelta,
    ChatResult,
    EmbeddingResult,
    ImageRequest,
    PipelineResult,
    RerankRequest,
    RerankResult,
)
from modelscope_transport._wire import chat, embeddings, images, pipelines, rerank
from modelscope_transport._wire.encoded import Done, Encoded, Ended, Pending, Waiting
from modelscope_transport._wire.outcomes import Reply
from modelscope_transport.catalogue.models import profile_for
from modelscope_transport.catalogue.tasks import TASKS

__all__ = ["ANSWERS", "READERS"]

ANSWERS = (
    *(ChatResult, EmbeddingResult, RerankResult, PipelineResult),
    *(Pending, Waiting, Done, Ended),
    *(ChatDelta, type(None)),  # a payload of a stream may say nothing
)
"""What a reader gives beside a failure."""

_MODEL = profile_for("owner/name")


def _by_bytes(request: Encoded) -> Callable[[bytes], Any]:
    return lambda body: request.read(Reply(200, {}, body))


def _pipeline(task: str) -> Callable[[bytes], Any]:
    return lambda body: pipelines.decode(body, TASKS[task].form)


READERS: dict[str, Callable[[bytes], Any]] = {
    "chat": chat.decode,
    "stream": lambda payload: chat.ChatDecoder().feed(payload),
    "embeddings": lambda body: embeddings.decode(body, count=1),
    "rerank": _by_bytes(
        rerank.prepare(
            RerankRequest(model="owner/name", query="a", documents=("b",)), _MODEL, stream=False
        )
    ),
    "images": _by_bytes(
        images.prepare(ImageRequest(model="owner/name", prompt="a"), _MODEL, stream=False)
    ),
    "image task": _by_bytes(images.look("7")),
    **{task: _pipeline(task) for task, row in TASKS.items() if row.wire == "pipelines"},
}
