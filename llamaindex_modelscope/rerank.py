"""`ModelScopeRerank`: puts nodes in order by their worth for a query."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field, SecretStr

from modelscope_transport.client import Client
from modelscope_transport.language import translated as _
from modelscope_transport.secret import Secret
from modelscope_transport.task_types import RerankRequest, RerankResult

from ._argument_tables import RERANK
from ._connected import ConnectedComponent, hidden
from .errors import native_errors

__all__ = ["ModelScopeRerank"]

_dispatcher = get_dispatcher(__name__)


class ModelScopeRerank(ConnectedComponent, BaseNodePostprocessor):
    """Puts retrieved nodes in order with a chat model, in one call however many they are.

    The service offers no reranker models. A chat model is shown the nodes and asked for their
    order; an answer that cannot be used leaves the order as it was, with a warning.

    Args:
        model: model ID of a chat model, ``owner/name``.
        api_key: access token; else ``MODELSCOPE_API_KEY`` and its kin from the environment.
        base_url: address of the service; ``api_base`` is the same; else from the environment.
        account: name under which the ledger counts; by default it follows the token.
        timeout: total deadline of a call in seconds.
        max_retries: further attempts after the first, 2 by default.
        default_headers: further headers of every request.
        connect_timeout: seconds for a connection to come up; 10.
        idle_timeout: seconds without a byte after which a reply counts as lost; 120.
        proxy: address of a proxy, ``"none"`` for none; by default what the environment says.
        client: a `modelscope_transport.Client` to share with others, instead of these.
        http_client: an ``httpx.Client`` to send through, and ``async_http_client`` likewise.
        fields: the fields below, those of LlamaIndex's ``BaseNodePostprocessor``, and the names
            that its other rerankers have for the same.

    Raises:
        ModelScopeConfigurationError: no model, no token, a bad address, an argument that is not
            known or of the wrong type.

    Examples:
        `pip install "modelscope-adapters[llamaindex]"`

        ```python
        from llama_index.core.schema import NodeWithScore, TextNode
        from llamaindex_modelscope import ModelScopeRerank

        rerank = ModelScopeRerank(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", top_n=1)
        texts = ["Paris is the capital of France.", "Berlin is the capital of Germany."]
        nodes = [NodeWithScore(node=TextNode(text=text)) for text in texts]
        best = rerank.postprocess_nodes(nodes, query_str="What is the capital of Germany?")
        print(best[0].text)
        ```
    """

    ARGUMENTS = RERANK

    model: str = Field(description="Model ID of a chat model, owner/name.")
    top_n: int | None = Field(
        default=None, gt=0, description="How many nodes to keep; all by default."
    )
    keep_retrieval_score: bool = Field(
        default=False,
        description="Whether a node's metadata keep its earlier score, as retrieval_score.",
    )
    max_documents: int = Field(
        default=20,
        gt=0,
        description="How many of the nodes are looked at; the others stay behind them.",
    )
    max_characters: int = Field(
        default=2000, gt=0, description="How much of each node is looked at."
    )
    fallback_models: list[str] = Field(
        default_factory=list,
        description="Models to ask when this one's allowance is spent or it was withdrawn.",
    )
    extra_body: dict[str, Any] | None = Field(
        default=None, description="Further fields of every request's body."
    )

    def __init__(
        self,
        model: str | None = None,
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
        **fields: Any,
    ) -> None:
        api_key, proxy = hidden(api_key), hidden(proxy)  # a traceback shows local variables
        super().__init__(
            model=model,
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
            **fields,
        )

    @classmethod
    def class_name(cls) -> str:
        """Name in dumps and traces."""
        return "ModelScopeRerank"

    @property
    def model_name(self) -> str:
        """The model ID by its other name."""
        return self.model

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None or not nodes:
            return nodes[: self.top_n]
        self._begin(nodes, query_bundle)
        with self._event(nodes, query_bundle) as event:
            with native_errors():
                result = self.client.rerank(self._request(nodes, query_bundle))
            ordered = self._in_order(nodes, result)
            event.on_end(payload={EventPayload.NODES: ordered})
        _dispatcher.event(ReRankEndEvent(nodes=ordered))
        return ordered

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None or not nodes:
            return nodes[: self.top_n]
        self._begin(nodes, query_bundle)
        with self._event(nodes, query_bundle) as event:
            with native_errors():
                result = await self.client.aio.rerank(self._request(nodes, query_bundle))
            ordered = self._in_order(nodes, result)
            event.on_end(payload={EventPayload.NODES: ordered})
        _dispatcher.event(ReRankEndEvent(nodes=ordered))
        return ordered

    def _begin(self, nodes: Sequence[NodeWithScore], query: QueryBundle) -> None:
        _dispatcher.event(
            ReRankStartEvent(
                query=query,
                nodes=list(nodes),
                top_n=self.top_n or len(nodes),
                model_name=self.model,
            )
        )

    def _event(self, nodes: Sequence[NodeWithScore], query: QueryBundle) -> Any:
        return self.callback_manager.event(
            CBEventType.RERANKING,
            payload={
                EventPayload.NODES: nodes,
                EventPayload.MODEL_NAME: self.model,
                EventPayload.QUERY_STR: query.query_str,
                EventPayload.TOP_K: self.top_n or len(nodes),
            },
        )

    def _request(self, nodes: Sequence[NodeWithScore], query: QueryBundle) -> RerankRequest:
        texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        return RerankRequest(
            model=self.model,
            query=query.query_str,
            documents=tuple(texts),
            top_n=self.top_n,
            max_documents=self.max_documents,
            max_characters=self.max_characters,
            extra_body=self.extra_body,
            timeout=self.timeout,
            fallback_models=tuple(self.fallback_models),
        )

    def _in_order(
        self, nodes: Sequence[NodeWithScore], result: RerankResult
    ) -> list[NodeWithScore]:
        if not result.ordered:
            warnings.warn(
                _(
                    "The model's answer gave no order: the nodes stay in theirs. A stronger "
                    "model, or fewer nodes at once (max_documents), may help."
                ),
                stacklevel=4,
            )
        # New objects: the caller's nodes keep the scores that their retriever gave them.
        return [self._scored(nodes[rank.index], rank.score) for rank in result.ranks]

    def _scored(self, found: NodeWithScore, score: float | None) -> NodeWithScore:
        node = found.node
        if self.keep_retrieval_score:
            metadata = {**node.metadata, "retrieval_score": found.score}
            node = node.model_copy(update={"metadata": metadata})
        return NodeWithScore(node=node, score=score)
