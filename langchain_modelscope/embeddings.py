"""`ModelScopeEmbeddings`: an embedding model of ModelScope API-Inference."""

from __future__ import annotations

from collections.abc import Callable

from langchain_core.embeddings import Embeddings
from pydantic import Field

from modelscope_transport.types import EmbeddingRequest

from ._connection import Connection
from .errors import native_errors

__all__ = ["ModelScopeEmbeddings"]


class ModelScopeEmbeddings(Connection, Embeddings):
    """An embedding model of ModelScope API-Inference."""

    dimensions: int | None = None
    """Length of the vectors; by default the model's own."""

    query_instruction: str = ""
    """Text put before every query, such as ``"Instruct: …\\nQuery: "`` for Qwen3-Embedding."""

    document_instruction: str = ""
    """Text put before every document."""

    concurrency: int = 1
    """Requests in flight at once; the service promises no more than one."""

    on_progress: Callable[[int, int], None] | None = Field(default=None, exclude=True, repr=False)
    """Called with distinct texts done and distinct texts in all, after each request."""

    def _request(self, texts: list[str], instruction: str) -> EmbeddingRequest:
        return EmbeddingRequest(
            model=self.model_name,
            texts=tuple([instruction + text for text in texts]),
            dimensions=self.dimensions,
            extra_body=self.extra_body,
            extra_headers=self.default_headers,
            timeout=self.timeout,
            fallback_models=tuple(self.fallback_models),
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents, in their order; equal texts are sent once.

        Raises:
            ModelScopeError: one of the classes in `langchain_modelscope.errors`.
        """
        return self._embed(self._request(texts, self.document_instruction))

    def embed_query(self, text: str) -> list[float]:
        """Vector of a query.

        Raises:
            ModelScopeError: one of the classes in `langchain_modelscope.errors`.
        """
        return self._embed(self._request([text], self.query_instruction))[0]

    def _embed(self, request: EmbeddingRequest) -> list[list[float]]:
        with native_errors():
            answer = self._client.embed(
                request, concurrency=self.concurrency, on_progress=self.on_progress
            )
        return list(answer.vectors)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`."""
        return await self._aembed(self._request(texts, self.document_instruction))

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`."""
        return (await self._aembed(self._request([text], self.query_instruction)))[0]

    async def _aembed(self, request: EmbeddingRequest) -> list[list[float]]:
        with native_errors():
            answer = await self._client.aio.embed(
                request, concurrency=self.concurrency, on_progress=self.on_progress
            )
        return list(answer.vectors)
