"""What is left, as the ledger sees it, without asking anybody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, convert

from .allowance import end_of, granted_a_day
from .budget import Budget
from .lots import Filled, filled
from .reservation import QuotaBlock
from .steps import LASTING, Pages

__all__ = ["Balance", "DayUse", "Quota", "history_of", "quotas_of"]

# A number of the service counts as its word for this long; then it is a guess.
_DAY = 86_400.0


class Quota(Struct, frozen=True, kw_only=True):
    """One pool of the allowance, as far as it is known.

    Attributes:
        scope: ``"account"`` or ``"model"``.
        model: model ID, where the pool is a model's.
        unit: ``"calls"`` or ``"magicubes"``.
        limit: size of the pool; ``None`` where nobody knows.
        used: spent of it today, by all who share the ledger and, as far as replies told, others.
        remaining: what is left.
        resets_at: when it comes back, with a time zone.
        kind: ``"measured"``: counted here, against a limit of the user's own or none;
            ``"reported"``: the service told the limit or the balance, and what was spent since is
            counted here; ``"estimated"``: the limit is only that of the published rules.
        age: seconds since the service told; ``None`` where it did not.
        spent: whether calls are refused now.
        lapsing: Magicubes that expire unspent before ``resets_at``.
    """

    scope: Literal["account", "model"]
    unit: Literal["calls", "magicubes"]
    used: float
    resets_at: dt.datetime
    model: str | None = None
    limit: float | None = None
    remaining: float | None = None
    kind: Literal["measured", "reported", "estimated"] = "measured"
    age: float | None = None
    spent: bool = False
    lapsing: float = 0.0


class Balance(Struct, frozen=True, kw_only=True):
    """The account's Magicubes, as the service tells them.

    Attributes:
        available: what can be spent.
        total: that and what is frozen.
        frozen: held for tasks that run.
    """

    available: float
    total: float
    frozen: float = 0.0


class DayUse(Struct, frozen=True):
    """What was spent on one day of the allowance.

    Attributes:
        day: ISO, in UTC+8.
        calls: calls of the account.
        magicubes: their price, by the published tiers.
        models: calls by model ID.
    """

    day: str
    calls: int
    magicubes: float
    models: Mapping[str, int]


def quotas_of(pages: Pages, now: float, day: str, budget: Budget) -> tuple[Quota, ...]:
    """The account's pool, then those of its models that were asked today or are spent."""
    lasting, today = pages.get(LASTING, {}), pages.get(day, {})
    blocked = {
        cell.removeprefix("until ")
        for cell, until in lasting.items()
        if cell.startswith("until ") and until > now
    }
    models = {cell.removeprefix("calls ") for cell in today if cell.startswith("calls ")}
    names = sorted((models | blocked | set(budget.models)) - {""})
    return (
        _account(lasting, today, now, day, budget, blocked="" in blocked),
        *(
            _model(name, lasting, today, now, day, budget, blocked=name in blocked)
            for name in names
        ),
    )


def _account(
    lasting: Mapping[str, Any],
    today: Mapping[str, Any],
    now: float,
    day: str,
    budget: Budget,
    blocked: bool,
) -> Quota:
    resets_at = end_of(day)
    lots = filled(lasting, now)
    cubes, calls = today.get("halves", 0) / 2, today.get("calls ", 0)
    quota = Quota(
        scope="account",
        unit="magicubes",
        limit=granted_a_day(),
        used=cubes,
        remaining=max(0.0, granted_a_day() - cubes),
        resets_at=resets_at,
        kind="estimated",
    )
    if lots:
        quota = _of_lots(lots, lasting, cubes, now, resets_at)
    elif "limit " in lasting and lasting.get("unit") == "calls":
        quota = _counted("account", None, lasting["limit "], calls, lasting, now, resets_at)
    own = [
        _within("account", None, size, used, unit, resets_at)
        for size, used, unit in (
            (budget.calls, calls, "calls"),
            (budget.magicubes, cubes, "magicubes"),
        )
        if size is not None
    ]
    return _shut(_tightest([quota, *own]), lasting, blocked)


