"""What an error says, in English and in Chinese: what happened, which pool, until when, what to do.

Laws of this file: the text of a spent allowance holds none of "429", "rate limit" and "too many
requests" in either language. Frameworks look for these words and would wait a minute at a time
for a pool that opens tomorrow; so the service's own words are left out there.
"""

from __future__ import annotations

import datetime as dt
import time

from ..catalogue import known_task, profile_for
from ..errors import ErrorDetails
from ..language import marked as _N
from ..language import resolve_language
from ..language import translated as _
from ..quota import UTC8
from ..quota.allowance import quota_rules
from ..quota.books import amount
from .failure_table import Row

__all__ = ["countdown", "message_of"]

SIGN_IN: str = quota_rules()["magicubes"]["sign_in_at"]
# Who cannot pay for this can pay for nothing.
_CHEAPEST: float = min(quota_rules()["magicubes"]["cost"].values())
# Limits of the user's own, which need no grant.
_OWN = ("budget_spent", "day_unconfirmed")
_NOTHING_LEFT = _N("Wait until then, make fewer calls, or use another platform.")
_SAME_MODEL = _N(
    "Wait until then, or name another way to the same model: "
    "fallback_models=['owner/name:Provider']; vectors of two models do not fit one index."
)


def message_of(row: Row, details: ErrorDetails) -> str:
    """The text of an error, in the language of its reader."""
    chinese = resolve_language() == "zh"
    said = [_(row.happened).format(model=repr(details.model))]
    if details.resets_at is not None:
        said += _pool(details, details.resets_at)
    elif details.server_message:
        heard = (
            _("The cause: {words!r}.")
            if details.status_code is None
            else _("The service said: {words!r}.")
        )
        said.append(heard.format(words=details.server_message[:200]))
    if "location" in details.headers:
        said.append(_("It points to {place!r}.").format(place=details.headers["location"]))
    if details.retry_after is not None:
        asks = (
            _("It asks to wait {seconds:.10g} s.")
            if details.status_code is not None
            else _("The ledger asks to wait {seconds:.10g} s.")
        )
        said.append(asks.format(seconds=details.retry_after))
    if details.task_id is not None:
        said.append(_("Its task is {task_id!r}.").format(task_id=details.task_id))
    pays_nothing = details.price is not None and details.price <= _CHEAPEST
    remedy = _NOTHING_LEFT if pays_nothing else row.remedy
    if "fallback_models" in remedy and _embeds(details.model):
        remedy = _SAME_MODEL
    said.append(_(remedy))
    if details.alternatives:
        named = ("、" if chinese else ", ").join(details.alternatives)
        said.append(_("Perhaps: {near}.").format(near=named))
    return ("" if chinese else " ").join(said)


def _embeds(model: str | None) -> bool:
    """Whether it is an embedding model, for which no other can stand in."""
    task = None if model is None else known_task(profile_for(model))
    return task is not None and task.kind == "embedding"


def _pool(details: ErrorDetails, resets_at: dt.datetime) -> list[str]:
    said, used, limit = [], details.used, details.limit
    unit = _("Magicubes") if details.unit == "magicubes" else _("calls")
    if limit is not None and used is not None:
        line = _("{used:g} of {limit:g} {unit} a day are used.")
        said.append(line.format(used=used, limit=limit, unit=unit))
    elif limit is not None:
        said.append(_("It is {limit:g} {unit} a day.").format(limit=limit, unit=unit))
    elif used is not None:
        said.append(_("{used:g} {unit} were counted today.").format(used=used, unit=unit))
    if details.price is not None:
        line = _("Calls of {price} or more are refused for now.")
        if details.price <= _CHEAPEST:
            line = _("Every call is refused for now.")
        said.append(line.format(price=amount(details.price, "magicubes")))
    when = _("{there:%Y-%m-%d %H:%M} UTC+8 ({here:%Y-%m-%d %H:%M} here), in {left}").format(
        there=resets_at.astimezone(UTC8), here=resets_at.astimezone(), left=countdown(resets_at)
    )
    if details.unit != "magicubes" or details.reason in _OWN:
        return [*said, _("It comes back at {when}.").format(when=when)]
    if details.unfetched:
        line = _(
            "{unfetched:g} Magicubes of today have not been fetched: sign in at {page}, which "
            "calls of the API do not count as."
        )
        said.append(line.format(unfetched=details.unfetched, page=SIGN_IN))
    line = _(
        "The daily grant comes with a sign-in at {page}, not by itself; the next one comes at "
        "{when}, at the earliest."
    )
    return [*said, line.format(page=SIGN_IN, when=when)]


def countdown(moment: dt.datetime) -> str:
    """How long it is until then: hours and minutes, in the reader's language."""
    minutes = max(1, round((moment.timestamp() - time.time()) / 60))
    hours, minutes = divmod(minutes, 60)
    parts = [_("{hours} h").format(hours=hours)] if hours else []
    parts += [_("{minutes} min").format(minutes=minutes)] if minutes else []
    return " ".join(parts)
