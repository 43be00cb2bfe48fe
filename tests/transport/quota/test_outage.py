"""A store that goes and comes back: nothing is counted twice, and nothing is forgotten."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from modelscope_transport.quota import Budget, Closing, Ledger, Lot, Reservation, outage
from modelscope_transport.quota.cells import BLOCK, BLOCKED_UNTIL, CALLS, LOTS_VERSION
from modelscope_transport.quota.memory import MemoryStore
from modelscope_transport.quota.outage import StandIn, Switched
from modelscope_transport.quota.steps import LASTING, Ran, Step, StoreError
from tests.transport.quota.clockwork import Hands

DAY = "2026-12-01"
COUNTED = CALLS.name("")
CALL = [Step("add", DAY, COUNTED, 1)]


class FarStore(MemoryStore):
    """A store whose answers are copies, as those of another process are, and that may be down."""

    blocking = awaitable = True

    def __init__(self) -> None:
        super().__init__()
        self.down: set[str] = set()
        self.is_asked: asyncio.Event | None = None
        self._one_at_a_time = threading.Lock()

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        with self._one_at_a_time:
            if self.down & {account, "*"}:
                raise StoreError("down")
            ran = super().run(account, now, tests, changes)
            return Ran(ran.failed, copy.deepcopy(ran.pages))

    async def arun(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran:
        ran = self.run(account, now, tests, changes)
        if self.is_asked is not None:
            self.is_asked.set()
            await asyncio.sleep(0.01)
        return ran

    def count(self, account: str = "a") -> int:
        counted: int = self.pages(account)[DAY][COUNTED]
        return counted


@pytest.fixture
def store() -> FarStore:
    return FarStore()


@pytest.fixture
def stand_in(store: FarStore, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """It tries the store again at every call."""
    monkeypatch.setattr(outage, "_RETRY", 0.0)
    return StandIn(store, share=0.5)


pytestmark = pytest.mark.filterwarnings("ignore:The ledger:RuntimeWarning")


def test_what_was_written_before_another_account_failed_is_not_written_again(
    store: FarStore, stand_in: StandIn
) -> None:
    for account in ("a", "b"):
        stand_in.run(account, 0, (), CALL)
    store.down = {"*"}
    for account in ("a", "b"):
        stand_in.run(account, 0, (), CALL)
    store.down = {"b"}
    for _ in range(3):
        stand_in.run("b", 0, (), ())
    store.down = set()
    stand_in.run("b", 0, (), ())
    assert (store.count("a"), store.count("b")) == (2, 2)


async def test_what_is_spent_while_the_store_is_being_told_is_told_as_well(
    store: FarStore, stand_in: StandIn
) -> None:
    await stand_in.arun("a", 0, (), CALL)
    store.down = {"*"}
    await stand_in.arun("a", 0, (), CALL)
    store.down, store.is_asked = set(), asyncio.Event()
    returning = asyncio.create_task(stand_in.arun("a", 0, (), CALL))
    await store.is_asked.wait()
    await stand_in.arun("a", 0, (), CALL)
    await returning
    assert store.count() == 4


async def test_a_caller_who_leaves_while_the_store_is_told_has_it_told_once(
    store: FarStore, stand_in: StandIn
) -> None:
    await stand_in.arun("a", 0, (), CALL)
    store.down = {"*"}
    await stand_in.arun("a", 0, (), CALL)
    store.down, store.is_asked = set(), asyncio.Event()
    leaving = asyncio.create_task(stand_in.arun("a", 0, (), ()))
    await store.is_asked.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    await stand_in.arun("a", 0, (), ())
    await stand_in.arun("a", 0, (), ())
    assert store.count() == 2


def test_threads_lose_no_call_while_the_store_comes_and_goes(
    store: FarStore, stand_in: StandIn
) -> None:
    made, failed = [0] * 4, list[Exception]()

    def work(place: int) -> None:
        for _ in range(500):
            try:
                stand_in.run("a", 0, (), CALL)
            except Exception as error:  # noqa: BLE001
                failed.append(error)
            made[place] += 1

    workers = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        store.down = {"*"} - store.down
        workers[0].join(0.001)
    store.down = set()
    stand_in.run("a", 0, (), ())
    assert not failed
    assert store.count() == sum(made) == 2000


def test_a_pool_that_was_opened_meanwhile_is_open_when_the_store_is_back(
    store: FarStore, stand_in: StandIn
) -> None:
    until, block = BLOCKED_UNTIL.name("a/b"), BLOCK.name("a/b")
    spent = {"scope": "model", "model": "a/b", "blocked_until": 9.0}
    shut = [Step("put", LASTING, until, 9.0), Step("put", LASTING, block, spent)]
    stand_in.run("a", 0, (), [*shut, *CALL])
    store.down = {"*"}
    with pytest.raises(Switched):
        stand_in.run("a", 0, [Step("not_before", LASTING, "", 0)], ())
    opened = [Step("drop", LASTING, cell) for cell in (until, block)]
    stand_in.run("a", 0, (), [*opened, Step("settle", DAY, COUNTED, -1)])
    store.down = set()
    stand_in.run("a", 0, (), ())
    assert store.pages("a") == {LASTING: {}, DAY: {}}


# ---------------------------------------------------------------- the ledger that stands on it


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the time pass after which a store that is down is tried again."""
    monkeypatch.setattr(outage, "_RETRY", 3600.0)
    return lambda: monkeypatch.setattr(outage, "_RETRY", 0.0)


