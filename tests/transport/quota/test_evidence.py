"""What replies teach the ledger."""

from __future__ import annotations

import pytest

from modelscope_transport.quota import Allowance, Closing, Ledger, Lot, Quota, Reservation
from tests.transport.quota.clockwork import MORNING, Hands

QWEN, GLM = "Qwen/Qwen3-8B", "ZhipuAI/GLM-4.7-Flash"
HOUR = 3600.0


def call(
    ledger: Ledger, account: str, told: Allowance | None = None, *, charged: bool | None = True
) -> None:
    given = ledger.reserve(account, QWEN)
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=charged, allowance=told))


def pools(ledger: Ledger, account: str) -> tuple[Quota, Quota]:
    whole, *models = ledger.quotas(account)
    return whole, models[0]


def test_a_lower_number_of_the_service_is_taken_over_at_once(ledger: Ledger, account: str) -> None:
    call(ledger, account, Allowance(account_limit=2000, account_remaining=1200))
    whole, model = pools(ledger, account)

    assert (whole.unit, whole.limit, whole.remaining) == ("calls", 2000, 1200)
    assert (whole.kind, whole.age) == ("reported", 0)
    assert (model.limit, model.used, model.kind) == (None, 1, "measured")
    call(ledger, account)
    assert pools(ledger, account)[0].remaining == 1199


def test_a_models_own_number_is_told_too(ledger: Ledger, account: str) -> None:
    call(ledger, account, Allowance(model_limit=200, model_remaining=150))
    assert pools(ledger, account)[1].remaining == 150


def test_a_higher_number_gives_nothing_back_that_was_surely_spent(
    ledger: Ledger, account: str
) -> None:
    for _ in range(10):
        call(ledger, account)
    # a reply that was overtaken by others tells of an earlier moment
    call(ledger, account, Allowance(account_limit=100, account_remaining=95))
    assert pools(ledger, account)[0].remaining == 89


def test_what_nobody_knew_the_fate_of_is_given_back_when_it_can_no_longer_be_on_its_way(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    for _ in range(3):
        call(ledger, account, charged=None)
    told = Allowance(account_limit=100, account_remaining=98, model_limit=50, model_remaining=48)
    call(ledger, account, told)
    assert [pool.used for pool in pools(ledger, account)] == [5, 5]  # 2 counted, 3 on their way

    clock.now += HOUR
    # the service has counted this call and two others: of the three, one was charged
    told = Allowance(account_limit=100, account_remaining=97, model_limit=50, model_remaining=47)
    call(ledger, account, told)
    assert [pool.used for pool in pools(ledger, account)] == [3, 3]
    # and once given back they are not given back again
    call(ledger, account, Allowance(account_limit=100, account_remaining=99))
    assert pools(ledger, account)[0].used == 4


def test_calls_on_their_way_are_counted_on_top_of_the_services_number(
    ledger: Ledger, account: str
) -> None:
    for _ in range(4):
        assert isinstance(ledger.reserve(account, GLM), Reservation)
    call(ledger, account, Allowance(account_limit=100, account_remaining=50))
    assert pools(ledger, account)[0].remaining == 46


def test_calls_paid_by_a_provider_are_no_matter_of_the_account(
    ledger: Ledger, account: str
) -> None:
    assert isinstance(ledger.reserve(account, f"{QWEN}:DashScope"), Reservation)
    call(ledger, account, Allowance(account_limit=100, account_remaining=50))
    assert pools(ledger, account)[0].remaining == 50


def test_a_refused_call_is_refunded_and_its_numbers_are_still_heard(
    ledger: Ledger, account: str
) -> None:
    call(ledger, account, Allowance(account_limit=100, account_remaining=0), charged=False)
    whole, _ = pools(ledger, account)
    assert (whole.used, whole.remaining) == (100, 0)


@pytest.mark.parametrize(
    "told", [Allowance(), Allowance(account_limit=5), Allowance(model_limit=0)]
)
def test_half_a_number_teaches_nothing(ledger: Ledger, account: str, told: Allowance) -> None:
    call(ledger, account, told)
    assert pools(ledger, account)[0].kind == "estimated"


# --------------------------------------------------------------------------------- balance


def test_a_reported_balance_is_what_is_left(ledger: Ledger, account: str, clock: Hands) -> None:
    ledger.report(account, 143.5)
    call(ledger, account)
    clock.now += 60
    whole, _ = pools(ledger, account)
    assert (whole.unit, whole.remaining, whole.used) == ("magicubes", 142.5, 1)
    assert (whole.kind, whole.age) == ("reported", 60)

    ledger.report(account, 20)
    assert pools(ledger, account)[0].remaining == 20
    ledger.report(account, 250)
    assert pools(ledger, account)[0].remaining == 250


def test_a_balance_of_yesterday_is_a_guess(ledger: Ledger, account: str, clock: Hands) -> None:
    ledger.report(account, 143)
    clock.now += 25 * HOUR
    assert ledger.quotas(account)[0].kind == "estimated"


def test_a_report_takes_from_the_lot_that_lapses_first(
    ledger: Ledger, account: str, clock: Hands
) -> None:
    ledger.grant(account, Lot(amount=200, expires_at=MORNING + HOUR), Lot(amount=30))
    ledger.report(account, 80)
    clock.now += HOUR
    assert ledger.quotas(account)[0].remaining == 30
