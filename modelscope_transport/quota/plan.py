"""Whether a job fits into what is left, before it begins."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ..errors import ConfigurationError
from ..language import translated as _
from ..shown import table_html
from .allowance import granted_a_day, tenths_of
from .books import amount
from .reservation import has_provider
from .snapshot import Quota

__all__ = ["Plan", "binding", "calls_left", "plan"]

_MOST = 10**15


class Plan(Struct, frozen=True, kw_only=True):
    """A forecast. It is as good as what is known of the allowance: see ``kind``.

    Attributes:
        model: model ID.
        items: how many questions, or texts to embed.
        calls: how many requests they take.
        magicubes: what these cost together.
        fits_today: how many of the requests fit into today; ``None`` where no limit is known.
        a_day: how many fit into each day after; ``None`` where no limit is known.
        days: how many days it takes, today included; ``None`` where it can never be done.
        done_on: the last of these days, in UTC+8; ``None`` where ``days`` is, or past year 9999.
        kind: ``"measured"``, ``"reported"`` or ``"estimated"``, as of the pool that decides.
        quota: the pool that decides.
    """

    model: str
    items: int
    calls: int
    magicubes: float
    fits_today: int | None
    a_day: int | None
    days: int | None
    done_on: dt.date | None
    kind: Literal["measured", "reported", "estimated"]
    quota: Quota

    @property
    def fits(self) -> bool:
        """Whether all of it fits into today."""
        return self.days == 1

    def _repr_html_(self) -> str:
        """The forecast as a table, for notebooks."""
        head = (_("number of calls"), _("Magicubes"), _("today"), _("days"), _("done on"))
        numbers = (self.calls, self.magicubes, self.fits_today, self.days)
        row = (self.model, *map(amount, numbers), str(self.done_on or "?"))
        return table_html(
            _("Plan for {items} items").format(items=self.items), (_("model"), *head), [row]
        )


def calls_left(quota: Quota, price: int, left: float | None) -> float:
    """How many calls what is left of a pool pays.

    Args:
        quota: the pool.
        price: of a call, in tenths of a Magicube.
        left: what is left, in the unit of the pool; ``None`` where it is not known.

    Returns:
        The number of calls; infinite where what is left is not known, or a call costs nothing.
    """
    if left is None:
        return math.inf
    if quota.unit == "calls":
        return left
    return tenths_of(left) // price if price > 0 else math.inf


def binding(quotas: Sequence[Quota], model: str, price: int, account: str = "") -> Quota:
    """Of the pools that a model's calls are charged to, the one that pays for the fewest.

    Args:
        quotas: the pools, as `Ledger.quotas` gives them.
        model: model ID.
        price: of a call to it, in tenths of a Magicube, as `Ledger.price` gives it.
        account: whose pools they are.
    """
    pools = [quota for quota in quotas if quota.model == model]
    if not has_provider(model, account):
        pools += [quota for quota in quotas if quota.scope == "account"]
    if not pools:
        return Quota(
            scope="model", model=model, unit="calls", used=0, resets_at=quotas[0].resets_at
        )
    return min(pools, key=lambda quota: calls_left(quota, price, quota.remaining))


def plan(
    quotas: Sequence[Quota],
    model: str,
    price: int,
    items: int,
    calls: int,
    today: dt.date,
    account: str = "",
) -> Plan:
    """Forecast a job.

    Args:
        quotas: the pools, as `Ledger.quotas` gives them.
        model: model ID.
        price: of a call to it, in tenths of a Magicube, as `Ledger.price` gives it.
        items: how many questions, or texts to embed.
        calls: how many requests they take.
        today: the day of the allowance, as `Ledger.today` gives it.
        account: whose pools they are.

    Raises:
        ConfigurationError: ``items`` is not from 0 to 10**15.
    """
    if not 0 <= items <= _MOST:
        raise ConfigurationError(
            _("The number of items must be from 0 to {most}, and is {items}.").format(
                most=_MOST, items=items
            )
        )
    quota = binding(quotas, model, price, account)
    left = calls_left(quota, price, quota.remaining)
    a_day = calls_left(quota, price, _daily(quota))
    rest = max(0, calls - left)
    days = 1 + math.ceil(rest / a_day) if a_day > 0 else (None if rest else 1)
    last = None if days is None or days > (dt.date.max - today).days else dt.timedelta(days - 1)
    return Plan(
        model=model,
        items=items,
        calls=calls,
        magicubes=0.0 if has_provider(model, account) else calls * price / 10,
        fits_today=None if math.isinf(left) else min(calls, int(left)),
        a_day=None if math.isinf(a_day) else int(a_day),
        days=days,
        done_on=None if last is None else today + last,
        kind=quota.kind,
        quota=quota,
    )


def _daily(quota: Quota) -> float | None:
    """What comes back each day: the limit; of Magicubes, the published grant unless one was set."""
    if quota.unit == "magicubes" and quota.kind == "reported":
        return granted_a_day()
    return quota.limit
