"""`ModelScopeEmbeddings`: an embedding model of ModelScope API-Inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Unpack, overload

from langchain_core.embeddings import Embeddings
from pydantic import Field

from modelscope_transport.types import EmbeddingRequest

from ._argument_table import EMBEDDINGS, Argument
from ._connection import Connection
from ._progress import Report, progress_bar
from .errors import native_errors

if TYPE_CHECKING:
    from ._signatures import EmbeddingArguments

__all__ = ["ModelScopeEmbeddings"]


class ModelScopeEmbeddings(Connection, Embeddings):
    """An embedding model of ModelScope API-Inference.

    Setup:
        ```bash
        pip install "modelscope-adapters[langchain]"
        export MODELSCOPE_API_KEY="ms-…"
        ```

    Key init args:
        model: model ID, ``owner/name``.
        dimensions: length of the vectors; by default the model's own.
        query_instruction: text put before every query.
        batch_size: most texts in one request; by default the model's own.
        show_progress_bar: whether ``embed_documents`` shows a bar.

    Instantiate:
        ```python
        from langchain_modelscope import ModelScopeEmbeddings

        embeddings = ModelScopeEmbeddings(model="Qwen/Qwen3-Embedding-0.6B")
        ```

    Embed:
        ```python
        vector = embeddings.embed_query("Why do cats purr?")
        vectors = embeddings.embed_documents(["Cats purr.", "Rain falls."])
        print(len(vector), len(vectors))
        ```

    Async:
        ```python
        vector = await embeddings.aembed_query("Why do cats purr?")
        vectors = await embeddings.aembed_documents(["Cats purr.", "Rain falls."])
        ```

    In a vector store:
        ```python
        from langchain_core.vectorstores import InMemoryVectorStore

        store = InMemoryVectorStore.from_texts(["Cats purr.", "Rain falls."], embeddings)
        print(store.similarity_search("Why do cats purr?", k=1)[0].page_content)
        ```

    Raises:
        ModelScopeConfigurationError: no token or a malformed one, a bad address, or an argument
            that is not known.
        ModelScopeError: what a call raises; the classes are in `langchain_modelscope.errors`.
    """

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

    if TYPE_CHECKING:  # pydantic's own, with every word that it takes

        @overload
        def __init__(self, *, model: str, **arguments: Unpack[EmbeddingArguments]) -> None: ...
        @overload
        def __init__(self, *, model_name: str, **arguments: Unpack[EmbeddingArguments]) -> None: ...
        def __init__(self, **arguments: Any) -> None: ...

    def _request(
        self, texts: list[str], instruction: str, batch_size: int | None = None
    ) -> EmbeddingRequest:
        return EmbeddingRequest(
            model=self.model_name,
            texts=_instructed(texts, instruction),
            dimensions=self.dimensions,
            batch_size=self.batch_size if batch_size is None else batch_size,
            extra_body=self.extra_body,
            extra_headers=self.default_headers,
            timeout=self.timeout,
            fallback_models=tuple(self.fallback_models),
        )

    def embed_documents(self, texts: list[str], chunk_size: int | None = None) -> list[list[float]]:
        """Vectors of documents, in their order; equal texts are sent once.

        Args:
            texts: the documents.
            chunk_size: most texts in one request of this call; by default ``batch_size``.

        Raises:
            ModelScopeError: one of the classes in `langchain_modelscope.errors`.
        """
        request = self._request(texts, self.document_instruction, chunk_size)
        with self._bar() as report:
            return self._embed(request, report)

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

    async def aembed_documents(
        self, texts: list[str], chunk_size: int | None = None
    ) -> list[list[float]]:
        """As `embed_documents`."""
        request = self._request(texts, self.document_instruction, chunk_size)
        with self._bar() as report:
            return await self._aembed(request, report)

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


def _instructed(texts: Any, instruction: str) -> Any:
    if isinstance(texts, str):  # not a list of texts: refused later, before any request
        return texts
    return tuple([instruction + text if isinstance(text, str) else text for text in texts])
