"""`ModelScopeRerank`: puts documents in order by their worth for a query."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document

from modelscope_transport.task_types import RerankRequest, RerankResult

from ._connection import Connection
from .errors import native_errors

__all__ = ["ModelScopeRerank"]


class ModelScopeRerank(BaseDocumentCompressor, Connection):
    """Puts retrieved documents in order with a chat model, in one call however many they are.

    The service offers no reranker models. A chat model is shown the documents and asked for their
    order; an answer that cannot be used leaves the order as it was, with a warning.

    Example:
        >>> rerank = ModelScopeRerank(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", top_n=3)
        >>> retriever = ContextualCompressionRetriever(
        ...     base_compressor=rerank, base_retriever=index.as_retriever()
        ... )
    """

    top_n: int | None = None
    """How many documents to keep; all by default."""

    max_documents: int = 20
    """How many of the documents are looked at; the others keep their order behind them."""

    max_characters: int = 2000
    """How much of each document is looked at."""

    def _request(self, documents: Sequence[Document], query: str) -> RerankRequest:
        return RerankRequest(
            model=self.model_name,
            query=query,
            documents=tuple([document.page_content for document in documents]),
            top_n=self.top_n,
            max_documents=self.max_documents,
            max_characters=self.max_characters,
            extra_body=self.extra_body,
            extra_headers=self.default_headers,
            timeout=self.timeout,
            fallback_models=tuple(self.fallback_models),
        )

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Copies of the documents, best first; ``metadata["relevance_score"]`` tells the place.

        Raises:
            ModelScopeError: one of the classes in `langchain_modelscope.errors`.
        """
        with native_errors():
            result = self._client.rerank(self._request(documents, query))
        return _in_order(documents, result)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """As `compress_documents`."""
        with native_errors():
            result = await self._client.aio.rerank(self._request(documents, query))
        return _in_order(documents, result)


def _in_order(documents: Sequence[Document], result: RerankResult) -> list[Document]:
    if not result.ordered:
        warnings.warn(
            "The model's answer gave no order: the documents stay in theirs. A stronger model, or "
            "fewer documents at once (max_documents), may help.",
            stacklevel=3,
        )
    return [_scored(documents[rank.index], rank.score) for rank in result.ranks]


def _scored(document: Document, score: float) -> Document:
    metadata: dict[str, Any] = {**document.metadata, "relevance_score": score}
    return document.model_copy(update={"metadata": metadata})
