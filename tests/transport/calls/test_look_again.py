"""Before a pool is called spent by our count, the service itself is asked, free of charge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_transport import MemoryLedger, QuotaExceededError, SQLiteLedger
from modelscope_transport.emulator import LocalService
from tests.transport.callers import AsyncCaller, Caller


@pytest.fixture(params=[Caller, AsyncCaller], ids=["sync", "async"])
def user(request: pytest.FixtureRequest, service: LocalService) -> Iterator[Caller]:
    with request.param(service, ledger=MemoryLedger()) as made:
        yield made


def asked(service: LocalService) -> list[str]:
    return [request.path.rpartition("/")[2] for request in service.requests]


def test_a_balance_that_pays_again_opens_the_pool(user: Caller, service: LocalService) -> None:
    service.next("balance_spent")
    with pytest.raises(QuotaExceededError):
        user.chat()
    user.chat()
    assert asked(service) == ["completions", "balance", "completions"]


def test_one_process_asks_and_not_again_for_a_while(user: Caller, service: LocalService) -> None:
    service.next("balance_spent", "honest", "balance_spent")
    with pytest.raises(QuotaExceededError):
        user.chat()
    user.chat()
    for _ in range(5):
        with pytest.raises(QuotaExceededError):
            user.chat()
    assert asked(service).count("balance") == 1


@pytest.mark.parametrize("kind", [Caller, AsyncCaller], ids=["sync", "async"])
def test_a_process_that_has_no_slot_yet_asks_too(
    kind: type[Caller], service: LocalService, tmp_path: Path
) -> None:
    service.next("balance_spent")
    with (
        kind(service, ledger=SQLiteLedger(tmp_path / "ledger")) as user,
        pytest.raises(QuotaExceededError),
    ):
        user.chat()
    with kind(service, ledger=SQLiteLedger(tmp_path / "ledger")) as other:
        other.chat()
    assert asked(service) == ["completions", "balance", "completions"]


@pytest.mark.parametrize("kind", [Caller, AsyncCaller], ids=["sync", "async"])
def test_a_balance_that_is_too_small_is_told_with_what_a_sign_in_would_grant(
    kind: type[Caller],
) -> None:
    with (
        LocalService(allowance="magicubes=200,sign-in") as service,
        kind(service, ledger=MemoryLedger()) as user,
    ):
        for _ in range(3):
            with pytest.raises(QuotaExceededError) as caught:
                user.chat()
        assert asked(service) == ["completions", "balance", "rules"]
        assert caught.value.details.unfetched == 200
        assert "200 Magicubes of today have not been fetched: sign in" in str(caught.value)
        service.meter.sign_in()
        user.client.balance()
        user.chat()


@pytest.mark.usefixtures("books_closed")
def test_without_a_hub_the_ledger_alone_counts(user: Caller, service: LocalService) -> None:
    service.next("balance_spent")
    for _ in range(3):
        with pytest.raises(QuotaExceededError):
            user.chat()
    assert asked(service) == ["completions"]
