"""The vectors of a batch that a cache has, and the others, which are put there as they come.

These two methods replace core's and do three things more: they write the vectors of a batch in one
step, so that neither a cancellation nor the failure of another batch loses a part of them; they ask
the rate limiter before an async batch too; and they let a progress bar count the cached texts.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding

from ._progress import advance

__all__ = ["CachedEmbedding"]

_PLACE = {"collection": "embeddings"}  # the collection that core's other methods use


class CachedEmbedding(BaseEmbedding, defer_build=True):  # only its subclasses are made
    """The part of `ModelScopeEmbedding` that deals with ``embeddings_cache``."""

    def _get_text_embeddings_cached(self, texts: list[str]) -> list[Embedding]:
        cache: Any = self.embeddings_cache
        kept = {text: cache.get(key=text, **_PLACE) for text in texts}
        if missing := _missing(kept):
            new = _named(missing, self._get_text_embeddings(missing))
            cache.put_all(list(new.items()), **_PLACE)
            kept |= new
        return _vectors(texts, kept)

    async def _aget_text_embeddings_cached(self, texts: list[str]) -> list[Embedding]:
        cache: Any = self.embeddings_cache
        kept = {text: await cache.aget(key=text, **_PLACE) for text in texts}
        if missing := _missing(kept):
            new = _named(missing, await self._aget_text_embeddings_rate_limited(missing))
            await cache.aput_all(list(new.items()), **_PLACE)
            kept |= new
        return _vectors(texts, kept)


_Kept = dict[str, dict[str, Embedding]]


def _missing(kept: Mapping[str, Any]) -> list[str]:
    missing = [text for text, found in kept.items() if found is None]
    advance(len(kept) - len(missing))
    return missing


def _named(texts: Sequence[str], vectors: Sequence[Embedding]) -> _Kept:
    """Vectors as core caches them, each under a random name."""
    return {text: {str(uuid.uuid4()): vector} for text, vector in zip(texts, vectors, strict=True)}


def _vectors(texts: Sequence[str], kept: Mapping[str, dict[str, Embedding]]) -> list[Embedding]:
    return [next(iter(kept[text].values())) for text in texts]
