"""What a client does beyond chat and embeddings: images, classic pipelines, ranking.

Laws of this file: each call is written once for each colour, over a flow that knows no colour.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from .._wire.failure_table import Kind, shape_rows
from .._wire.failures import Verdict
from ..catalogue.tasks import TASKS, Task, known_task
from ..errors import ErrorDetails, ModelScopeError, QuotaExceededError
from ..task_types import (
    ImageRequest,
    ImageResult,
    PipelineRequest,
    PipelineResult,
    Rank,
    RerankRequest,
    RerankResult,
)
from ..types import ChatRequest, ChatResult
from .core import Core
from .rerank_prompt import check_ranking, read_ranking, to_chat
from .task_choice import choose, hub_flow, settle

__all__ = ["AsyncTaskCalls", "TaskCalls"]


def _no_turn(request: ImageRequest) -> ModelScopeError:
    row = shape_rows()["no_turn"]
    details = ErrorDetails(reason=row.name, model=request.model)
    return Verdict(kind=Kind.FINAL, row=row, details=details).error(attempts=0)


def _has_own_endpoint(core: Core, model: str) -> bool:
    row = known_task(core.profile(model))
    return row is not None and row.kind == "rerank"


def _trivial(request: RerankRequest) -> RerankResult | None:
    """The order of what needs none; nothing is asked for it."""
    check_ranking(request)
    if len(request.documents) > 1:
        return None
    return RerankResult(tuple(Rank(index, 1.0) for index in range(len(request.documents))))


class TaskCalls:
    """The sync colour."""

    _core: Core

    if TYPE_CHECKING:

        def chat(self, request: ChatRequest) -> ChatResult: ...

    def draw(self, request: ImageRequest) -> ImageResult:
        """Draw or edit an image, and wait until it is here.

        The account's images are made one at a time (``image_tasks``). Whoever stops waiting can
        look after the task later: the error's ``details.task_id`` goes into the next request.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        core = self._core
        flow, deadline = core.begin(request, "image")
        limiter = core.image_limiter
        slot = limiter.try_acquire() or limiter.acquire(deadline)
        if slot is None:
            raise _no_turn(request)
        try:
            handover, _ = core.driver.drive(flow, deadline, request.extra_headers)
        except QuotaExceededError as error:
            if error.details.task_id is not None:  # the call itself was settled when it began
                core.record_quota_error(error)
            raise
        finally:
            slot.release()
        result: ImageResult = handover.value
        return result

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
        trivial = _trivial(request)
        if trivial is not None:
            return trivial
        if _has_own_endpoint(self._core, request.model):
            return self._call(request, "rerank")  # type: ignore[no-any-return]
        return read_ranking(request, self.chat(to_chat(request)))

    def task_of(self, model: str, task: str | None = None, *, look_up: bool = True) -> Task:
        """Which kind of work a model does.

        Args:
            model: model ID, ``owner/name``.
            task: ModelScope's name of it, where it is known; else it comes from the model data,
                from the ID's own words (``nlp_structbert_sentiment-classification_…``) or from the
                hub, in this order. A model that nobody knows is taken to chat.
            look_up: whether the hub may be asked. What it says is kept for later.

        Raises:
            ConfigurationError: there is no such task.
            ModelNotServedError: there is no such model; near names are in the message.
            UnsupportedTaskError: the model does another kind of work, or nobody serves that work.
        """
        core = self._core
        row = choose(core, model, task)
        asked = hub_flow(core, model) if row is None and look_up else None
        if row is not None or asked is None:
            return row or TASKS["chat"]
        try:
            found: Any = core.driver.drive(*asked)[0].value
        except ModelScopeError as error:
            found = error
        return settle(core, model, found)

    def _call(self, request: PipelineRequest | RerankRequest, task: str) -> Any:
        core = self._core
        flow, deadline = core.begin(request, task)
        handover, _ = core.driver.drive(flow, deadline, request.extra_headers)
        return replace(handover.value, origin=handover.origin)


class AsyncTaskCalls:
    """The same for event loops."""

    _core: Core

    if TYPE_CHECKING:

        async def chat(self, request: ChatRequest) -> ChatResult: ...

    async def draw(self, request: ImageRequest) -> ImageResult:
        """As `TaskCalls.draw`."""
        core = self._core
        flow, deadline = core.begin(request, "image")
        limiter = core.image_limiter
        slot = limiter.try_acquire() or await limiter.acquire_async(deadline)
        if slot is None:
            raise _no_turn(request)
        try:
            handover, _ = await core.driver.adrive(flow, deadline, request.extra_headers)
        except QuotaExceededError as error:
            if error.details.task_id is not None:
                await asyncio.to_thread(core.record_quota_error, error)
            raise
        finally:
            slot.release()
        result: ImageResult = handover.value
        return result

    async def run(self, request: PipelineRequest) -> PipelineResult:
        """As `TaskCalls.run`."""
        return await self._call(request, request.task)  # type: ignore[no-any-return]

    async def rerank(self, request: RerankRequest) -> RerankResult:
        """As `TaskCalls.rerank`."""
        trivial = _trivial(request)
        if trivial is not None:
            return trivial
        if _has_own_endpoint(self._core, request.model):
            return await self._call(request, "rerank")  # type: ignore[no-any-return]
        return read_ranking(request, await self.chat(to_chat(request)))

    async def task_of(self, model: str, task: str | None = None, *, look_up: bool = True) -> Task:
        """As `TaskCalls.task_of`."""
        core = self._core
        row = choose(core, model, task)
        asked = hub_flow(core, model) if row is None and look_up else None
        if row is not None or asked is None:
            return row or TASKS["chat"]
        try:
            found: Any = (await core.driver.adrive(*asked))[0].value
        except ModelScopeError as error:
            found = error
        return settle(core, model, found)

    async def _call(self, request: PipelineRequest | RerankRequest, task: str) -> Any:
        core = self._core
        flow, deadline = core.begin(request, task)
        handover, _ = await core.driver.adrive(flow, deadline, request.extra_headers)
        return replace(handover.value, origin=handover.origin)
