"""Embeddings on the wire: ``POST /embeddings``.

``encoding_format`` is mandatory for this service: without it it answers 400 (HKUDS/DeepTutor#934,
2026-04-06). ``base64`` is asked for, because it is a quarter of the bytes; whichever of the two
forms comes back is read.
"""

from __future__ import annotations

import array
import math
import sys
from typing import Any

import msgspec
from msgspec import Struct

from ..answers import EmbeddingResult, Usage
from ..catalogue.models import ModelProfile
from ..catalogue.tasks import Form
from ..language import translated as _
from ..types import EmbeddingRequest
from .checks import check_range, to_json
from .encoded import Encoded
from .outcomes import AnswerBody, Failure, Reply, open_body, read_refusal

__all__ = ["PATH", "decode", "prepare"]

PATH = "/embeddings"


def prepare(
    request: EmbeddingRequest, profile: ModelProfile, *, stream: bool, form: Form | None = None
) -> Encoded:
    """Check and encode a request; its reply reads as an `EmbeddingResult`.

    Raises:
        InvalidRequestError: a length of vectors below 1; nothing was sent.
    """
    check_range("dimensions", request.dimensions, 1)
    body: dict[str, Any] = {
        "model": profile.id,
        "input": list(request.texts),
        "encoding_format": "base64",
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.extra_body:
        body.update(request.extra_body)

    def read(reply: Reply) -> EmbeddingResult | Failure:
        return decode(reply.body, count=len(request.texts))

    return Encoded(body=to_json(body), read=read)


class _Vector(Struct):
    # base64 on the wire; msgspec decodes it three times as fast as binascii
    embedding: list[float] | bytes
    index: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Envelope(AnswerBody):
    data: list[_Vector] | None = None
    usage: _Usage | None = None
    model: str | None = None


_envelope = msgspec.json.Decoder(_Envelope, strict=False)


def decode(body: bytes, *, count: int) -> EmbeddingResult | Failure:
    """The vectors in the order of the texts, or what the body says instead.

    A vector too few or too many, of another length, or with NaN or infinity in it counts as a
    failure: stored, it would silently spoil an index.
    """
    if not body.strip():
        return Failure("", empty=True)
    envelope = open_body(_envelope, body)
    if isinstance(envelope, Failure):
        return envelope
    if not envelope.data:
        return read_refusal(body) or Failure("", empty=True)
    vectors: list[list[float] | None] = [None] * count
    for place, item in enumerate(envelope.data):
        index = place if item.index is None else item.index
        if not 0 <= index < count or vectors[index] is not None:
            return Failure(
                _("a vector for text {index} of {count}").format(index=index, count=count),
                unreadable=True,
            )
        vector = _floats(item.embedding)
        # One sum instead of a look at each number: NaN and infinity survive it.
        if not vector or not math.isfinite(sum(vector)):
            return Failure(
                _("no usable vector for text {index}").format(index=index), unreadable=True
            )
        vectors[index] = vector
    whole = tuple(vector for vector in vectors if vector is not None)
    if len(whole) != count or len({len(vector) for vector in whole}) != 1:
        return Failure(
            _("{count} vectors for {count2} texts, or of two lengths").format(
                count=len(whole), count2=count
            ),
            unreadable=True,
        )
    usage = envelope.usage
    tokens = (usage.prompt_tokens or usage.total_tokens or 0) if usage else 0
    return EmbeddingResult(
        vectors=whole,
        usage=Usage(input_tokens=tokens, total_tokens=tokens) if tokens else None,
        model=envelope.model,
    )


def _floats(embedding: list[float] | bytes) -> list[float]:
    if isinstance(embedding, list):
        return embedding
    if len(embedding) % 4:
        return []
    numbers = array.array("f", embedding)
    if sys.byteorder == "big":
        numbers.byteswap()  # the wire is little-endian
    return numbers.tolist()
