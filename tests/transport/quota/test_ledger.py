"""What holds for every ledger, wherever it keeps its numbers."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from modelscope_transport import ConfigurationError
from modelscope_transport.quota import (
    UTC8,
    Allowance,
    Budget,
    Closing,
    Ledger,
    Lot,
    MemoryLedger,
    Quota,
    QuotaBlock,
    Reservation,
    next_reset,
)
from modelscope_transport.quota.memory import MemoryStore
from modelscope_transport.quota.plan import binding
from modelscope_transport.quota.steps import Ran, Step
from tests.transport.quota.clockwork import MORNING, Hands

QWEN, GLM = "Qwen/Qwen3-8B", "ZhipuAI/GLM-4.7-Flash"
HOUR = 3600.0


def leave(ledger: Ledger, account: str, model: str = QWEN, **how: object) -> Reservation:
    given = ledger.reserve(account, model, **how)  # type: ignore[arg-type]
    assert isinstance(given, Reservation), given
    return given


def spend(ledger: Ledger, account: str, model: str = QWEN, **how: object) -> None:
    ledger.settle(leave(ledger, account, model, **how), Closing(charged=True))


def refusal(ledger: Ledger, account: str, model: str = QWEN, **how: object) -> QuotaBlock:
    block = ledger.reserve(account, model, **how)  # type: ignore[arg-type]
    assert isinstance(block, QuotaBlock), block
    return block


def spent(scope: str, model: str | None = None) -> QuotaBlock:
    until = next_reset(MORNING).timestamp()
    return QuotaBlock(scope=scope, model=model, blocked_until=until, unit="calls")  # type: ignore[arg-type]


def of_account(ledger: Ledger, account: str, budget: Budget | None = None) -> Quota:
    return ledger.quotas(account, budget)[0]


def of_model(ledger: Ledger, account: str, model: str = QWEN) -> Quota:
    return next(quota for quota in ledger.quotas(account) if quota.model == model)


def test_a_thread_that_flushes_what_was_deferred_may_find_that_another_has_done_so() -> None:
    class Contended(deque[Step]):
        """Whenever one step is taken here, another thread takes the next."""

        def popleft(self) -> Step:
            step = super().popleft()
            if self:
                super().popleft()
            return step

    ledger = MemoryLedger()
    spend(ledger, "somebody")
    runner = ledger._books.runner
    deferred = runner.deferred["somebody"] = Contended([*runner.deferred["somebody"]] * 3)

    leave(ledger, "somebody")  # the first thing it does is to flush

    assert not deferred


def test_a_refusal_is_told_although_another_thread_ends_it_meanwhile() -> None:
    class Busy(MemoryStore):
        """Once a program has failed here, another thread comes first."""

        other: Callable[[], None] | None = None

        def run(self, *program: Any) -> Ran:
            ran, other = super().run(*program), self.other
            if ran.failed is not None and other is not None:
                self.other = None
                other()
            return ran

    store = Busy()
    ledger = Ledger(store, Hands())
    early = leave(ledger, "somebody")
    refuse(ledger, "somebody")
    store.other = lambda: ledger.settle(early, Closing(charged=True))
    assert refusal(ledger, "somebody").reason == "unexplained"
    leave(ledger, "somebody")


# ------------------------------------------------------------------------------- spent pools


def test_a_models_spent_day_leaves_the_other_models_alone(ledger: Ledger, account: str) -> None:
    ledger.settle(leave(ledger, account), Closing(charged=False, block=spent("model", QWEN)))

    assert refusal(ledger, account).blocked_until == datetime(2026, 11, 23, tzinfo=UTC8).timestamp()
    spend(ledger, account, GLM)


def test_a_spent_account_refuses_every_model_but_those_a_provider_serves(
    ledger: Ledger, account: str
) -> None:
    ledger.settle(leave(ledger, account), Closing(charged=False, block=spent("account")))

    assert refusal(ledger, account, GLM).scope == "account"
    spend(ledger, account, f"{QWEN}:DashScope")


def test_a_spent_pool_opens_at_its_reset_to_the_second(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    ledger.settle(leave(ledger, account), Closing(charged=False, block=spent("model", QWEN)))

    clock.now = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC8).timestamp()
    refusal(ledger, account)
    clock.now = datetime(2026, 11, 23, tzinfo=UTC8).timestamp()
    spend(ledger, account)


def test_what_one_object_learnt_another_knows(
    open_again: Callable[[], Ledger], account: str
) -> None:
    one, other = open_again(), open_again()
    one.settle(leave(one, account), Closing(charged=False, block=spent("account")))

    assert refusal(other, account).scope == "account"
    assert other.blocked(account, GLM) == replace(spent("account"), wait=14 * HOUR)
    leave(other, "somebody else")


def test_the_first_ledger_in_a_new_place_knows_nothing(ledger: Ledger, account: str) -> None:
    assert ledger.blocked(account, QWEN) is None
    assert ledger.history(account) == ()
    assert of_account(ledger, account).used == 0


def test_forgetting_opens_everything(ledger: Ledger, account: str) -> None:
    ledger.settle(leave(ledger, account), Closing(charged=False, block=spent("account")))
    ledger.forget(account)
    spend(ledger, account)
    assert of_account(ledger, account).used == 1


@pytest.mark.parametrize("charged", [True, False, None])
def test_a_call_that_is_forgotten_on_its_way_leaves_no_count_below_nothing(
    ledger: Ledger, account: str, charged: bool | None
) -> None:
    given = leave(ledger, account, tier="lite")
    ledger.forget(account)
    ledger.settle(given, Closing(charged=charged))

    (quota, *_models) = ledger.quotas(account)
    assert (quota.used, quota.unit) == (0, "magicubes")
    spend(ledger, account, tier="lite")
    cells = ledger.export()[account][given.day]
    assert min(cells.values()) >= 0
    assert of_model(ledger, account).used == 1


def test_of_a_spent_pool_no_more_is_used_than_it_had(ledger: Ledger, account: str) -> None:
    first, *_others, last = [leave(ledger, account) for _ in range(5)]  # all at once
    block = QuotaBlock(
        scope="model", model=QWEN, blocked_until=MORNING + HOUR, limit=2, unit="calls"
    )
    ledger.settle(first, Closing(charged=False, block=block))

    assert refusal(ledger, account).used == 2
    assert of_model(ledger, account).used == 2
    assert last.used(block) == 2


# ---------------------------------------------------------------------------- one reservation


def test_account_model_and_weight_are_charged_together(ledger: Ledger, account: str) -> None:
    spend(ledger, account, QWEN, tier="lite")
    spend(ledger, account, GLM, tier="ultra")
    spend(ledger, account, GLM)

    (day,) = ledger.history(account)
    assert (day.day, day.calls, day.magicubes) == ("2026-11-22", 3, 3.5)
    assert day.models == {QWEN: 1, GLM: 2}


def test_a_refused_reservation_charges_nothing_at_all(ledger: Ledger, account: str) -> None:
    budget = Budget(calls=5, models={QWEN: 1})
    spend(ledger, account, budget=budget)

    assert refusal(ledger, account, budget=budget).scope == "model"

    assert of_account(ledger, account).used == 1
    assert of_model(ledger, account).used == 1


def test_a_refund_restores_every_pool_exactly(ledger: Ledger, account: str) -> None:
    ledger.grant(account, Lot(amount=1, expires_at=MORNING + HOUR), Lot(amount=10))
    spend(ledger, account, tier="lite")
    before = ledger.quotas(account)

    ledger.settle(leave(ledger, account, tier="ultra"), Closing(charged=False))

    assert ledger.quotas(account) == before


def test_a_call_whose_fate_nobody_knows_stays_spent(ledger: Ledger, account: str) -> None:
    ledger.settle(leave(ledger, account), Closing(charged=None))
    assert of_account(ledger, account).used == 1


def test_a_process_that_died_before_it_could_settle_has_spent(
    open_again: Callable[[], Ledger], account: str
) -> None:
    leave(open_again(), account)
    assert of_account(open_again(), account).used == 1


def test_a_call_over_midnight_is_settled_on_its_own_day(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    given = leave(ledger, account)
    clock.now += 24 * HOUR
    ledger.settle(given, Closing(charged=False))

    assert [(day.day, day.calls) for day in ledger.history(account)] == [("2026-11-22", 0)]


# ------------------------------------------------------------------------ the user's own limits


def test_without_a_budget_the_ledger_only_advises(ledger: Ledger, account: str) -> None:
    for _ in range(250):  # more than a day's grant
        spend(ledger, account)
    assert of_account(ledger, account).remaining == 0


def test_a_budget_of_calls_is_kept_by_all(open_again: Callable[[], Ledger], account: str) -> None:
    one, other, budget = open_again(), open_again(), Budget(calls=3)
    spend(one, account, budget=budget)
    spend(other, account, GLM, budget=budget)
    spend(one, account, budget=budget)

    block = refusal(other, account, budget=budget)
    assert (block.reason, block.limit, block.unit) == ("budget", 3, "calls")
    spend(other, account)  # who set no budget is not bound by another's


def test_a_budget_of_magicubes_counts_every_price_class(ledger: Ledger, account: str) -> None:
    budget = Budget(magicubes=1.5)
    spend(ledger, account, tier="standard", budget=budget)
    refusal(ledger, account, tier="standard", budget=budget)
    spend(ledger, account, tier="lite", budget=budget)
    assert refusal(ledger, account, tier="lite", budget=budget).unit == "magicubes"


@pytest.mark.parametrize("limit", [-1, math.nan, math.inf, 1e308, "3", True, Decimal(2), [1]])
@pytest.mark.parametrize("name", ["calls", "magicubes", "keep", "models"])
def test_a_budget_that_is_no_number_is_refused_at_once(name: str, limit: Any) -> None:
    limits: dict[str, Any] = {name: {QWEN: limit} if name == "models" else limit}
    with pytest.raises(ConfigurationError, match=rf"^{name}.* of a Budget must be a number"):
        Budget(**limits)


@pytest.mark.parametrize("models", [None, [QWEN], QWEN])
def test_the_models_of_a_budget_are_a_mapping(models: Any) -> None:
    with pytest.raises(ConfigurationError, match="models of a Budget must be a mapping"):
        Budget(models=models)


def test_a_budget_is_what_it_was_when_it_was_made(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    limits = {QWEN: 1}
    budget = Budget(models=limits)
    spend(ledger, account, budget=budget)
    limits[QWEN] = 5
    for _ in range(2):
        refusal(ledger, account, budget=budget)
        clock.now += HOUR  # long enough for any plan of a call to be made anew


def test_a_budget_of_nothing_and_of_very_much_are_budgets(ledger: Ledger, account: str) -> None:
    refusal(ledger, account, budget=Budget(calls=0))
    refusal(ledger, account, budget=Budget(models={QWEN: 0}))
    spend(ledger, account, budget=Budget(calls=10**15, magicubes=10**15, models={QWEN: 10**15}))
    refusal(ledger, account, budget=Budget(keep=10**15))


def test_a_model_that_costs_money_has_a_cap_of_its_own(ledger: Ledger, account: str) -> None:
    paid = f"{QWEN}:DashScope"
    budget = Budget(models={paid: 1})
    spend(ledger, account, paid, budget=budget)
    assert refusal(ledger, account, paid, budget=budget).model == paid
    spend(ledger, account, QWEN, budget=budget)


def test_a_batch_stops_where_others_begin(ledger: Ledger, account: str) -> None:
    """With a reserve of 50 the batch stops at 50 left, and interactive calls pass."""
    ledger.grant(account, Lot(amount=100, expires_at=MORNING + HOUR), Lot(amount=20))
    batch = Budget(keep=50)
    calls = 0
    while isinstance(ledger.reserve(account, QWEN, budget=batch), Reservation):
        calls += 1

    assert calls == 70
    assert of_account(ledger, account).remaining == 50
    spend(ledger, account)
    refusal(ledger, account, budget=batch)


@pytest.mark.parametrize(("keep", "calls"), [(0, 10), (4, 6), (10, 0)])
def test_a_reserve_is_kept_of_the_number_that_the_service_told(
    ledger: Ledger, account: str, keep: int, calls: int
) -> None:
    told = Allowance(account_limit=11, account_remaining=10)
    ledger.settle(leave(ledger, account), Closing(charged=True, allowance=told))

    passed = 0
    while isinstance(ledger.reserve(account, QWEN, budget=Budget(keep=keep)), Reservation):
        passed += 1
    assert passed == calls


def test_a_reserve_is_kept_of_the_published_grant_where_nothing_is_known(
    ledger: Ledger, account: str
) -> None:
    budget = Budget(keep=197)
    for _ in range(3):
        spend(ledger, account, budget=budget)
    refusal(ledger, account, budget=budget)


def test_a_balance_of_nothing_leaves_nothing_beside_a_reserve(ledger: Ledger, account: str) -> None:
    budget = Budget(keep=0)
    ledger.report(account, 0.0)
    block = refusal(ledger, account, budget=budget)
    assert (block.reason, block.unit, block.ask) == ("kept", "magicubes", "balance")
    ledger.report(account, 1.0)
    spend(ledger, account, budget=budget)
    refusal(ledger, account, budget=budget)


def test_a_reserve_of_magicubes_is_not_one_of_the_calls_that_were_told_before(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    """The account has gone over from calls a day to Magicubes, and its grant has lapsed."""
    told = Allowance(account_limit=2000, account_remaining=1999)
    ledger.settle(leave(ledger, account), Closing(charged=True, allowance=told))
    clock.now += 48 * HOUR
    ledger.grant(account, Lot(amount=5, expires_at=clock.now + HOUR))
    ledger.report(account, 5.0)
    clock.now += 48 * HOUR
    budget, calls = Budget(keep=190), 0
    while isinstance(ledger.reserve(account, QWEN, tier="ultra", budget=budget), Reservation):
        calls += 1
    assert calls == 5
    assert refusal(ledger, account, tier="ultra", budget=budget).unit == "magicubes"


def test_a_balance_without_an_end_ends_where_the_service_counts_calls_again(
    ledger: Ledger, account: str
) -> None:
    ledger.report(account, 7.0)
    assert of_account(ledger, account).remaining == 7
    told = Allowance(account_limit=2000, account_remaining=1999)
    ledger.settle(leave(ledger, account), Closing(charged=True, allowance=told))
    quota = of_account(ledger, account)
    assert (quota.unit, quota.remaining) == ("calls", 1999)
    ledger.report(account, 3.0)
    quota = of_account(ledger, account)
    assert (quota.unit, quota.remaining) == ("magicubes", 3)


def test_a_limit_in_another_unit_than_the_services_stands_beside_it(
    ledger: Ledger, account: str
) -> None:
    """30 calls are more than 20 Magicubes for a dear model, and fewer for a cheap one."""
    ledger.report(account, 20.0)
    budget = Budget(calls=30)
    told, own, *_models = ledger.quotas(account, budget)
    assert (told.unit, told.remaining) == ("magicubes", 20)
    assert (own.unit, own.remaining, own.limit) == ("calls", 30, 30)
    assert binding((told, own), QWEN, price=10).unit == "magicubes"
    assert binding((told, own), QWEN, price=5).unit == "calls"

    for _ in range(30):
        spend(ledger, account, tier="lite", budget=budget)
    own, told, *_models = ledger.quotas(account, budget)
    assert (own.unit, own.spent, told.spent) == ("calls", True, False)


# -------------------------------------------------------------- refusals without a reason


def refuse(ledger: Ledger, account: str, words: str = "") -> None:
    ledger.settle(leave(ledger, account), Closing(charged=False, unexplained=words))


def test_an_unexplained_refusal_makes_a_pause_that_doubles_up_to_a_quarter_of_an_hour(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    for pause in (5, 10, 20, 40, 80, 160, 320, 640, 900, 900):
        refuse(ledger, account, "no reason given")
        block = refusal(ledger, account)
        assert (block.reason, block.blocked_until) == ("unexplained", clock.now + pause)
        assert block.server_message == "no reason given"
        spend(ledger, account, GLM)
        clock.now += pause


def test_at_the_end_of_a_pause_one_process_tries(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    one, other = open_again(), open_again()
    refuse(one, account, "no reason given")
    assert not refusal(other, account).pending
    clock.now += 5

    trial = leave(one, account)
    block = refusal(other, account)
    assert (block.reason, block.pending, block.wait) == ("unexplained", True, 1)
    assert block.server_message == "no reason given"
    other.settle(leave(other, account, GLM), Closing(charged=True))
    one.settle(trial, Closing(charged=True))

    assert [leave(who, account).refusals for who in (other, one, other)] == [0, 0, 0]


def test_a_trial_that_is_refused_makes_a_pause_that_is_no_trial(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    refuse(ledger, account)
    clock.now += 5
    refuse(ledger, account)
    block = refusal(ledger, account)
    assert (block.pending, block.wait) == (False, 10)


def test_a_trial_that_dies_or_shows_nothing_leaves_the_next_one_to_others(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    one, other = open_again(), open_again()
    refuse(one, account)
    clock.now += 5
    leave(one, account)  # its process dies

    assert refusal(other, account).blocked_until == clock.now + 60
    clock.now += 60
    trial = leave(other, account)
    other.settle(trial, Closing(charged=None))  # a time-out

    assert leave(one, account).refusals == 1


def test_a_trial_that_a_fast_clock_has_dated_ahead_is_nobodys(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    one, other = open_again(), open_again()
    refuse(one, account)
    clock.now += HOUR
    leave(one, account)  # its process dies
    clock.now -= HOUR - 5
    assert other.blocked(account, QWEN) is None
    assert leave(other, account).refusals == 1
    assert refusal(one, account).blocked_until == clock.now + 60


@pytest.mark.parametrize("what", ["model", "account", "price"])
def test_a_spent_pool_that_a_fast_clock_has_dated_ahead_is_tried_by_others(
    open_again: Callable[[], Ledger], account: str, clock: Hands, what: str
) -> None:
    one, other = open_again(), open_again()
    leave(other, account)
    clock.now += 30 * 24 * HOUR
    block = replace(
        spent("model", QWEN) if what == "model" else spent("account"),
        blocked_until=next_reset(clock.now).timestamp(),
        unit="magicubes" if what == "price" else "calls",
        price=1.0 if what == "price" else None,
    )
    one.settle(leave(one, account), Closing(charged=False, block=block))
    refusal(one, account)
    clock.now -= 30 * 24 * HOUR
    assert other.blocked(account, QWEN) is None
    assert not of_account(other, account).spent
    for ledger in (one, other):
        on_its_way = leave(ledger, account)
    block = replace(block, blocked_until=next_reset(clock.now).timestamp())
    other.settle(on_its_way, Closing(charged=False, block=block))
    assert refusal(one, account).blocked_until <= block.blocked_until


def test_any_success_ends_a_pause_for_all(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    one, other = open_again(), open_again()
    on_its_way = leave(one, account)
    clock.now += 1
    refuse(other, account)
    clock.now += 1
    one.settle(on_its_way, Closing(charged=True))

    assert leave(one, account).refusals == 0
    assert leave(other, account).refusals == 0


def test_a_success_begins_the_pauses_anew(ledger: Ledger, account: str, clock: Hands) -> None:
    for _ in range(3):
        for pause in (5, 10):
            refuse(ledger, account)
            assert refusal(ledger, account).blocked_until == clock.now + pause
            clock.now += pause
        spend(ledger, account)


def test_a_pause_does_not_open_a_model_whose_day_is_spent(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    burst = [leave(ledger, account) for _ in range(3)]
    ledger.settle(burst[0], Closing(charged=False, block=spent("model", QWEN)))
    ledger.settle(burst[1], Closing(charged=False, unexplained=""))
    clock.now += 1
    ledger.settle(burst[2], Closing(charged=True))
    assert refusal(ledger, account).reason == "spent"


def test_refusals_of_one_burst_count_once(ledger: Ledger, account: str, clock: Hands) -> None:
    burst = [leave(ledger, account) for _ in range(8)]
    clock.now += 1
    for given in burst:
        ledger.settle(given, Closing(charged=False, unexplained=""))
    assert refusal(ledger, account).blocked_until == clock.now + 5
