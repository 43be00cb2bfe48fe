"""Finds the file of this folder that encodes a task; it is imported at its first use.

A row of the task table names its file, so that the table itself knows nothing of encoding.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterator
from typing import Any, cast

from ..catalogue.models import ModelProfile
from ..catalogue.tasks import Task
from ..errors import APIConnectionError, ErrorDetails
from ..language import translated as _
from .encoded import Encoded, Wire

__all__ = ["late_imports", "prepare", "wire_of"]


def wire_of(task: Task) -> Wire:
    """The file that encodes and decodes a task."""
    return _load(task.wire)


def prepare(task: Task, request: Any, profile: ModelProfile, *, stream: bool = False) -> Encoded:
    """Check and encode a request of a task.

    Raises:
        ModelScopeError: the request cannot be sent.
    """
    return wire_of(task).prepare(request, profile, stream=stream, form=task.form)


@contextlib.contextmanager
def late_imports() -> Iterator[None]:
    """Import in a ``with`` block what is imported at the first call.

    Raises:
        APIConnectionError: a file of this program cannot be opened, as where the process has no
            descriptor left. Nothing was sent.
    """
    try:
        yield
    except OSError as error:
        raise APIConnectionError(
            _(
                "Nothing was sent: a file of this program cannot be opened ({reason}). Close files "
                "and connections that are no longer used, or raise the limit of open files."
            ).format(reason=error.strerror or type(error).__name__),
            details=ErrorDetails(reason="no_connection"),
        ) from error


@functools.cache
def _load(wire: str) -> Wire:
    with late_imports():
        return cast("Wire", importlib.import_module(f".{wire}", __package__))
