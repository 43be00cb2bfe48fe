"""Again, and after how long?"""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport.calls.retry import RetryBudget, RetryPolicy
from tests.forks import forking, in_a_fork


@pytest.mark.parametrize(
    ("retries", "chance", "wait"),
    [
        (0, 1.0, 0.5),
        (0, 0.5, 0.25),
        (0, 0.0, 0.0),
        (1, 1.0, 1.0),
        (2, 1.0, 2.0),
        (4, 1.0, 8.0),
        (9, 1.0, 8.0),
    ],
)
def test_waits_double_up_to_a_bound_and_chance_shortens_them(
    retries: int, chance: float, wait: float
) -> None:
    policy = RetryPolicy(max_retries=10)
    assert policy.delay(retries, remaining=60, chance=lambda: chance) == wait


@pytest.mark.parametrize("retries", [2, 3, 100])
def test_after_the_last_retry_there_is_none(retries: int) -> None:
    assert RetryPolicy().delay(retries, remaining=60) is None
    assert RetryPolicy(max_retries=0).delay(0, remaining=60) is None


def test_a_wait_that_was_asked_for_is_neither_shortened_nor_spread() -> None:
    policy = RetryPolicy()
    assert policy.delay(0, retry_after=30, remaining=60, chance=lambda: 0.1) == 30
    assert policy.delay(0, retry_after=0, remaining=60, chance=lambda: 1.0) == 0


@pytest.mark.parametrize("remaining", [30, 29.9, 0, -5])
def test_a_wait_past_the_deadline_is_none(remaining: float) -> None:
    assert RetryPolicy().delay(0, retry_after=30, remaining=remaining) is None
    assert RetryPolicy().delay(0, remaining=min(remaining, 0)) is None


@given(st.integers(0, 2000), st.floats(0, 1, exclude_max=True), st.floats(-10, 1000))
def test_a_wait_is_always_bounded(retries: int, chance: float, remaining: float) -> None:
    wait = RetryPolicy(max_retries=2000).delay(retries, remaining=remaining, chance=lambda: chance)
    assert wait is None or 0 <= wait <= 8.0
    assert wait is None or wait < remaining


def test_a_budget_runs_out_and_comes_back() -> None:
    budget = RetryBudget(tokens=10)
    assert [budget.spend(), budget.spend(), budget.spend()] == [True, True, False]
    for _ in range(4):
        budget.refill()
    assert not budget.spend()
    budget.refill()
    assert budget.spend()


def test_a_timeout_costs_twice() -> None:
    budget = RetryBudget(tokens=14)
    assert budget.spend(timed_out=True)
    assert not budget.spend()


def test_a_full_budget_does_not_overflow() -> None:
    budget = RetryBudget(tokens=5)
    for _ in range(50):
        budget.refill()
    assert [budget.spend(), budget.spend()] == [True, False]


def test_threads_do_not_spend_a_token_twice() -> None:
    budget, taken = RetryBudget(tokens=500), []

    def spend() -> None:
        taken.extend(budget.spend() for _ in range(50))

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(True) == 100


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_retry_though_a_thread_of_the_parent_was_about_to() -> None:
    budget = RetryBudget(tokens=10, cost=4)
    assert in_a_fork(budget._lock, lambda: sum(budget.spend() for _ in range(4))) == 2
