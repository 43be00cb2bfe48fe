"""`ModelScopeRerank`: puts nodes in order by their worth for a query."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field, SecretStr
from pydantic.json_schema import SkipJsonSchema

from modelscope_transport.client import Client
from modelscope_transport.quota import Quota
from modelscope_transport.task_types import RerankRequest, RerankResult

from ._settings import checked_arguments, client_for, quota_of
from .errors import native_errors

__all__ = ["ModelScopeRerank"]

_dispatcher = get_dispatcher(__name__)


class ModelScopeRerank(BaseNodePostprocessor):
    """Puts retrieved nodes in order with a chat model, in one call however many they are.

    The service offers no reranker models. A chat model is shown the nodes and asked for their
    order; an answer that cannot be used leaves the order as it was, with a warning.

    Args:
        model: model ID of a chat model, ``owner/name``.
        api_key: access token; else ``MODELSCOPE_API_KEY`` and its kin from the environment.
        client: a `modelscope_transport.Client` to share with others, instead of token and address.
        base_url: address of the service; else from the environment.
        timeout: total deadline of a call in seconds.
        fields: the fields below, and those of LlamaIndex's ``BaseNodePostprocessor``.

    Raises:
        ModelScopeConfigurationError: no token, a bad address, an unknown argument.

    Example:
        >>> rerank = ModelScopeRerank(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", top_n=3)
        >>> engine = index.as_query_engine(node_postprocessors=[rerank])
    """

    model: str = Field(description="Model ID of a chat model, owner/name.")
    top_n: int | None = Field(default=None, description="How many nodes to keep; all by default.")
    max_documents: int = Field(
        default=20, description="How many of the nodes are looked at; the others stay behind them."
    )
    max_characters: int = Field(default=2000, description="How much of each node is looked at.")
    fallback_models: list[str] = Field(
        default_factory=list,
        description="Models to ask when this one's allowance is spent or it was withdrawn.",
    )
    extra_body: dict[str, Any] | None = Field(
        default=None, description="Further fields of every request's body."
    )
    timeout: float | None = Field(
        default=None, exclude=True, description="Total deadline of a call, seconds."
    )
    client: SkipJsonSchema[Client] = Field(
        exclude=True, repr=False, description="The connections in use."
    )

    def __init__(
        self,
        model: str,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retries: int = 2,
        client: Client | None = None,
        **fields: Any,
    ) -> None:
        with native_errors():
            client = client_for(
                client,
                api_key=api_key,
                timeout=timeout,
                base_url=base_url,
                max_retries=max_retries,
            )
            name = checked_arguments(type(self), model, fields)
            own: dict[str, Any] = {"model": name, "client": client, "timeout": timeout}
            super().__init__(**own, **fields)

    @classmethod
    def class_name(cls) -> str:
        """Name in dumps and traces."""
        return "ModelScopeRerank"

    @property
    def quota(self) -> Quota:
        """What is left for this model today, told from the ledger alone; see `quota_of`."""
        return quota_of(self.client, self.model)

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None or not nodes:
            return nodes[: self.top_n]
        self._begin(nodes, query_bundle)
        with self._event(nodes, query_bundle) as event:
            with native_errors():
                result = self.client.rerank(self._request(nodes, query_bundle))
            ordered = _in_order(nodes, result)
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
            ordered = _in_order(nodes, result)
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


def _in_order(nodes: Sequence[NodeWithScore], result: RerankResult) -> list[NodeWithScore]:
    if not result.ordered:
        warnings.warn(
            "The model's answer gave no order: the nodes stay in theirs. A stronger model, or "
            "fewer nodes at once (max_documents), may help.",
            stacklevel=4,
        )
    # New objects: the caller's nodes keep the scores that their retriever gave them.
    return [NodeWithScore(node=nodes[rank.index].node, score=rank.score) for rank in result.ranks]
