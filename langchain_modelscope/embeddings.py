"""`ModelScopeEmbeddings`: an embedding model of ModelScope API-Inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from langchain_core.embeddings import Embeddings
from pydantic import Field

from modelscope_transport.types import EmbeddingRequest

from ._argument_table import EMBEDDINGS, Argument
from ._connection import Connection
from ._progress import Report, progress_bar
from .errors import native_errors

__all__ = ["ModelScopeEmbeddings"]


class ModelScopeEmbeddings(Connection, Embeddings):
    """An embedding model of ModelScope API-Inference."""

    _words: ClassVar[Mapping[str, Argument]] = EMBEDDINGS

    dimensions: int | None = None
    """Length of the vectors; by default the model's own."""

    query_instruction: str = ""
    """Text put before every query, such as ``"Instruct: …\\nQuery: "`` for Qwen3-Embedding."""

    document_instruction: str = ""
    """Text put before every document."""

    batch_size: int | None = None
    """Most texts in one request, also accepted as ``chunk_size``; by default the model's own."""

    show_progress_bar: bool = False
    """Whether ``embed_documents`` shows a bar, in a terminal or a notebook."""

    concurrency: int = 1
    """Requests in flight at once; the service promises no more than one."""

    on_progress: Callable[[int, int], None] | None = Field(default=None, exclude=True, repr=False)
    """Called with distinct texts done and distinct texts in all, after each request."""

    def _request(self, texts: list[str], instruction: str) -> EmbeddingRequest:
        return EmbeddingRequest(
            model=self.model_name,
            texts=tuple([instruction + text for text in texts]),
            dimensions=self.dimensions,
            batch_size=self.batch_size,
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
        with self._bar() as report:
            return self._embed(self._request(texts, self.document_instruction), report)

    def embed_query(self, text: str) -> list[float]:
        """Vector of a query.

        Raises:
            ModelScopeError: one of the classes in `langchain_modelscope.errors`.
        """
        return self._embed(self._request([text], self.query_instruction), self.on_progress)[0]

    def _bar(self) -> AbstractContextManager[Report | None]:
        return progress_bar("Embedding", self.on_progress, shown=self.show_progress_bar)

    def _embed(self, request: EmbeddingRequest, report: Report | None) -> list[list[float]]:
        with native_errors():
            answer = self._client.embed(request, concurrency=self.concurrency, on_progress=report)
        return list(answer.vectors)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`."""
        with self._bar() as report:
            return await self._aembed(self._request(texts, self.document_instruction), report)

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`."""
        request = self._request([text], self.query_instruction)
        return (await self._aembed(request, self.on_progress))[0]

    async def _aembed(self, request: EmbeddingRequest, report: Report | None) -> list[list[float]]:
        with native_errors():
            answer = await self._client.aio.embed(
                request, concurrency=self.concurrency, on_progress=report
            )
        return list(answer.vectors)
