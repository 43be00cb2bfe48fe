"""`ModelScopeEmbedding`: the embedding models of ModelScope API-Inference in LlamaIndex."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from pydantic import Field, SecretStr, model_validator

from modelscope_transport.catalogue import profile_for
from modelscope_transport.client import Client
from modelscope_transport.errors import ModelScopeError
from modelscope_transport.language import marked as _N
from modelscope_transport.language import translated as _
from modelscope_transport.secret import Secret
from modelscope_transport.types import EmbeddingRequest

from ._argument_tables import CALL_HINT, EMBEDDING, EMBEDDING_CALL
from ._arguments import settle, several
from ._cached import CachedEmbedding
from ._connected import ConnectedComponent, hidden
from ._progress import advance, progress_bar
from .errors import ModelScopeConfigurationError, native_errors

__all__ = ["ModelScopeEmbedding"]

_TITLE: Final = _N("Generating embeddings")
_SENT: Final = ("user",)  # options that are sent as they are


class ModelScopeEmbedding(ConnectedComponent, CachedEmbedding):
    """An embedding model of ModelScope API-Inference.

    Args:
        model_name: model ID, ``owner/name``; ``model`` is the same.
        api_key: access token; else ``MODELSCOPE_API_KEY`` and its kin from the environment. It is
            kept out of every dump, trace and pickle.
        base_url: address of the service; ``api_base`` is the same; else from the environment.
        account: name under which the ledger counts; by default it follows the token.
        timeout: total deadline of a request in seconds, waits and retries included.
        max_retries: further attempts after the first, 2 by default, where a failure may soon pass.
        default_headers: further headers of every request.
        connect_timeout: seconds for a connection to come up; 10.
        idle_timeout: seconds without a byte after which a reply counts as lost; 120.
        proxy: address of a proxy, ``"none"`` for none; by default what the environment says.
        client: a `modelscope_transport.Client` to share with others, instead of these.
        http_client: an ``httpx.Client`` to send through, and ``async_http_client`` likewise.
        embed_batch_size: most texts in one request; by default as many as the model takes, since
            each request costs a unit of the allowance.
        num_workers: requests of one async call in flight at once, 1 by default: the service
            promises no more (official documentation, limits page as of 2026-08-22).
        fields: the fields below, those of LlamaIndex's ``BaseEmbedding``, and the names that
            ``OpenAIEmbedding`` and ``OpenAILikeEmbedding`` have for the same.

    Raises:
        ModelScopeConfigurationError: no model, no token, a bad address, an argument that is not
            known or of the wrong type.

    Examples:
        `pip install "modelscope-adapters[llamaindex]"`

        ```python
        from llamaindex_modelscope import ModelScopeEmbedding

        embed_model = ModelScopeEmbedding(model_name="Qwen/Qwen3-Embedding-0.6B")
        vector = embed_model.get_text_embedding("你好")
        print(len(vector))
        ```
    """

    ARGUMENTS = EMBEDDING
    MODEL = "model_name"

    dimensions: int | None = Field(
        default=None, description="Length of the vectors; the model's own by default."
    )
    query_instruction: str | None = Field(
        default=None, description="Put in front of every query, as it is."
    )
    text_instruction: str | None = Field(
        default=None, description="Put in front of every text to store, as it is."
    )
    extra_body: dict[str, Any] | None = Field(
        default=None, description="Further fields of every request's body."
    )
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Further options of every request."
    )
    # What follows changes no vector. It stays out of dumps, whose hash is the key of an ingestion
    # cache: a new key or another number of workers must not cost the whole index again.
    embed_batch_size: int = Field(
        default=1, gt=0, le=2048, exclude=True, description="Most texts in one request."
    )
    num_workers: int | None = Field(
        default=None, exclude=True, description="Requests of one async call in flight at once."
    )
    fallback_models: list[str] = Field(
        default_factory=list,
        exclude=True,
        description="Other ways to the same model: owner/name:Provider.",
    )
    account: str | None = Field(
        default=None, exclude=True, description="Name under which the ledger counts."
    )
    timeout: float | None = Field(
        default=None, exclude=True, description="Total deadline of a request, seconds."
    )
    max_retries: int | None = Field(
        default=None, exclude=True, description="Further attempts after the first."
    )
    default_headers: dict[str, str] | None = Field(
        default=None, exclude=True, description="Further headers, but for credentials."
    )

    def __init__(
        self,
        model_name: str | None = None,
        *,
        api_key: str | SecretStr | Secret | None = None,
        base_url: str | None = None,
        account: str | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        idle_timeout: float | None = None,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        proxy: str | Secret | None = None,
        client: Client | None = None,
        http_client: Any = None,
        async_http_client: Any = None,
        embed_batch_size: int | None = None,
        fallback_models: Sequence[str] = (),
        additional_kwargs: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        api_key, proxy = hidden(api_key), hidden(proxy)  # a traceback shows local variables
        additional_kwargs = dict(additional_kwargs or {})
        with native_errors():
            settle(additional_kwargs, (), EMBEDDING_CALL, owner="additional_kwargs", hint=CALL_HINT)
        if embed_batch_size is None:
            name = model_name or fields.get("model")
            embed_batch_size = profile_for(name).embedding_batch if name else 1
        super().__init__(
            model_name=model_name,
            api_key=api_key,
            base_url=base_url,
            account=account,
            timeout=timeout,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            proxy=proxy,
            client=client,
            http_client=http_client,
            async_http_client=async_http_client,
            embed_batch_size=embed_batch_size,
            fallback_models=list(several(fallback_models)),
            additional_kwargs=additional_kwargs,
            **fields,
        )

    @classmethod
    def class_name(cls) -> str:
        """Name in dumps and traces."""
        return "ModelScopeEmbedding"

    @model_validator(mode="after")
    def _check_cache(self) -> ModelScopeEmbedding:
        # Core's cache knows a vector by its text alone, so a question would be answered with the
        # vector that the same words have as a text.
        if self.embeddings_cache is not None and self.query_instruction != self.text_instruction:
            raise ModelScopeConfigurationError(
                _(
                    "embeddings_cache cannot be used with a query_instruction that differs "
                    "from the text_instruction: it keeps one vector for both. Leave one of "
                    "them out, or cache in an IngestionPipeline."
                )
            )
        return self

    @property
    def model(self) -> str:
        """The model ID by its other name."""
        return self.model_name

    def to_payload(self) -> dict[str, Any]:
        """What traces may know of this object."""
        return {
            **super().to_payload(),
            "model": self.model_name,
            "dimensions": self.dimensions,
            "base_url": self.base_url,
        }

    # --- one request --------------------------------------------------------------------------

    def _request(self, texts: Sequence[str], instruction: str | None) -> EmbeddingRequest:
        further = dict(self.additional_kwargs)
        timeout, dimensions = further.pop("timeout", None), further.pop("dimensions", None)
        headers, body = further.pop("extra_headers", None), further.pop("extra_body", None)
        sent = {name: further[name] for name in _SENT if further.get(name) is not None}
        return EmbeddingRequest(
            model=self.model_name,
            texts=tuple([instruction + text for text in texts] if instruction else texts),
            dimensions=dimensions if self.dimensions is None else self.dimensions,
            batch_size=self.embed_batch_size,
            extra_body={**sent, **(self.extra_body or {}), **(body or {})} or None,
            extra_headers=headers,
            timeout=timeout if self.timeout is None else self.timeout,
            fallback_models=tuple(self.fallback_models),
        )

    def _embed(self, texts: Sequence[str], instruction: str | None) -> list[Embedding]:
        with native_errors(self.rate_limiter):
            result = self.client.embed(self._request(texts, instruction))
        advance(len(texts))
        return list(result.vectors)

    async def _aembed(self, texts: Sequence[str], instruction: str | None) -> list[Embedding]:
        with native_errors(self.rate_limiter):
            result = await self.client.aio.embed(self._request(texts, instruction))
        advance(len(texts))
        return list(result.vectors)

    # --- what core calls ----------------------------------------------------------------------

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._embed([query], self.query_instruction)[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return (await self._aembed([query], self.query_instruction))[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._embed([text], self.text_instruction)[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aembed([text], self.text_instruction))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embed(texts, self.text_instruction)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        limiter = _limiter.get()
        if limiter is None:
            return await self._aembed(texts, self.text_instruction)
        async with limiter.slots:
            limiter.check()
            try:
                return await self._aembed(texts, self.text_instruction)
            except ModelScopeError as error:
                limiter.failure = error
                raise

    # Core cuts the texts into batches before any of the methods above sees them. Its own methods
    # are called without their spans, since the methods below have spans too.

    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """The vectors of texts, in their order. A text that occurs twice is sent once.

        Args:
            texts: the texts.
            show_progress: whether a bar shows how many are done, in a terminal or a notebook.
            kwargs: core's own.

        Raises:
            ModelScopeError: one of `llamaindex_modelscope.errors`.
        """
        distinct = list(dict.fromkeys(texts))
        with progress_bar(_(_TITLE), len(distinct), shown=show_progress):
            vectors = _core_batch(self, distinct, False, **kwargs)
        return _spread(texts, distinct, vectors)

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """`get_text_embedding_batch`, for event loops.

        No more requests than ``num_workers`` are in flight at once, and none is sent after the
        first has failed.
        """
        distinct = list(dict.fromkeys(texts))
        outer = _limiter.set(_Limiter(self.num_workers or 1))
        try:
            with progress_bar(_(_TITLE), len(distinct), shown=show_progress):
                vectors = await _core_abatch(self, distinct, False, **kwargs)
        finally:
            _limiter.reset(outer)
        return _spread(texts, distinct, vectors)


_core_batch = inspect.unwrap(BaseEmbedding.get_text_embedding_batch)
_core_abatch = inspect.unwrap(BaseEmbedding.aget_text_embedding_batch)


def _spread(
    texts: Sequence[str], distinct: Sequence[str], vectors: list[Embedding]
) -> list[Embedding]:
    if len(distinct) == len(texts):
        return vectors
    by_text = dict(zip(distinct, vectors, strict=True))
    return _apart([by_text[text] for text in texts])


def _apart(vectors: Sequence[Embedding]) -> list[Embedding]:
    """The vectors, each an object of its own, so that a change of one changes no other."""
    seen: set[int] = set()
    apart = []
    for vector in vectors:
        apart.append([*vector] if id(vector) in seen else vector)
        seen.add(id(vector))
    return apart


class _Limiter:
    """Runs a few batches of a call at a time, and none after the first has failed.

    Core neither bounds the batches of an async call nor stops them when one fails.
    """

    def __init__(self, limit: int) -> None:
        self.slots = asyncio.Semaphore(limit)
        self.failure: ModelScopeError | None = None

    def check(self) -> None:
        """Refuse to send after a failure, with a fresh instance of it."""
        if self.failure is not None:
            raise type(self.failure)(str(self.failure), details=self.failure.details)


# The limiter of the current call: core runs its batches as tasks, which inherit it.
_limiter: ContextVar[_Limiter | None] = ContextVar("limiter", default=None)