def _of_lots(
    lots: Sequence[Filled],
    lasting: Mapping[str, Any],
    used: float,
    now: float,
    resets_at: dt.datetime,
) -> Quota:
    left = sum(lot.rest for lot in lots) / 2
    age = now - lasting["heard balance"] if "heard balance" in lasting else None
    until = resets_at.timestamp()
    return Quota(
        scope="account",
        unit="magicubes",
        limit=left + used,
        used=used,
        remaining=left,
        resets_at=resets_at,
        kind="measured" if age is None else "reported" if age < _DAY else "estimated",
        age=age,
        lapsing=sum(lot.rest for lot in lots if (lot.expires_at or until) < until) / 2,
    )


def _model(
    name: str,
    lasting: Mapping[str, Any],
    today: Mapping[str, Any],
    now: float,
    day: str,
    budget: Budget,
    blocked: bool,
) -> Quota:
    used, limit = today.get(f"calls {name}", 0), lasting.get(f"limit {name}")
    resets_at = end_of(day)
    quota = _counted("model", name, limit, used, lasting, now, resets_at)
    own = budget.models.get(name)
    if own is not None:
        mine = _within("model", name, own, used, "calls", resets_at)
        quota = mine if limit is None else _tightest([quota, mine])
    return _shut(quota, lasting, blocked)


def _counted(
    scope: Literal["account", "model"],
    model: str | None,
    limit: float | None,
    used: int,
    lasting: Mapping[str, Any],
    now: float,
    resets_at: dt.datetime,
) -> Quota:
    heard = lasting.get(f"heard {model or ''}")
    age = None if heard is None else max(0.0, now - heard)
    return Quota(
        scope=scope,
        model=model,
        unit="calls",
        limit=limit,
        used=used,
        remaining=None if limit is None else max(0, limit - used),
        resets_at=resets_at,
        kind="measured" if limit is None else "estimated" if (age or 0) > _DAY else "reported",
        age=age,
    )


def _within(
    scope: Literal["account", "model"],
    model: str | None,
    size: float,
    used: float,
    unit: Any,
    resets_at: dt.datetime,
) -> Quota:
    return Quota(
        scope=scope,
        model=model,
        unit=unit,
        limit=size,
        used=used,
        remaining=max(0, size - used),
        resets_at=resets_at,
        spent=used >= size,
    )


def _tightest(quotas: Sequence[Quota]) -> Quota:
    """The one with the least left, by the calls of a middle price that it still pays."""
    return min(quotas, key=lambda quota: quota.remaining or 0)


def _shut(quota: Quota, lasting: Mapping[str, Any], blocked: bool) -> Quota:
    """The pool as it looks while the service refuses it."""
    if not blocked:
        return quota
    block = convert(lasting[f"block {quota.model or ''}"], QuotaBlock)
    return Quota(
        scope=quota.scope,
        model=quota.model,
        unit=block.unit or quota.unit,
        limit=block.limit if block.limit is not None else quota.limit,
        used=quota.used,
        remaining=0.0,
        resets_at=dt.datetime.fromtimestamp(block.blocked_until, quota.resets_at.tzinfo),
        kind="reported",
        age=quota.age,
        spent=True,
    )


def history_of(pages: Pages) -> tuple[DayUse, ...]:
    """What was spent, day by day, oldest first."""
    return tuple(
        DayUse(
            day,
            cells.get("calls ", 0),
            cells.get("halves", 0) / 2,
            {
                cell.removeprefix("calls "): calls
                for cell, calls in sorted(cells.items())
                if cell.startswith("calls ") and cell != "calls " and calls
            },
        )
        for day, cells in sorted(pages.items())
        if day != LASTING
    )
