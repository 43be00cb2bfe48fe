"""`ModelScopeRerank`: puts documents in order by their worth for a query."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import convert_to_messages
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import Field

from modelscope_transport.answers import ChatChoice, ChatResult
from modelscope_transport.catalogue import known_task
from modelscope_transport.client import (
    check_ranking,
    ranking_request,
    read_ranking,
    trivial_ranking,
)
from modelscope_transport.language import translated as _
from modelscope_transport.task_types import RerankRequest, RerankResult

from ._connection import Connection
from .chat_models import ChatModelScope
from .errors import native_errors

__all__ = ["ModelScopeRerank"]


class ModelScopeRerank(BaseDocumentCompressor, Connection):
    """Puts retrieved documents in order with a chat model, in one call however many they are.

    The service offers no reranker models. A chat model is shown the documents and asked for their
    order; an answer that cannot be used leaves the order as it was, with a warning. The call is a
    run of its own in a trace, with the chat model's run and token usage inside.

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

    cache: BaseCache | bool | None = Field(default=None, exclude=True, repr=False)
    """A cache for the model's answers, as a chat model has one."""

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
        """Copies of the documents, best first; ``metadata["relevance_score"]`` follows the order.

        Raises:
            ModelScopeError: one of the classes in `langchain_modelscope.errors`.
        """
        result = self._ranking().invoke(self._checked(documents, query), {"callbacks": callbacks})
        return _in_order(documents, result)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """As `compress_documents`."""
        asked = self._checked(documents, query)
        result = await self._ranking().ainvoke(asked, {"callbacks": callbacks})
        return _in_order(documents, result)

    def _checked(self, documents: Sequence[Document], query: str) -> RerankRequest:
        request = self._request(documents, query)
        with native_errors():
            check_ranking(request)
        return request

    def _ranking(self) -> Runnable[RerankRequest, RerankResult]:
        """From a request to the order; a run of a trace with the model's run inside."""
        client, task = self._client, known_task(self._client.profile(self.model_name))
        if task is not None and task.kind == "rerank":  # it has an address of its own

            def ask(request: RerankRequest) -> RerankResult:
                with native_errors():
                    return client.rerank(request)

            async def aask(request: RerankRequest) -> RerankResult:
                with native_errors():
                    return await client.aio.rerank(request)

            return RunnableLambda(ask, aask, name=type(self).__name__)
        chat = ChatModelScope(
            model=self.model_name,
            client=self._client,
            temperature=0,
            enable_thinking=False,
            timeout=self.timeout,
            fallback_models=self.fallback_models,
            default_headers=self.default_headers,
            extra_body=self.extra_body,
            cache=self.cache,
        )

        def rank(request: RerankRequest) -> RerankResult:
            return trivial_ranking(request) or _read(request, chat.invoke(_messages(request)))

        async def arank(request: RerankRequest) -> RerankResult:
            return trivial_ranking(request) or _read(
                request, await chat.ainvoke(_messages(request))
            )

        return RunnableLambda(rank, arank, name=type(self).__name__)


def _messages(request: RerankRequest) -> list[BaseMessage]:
    asked = ranking_request(request).messages
    return convert_to_messages([{"role": it.role, "content": it.content} for it in asked])


def _read(request: RerankRequest, answer: BaseMessage) -> RerankResult:
    return read_ranking(request, ChatResult((ChatChoice(answer.text),)))


def _in_order(documents: Sequence[Document], result: RerankResult) -> list[Document]:
    if not result.ordered:
        warnings.warn(
            _(
                "The model's answer gave no order: the documents stay in theirs. A stronger "
                "model, or fewer documents at once (max_documents), may help."
            ),
            stacklevel=3,
        )
    return [_scored(documents[rank.index], rank.score) for rank in result.ranks]


def _scored(document: Document, score: float) -> Document:
    metadata: dict[str, Any] = {**document.metadata, "relevance_score": score}
    return document.model_copy(update={"metadata": metadata})
