"""A ledger that is damaged, empty, deleted or of another version; and how it is mended."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from modelscope_transport import ConfigurationError
from modelscope_transport.quota import (
    Closing,
    Ledger,
    Lot,
    RedisLedger,
    Reservation,
    SQLiteLedger,
    open_ledger,
)
from modelscope_transport.quota.outage import StandIn
from modelscope_transport.quota.sqlite import SQLiteStore
from tests.transport.quota.redis_server import RedisServer

QWEN = "Qwen/Qwen3-8B"
posix = pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")


def spend(ledger: Ledger) -> None:
    given = ledger.reserve("me", QWEN)
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=True))


def spoil(path: Path, name: str, value: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        rows = database.execute("SELECT page, cells FROM page").fetchall()
        for page, cells in rows:
            table = json.loads(cells)
            if name.startswith(("calls", "magicubes")) == bool(page):
                table[name] = value
            database.execute(
                "UPDATE page SET cells = ? WHERE page = ?", (json.dumps(table).encode(), page)
            )


DAMAGE = [
    ("lots", "many"),
    ("version", "x"),
    (f"until {QWEN}", "never"),
    (f"refusals {QWEN}", []),
    (f"calls {QWEN}", "four"),
    ("magicubes", None),
    ("time", {}),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


@pytest.mark.parametrize(("name", "value"), DAMAGE)
def test_a_damaged_cell_is_the_ledgers_error_and_can_be_mended(
    name: str, value: object, path: Path
) -> None:
    ledger = SQLiteLedger(path)
    ledger.grant("me", Lot(amount=3))
    spend(ledger)
    spoil(path, name, value)

    for ask in (lambda: spend(SQLiteLedger(path)), lambda: SQLiteLedger(path).quotas("me")):
        try:
            ask()
        except ConfigurationError as error:
            assert error.reason == "ledger_unusable"  # noqa: PT017 - what is odd may go unseen
            assert "ledger mend" in str(error)  # noqa: PT017
    assert SQLiteLedger(path).mend() == [name]
    spend(SQLiteLedger(path))
    assert SQLiteLedger(path).quotas("me")


@pytest.mark.parametrize("cells", [b"\xff{", b"[1]", b'{"calls ": NaN}', None, 7])
@pytest.mark.parametrize("usual", [False, True], ids=["named", "usual"])
@pytest.mark.filterwarnings("ignore:The ledger:RuntimeWarning")
def test_a_page_that_cannot_be_read_is_dropped_and_the_others_stay(
    cells: bytes | int | None, usual: bool, path: Path
) -> None:
    spend(SQLiteLedger(path))
    SQLiteLedger(path).grant("me", Lot(amount=5))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE page SET cells = ? WHERE page <> ''", (cells,))
    ledger = Ledger(StandIn(SQLiteStore(path))) if usual else SQLiteLedger(path)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ledger.export()
    (dropped,) = ledger.mend()
    assert dropped.startswith("page 20")
    assert ledger.mend() == []
    assert list(ledger.export()["me"]) == [""]
    spend(ledger)
    assert ledger.quotas("me")[0].remaining == 4


def test_a_damaged_cell_of_a_redis_is_the_ledgers_error_in_an_event_loop_too(
    redis_server: RedisServer,
) -> None:
    redis = pytest.importorskip("redis", reason="the extra [redis] is not installed")
    ledger = RedisLedger(redis_server.url)
    account = "damaged-in-a-loop"

    async def reserve() -> None:
        await ledger.areserve(account, QWEN)
        with redis.Redis.from_url(redis_server.url) as client:
            client.hset(f"modelscope:{{{account}}}:", "lots", '"many"')
            client.hset(f"modelscope:{{{account}}}:", "version", "7")
        with pytest.raises(ConfigurationError, match="damaged cell: lots"):
            await ledger.areserve(account, QWEN)

    asyncio.run(reserve())
    ledger.forget(account)
    ledger.close()


def test_a_value_in_a_redis_that_is_no_json_is_the_ledgers_error(redis_server: RedisServer) -> None:
    redis = pytest.importorskip("redis", reason="the extra [redis] is not installed")
    ledger = RedisLedger(redis_server.url)
    ledger.grant("damaged", Lot(amount=5))
    with redis.Redis.from_url(redis_server.url) as client:
        client.hset("modelscope:{damaged}:", "lots", "many")
    for use in (lambda: ledger.reserve("damaged", QWEN), ledger.export):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            use()
    ledger.forget("damaged")


def test_a_damaged_block_is_the_ledgers_error(path: Path) -> None:
    spend(SQLiteLedger(path))
    spoil(path, f"until {QWEN}", time.time() + 3600)
    spoil(path, f"block {QWEN}", {"scope": 5})
    with pytest.raises(ConfigurationError, match="damaged cell: block"):
        spend(SQLiteLedger(path))
    assert sorted(SQLiteLedger(path).mend()) == [f"block {QWEN}", f"until {QWEN}"]
    assert SQLiteLedger(path).mend() == []
    spend(SQLiteLedger(path))
    assert SQLiteLedger(path).quotas("me")


def test_an_end_without_its_block_is_damage(path: Path) -> None:
    spend(SQLiteLedger(path))
    spoil(path, f"until {QWEN}", time.time() + 3600)
    with pytest.raises(ConfigurationError, match="damaged cell: until"):
        spend(SQLiteLedger(path))
    assert SQLiteLedger(path).mend() == [f"until {QWEN}"]
    spend(SQLiteLedger(path))


def test_the_usual_ledger_goes_on_in_memory_when_a_block_is_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_transport.quota.sqlite_file.default_path", lambda: path)
    spend(SQLiteLedger(path))
    spoil(path, f"until {QWEN}", time.time() + 3600)
    spoil(path, f"block {QWEN}", {"scope": 5})
    usual = open_ledger.__wrapped__("auto")
    assert usual is not None
    with pytest.warns(RuntimeWarning, match="damaged cell: block"):
        spend(usual)
    spend(usual)
    assert usual.quotas("me")


def test_the_usual_ledger_goes_on_in_memory_when_a_cell_is_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_transport.quota.sqlite_file.default_path", lambda: path)
    spend(SQLiteLedger(path))
    spoil(path, f"until {QWEN}", "never")
    usual = open_ledger.__wrapped__("auto")
    assert usual is not None
    with pytest.warns(RuntimeWarning, match="damaged cell"):
        spend(usual)
    spend(usual)


def test_all_that_is_kept_can_be_exported(path: Path) -> None:
    ledger = SQLiteLedger(path)
    spend(ledger)
    (pages,) = ledger.export().values()
    assert any(cells.get("magicubes") == 10 for cells in pages.values())


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    spend(SQLiteLedger(path))
    assert SQLiteLedger(path).history("me", 1)[0].calls == 1


def test_an_older_layout_says_so(path: Path) -> None:
    spend(SQLiteLedger(path))
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
    with pytest.raises(ConfigurationError, match="an older version"):
        spend(SQLiteLedger(path))


def test_a_file_that_is_deleted_while_it_is_open_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_transport.quota.sqlite._LOOKS_EVERY", 0.0)
    ledger = SQLiteLedger(path)
    spend(ledger)
    for file in path.parent.iterdir():
        file.unlink()
    spend(ledger)
    assert SQLiteLedger(path).history("me", 1)[0].calls == 1


@posix
def test_every_folder_that_is_made_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spend(SQLiteLedger(tmp_path / "one" / "two" / "ledger.sqlite3"))
    finally:
        os.umask(before)
    for folder in (tmp_path / "one", tmp_path / "one" / "two"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("target", ["no ledger", "a ledger"])
def test_the_target_of_a_link_keeps_its_mode(target: str, tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    if target == "a ledger":
        spend(SQLiteLedger(there))
    else:
        there.write_text("somebody's diary")
    there.chmod(0o644)
    link.symlink_to(there)
    attempt: Callable[[], None] = lambda: spend(SQLiteLedger(link))  # noqa: E731
    if target == "a ledger":
        attempt()
    else:
        with pytest.raises(ConfigurationError):
            attempt()
    assert stat.S_IMODE(there.stat().st_mode) == 0o644