def ledger_on(store: FarStore, share: float = 0.5) -> Ledger:
    return Ledger(StandIn(store, share), Hands())


def spend_all(ledger: Ledger, budget: Budget) -> int:
    calls = 0
    while isinstance(
        given := ledger.reserve("a", "a/b", tier="standard", budget=budget), Reservation
    ):
        ledger.settle(given, Closing(charged=True))
        calls += 1
    return calls


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "use",
    [
        lambda ledger: ledger.report("a", 5.0),
        lambda ledger: ledger.grant("a", Lot(amount=5)),
        lambda ledger: ledger.share("a", "a/b").update(1, 0),
    ],
    ids=["report", "grant", "share"],
)
def test_only_a_reservation_minds_that_the_store_goes_down_under_it(
    use: Callable[[Ledger], object],
) -> None:
    class Going(FarStore):
        """It can be read, and is down when it is to be written."""

        def run(self, *program: Any) -> Ran:
            self.down = {"*"}
            return super().run(*program)

    use(ledger_on(Going()))


def test_the_first_call_after_an_outage_has_the_whole_limit_again(
    store: FarStore, soon: Callable[[], None]
) -> None:
    """Meanwhile a share of the published grant held, which the account has long passed."""
    ledger = ledger_on(store)
    for _ in range(250):
        ledger.settle(reserved(ledger), Closing(charged=True))
    store.down = {"*"}
    assert spend_all(ledger, Budget()) == 0
    store.down = set()
    soon()
    reserved(ledger)


@pytest.mark.usefixtures("soon")
def test_of_what_a_reserve_leaves_each_process_has_its_share(store: FarStore) -> None:
    ledgers = [ledger_on(store, share=0.25) for _ in range(4)]
    ledgers[0].grant("a", Lot(amount=60))
    for ledger in ledgers:
        ledger.quotas("a")
    store.down = {"*"}
    assert [spend_all(ledger, Budget(keep=20)) for ledger in ledgers] == [10] * 4


def test_lots_that_two_processes_have_written_meanwhile_are_of_two_versions(
    store: FarStore, soon: Callable[[], None]
) -> None:
    one, other = ledger_on(store), ledger_on(store)
    for ledger in (one, other):
        ledger.quotas("a")
    store.down = {"*"}
    for ledger in (one, other):
        ledger.report("a", 5.0)
    store.down = set()
    soon()
    reserved(one)
    version = store.pages("a")[LASTING][LOTS_VERSION.word]
    reserved(other)
    assert store.pages("a")[LASTING][LOTS_VERSION.word] > version


def reserved(ledger: Ledger) -> Reservation:
    given = ledger.reserve("a", "a/b", tier="standard")
    assert isinstance(given, Reservation)
    return given
