"""The file: whose it is, and what happens when it cannot be used."""

from __future__ import annotations

import os
import pickle
import sqlite3
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from modelscope_transport import ConfigurationError
from modelscope_transport.quota import (
    Budget,
    Closing,
    Ledger,
    QuotaBlock,
    Reservation,
    SQLiteLedger,
    describe_ledger,
    open_ledger,
)
from modelscope_transport.quota.sqlite import SQLiteStore
from modelscope_transport.quota.sqlite_file import default_path
from modelscope_transport.quota.steps import Step
from tests.transport.quota.clockwork import Hands

QWEN = "Qwen/Qwen3-8B"
posix = pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


@pytest.fixture
def usual(path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger that nobody chose."""
    monkeypatch.setattr("modelscope_transport.quota.sqlite_file.default_path", lambda: path)
    ledger = open_ledger.__wrapped__("auto")
    assert ledger is not None
    return ledger


def spend(ledger: Ledger, budget: Budget | None = None) -> None:
    given = ledger.reserve("me", QWEN, budget=budget)
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=True))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ------------------------------------------------------------------------------- whose it is


@posix
def test_the_file_is_its_owners_alone(path: Path) -> None:
    ledger = SQLiteLedger(path)
    spend(ledger)
    assert mode_of(path.parent) == 0o700
    assert {mode_of(file) for file in path.parent.iterdir()} == {0o600}


@posix
def test_a_file_that_others_could_read_is_shut_to_them(path: Path) -> None:
    spend(SQLiteLedger(path))
    path.chmod(0o644)
    spend(SQLiteLedger(path))
    assert mode_of(path) == 0o600


def test_the_usual_file_lies_in_the_folder_for_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path().name == "ledger.sqlite3"
    assert default_path().parent.name == "modelscope-adapters"


def test_a_home_that_nobody_knows_is_a_ledger_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = Path("~no-such-user/ledger.sqlite3")
    assert describe_ledger(str(nowhere)) == str(nowhere)
    with pytest.raises(ConfigurationError, match=r"~no-such-user.*home folder"):
        spend(SQLiteLedger(nowhere))
    monkeypatch.setattr("modelscope_transport.quota.sqlite_file.default_path", lambda: nowhere)
    usual = open_ledger.__wrapped__("auto")
    assert usual is not None
    with pytest.warns(RuntimeWarning, match="home folder"):
        spend(usual)
    spend(usual)
    assert not list(tmp_path.iterdir())


def test_nothing_is_made_before_the_first_call(path: Path) -> None:
    SQLiteLedger(path)
    assert not path.parent.exists()


def test_no_unfinished_file_is_left(path: Path) -> None:
    ledger = SQLiteLedger(path)
    spend(ledger)
    ledger.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite3"]


def test_a_ledger_that_is_dropped_closes_its_file(path: Path) -> None:
    spend(SQLiteLedger(path))
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite3"]


def test_a_ledger_goes_through_pickle_to_the_same_file(path: Path) -> None:
    ledger = SQLiteLedger(path)
    spend(ledger)
    twin: SQLiteLedger = pickle.loads(pickle.dumps(ledger))
    assert twin.path == ledger.path
    assert twin.quotas("me")[0].used == 1


# ------------------------------------------------------------------- when it cannot be used


def corrupt(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


def text(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("my shopping list")


def foreign(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")


def newer(path: Path) -> None:
    spend(SQLiteLedger(path))
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()


def in_the_way(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


each_damage = pytest.mark.parametrize(
    "damage", [corrupt, text, foreign, newer, in_the_way, a_folder]
)


@each_damage
def test_a_chosen_file_that_cannot_be_used_is_an_error(
    damage: Callable[[Path], None], path: Path
) -> None:
    damage(path)
    with pytest.raises(ConfigurationError) as caught:
        SQLiteLedger(path).reserve("me", QWEN)
    assert caught.value.reason == "ledger_unusable"
    assert str(path) in str(caught.value) or str(path.parent) in str(caught.value)
    assert "MODELSCOPE_LEDGER" in str(caught.value)


@each_damage
def test_the_usual_file_is_replaced_by_memory_with_one_warning(
    damage: Callable[[Path], None], path: Path, usual: Ledger
) -> None:
    damage(path)
    budget = Budget(calls=2)
    with pytest.warns(RuntimeWarning, match="this process counts for itself"):
        spend(usual, budget)
    spend(usual, budget)  # a second warning would be an error
    assert isinstance(usual.reserve("me", QWEN, budget=budget), QuotaBlock)
    assert not usual.blocking


@pytest.mark.parametrize("damage", [corrupt, text, foreign, newer])
def test_nothing_is_ever_written_over(damage: Callable[[Path], None], path: Path) -> None:
    damage(path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError):
        SQLiteLedger(path).reserve("me", QWEN)
    assert path.read_bytes() == before


def test_a_newer_file_says_so(path: Path) -> None:
    newer(path)
    with pytest.raises(ConfigurationError, match="newer version"):
        SQLiteLedger(path).reserve("me", QWEN)


def fill_the_disk(ledger: Ledger) -> None:
    """No page may be added to the file any more, as on a full disk."""
    database = ledger._books.runner.store._store._connection  # type: ignore[attr-defined]
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")


def test_a_disk_that_fills_up_in_the_middle_loses_no_count(usual: Ledger) -> None:
    budget = Budget(calls=500)
    spend(usual, budget)
    block = QuotaBlock(scope="account", model=None, blocked_until=time.time() + 3600, unit="calls")
    given = usual.reserve("somebody", QWEN)
    assert isinstance(given, Reservation)
    usual.settle(given, Closing(charged=False, block=block))
    fill_the_disk(usual)

    with pytest.warns(RuntimeWarning, match="full"):
        write_until_it_is_full(usual, budget)
    before = used(usual)
    assert 1 < before < 500
    spend(usual, budget)
    assert used(usual) == before + 1
    assert isinstance(usual.reserve("somebody", QWEN), QuotaBlock)


def write_until_it_is_full(ledger: Ledger, budget: Budget) -> None:
    while ledger.blocking:
        # every model has a cell of its own, so the page grows
        model = f"a/{'b' * 90}{used(ledger)}"
        assert isinstance(ledger.reserve("me", model, budget=budget), Reservation)


def used(ledger: Ledger) -> float:
    return ledger.quotas("me")[0].used if ledger.quotas("me")[0].unit == "calls" else calls(ledger)


def calls(ledger: Ledger) -> int:
    return ledger.history("me", 1)[0].calls


# ------------------------------------------------------------------------------------ sharing


def test_threads_share_one_ledger(path: Path) -> None:
    ledger, budget = SQLiteLedger(path), Budget(calls=100)
    with ThreadPoolExecutor(8) as pool:
        leaves = pool.map(lambda _: ledger.reserve("me", QWEN, budget=budget), range(160))
        granted = [leave for leave in leaves if isinstance(leave, Reservation)]
    assert len(granted) == 100


def test_what_another_has_written_is_never_written_over(path: Path) -> None:
    mine, yours = SQLiteLedger(path), SQLiteLedger(path)
    for ledger in (mine, mine, yours, mine, mine, yours, yours, mine):
        spend(ledger)
    assert calls(mine) == calls(yours) == 8
    limited = Budget(calls=10)
    leaves = [ledger.reserve("me", QWEN, budget=limited) for ledger in (mine, yours, mine)]
    assert [isinstance(leave, Reservation) for leave in leaves] == [True, True, False]


def test_what_another_has_blocked_is_blocked_at_once(path: Path) -> None:
    clock = Hands()
    mine, yours = SQLiteLedger(path, clock), SQLiteLedger(path, clock)
    given = yours.reserve("me", QWEN)
    assert isinstance(given, Reservation)
    for _ in range(2):
        spend(mine)
    block = QuotaBlock(scope="model", model=QWEN, blocked_until=clock.now + 60, reason="spent")
    yours.settle(given, Closing(charged=None, block=block))  # which leaves the day's page as it is
    assert isinstance(mine.reserve("me", QWEN), QuotaBlock)
    assert isinstance(mine.reserve("me", "another/model"), Reservation)


def test_a_file_that_was_cleared_begins_anew(path: Path) -> None:
    mine, yours = SQLiteLedger(path), SQLiteLedger(path)
    for _ in range(3):
        spend(mine)
    yours.forget()
    spend(mine)
    assert calls(yours) == 1


def test_only_so_many_days_are_kept(path: Path) -> None:
    clock = Hands()
    ledger = SQLiteLedger(path, clock)
    for _ in range(40):
        spend(ledger)
        clock.now += 86_400
    assert len(ledger.history("me", 60)) == 35


def test_no_token_is_in_the_file(path: Path, canary: str) -> None:
    from modelscope_transport.settings import Settings, resolve_token

    account = Settings(token=resolve_token(canary)).account()
    ledger = SQLiteLedger(path)
    ledger.reserve(account, QWEN)
    ledger.close()
    assert account.encode() in path.read_bytes()
    assert canary.encode() not in path.read_bytes()


def test_a_test_on_a_page_that_others_have_changed_is_made_on_what_it_says_now(
    tmp_path: Path,
) -> None:
    mine, others = SQLiteStore(tmp_path / "l"), SQLiteStore(tmp_path / "l")
    room = [Step("at_most", "2026-01-01", "calls", 1, 1)]
    begin = [Step("add", "2026-01-01", "x", 1), Step("add", "2026-01-02", "calls", 1)]
    assert mine.run("a", 0, room, begin).failed is None
    others.run("a", 0, (), [Step("add", "2026-01-01", "calls", 1)])
    assert mine.run("a", 0, room, [Step("add", "2026-01-02", "calls", 1)]).failed == 0
    mine.close()
    others.close()
