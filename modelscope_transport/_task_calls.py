"""What a client does beyond chat and embeddings: images, classic pipelines, ranking.

Laws of this file: each call is written once for each colour, over a flow that knows no colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ._core import Core
from ._wire.failure_table import Kind, shape_rows
from ._wire.failures import Verdict
from .errors import ErrorDetails, ModelScopeError
from .ranking import check_ranking, read_ranking, to_chat
from .task_types import (
    ImageRequest,
    ImageResult,
    PipelineRequest,
    PipelineResult,
    Rank,
    RerankRequest,
    RerankResult,
)
from .tasks import known_task
from .types import ChatRequest, ChatResult

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
        gate = core.image_gate
        place = gate.step_in() or gate.wait(deadline)
        if place is None:
            raise _no_turn(request)
        try:
            handover, _ = core.line.drive(flow, deadline, request.extra_headers)
        finally:
            place.leave()
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

    def _call(self, request: PipelineRequest | RerankRequest, task: str) -> Any:
        core = self._core
        flow, deadline = core.begin(request, task)
        handover, _ = core.line.drive(flow, deadline, request.extra_headers)
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
        gate = core.image_gate
        place = gate.step_in() or await gate.await_(deadline)
        if place is None:
            raise _no_turn(request)
        try:
            handover, _ = await core.line.adrive(flow, deadline, request.extra_headers)
        finally:
            place.leave()
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

    async def _call(self, request: PipelineRequest | RerankRequest, task: str) -> Any:
        core = self._core
        flow, deadline = core.begin(request, task)
        handover, _ = await core.line.adrive(flow, deadline, request.extra_headers)
        return replace(handover.value, origin=handover.origin)
