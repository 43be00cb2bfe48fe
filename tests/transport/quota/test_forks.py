"""A ledger's file in forked processes: each opens it for itself, and nothing is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport.quota import Closing, Reservation, SQLiteLedger
from tests.forks import fork, fork_around, forking, has_succeeded

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def spend(ledger: SQLiteLedger) -> None:
    given = ledger.reserve("me", "Qwen/Qwen3-8B")
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=True))


def calls(ledger: SQLiteLedger) -> int:
    return ledger.history("me", 1)[0].calls


@forking
def test_a_forked_child_opens_the_file_for_itself(path: Path) -> None:
    ledger = SQLiteLedger(path)
    spend(ledger)
    assert has_succeeded(fork(lambda: spend(ledger)))
    spend(ledger)
    assert calls(ledger) == 3


@forking
def test_what_a_parent_has_still_to_write_is_not_written_by_its_children(path: Path) -> None:
    ledger = SQLiteLedger(path)
    spend(ledger)  # its end rides with the next call
    for _ in range(3):
        assert has_succeeded(fork(lambda: ledger.quotas("me")))
    ledger.quotas("me")
    pages = ledger.export()["me"]
    unsettled = [name for day in pages.values() for name in day if name.startswith("unsettled")]
    assert not unsettled, "a count that is settled goes, and one below 0 would be there"


@forking
def test_a_forked_child_goes_on_where_its_parent_has_closed_the_file(path: Path) -> None:
    """SQLite would remember in the child locks that only the parent holds."""
    ledger = SQLiteLedger(path)
    spend(ledger)

    def go_on() -> None:
        spend(ledger)
        spend(SQLiteLedger(path))

    assert fork_around(lambda: spend(ledger), ledger.close, go_on)
    assert calls(ledger) == 4


@forking
def test_a_child_that_is_forked_while_a_thread_writes_can_write_too(path: Path) -> None:
    ledger = SQLiteLedger(path)
    spend(ledger)
    store: Any = ledger._runner.store
    lock, writes, wanted = store._lock, threading.Event(), threading.Event()

    def write() -> None:
        with lock:
            store._connection.execute("BEGIN IMMEDIATE")
            writes.set()
            wanted.wait()
            store._connection.execute("COMMIT")

    class Lock:
        release = lock.release

        def acquire(self, timeout: float) -> bool:
            wanted.set()
            return bool(lock.acquire(timeout=timeout))

    thread = threading.Thread(target=write)
    thread.start()
    writes.wait()
    store._lock = Lock()
    child = fork(lambda: spend(ledger))
    store._lock = lock
    wanted.set()
    thread.join()
    assert has_succeeded(child)
    assert calls(ledger) == 2
