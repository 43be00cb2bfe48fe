"""The file of this folder that carries a task, imported at its first use.

A row of the task table names its file, so that the table itself knows nothing of encoding.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, cast

from ..catalogue.models import ModelProfile
from ..catalogue.tasks import Task
from .encoded import Encoded, Wire

__all__ = ["carrier_of", "prepare"]


def carrier_of(task: Task) -> Wire:
    """The file that encodes and decodes a task."""
    return _load(task.wire)


def prepare(task: Task, request: Any, profile: ModelProfile, *, stream: bool = False) -> Encoded:
    """Check and encode a request of a task.

    Raises:
        ModelScopeError: the request cannot be sent.
    """
    return carrier_of(task).prepare(request, profile, stream=stream, form=task.form)


@functools.cache
def _load(wire: str) -> Wire:
    return cast("Wire", importlib.import_module(f".{wire}", __package__))
