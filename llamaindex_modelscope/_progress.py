"""How far a long call has come: a bar for people, events for programs.

Laws of this file: a bar goes to standard error, so that a program's own output stays its own; in a
notebook it stands in the cell. rich is imported when a bar is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import msgspec
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events import BaseEvent

from modelscope_transport.task_types import TaskProgress

__all__ = ["ModelScopeProgressEvent", "advance", "progress_bar", "reported"]

_dispatcher = get_dispatcher(__name__)

# The bar of the call that is under way here: core runs its batches as tasks, which inherit it.
_step: ContextVar[Callable[[int], None] | None] = ContextVar("step", default=None)


@contextmanager
def progress_bar(title: str, total: int, *, shown: bool) -> Iterator[None]:
    """A bar that `advance` moves while the block lasts.

    Args:
        title: what stands before the bar.
        total: how many steps there are.
        shown: whether there is a bar at all.
    """
    if not shown:
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        outer = _step.set(lambda steps: bar.advance(task, steps))
        try:
            yield
        finally:
            _step.reset(outer)


def advance(steps: int) -> None:
    """Move the bar of this call, where there is one."""
    if (step := _step.get()) is not None:
        step(steps)


class ModelScopeProgressEvent(BaseEvent):
    """How far a tool is, for the event handlers of LlamaIndex's instrumentation.

    Attributes:
        tool: name of the tool.
        model: model ID.
        state: ``"started"``, ``"waiting"`` each time a task is polled, ``"finished"`` or
            ``"failed"``.
        task_id: the service's ID of the awaited task.
        looks: how often it was polled.
        status: its last status by the service, such as ``"PROCESSING"``.
    """

    tool: str
    model: str
    state: Literal["started", "waiting", "finished", "failed"]
    task_id: str | None = None
    looks: int = 0
    status: str = ""

    @classmethod
    def class_name(cls) -> str:
        """Name in traces."""
        return "ModelScopeProgressEvent"


@contextmanager
def reported(tool: str, model: str) -> Iterator[Callable[[TaskProgress], None]]:
    """Events at the beginning and the end of a tool's work, and a function for those between.

    Args:
        tool: name of the tool.
        model: model ID.
    """

    def tell(state: Literal["started", "finished", "failed"]) -> None:
        _dispatcher.event(ModelScopeProgressEvent(tool=tool, model=model, state=state))

    def waiting(progress: TaskProgress) -> None:
        known = msgspec.structs.asdict(progress)
        event = ModelScopeProgressEvent(tool=tool, model=model, state="waiting", **known)
        _dispatcher.event(event)

    tell("started")
    try:
        yield waiting
    except BaseException:
        tell("failed")
        raise
    tell("finished")
