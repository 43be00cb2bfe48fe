"""Ranking on the wire: ``POST /rerank``, which this service does not have.

The form is the one that servers of reranker models share (vLLM, Jina, Cohere). It is used from the
day on which ``data/tasks.toml`` says that the service offers it.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import Struct

from ..catalogue.models import ModelProfile
from ..catalogue.tasks import Form
from ..language import translated as _
from ..task_types import Rank, RerankRequest, RerankResult
from .checks import to_json
from .encoded import Encoded
from .outcomes import AnswerBody, Failure, Reply, open_body, read_refusal

__all__ = ["PATH", "prepare"]

PATH = "/rerank"


class _Found(Struct):
    index: int
    relevance_score: float


class _Envelope(AnswerBody):
    results: list[_Found] | None = None


_envelope = msgspec.json.Decoder(_Envelope, strict=False)


def prepare(
    request: RerankRequest, profile: ModelProfile, *, stream: bool, form: Form | None = None
) -> Encoded:
    """Encode a request; its reply reads as a `RerankResult`."""
    shown = request.documents[: request.max_documents]
    body: dict[str, Any] = {
        "model": profile.id,
        "query": request.query,
        "documents": [text[: request.max_characters] for text in shown],
    }
    if request.top_n is not None:
        body["top_n"] = request.top_n
    if request.extra_body:
        body.update(request.extra_body)

    def read(reply: Reply) -> RerankResult | Failure:
        return _decode(reply.body, len(shown))

    return Encoded(body=to_json(body), read=read)


def _decode(body: bytes, count: int) -> RerankResult | Failure:
    envelope = open_body(_envelope, body)
    if isinstance(envelope, Failure):
        return envelope
    if not envelope.results:
        return read_refusal(body) or Failure("", empty=True)
    found = sorted(envelope.results, key=lambda each: -each.relevance_score)
    sound = all(0 <= each.index < count and math.isfinite(each.relevance_score) for each in found)
    if not sound or len({each.index for each in found}) != len(found):
        return Failure(
            _("places of documents that were not sent, or twice the same"), unreadable=True
        )
    return RerankResult(tuple(Rank(each.index, each.relevance_score) for each in found))
