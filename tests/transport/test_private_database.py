"""The file that keeps answers and vectors: private, and made by many at once."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport.private_database import PrivateDatabase
from tests.forks import fork_around, forking

TABLE = "CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY)"


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_the_file_its_folder_and_its_log_are_their_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "words"
    database = PrivateDatabase(path, TABLE)
    database.run("INSERT INTO words VALUES (?)", ("one",))
    modes = {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    database.close()
    assert database.run("SELECT * FROM words") == [("one",)]
    database.close()


def test_processes_that_make_it_at_once_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of 8 processes that open a new file at once are refused; here the first two times."""
    refused = 0

    class Contended(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            nonlocal refused
            if "journal_mode" in sql and refused < 2:
                refused += 1
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *place, **how: connect(*place, factory=Contended, **how)
    )
    database = PrivateDatabase(tmp_path / "words", TABLE)
    assert database.run("SELECT * FROM words") == []
    assert refused == 2
    database.close()


def test_what_is_no_file_of_sqlite_is_refused_and_closed(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("my own notes, which are no database at all")
    database = PrivateDatabase(tmp_path / "notes", TABLE)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        database.run("SELECT * FROM words")
    assert (tmp_path / "notes").read_text().startswith("my own notes")
    database.close()


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_goes_on_where_its_parent_has_closed_the_file(tmp_path: Path) -> None:
    database = PrivateDatabase(tmp_path / "words", TABLE)
    database.run("INSERT INTO words VALUES ('parent')")

    def write(word: str) -> None:
        database.run(f"INSERT INTO words VALUES ('{word}')")

    assert fork_around(lambda: write("child"), database.close, lambda: write("orphan"))
    words = database.run("SELECT word FROM words ORDER BY word")
    assert words == [("child",), ("orphan",), ("parent",)]
    database.close()


def test_a_memory_outlives_a_fork() -> None:
    database = PrivateDatabase(None, TABLE)
    database.run("INSERT INTO words VALUES ('parent')")
    assert database.lock_and_close() is None
    assert database.run("SELECT * FROM words") == [("parent",)]
    database.close()
