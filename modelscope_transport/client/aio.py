"""`AsyncClient`: what the adapters hold for event loops; the twin of ``sync.py``."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace

from .._wire import catalogue
from .._wire.chat import Opening
from ..answers import ChatResult, EmbeddingResult
from ..calls.attempt import Flow
from ..catalogue.models import ModelStatus
from ..catalogue.tasks import TASKS, Task
from ..errors import InvalidRequestError, ModelScopeError, QuotaExceededError, ServerError
from ..quota import Balance, DayUse, Plan, Quota, Statement
from ..task_types import (
    ImageRequest,
    ImageResult,
    PipelineRequest,
    PipelineResult,
    RerankRequest,
    RerankResult,
)
from ..types import ChatRequest, EmbeddingRequest
from .async_reuse import AsyncReuse
from .async_streams import AsyncChatStream, deltas
from .embedding_batches import Batches
from .front import ClientFront, no_turn, trivial_ranking
from .rerank_prompt import ranking_request, read_ranking
from .task_choice import choose, hub_flow, resolve_task

if TYPE_CHECKING:
    from ..calls.async_driver import OnProgress

__all__ = ["AsyncClient"]

Progress = Callable[[int, int], None]


class AsyncClient(ClientFront):
    """`Client` for event loops: the same arguments, errors and shared state.

    One object serves any number of event loops, one after another or in several threads.
    """

    @functools.cached_property
    def _reuse(self) -> AsyncReuse | None:
        return self._core.reuse(AsyncReuse)

    # --- chat -----------------------------------------------------------------------------

    async def chat(self, request: ChatRequest) -> ChatResult:
        """As `Client.chat`."""
        reuse = self._reuse
        return await (self._chat(request) if reuse is None else reuse.chat(request, self._chat))

    async def _chat(self, request: ChatRequest) -> ChatResult:
        core = self._core
        flow, deadline = core.begin(request, "chat")
        handover, exchange = await core.async_driver.run(flow, deadline, request.extra_headers)
        if isinstance(handover.value, Opening):
            decoder = core.decoder(request, handover, exchange.reply)
            async for _ in await deltas(exchange, decoder):
                pass
            return decoder.result()
        answer: ChatResult = replace(handover.value, origin=handover.origin)
        return answer

    async def stream_chat(self, request: ChatRequest) -> AsyncChatStream:
        """As `Client.stream_chat`."""
        core, reuse = self._core, self._reuse
        kept = None if reuse is None else await reuse.find(request)
        if kept is not None:
            return AsyncChatStream.of_whole(kept)
        flow, deadline = core.begin(request, "chat", stream=True)
        handover, exchange = await core.async_driver.run(flow, deadline, request.extra_headers)
        if not isinstance(handover.value, Opening):
            return AsyncChatStream.of_whole(replace(handover.value, origin=handover.origin))
        decoder = core.decoder(request, handover, exchange.reply)
        pieces = await deltas(exchange, decoder)
        if reuse is not None:
            pieces = reuse.keeping(request, pieces, decoder)
        return AsyncChatStream(pieces, exchange.aclose, decoder)

    # --- embeddings -----------------------------------------------------------------------

    async def embed(
        self,
        request: EmbeddingRequest,
        *,
        concurrency: int = 1,
        on_progress: Progress | None = None,
    ) -> EmbeddingResult:
        """As `Client.embed`. The first failure stops the other requests."""
        batches = self._core.batches(request)
        total = len(set(request.texts))

        async def work() -> None:
            while (batch := batches.take()) is not None:
                await self._embed_batch(request, batch, batches)
                if on_progress is not None:
                    on_progress(batches.done, total)

        workers = min(concurrency, len(batches))
        if workers <= 1:
            await work()
        else:
            tasks = [asyncio.create_task(work()) for _ in range(workers)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return batches.result()

    async def _embed_batch(
        self, request: EmbeddingRequest, batch: tuple[str, ...], batches: Batches
    ) -> None:
        core = self._core
        flow, deadline = core.begin(replace(request, texts=batch), "embedding")
        try:
            handover, _ = await core.async_driver.run(flow, deadline, request.extra_headers)
        except InvalidRequestError as error:
            core.shrink_batches(error, request, batch, batches)
            return
        batches.add(batch, replace(handover.value, origin=handover.origin))

    # --- other tasks ----------------------------------------------------------------------

    async def draw(
        self, request: ImageRequest, *, on_progress: OnProgress | None = None
    ) -> ImageResult:
        """As `Client.draw`."""
        core = self._core
        flow, deadline = core.begin(request, "image")
        slot = core.image_limiter.try_acquire() or await core.image_limiter.acquire_async(deadline)
        if slot is None:
            raise no_turn(request)
        try:
            handover, _ = await core.async_driver.run(
                flow, deadline, request.extra_headers, on_progress
            )
        except QuotaExceededError as error:
            if error.details.task_id is not None:  # the call itself was settled when it began
                await asyncio.to_thread(core.record_quota_error, error)
            raise
        finally:
            slot.release()
        return handover.value  # type: ignore[no-any-return]

    async def run(self, request: PipelineRequest) -> PipelineResult:
        """As `Client.run`."""
        return await self._call(request, request.task)  # type: ignore[no-any-return]

    async def rerank(self, request: RerankRequest) -> RerankResult:
        """As `Client.rerank`."""
        trivial = trivial_ranking(request)
        if trivial is not None:
            return trivial
        if self._has_own_endpoint(request.model):
            return await self._call(request, "rerank")  # type: ignore[no-any-return]
        return read_ranking(request, await self.chat(ranking_request(request)))

    async def task_of(self, model: str, task: str | None = None, *, look_up: bool = True) -> Task:
        """As `Client.task_of`."""
        core = self._core
        row = choose(core, model, task)
        looked_up = hub_flow(core, model) if row is None and look_up else None
        if row is not None or looked_up is None:
            return row or TASKS["chat"]
        try:
            found: Any = await self._ask(*looked_up)
        except ModelScopeError as error:
            found = error
        return resolve_task(model, found)

    async def _call(self, request: PipelineRequest | RerankRequest, task: str) -> Any:
        core = self._core
        flow, deadline = core.begin(request, task)
        handover, _ = await core.async_driver.run(flow, deadline, request.extra_headers)
        return replace(handover.value, origin=handover.origin)

    # --- the allowance and the models; none of it is charged ------------------------------

    async def quota(self, model: str) -> Quota:
        """As `Client.quota`; the ledger is read in a thread."""
        return await asyncio.to_thread(self._quota, model)

    async def quotas(self) -> tuple[Quota, ...]:
        """As `Client.quotas`."""
        return await asyncio.to_thread(self._quotas)

    async def history(self, days: int = 14) -> tuple[DayUse, ...]:
        """As `Client.history`."""
        return await asyncio.to_thread(self._history, days)

    async def plan(self, items: int, model: str) -> Plan:
        """As `Client.plan`."""
        return await asyncio.to_thread(self._plan, items, model)

    async def balance(self) -> Balance:
        """As `Client.balance`."""
        asked = self._free(catalogue.balance(self._hub()))
        return await self._ask(*asked)  # type: ignore[no-any-return]

    async def statement(self) -> Statement:
        """As `Client.statement`."""
        return await asyncio.to_thread(self._statement, await self._ask(*self._books()))

    async def models(self) -> tuple[str, ...]:
        """As `Client.models`."""
        return await self._ask(*self._free(catalogue.listed()))  # type: ignore[no-any-return]

    async def served_at(self) -> tuple[tuple[str, ...], float | None]:
        """As `Client.served_at`."""
        return await self._ask(*self._free(catalogue.listed_at()))  # type: ignore[no-any-return]

    async def model_status(self, model: str) -> ModelStatus:
        """As `Client.model_status`."""
        try:
            status: ModelStatus = await self._ask(*self._status(model))
        except ServerError:
            return catalogue.unknown(model)
        return await asyncio.to_thread(self._record_status, status)

    async def _ask(self, flow: Flow, deadline: float) -> Any:
        handover, _ = await self._core.async_driver.run(flow, deadline)
        return handover.value

    async def aclose(self) -> None:
        """Close this event loop's connections, those in use after their replies."""
        await self._core.async_driver.aclose()

    async def __aenter__(self) -> Self:
        """Use the client in an ``async with`` block."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the connections of this event loop."""
        await self.aclose()
