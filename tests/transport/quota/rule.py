"""The rule of the allowance, written a second time: plain, slow, and without the ledger's code.

Amounts are decimals, so that tenths of a Magicube are exact. There is one account. What the ledger
does with cells, programs and stores is no matter here; what it answers is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

PRICE = {
    "discount": Decimal("0.2"),
    "lite": Decimal("0.5"),
    "standard": Decimal(1),
    "ultra": Decimal(2),
    "unheard of": Decimal(1),  # assumed
}
DAY = 86_400
UTC8 = 8 * 3600
GRANT = Decimal(200)


def day_of(now: float) -> int:
    return int((now + UTC8) // DAY)


def midnight_after(now: float) -> float:
    return (day_of(now) + 1) * DAY - UTC8


@dataclass
class Grant:
    """Magicubes that were granted together."""

    order: int
    size: Decimal
    ends: float | None
    spent: Decimal = Decimal(0)

    def left(self) -> Decimal:
        return max(Decimal(0), self.size - self.spent)


@dataclass
class Limits:
    """What the user allows."""

    calls: int | None = None
    magicubes: Decimal | None = None
    of_model: dict[str, int] = field(default_factory=dict)
    keep: Decimal | None = None


@dataclass
class Taken:
    """A call that may be sent."""

    model: str
    price_class: str
    day: int
    at: float
    price: Decimal
    refusals: int
    parts: list[tuple[Grant, Decimal]]


@dataclass
class Block:
    until: float
    is_pause: bool = False


class Rule:
    """One account by the rule."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[int, str]] = Counter()
        self.all_calls: Counter[int] = Counter()
        self.magicubes: Counter[int] = Counter()
        self.classes: Counter[tuple[int, str]] = Counter()
        self.grants: list[Grant] = []
        self.blocks: dict[str, Block] = {}
        self.account_until = 0.0
        self.short: tuple[float, Decimal] | None = None  # until when, from which price on
        self.balance_told_at = float("-inf")
        self.refusals: Counter[str] = Counter()
        self.refused_at: dict[str, float] = {}
        self._order = 0

    # --- what is there

    def alive(self, now: float) -> list[Grant]:
        alive = [grant for grant in self.grants if grant.ends is None or grant.ends > now]
        return sorted(
            alive,
            key=lambda grant: (float("inf") if grant.ends is None else grant.ends, grant.order),
        )

    def left(self, now: float) -> Decimal:
        return sum((grant.left() for grant in self.alive(now)), Decimal(0))

    # --- a call

    def reserve(self, model: str, price_class: str, limits: Limits, now: float) -> Taken | str:
        """The call, or why not: spent, unexplained, budget, kept."""
        own_key = ":" in model
        price = Decimal(0) if own_key else PRICE[price_class]
        day = day_of(now)
        block = self.blocks.get(model)
        if block is not None and block.until > now:
            return "unexplained" if block.is_pause else "spent"
        if not own_key and self.account_until > now:
            return "spent"
        if not own_key and self.short is not None:
            until, from_price = self.short
            if until > now and price >= from_price:
                return "spent"
        if self._beyond(model, price, limits, day):
            return "budget"
        parts = [] if own_key else self._parts(price, limits, day, now)
        if parts is None:
            return "kept"
        for grant, part in parts:
            grant.spent += part
        self.calls[day, model] += 1
        if not own_key:
            self.all_calls[day] += 1
            self.magicubes[day] += price
            self.classes[day, "" if price_class == "unheard of" else price_class] += 1
        if self.refusals[model]:
            self.blocks[model] = Block(now + 60, is_pause=True)
        return Taken(model, price_class, day, now, price, self.refusals[model], parts)

    def _beyond(self, model: str, price: Decimal, limits: Limits, day: int) -> bool:
        own = limits.of_model.get(model)
        if own is not None and self.calls[day, model] + 1 > own:
            return True
        if not price:
            return False
        if limits.calls is not None and self.all_calls[day] + 1 > limits.calls:
            return True
        return limits.magicubes is not None and self.magicubes[day] + price > limits.magicubes

    def _parts(
        self, price: Decimal, limits: Limits, day: int, now: float
    ) -> list[tuple[Grant, Decimal]] | None:
        alive = self.alive(now)
        if not alive:
            left = GRANT - self.magicubes[day]
            if now - self.balance_told_at < DAY:
                left = Decimal(0)
            return None if limits.keep is not None and price > left - limits.keep else []
        kept = Counter[int]()
        keep = limits.keep or Decimal(0)
        for grant in reversed(alive):
            kept[grant.order] = min(keep, grant.left())  # type: ignore[assignment]
            keep -= kept[grant.order]
        parts = []
        for grant in alive:
            part = min(price, grant.left() - kept[grant.order])
            if part > 0:
                parts.append((grant, part))
                price -= part
        return None if price and limits.keep is not None else parts

    def settle(
        self,
        taken: Taken,
        charged: bool | None,
        now: float,
        spent: str | None = None,
        unexplained: bool = False,
    ) -> None:
        """The call's end; ``spent``: model, price or account, as the service said."""
        model = taken.model
        if charged is False:
            self._refund(taken)
        block = self.blocks.get(model)
        if charged and self.refusals[model]:
            del self.refusals[model]
            self.refused_at.pop(model, None)
            if block is not None and block.is_pause:
                del self.blocks[model]
        elif taken.refusals and not unexplained and block and block.is_pause and block.until > now:
            block.until = now
        if spent is not None:
            self._spent(taken, spent, now)
        if unexplained:
            self._unexplained(taken, now)

    def _refund(self, taken: Taken) -> None:
        self.calls[taken.day, taken.model] -= 1
        if not taken.price:
            return
        self.all_calls[taken.day] -= 1
        self.magicubes[taken.day] -= taken.price  # type: ignore[assignment]
        known = "" if taken.price_class == "unheard of" else taken.price_class
        self.classes[taken.day, known] -= 1
        for grant, part in taken.parts:
            grant.spent -= part

    def _spent(self, taken: Taken, what: str, now: float) -> None:
        until = midnight_after(now)
        if what == "model":
            self.blocks[taken.model] = Block(until)
        elif what == "account":
            self.account_until = until
        elif taken.at >= self.balance_told_at and (
            self.short is None or self.short[0] <= now or taken.price < self.short[1]
        ):
            self.short = (min(until, now + 3600), taken.price)

    def _unexplained(self, taken: Taken, now: float) -> None:
        model = taken.model
        if taken.at < self.refused_at.get(model, 0.0):
            return
        block = self.blocks.get(model)
        if block is not None and not block.is_pause and block.until > now:
            return
        self.refusals[model] += 1
        self.refused_at[model] = now
        pause = min(900.0, 5.0 * 2 ** (self.refusals[model] - 1))
        self.blocks[model] = Block(now + pause, is_pause=True)

    # --- what the service grants and says

    def grant(self, size: Decimal, ends: float | None, now: float) -> None:
        """Magicubes come in: what was spent is open again."""
        self.grants = self.alive(now)
        self._order += 1
        self.grants.append(Grant(self._order, size, ends))
        self.account_until = 0.0
        self.short = None

    def report(self, balance: Decimal, now: float) -> None:
        """The service says what is left."""
        self.grants = self.alive(now)
        more = balance - self.left(now)
        if more > 0:
            self._order += 1
            self.grants.append(Grant(self._order, more, None))
        for grant in self.grants:
            part = min(max(Decimal(0), -more), grant.left())
            grant.spent += part
            more += part
        self.balance_told_at = now
        if balance > 0:
            self.account_until = 0.0
        if self.short is not None:
            still = balance < self.short[1]
            self.short = (now + 3600, balance + Decimal("0.1")) if still else None
