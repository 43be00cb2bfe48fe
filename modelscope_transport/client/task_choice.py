"""Which kind of work a model does: by argument, by model data, by its ID, by the hub.

Laws of this file: nothing here is sync or async; the caller plays the flow that asks the hub.
"""

from __future__ import annotations

import datetime as dt

from msgspec.structs import replace

from .._wire.hub import model_page
from ..calls.attempt import Flow
from ..calls.free_request import free_flow
from ..calls.retry import RetryPolicy
from ..catalogue.models import near_names, remember_models
from ..catalogue.tasks import (
    TASKS,
    Task,
    check_offered,
    check_task,
    known_task,
    task_named,
)
from ..errors import ModelNotServedError, ModelScopeError
from ..language import translated as _
from ..settings import hub_url
from .core import Core

__all__ = ["choose", "hub_flow", "resolve_task"]

# A look-up is a convenience: it is not waited for as a paid answer is.
_PATIENCE = 10.0


def choose(core: Core, model: str, task: str | None) -> Task | None:
    """The task of a model, or ``None`` where only the hub may know it.

    Raises:
        ConfigurationError: there is no such task.
        ModelNotServedError: no model ID, or one with the wrong capitals.
        UnsupportedTaskError: the model does another kind of work, or that work is not served.
    """
    core.check_model(model)
    profile = core.profile(model)
    known = known_task(profile)
    if task is not None:
        if known is not None and task_named(task).name in known.in_ids:
            return known
        return check_task(profile, task)
    if known is not None:
        return check_offered(model, known)
    for near in near_names(model):
        if near.lower() == model.lower():
            raise ModelNotServedError(
                _("There is no model {model!r}: IDs are case-sensitive. Perhaps {near}.").format(
                    model=model, near=near
                )
            )
    return None


def hub_flow(core: Core, model: str) -> tuple[Flow, float] | None:
    """The look-up at the hub and its deadline; ``None`` where the hub of a service is not known."""
    hub = hub_url(core.options.url)
    if hub is None:
        return None
    terms = core.terms(min(_PATIENCE, core.options.timeout), RetryPolicy(max_retries=1))
    owner, _, name = model.partition("/")
    page = model_page(hub, f"{owner}/{name.partition(':')[0]}")
    return free_flow(page, model, terms), terms.deadline


def resolve_task(model: str, found: tuple[str, ...] | ModelScopeError) -> Task:
    """The task by what the hub said; an unknown model is taken to chat.

    Args:
        model: model ID.
        found: names of tasks, or why there are none.

    Raises:
        ModelNotServedError: the hub has no such model.
        UnsupportedTaskError: the work that it does is not served.
    """
    if isinstance(found, ModelScopeError):
        if isinstance(found, ModelNotServedError) and found.reason == "unknown_model":
            near = near_names(model)
            said = str(found)
            if near:
                said += " " + _("Perhaps: {near}.").format(near=", ".join(near))
            raise ModelNotServedError(said, details=replace(found.details, alternatives=near))
        return TASKS["chat"]
    names = [name for name in found if name in TASKS]
    if not names:
        return TASKS["chat"]
    facts = {
        "task": names[0],
        "source": "the hub's page of the model",
        "checked": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    remember_models({model.partition(":")[0]: facts})
    return check_offered(model, TASKS[names[0]])
