"""`Client`: what the adapters hold for sync calls. Its twin for event loops is ``aio.py``.

Making one does no I/O and builds no TLS context. Clients of the same token and address share what
is known of the account: spent pools, lessons about models, the retry budget.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
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
from .embedding_batches import Batches
from .front import ClientFront, no_turn, trivial_ranking
from .rerank_prompt import ranking_request, read_ranking
from .reuse import Reuse
from .streams import ChatStream, deltas
from .task_choice import choose, hub_flow, resolve_task

if TYPE_CHECKING:
    from ..calls.driver import OnProgress
    from .aio import AsyncClient

__all__ = ["Client"]

Progress = Callable[[int, int], None]


class Client(ClientFront):
    """A client of ModelScope API-Inference. Threads may share it.

    Its arguments are those of `Options`: the token first, all others by name.

    Raises:
        ConfigurationError: no token, or something that cannot be sent.

    Example:
        ``Client().chat(ChatRequest(model=…, messages=(Message("user", "Hello!"),))).text``
    """

    @functools.cached_property
    def aio(self) -> AsyncClient:
        """The same client for event loops."""
        from .aio import AsyncClient

        return AsyncClient._of(self._core)

    @functools.cached_property
    def _reuse(self) -> Reuse | None:
        return self._core.reuse(Reuse)

    # --- chat -----------------------------------------------------------------------------

    def chat(self, request: ChatRequest) -> ChatResult:
        """Ask, and wait for the whole answer.

        A model that only answers streamed calls is asked for a stream, which is joined here.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        reuse = self._reuse
        return self._chat(request) if reuse is None else reuse.chat(request, self._chat)

    def _chat(self, request: ChatRequest) -> ChatResult:
        core = self._core
        flow, deadline = core.begin(request, "chat")
        handover, exchange = core.driver.run(flow, deadline, request.extra_headers)
        if isinstance(handover.value, Opening):
            decoder = core.decoder(request, handover, exchange.reply)
            for _ in deltas(exchange, decoder):
                pass
            return decoder.result()
        answer: ChatResult = replace(handover.value, origin=handover.origin)
        return answer

    def stream_chat(self, request: ChatRequest) -> ChatStream:
        """Ask, and get the answer as it comes. Returns once the stream has begun well.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        core, reuse = self._core, self._reuse
        kept = None if reuse is None else reuse.find(request)
        if kept is not None:
            return ChatStream.of_whole(kept)
        flow, deadline = core.begin(request, "chat", stream=True)
        handover, exchange = core.driver.run(flow, deadline, request.extra_headers)
        if not isinstance(handover.value, Opening):
            return ChatStream.of_whole(replace(handover.value, origin=handover.origin))
        decoder = core.decoder(request, handover, exchange.reply)
        pieces = deltas(exchange, decoder)
        if reuse is not None:
            pieces = reuse.keeping(request, pieces, decoder)
        return ChatStream(pieces, exchange.close, decoder)

    # --- embeddings -----------------------------------------------------------------------

    def embed(
        self,
        request: EmbeddingRequest,
        *,
        concurrency: int = 1,
        on_progress: Progress | None = None,
    ) -> EmbeddingResult:
        """Embed texts, in as few requests as the service takes.

        Args:
            request: the texts.
            concurrency: requests in flight at once; the service promises one
                (official documentation, limits page as of 2026-08-22).
            on_progress: called with distinct texts done and distinct texts in all.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`; no vectors are
                returned unless all are.
        """
        batches = self._core.batches(request)
        total = len(set(request.texts))

        def work() -> None:
            while (batch := batches.take()) is not None:
                self._embed_batch(request, batch, batches)
                if on_progress is not None:
                    on_progress(batches.done, total)

        workers = min(concurrency, len(batches))
        if workers <= 1:
            work()
        else:
            with ThreadPoolExecutor(workers, thread_name_prefix="modelscope-embed") as pool:
                try:
                    futures = [pool.submit(work) for _ in range(workers)]
                    for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                        future.result()
                finally:
                    batches.drop()  # after a failure, or Ctrl-C here, no other one is begun
        return batches.result()

    def _embed_batch(
        self, request: EmbeddingRequest, batch: tuple[str, ...], batches: Batches
    ) -> None:
        core = self._core
        flow, deadline = core.begin(replace(request, texts=batch), "embedding")
        try:
            handover, _ = core.driver.run(flow, deadline, request.extra_headers)
        except InvalidRequestError as error:
            core.shrink_batches(error, request, batch, batches)
            return
        batches.add(batch, replace(handover.value, origin=handover.origin))

    # --- other tasks ----------------------------------------------------------------------

    def draw(self, request: ImageRequest, *, on_progress: OnProgress | None = None) -> ImageResult:
        """Draw or edit an image, and wait until it is here.

        The account's images are made one at a time (``image_tasks``). A caller that stops waiting
        can look after the task later: the error's ``details.task_id`` goes into the next request.

        Args:
            request: what to draw.
            on_progress: called when the task was accepted, and after each look at it; in event
                loops it is awaited.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        core = self._core
        flow, deadline = core.begin(request, "image")
        slot = core.image_limiter.try_acquire() or core.image_limiter.acquire(deadline)
        if slot is None:
            raise no_turn(request)
        try:
            handover, _ = core.driver.run(flow, deadline, request.extra_headers, on_progress)
        except QuotaExceededError as error:
            if error.details.task_id is not None:  # the call itself was settled when it began
                core.record_quota_error(error)
            raise
        finally:
            slot.release()
        return handover.value  # type: ignore[no-any-return]

    def run(self, request: PipelineRequest) -> PipelineResult:
        """Run a classic pipeline. The service does not document their address.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        return self._call(request, request.task)  # type: ignore[no-any-return]

    def rerank(self, request: RerankRequest) -> RerankResult:
        """Put texts in order, in one call however many they are.

        A chat model is asked in words; an answer that cannot be used leaves the order as it is
        (``ordered`` is then false). Fewer than two texts cost nothing.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        trivial = trivial_ranking(request)
        if trivial is not None:
            return trivial
        if self._has_own_endpoint(request.model):
            return self._call(request, "rerank")  # type: ignore[no-any-return]
        return read_ranking(request, self.chat(ranking_request(request)))

    def task_of(self, model: str, task: str | None = None, *, look_up: bool = True) -> Task:
        """Which kind of work a model does.

        Args:
            model: model ID, ``owner/name``.
            task: ModelScope's name of it, where it is known; else it comes from the model data,
                from the ID's own words (``nlp_structbert_sentiment-classification_…``) or from the
                hub, in this order. A model that nothing is known of is taken to chat.
            look_up: whether the hub may be asked. What it says is kept for later.

        Raises:
            ConfigurationError: there is no such task.
            ModelNotServedError: there is no such model; near names are in the message.
            UnsupportedTaskError: the model does another kind of work, or that work is not served.
        """
        core = self._core
        row = choose(core, model, task)
        looked_up = hub_flow(core, model) if row is None and look_up else None
        if row is not None or looked_up is None:
            return row or TASKS["chat"]
        try:
            found: Any = self._ask(*looked_up)
        except ModelScopeError as error:
            found = error
        return resolve_task(model, found)

    def _call(self, request: PipelineRequest | RerankRequest, task: str) -> Any:
        core = self._core
        flow, deadline = core.begin(request, task)
        handover, _ = core.driver.run(flow, deadline, request.extra_headers)
        return replace(handover.value, origin=handover.origin)

    # --- the allowance and the models; none of it is charged ------------------------------

    def quota(self, model: str) -> Quota:
        """The pool that decides how many more calls ``model`` may get today.

        It is read from the ledger alone: no request, no cost.

        Raises:
            ConfigurationError: the ledger is switched off, or cannot be used.
        """
        return self._quota(model)

    def quotas(self) -> tuple[Quota, ...]:
        """The account's pool for each unit that bounds it, then those of models asked or spent.

        Raises as `quota` does.
        """
        return self._quotas()

    def history(self, days: int = 14) -> tuple[DayUse, ...]:
        """What was spent on each of the last days, oldest first, without idle days.

        Raises as `quota` does.
        """
        return self._history(days)

    def plan(self, items: int, model: str) -> Plan:
        """Whether so many questions, or texts to embed, fit into today; else how long they take.

        Raises as `quota` does, and a `ConfigurationError` for a negative number of items.
        """
        return self._plan(items, model)

    def balance(self) -> Balance:
        """Ask the service for the account's Magicubes; the ledger takes the answer over.

        A spent account is open again when there are some. Free of charge.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        asked = self._free(catalogue.balance(self._hub()))
        return self._ask(*asked)  # type: ignore[no-any-return]

    def statement(self) -> Statement:
        """The account's books: balance, lots, prices and grants, and use as both sides count it.

        The service is asked for its side of them, free of charge; what it does not report, or in
        an unknown form, is left out.

        Raises:
            ConfigurationError: the ledger is switched off or cannot be used, or the hub of the
                service is not known.
        """
        return self._statement(self._ask(*self._books()))

    def models(self) -> tuple[str, ...]:
        """IDs of the models that the service lists; it serves more. Raises as `balance` does."""
        return self._ask(*self._free(catalogue.listed()))  # type: ignore[no-any-return]

    def served_at(self) -> tuple[tuple[str, ...], float | None]:
        """`models`, and the time by the service's own clock, seconds since the epoch."""
        return self._ask(*self._free(catalogue.listed_at()))  # type: ignore[no-any-return]

    def model_status(self, model: str) -> ModelStatus:
        """Ask the service whether it serves a model, and at which price. Free of charge.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        try:
            status: ModelStatus = self._ask(*self._status(model))
        except ServerError:
            return catalogue.unknown(model)
        return self._record_status(status)

    def _ask(self, flow: Flow, deadline: float) -> Any:
        handover, _ = self._core.driver.run(flow, deadline)
        return handover.value

    def close(self) -> None:
        """Close the account's connections, those in use after their replies. It serves on."""
        self._core.driver.close()

    def __enter__(self) -> Self:
        """Use the client in a ``with`` block."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the connections."""
        self.close()
