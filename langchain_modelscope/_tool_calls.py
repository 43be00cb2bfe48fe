"""What the tools share: their error, and how they report the progress of a call.

What the calling model can put right goes back to it as the tool's answer; everything else, a spent
allowance above all, is raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    CallbackManagerForToolRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.tools import ToolException

from modelscope_transport.task_types import TaskProgress

from .errors import ModelScopeInvalidRequestError, native_errors

__all__ = ["ModelScopeToolError", "areport", "report", "tool_errors"]


class ModelScopeToolError(ModelScopeInvalidRequestError, ToolException):
    """A call of a tool that its caller can put right: a size, a wording that was refused.

    The model that called gets to read it; with ``handle_tool_error=False`` it is raised.
    """


@contextmanager
def tool_errors() -> Iterator[None]:
    """Turn the transport's errors into LangChain's, and a wrong request into an answer."""
    try:
        with native_errors():
            yield
    except ModelScopeInvalidRequestError as error:
        raise ModelScopeToolError(*error.args, details=error.details) from error


_PROGRESS = "modelscope_progress"


def report(
    run: CallbackManagerForToolRun | None,
    state: str,
    model: str,
    progress: TaskProgress | None = None,
) -> None:
    """Say how far a call is, to callbacks (``on_custom_event``) and to ``stream_events``.

    Args:
        run: the tool's run, as the framework hands it over.
        state: ``"started"``, ``"waiting"`` or ``"finished"``.
        model: model ID.
        progress: how far the awaited task is.
    """
    if run is not None:
        said = _said(state, model, progress)
        dispatch_custom_event(_PROGRESS, said, config={"callbacks": run.get_child()})


async def areport(
    run: AsyncCallbackManagerForToolRun | None,
    state: str,
    model: str,
    progress: TaskProgress | None = None,
) -> None:
    """`report`, for event loops."""
    if run is not None:
        said = _said(state, model, progress)
        await adispatch_custom_event(_PROGRESS, said, config={"callbacks": run.get_child()})


def _said(state: str, model: str, progress: TaskProgress | None) -> dict[str, Any]:
    known = {} if progress is None else msgspec.structs.asdict(progress)
    return {"state": state, "model": model, **known}
