"""The ledger against the rule, written twice: whatever happens, both answer the same."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from modelscope_transport.quota import (
    Budget,
    Closing,
    Ledger,
    Lot,
    QuotaBlock,
    RedisLedger,
    Reservation,
    SQLiteLedger,
    next_reset,
)
from modelscope_transport.quota.memory import MemoryStore
from tests.transport.quota import rule
from tests.transport.quota.clockwork import Hands
from tests.transport.quota.redis_server import RedisServer

MODELS = ("Qwen/Qwen3-8B", "ZhipuAI/GLM-4.7-Flash", "Qwen/Qwen3-8B:DashScope")
CLASSES = tuple(rule.PRICE)
STEPS = 100


class Pair:
    """An account, in a ledger that several handles share and by the rule."""

    def __init__(
        self, chance: random.Random, clock: Hands, open_one: Callable[[], Ledger], account: str
    ) -> None:
        self.chance = chance
        self.clock = clock
        self.open_one = open_one
        self.account = account
        self.handles = [open_one() for _ in range(3)]
        self.rule = rule.Rule()
        self.open: list[tuple[Reservation, rule.Taken]] = []

    def handle(self) -> Ledger:
        return self.chance.choice(self.handles)

    def limits(self) -> tuple[Budget, rule.Limits]:
        chance, budget, limits = self.chance, dict[str, Any](), rule.Limits()
        if chance.random() < 0.15:
            budget["calls"] = limits.calls = chance.randrange(20)
        if chance.random() < 0.15:
            amount = chance.randrange(200)
            budget["magicubes"], limits.magicubes = amount / 10, Decimal(amount) / 10
        if chance.random() < 0.15:
            model = chance.choice(MODELS)
            limits.of_model = {model: chance.randrange(10)}
            budget["models"] = dict(limits.of_model)
        if chance.random() < 0.15:
            amount = chance.choice((0, 5, 30, 1990))
            budget["keep"], limits.keep = amount / 10, Decimal(amount) / 10
        return Budget(**budget), limits

    # --- one step each

    def reserve(self) -> None:
        model, price_class = self.chance.choice(MODELS), self.chance.choice(CLASSES)
        budget, limits = self.limits()
        answer = self.handle().reserve(self.account, model, tier=price_class, budget=budget)
        taken = self.rule.reserve(model, price_class, limits, self.clock())
        if isinstance(answer, QuotaBlock):
            assert answer.reason == taken
            return
        assert isinstance(taken, rule.Taken), taken
        self.open.append((answer, taken))

    def settle(self) -> None:
        if not self.open:
            return
        reservation, taken = self.open.pop(self.chance.randrange(len(self.open)))
        handle, now = self.handle(), self.clock()
        handle.blocked(self.account, taken.model)  # a stale handle may end a pause a moment later
        outcome = self.chance.choice(("good",) * 4 + ("lost", "failed", "unexplained", "spent"))
        if outcome in ("good", "lost", "failed"):
            charged = {"good": True, "lost": None, "failed": False}[outcome]
            handle.settle(reservation, Closing(charged=charged))
            self.rule.settle(taken, charged, now)
        elif outcome == "unexplained":
            handle.settle(reservation, Closing(charged=False, unexplained="?"))
            self.rule.settle(taken, False, now, unexplained=True)
        else:
            self.settle_spent(handle, reservation, taken, now)

    def settle_spent(
        self, handle: Ledger, reservation: Reservation, taken: rule.Taken, now: float
    ) -> None:
        what = self.chance.choice(("model", "price", "account") if taken.price else ("model",))
        block = QuotaBlock(
            scope="model" if what == "model" else "account",
            model=taken.model if what == "model" else None,
            blocked_until=next_reset(now).timestamp(),
            price=float(taken.price) if what == "price" else None,
            unit="magicubes" if what == "price" else None,
        )
        handle.settle(reservation, Closing(charged=False, block=block))
        self.rule.settle(taken, False, now, spent=what)

    def grant(self) -> None:
        now, amount = self.clock(), self.chance.randrange(1, 300)
        ends = now + self.chance.choice((3600, 86_400)) if self.chance.random() < 0.8 else None
        self.handle().grant(self.account, Lot(amount=amount / 10, expires_at=ends))
        self.rule.grant(Decimal(amount) / 10, ends, now)

    def report(self) -> None:
        amount = self.chance.choice((0, 1, 4, 10, 50, 200, 1000))
        self.handle().report(self.account, amount / 10)
        self.rule.report(Decimal(amount) / 10, self.clock())

    def pass_time(self) -> None:
        self.clock.now += self.chance.choice((0.5, 3, 10, 70, 900, 3700, 30_000))

    def restart(self) -> None:
        self.handles[self.chance.randrange(3)] = self.open_one()

    def step(self) -> None:
        moves = (self.reserve,) * 8 + (self.settle,) * 6 + (self.pass_time,) * 3
        self.chance.choice((*moves, self.grant, self.report, self.restart))()

    def compare(self) -> None:
        ledger, now = self.handle(), self.clock()
        left = ledger.statement(self.account).balance
        assert (left or 0.0) == float(self.rule.left(now))
        day = rule.day_of(now)
        (use,) = ledger.history(self.account, 1) or (None,)
        if use is None:
            assert not self.rule.all_calls[day]
            return
        assert use.calls == self.rule.all_calls[day]
        assert use.magicubes == float(self.rule.magicubes[day])
        assert use.models == {
            model: count for (of, model), count in self.rule.calls.items() if of == day and count
        }
        assert use.classes == {
            name: count for (of, name), count in self.rule.classes.items() if of == day and count
        }


def play(seed: int, open_one: Callable[[Hands], Ledger], account: str) -> None:
    chance, clock = random.Random(seed), Hands()
    pair = Pair(chance, clock, lambda: open_one(clock), account)
    for number in range(1, STEPS + 1):
        pair.step()
        if number % 10 == 0:
            pair.compare()


def sequences(default: int) -> int:
    """How many sequences are played; ``make fuzz`` asks for more."""
    return max(default, int(os.environ.get("LEDGER_SEQUENCES", "0")))


@pytest.mark.timeout(600)
def test_in_memory() -> None:
    for seed in range(sequences(2000)):
        store = MemoryStore()
        play(seed, lambda clock, store=store: Ledger(store, clock), "me")  # type: ignore[misc]


def test_in_a_file(tmp_path: Any) -> None:
    opened: list[Ledger] = []

    def open_one(clock: Hands) -> Ledger:
        opened.append(SQLiteLedger(tmp_path / "ledger.sqlite3", clock))
        return opened[-1]

    for seed in range(sequences(60)):
        play(seed, open_one, f"account-{seed}")
        while opened:
            opened.pop().close()


def test_in_a_redis(redis_server: RedisServer) -> None:
    pytest.importorskip("redis", reason="the extra [redis] is not installed")
    opened: list[Ledger] = []

    def open_one(clock: Hands) -> Ledger:
        opened.append(RedisLedger(redis_server.url, clock=clock))
        return opened[-1]

    for seed in range(sequences(30)):
        play(seed, open_one, f"rule-{seed}")
        while opened:
            opened.pop().close()
