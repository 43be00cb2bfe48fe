"""What is left, as the ledger sees it, without a request.

Laws of this file: units are never mixed, and only what the service itself has said is "reported".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ..language import translated as _
from ..shown import table_html
from .allowance import end_of, granted_a_day
from .books import amount, hour
from .budget import Budget
from .cells import (
    ACCOUNT,
    BALANCE,
    BLOCKED_UNTIL,
    CALLS,
    CLASS_CALLS,
    LIMIT,
    MAGICUBES,
    OBSERVED_AT,
    PRICE,
    UNIT,
)
from .evidence import is_misdated
from .lots import TOLD, Filled, filled, is_told
from .program import block_in
from .steps import LASTING, Pages

__all__ = ["Balance", "Quota", "Quotas", "quotas_of"]


class Quota(Struct, frozen=True, kw_only=True):
    """One pool of the allowance, as far as it is known.

    Attributes:
        scope: ``"account"`` or ``"model"``.
        model: model ID, where the pool is a model's.
        unit: ``"calls"`` or ``"magicubes"``.
        limit: size of the pool; ``None`` where it is not known.
        used: what all that share the ledger spent today and, as far as replies said, others.
        remaining: what is left.
        resets_at: when it comes back, with a time zone; of Magicubes, when more may come at the
            earliest, see ``returns``.
        returns: ``"by itself"``: at ``resets_at``; ``"with a sign-in"``: Magicubes are granted
            when their owner signs in on the website (public client notes, 2026-10-06).
        kind: ``"measured"``: counted here, against a limit of the user's own or none;
            ``"reported"``: the service said the limit or the balance, and what was spent since is
            counted here; ``"estimated"``: the limit is only that of the published rules.
        age: seconds since the service said it; ``None`` where it did not.
        spent: whether all its calls are refused now.
        refused_from: Magicubes; calls of this price or above are refused now, cheaper ones are not.
        lapsing: Magicubes that expire unspent before ``resets_at``.
        unpriced: calls of today whose price is not known; ``used`` holds an assumption for each.
    """

    scope: Literal["account", "model"]
    unit: Literal["calls", "magicubes"]
    used: float
    resets_at: dt.datetime
    returns: Literal["by itself", "with a sign-in"] = "by itself"
    model: str | None = None
    limit: float | None = None
    remaining: float | None = None
    kind: Literal["measured", "reported", "estimated"] = "measured"
    age: float | None = None
    spent: bool = False
    refused_from: float | None = None
    lapsing: float = 0.0
    unpriced: int = 0

    def _repr_html_(self) -> str:
        """The pool as a table, for notebooks."""
        return Quotas((self,))._repr_html_()


class Quotas(tuple[Quota, ...]):
    """Pools that show themselves; a tuple in every other way."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """The pools as a table, for notebooks."""
        head = (_("pool"), _("used"), _("of"), _("left"), _("unit"), _("comes back"))
        return table_html(_("Allowance of this token"), head, [_cells(quota) for quota in self])


def _cells(quota: Quota) -> tuple[str, ...]:
    return (
        quota.model or _("account"),
        amount(quota.used),
        amount(quota.limit),
        _("spent") if quota.spent else amount(quota.remaining),
        _("Magicubes") if quota.unit == "magicubes" else _("calls"),
        hour(quota.resets_at),
    )


class Balance(Struct, frozen=True, kw_only=True):
    """The account's Magicubes, as the service says them.

    Attributes:
        available: what can be spent.
        total: that and what is frozen.
        frozen: held for calls that run: above 0 during each of them (recorded 2026-10).
    """

    available: float
    total: float
    frozen: float = 0.0


class _View(NamedTuple):
    """The pages of an account at a moment."""

    lasting: Mapping[str, Any]
    today: Mapping[str, Any]
    now: float
    resets_at: dt.datetime

    def is_blocked(self, pool: str) -> bool:
        is_shut: bool = self.lasting.get(BLOCKED_UNTIL.name(pool), 0.0) > self.now
        return is_shut and not is_misdated(pool, self.lasting, self.now)

    def age(self, pool: str) -> float | None:
        observed = self.lasting.get(OBSERVED_AT.name(pool))
        return None if observed is None else max(0.0, self.now - observed)


def quotas_of(pages: Pages, now: float, day: str, budget: Budget) -> Quotas:
    """The account's pools, then those of its models that were asked today or are spent."""
    view = _View(pages.get(LASTING, {}), pages.get(day, {}), now, end_of(day))
    blocked = {pool for (pool,), until in BLOCKED_UNTIL.all_in(view.lasting) if until > now}
    models = {pool for (pool,), _calls in CALLS.all_in(view.today)}
    names = sorted((models | blocked | set(budget.models)) - {ACCOUNT, BALANCE})
    return Quotas([*_account(view, budget), *(_model(name, view, budget) for name in names)])


