"""Brings what is known of models up to date with what the service and its hub say today.

None of it is charged: the list of models, who serves each at which price, and, of models that no
table describes, the tasks that the hub names. It is kept for this user and all later processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from ..catalogue.models import ModelStatus, known_models, profile_for
from ..client.sync import Client
from ..errors import ModelNotServedError, ModelScopeError

__all__ = ["Refreshed", "refresh_models"]


class Refreshed(Struct, frozen=True, kw_only=True):
    """What a refresh found.

    Attributes:
        listed: IDs that the service lists.
        served: IDs that it serves, with their price class; more than it lists.
        gone: IDs that were known and are not served any more.
        new: IDs that no table describes, with their task.
        unanswered: IDs of which nothing could be learnt now.
    """

    listed: tuple[str, ...]
    served: dict[str, str | None]
    gone: tuple[str, ...]
    new: dict[str, str]
    unanswered: tuple[str, ...]


def refresh_models(
    client: Client,
    models: Iterable[str] | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Refreshed:
    """Ask for the models' prices and tasks, and keep the answers.

    Args:
        client: whose service is asked.
        models: which models; by default those that the service lists and those on record.
        on_progress: called with models done and models in all.

    Raises:
        ConfigurationError: the service's hub is not known.
        ModelScopeError: the list of models cannot be had.
    """
    listed = client.models()
    wanted = tuple(models) if models is not None else tuple(sorted({*listed, *known_models()}))
    found: dict[str, ModelStatus] = {}
    new: dict[str, str] = {}
    unanswered: list[str] = []
    for done, model in enumerate(wanted, 1):
        try:
            found[model] = client.model_status(model)
            if not profile_for(model).described:
                new[model] = client.task_of(model).name
        except ModelNotServedError:
            pass  # the hub has no page of it: nothing to keep
        except ModelScopeError:
            unanswered.append(model)
        if on_progress is not None:
            on_progress(done, len(wanted))
    served = {model: status.tier for model, status in found.items() if status.served}
    return Refreshed(
        listed=listed,
        served=served,
        gone=tuple(model for model, status in found.items() if status.withdrawn),
        new=new,
        unanswered=tuple(unanswered),
    )