def _account(view: _View, budget: Budget) -> list[Quota]:
    """The account's pool and, where the user's own limit is in another unit, that limit."""
    lots = filled(view.lasting, view.now)
    magicubes = view.today.get(MAGICUBES.word, 0) / 10
    calls = view.today.get(CALLS.name(ACCOUNT), 0)
    by_calls = view.lasting.get(UNIT.word) == "calls"
    if by_calls and not lots:
        quota = _counted(None, view.lasting.get(LIMIT.name(ACCOUNT)), calls, view)
    elif lots or is_told(view.lasting, view.now):
        quota = _of_lots(lots, view, magicubes)
    else:
        quota = Quota(
            scope="account",
            unit="magicubes",
            limit=granted_a_day(),
            used=magicubes,
            remaining=max(0.0, granted_a_day() - magicubes),
            resets_at=view.resets_at,
            returns="with a sign-in",
            kind="estimated",
            unpriced=view.today.get(CLASS_CALLS.name(""), 0),
        )
    quota = _while_blocked(quota, ACCOUNT, view)
    pools = [_while_short(quota, view)]
    if budget.calls is not None:
        pools.append(_own_limit(None, budget.calls, calls, "calls", view))
    if budget.magicubes is not None:
        pools.append(_own_limit(None, budget.magicubes, magicubes, "magicubes", view))
    units = dict.fromkeys(pool.unit for pool in pools)
    each = [_tightest([pool for pool in pools if pool.unit == unit]) for unit in units]
    return sorted(each, key=lambda pool: not pool.spent)


def _of_lots(lots: Sequence[Filled], view: _View, used: float) -> Quota:
    left = sum(lot.rest for lot in lots) / 10
    age = view.age(BALANCE)
    ends = [lot.expires_at for lot in lots if lot.expires_at is not None]
    due = dt.datetime.fromtimestamp(min(ends), view.resets_at.tzinfo) if ends else view.resets_at
    until = view.resets_at.timestamp()
    return Quota(
        scope="account",
        unit="magicubes",
        limit=left + used,
        used=used,
        remaining=left,
        resets_at=due,
        returns="with a sign-in",
        kind="measured" if age is None else "reported" if age < TOLD else "estimated",
        age=age,
        lapsing=sum(lot.rest for lot in lots if (lot.expires_at or until) < until) / 10,
        unpriced=view.today.get(CLASS_CALLS.name(""), 0),
    )


def _model(name: str, view: _View, budget: Budget) -> Quota:
    used, limit = view.today.get(CALLS.name(name), 0), view.lasting.get(LIMIT.name(name))
    quota = _while_blocked(_counted(name, limit, used, view), name, view)
    own = budget.models.get(name)
    if own is None:
        return quota
    mine = _own_limit(name, own, used, "calls", view)
    return mine if quota.remaining is None else _tightest([quota, mine])


def _counted(model: str | None, limit: float | None, used: int, view: _View) -> Quota:
    age = view.age(model or ACCOUNT)
    return Quota(
        scope="model" if model else "account",
        model=model,
        unit="calls",
        limit=limit,
        used=used,
        remaining=None if limit is None else max(0, limit - used),
        resets_at=view.resets_at,
        kind="measured" if limit is None else "estimated" if (age or 0) > TOLD else "reported",
        age=age,
    )


def _own_limit(
    model: str | None, size: float, used: float, unit: Literal["calls", "magicubes"], view: _View
) -> Quota:
    """A limit of the user's budget as a pool: a model's, or the account's."""
    return Quota(
        scope="model" if model else "account",
        model=model,
        unit=unit,
        limit=size,
        used=used,
        remaining=max(0, size - used),
        resets_at=view.resets_at,
        spent=used >= size,
    )


def _tightest(quotas: Sequence[Quota]) -> Quota:
    """Of pools in one unit, the one with the least left; an unknown number counts as plenty."""
    return min(quotas, key=lambda quota: quota.remaining if quota.remaining is not None else 1e18)


def _while_blocked(quota: Quota, pool: str, view: _View) -> Quota:
    """The pool as it looks while the service refuses all its calls."""
    if not view.is_blocked(pool):
        return quota
    block = block_in(view.lasting, pool, view.now)
    if block.unit is not None and block.unit != quota.unit:
        # What was counted in another unit says nothing of this one.
        used = view.today.get(CALLS.name(pool), 0) if block.unit == "calls" else 0.0
        quota = replace(quota, unit=block.unit, used=used, limit=None, age=None, unpriced=0)
        quota = replace(quota, lapsing=0.0, returns="by itself")
    if block.limit is None:
        block = replace(block, limit=quota.limit)
    return replace(
        quota,
        limit=block.limit,
        used=block.within_limit(quota.used),
        remaining=0.0,
        resets_at=dt.datetime.fromtimestamp(block.blocked_until, quota.resets_at.tzinfo),
        kind="reported",
        spent=True,
    )


def _while_short(quota: Quota, view: _View) -> Quota:
    """The account's pool while the balance does not pay every price."""
    if not view.is_blocked(BALANCE):
        return quota
    block = block_in(view.lasting, BALANCE, view.now)
    price: int = view.lasting.get(PRICE.name(BALANCE), 0)
    left = max(0, price - 1) / 10
    used = quota.used if quota.unit == "magicubes" else view.today.get(MAGICUBES.word, 0) / 10
    due = block.blocked_until if block.comes_at is None else block.comes_at
    return replace(
        quota,
        unit="magicubes",
        used=used,
        limit=None,
        remaining=left if quota.unit == "calls" else min(left, quota.remaining or 0.0),
        resets_at=dt.datetime.fromtimestamp(due, quota.resets_at.tzinfo),
        returns="with a sign-in",
        kind="reported",
        spent=left == 0,
        refused_from=price / 10,
    )
