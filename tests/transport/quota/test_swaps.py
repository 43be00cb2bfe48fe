"""Programs in one statement: what is written, what is left to a transaction, what is asked for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport.quota.sqlite_file import initialize
from modelscope_transport.quota.sqlite_swap import Swaps, encode
from modelscope_transport.quota.steps import LASTING, Ran, Step

DAY, YESTERDAY = "2026-11-30", "2026-11-29"
SELECT, UPDATE = "SELECT", "UPDATE"


class File:
    """A file, and what was last seen of it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.swaps = Swaps()
        self.asked: list[str] = []

    def put(self, page: str, **cells: int) -> None:
        """Write a page, as another process does."""
        self.database.execute("REPLACE INTO page VALUES ('me', ?, ?)", (page, encode(cells)))

    def cells(self) -> dict[str, Any]:
        rows = self.database.execute("SELECT page, cells FROM page WHERE account = 'me'")
        return {page: json.loads(cells) for page, cells in rows}

    def swap(self, *changes: Step, tests: Sequence[Step] = ()) -> Ran | None:
        self.asked.clear()
        self.database.set_trace_callback(lambda words: self.asked.append(words.split()[0]))
        ran = self.swaps.swap(self.database, "me", 0.0, tests, changes)
        self.database.set_trace_callback(None)
        return ran


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    with closing(sqlite3.connect(tmp_path / "ledger", isolation_level=None)) as database:
        initialize(database)
        yield File(database)


def add(page: str, cell: str = "calls", a: int = 1) -> Step:
    return Step("add", page, cell, a)


# Each concerns the page of a day, the lasting one, or both.
PROGRAMS = {
    "a day": [add(DAY)],
    "lasting": [add(LASTING)],
    "a day, then lasting": [add(DAY), add(LASTING)],
    "lasting, then a day": [add(LASTING), add(DAY)],
}
each_program = pytest.mark.parametrize("changes", PROGRAMS.values(), ids=PROGRAMS)


@each_program
def test_what_was_seen_once_is_not_read_again(file: File, changes: list[Step]) -> None:
    pages = {change.page for change in changes}
    file.put(DAY, calls=5)
    file.put(LASTING, calls=7)
    for times in (1, 2, 3):
        ran = file.swap(*changes)
        assert file.asked == ([SELECT, UPDATE] if times == 1 else [UPDATE])
        left = {
            DAY: {"calls": 5 + times * (DAY in pages)},
            LASTING: {"calls": 7 + times * (LASTING in pages)},
        }
        assert file.cells() == left
        assert ran is not None
        assert ran.failed is None
        assert ran.pages.items() <= left.items()
        assert ran.pages.keys() >= {*pages, LASTING}


@each_program
@pytest.mark.parametrize("others", [DAY, LASTING])
def test_what_another_has_written_is_seen_and_stays(
    file: File, changes: list[Step], others: str
) -> None:
    file.put(DAY, calls=5)
    file.put(LASTING, calls=7)
    assert file.swap(*changes)
    file.put(others, calls=20)
    before = file.cells()
    ran = file.swap(*changes)
    if others == DAY and DAY not in {change.page for change in changes}:
        assert ran, "it is of no concern"
        return
    assert ran is None
    assert file.cells() == before
    assert file.swap(*changes), "as it is now"
    assert file.cells()[others]["calls"] == 20 + (others in {change.page for change in changes})


def test_pages_that_were_given_out_stay_as_they_were(file: File) -> None:
    file.put(DAY, calls=5)
    file.put(LASTING, calls=7)
    first = file.swap(*PROGRAMS["a day, then lasting"])
    assert first is not None
    assert file.swap(*PROGRAMS["a day, then lasting"])
    assert first.pages == {DAY: {"calls": 6}, LASTING: {"calls": 8}}


def test_a_lasting_page_may_be_missing_where_it_is_not_written(file: File) -> None:
    file.put(DAY, calls=5)
    assert file.swap(add(DAY))
    assert file.cells() == {DAY: {"calls": 6}}
    for changes in (PROGRAMS["lasting"], PROGRAMS["a day, then lasting"]):
        assert file.swap(*changes) is None
    assert file.cells() == {DAY: {"calls": 6}}


def test_pages_that_are_missing_are_left_to_a_transaction(file: File) -> None:
    file.put(LASTING, calls=7)
    assert file.swap(add(DAY)) is None
    assert file.cells() == {LASTING: {"calls": 7}}


@pytest.mark.parametrize("word", ["tests", "changes"])
def test_a_third_page_is_left_to_a_transaction(file: File, word: str) -> None:
    for page in (DAY, YESTERDAY, LASTING):
        file.put(page, calls=5)
    if word == "tests":
        ran = file.swap(add(DAY), tests=[Step("at_most", YESTERDAY, "calls", 1, 5)])
    else:
        ran = file.swap(add(DAY), add(YESTERDAY))
    assert ran is None
    assert not file.asked
    assert {cells["calls"] for cells in file.cells().values()} == {5}


# ---------------------------------------------------------------------------------- refusals

ROOM = [Step("at_most", LASTING, "calls", 1, 100), Step("at_most", DAY, "calls", 1, 5)]


@each_program
def test_a_refusal_writes_nothing(file: File, changes: list[Step]) -> None:
    tests = [Step("at_most", LASTING, "calls", 1, 7)]
    file.put(DAY, calls=5)
    file.put(LASTING, calls=7)
    for times in (1, 2):
        assert file.swap(*changes, tests=tests) == (0, _pages_of(file, changes))
        assert file.asked == [SELECT] * (3 - times)
    assert file.cells() == {DAY: {"calls": 5}, LASTING: {"calls": 7}}


def _pages_of(file: File, changes: Sequence[Step]) -> dict[str, Any]:
    wanted = {LASTING, *(change.page for change in changes)}
    return {page: cells for page, cells in file.cells().items() if page in wanted}


def test_the_test_that_failed_is_told(file: File) -> None:
    file.put(DAY, calls=5)
    file.put(LASTING, calls=7)
    assert file.swap(add(DAY), tests=ROOM) == (1, file.cells())


@pytest.mark.parametrize("others", [DAY, LASTING])
def test_a_refusal_rests_on_what_is_so_now(file: File, others: str) -> None:
    file.put(DAY, calls=5)
    file.put(LASTING, calls=7)
    assert file.swap(add(DAY), tests=ROOM)
    file.put(others, calls=3)
    assert file.swap(add(DAY), tests=ROOM) is None
    ran = file.swap(add(DAY), tests=ROOM)
    assert ran is not None
    assert ran.failed == (None if others == DAY else 1)


# ------------------------------------------------------------------ what a transaction has seen


def note(file: File) -> None:
    rows = dict(file.database.execute("SELECT page, cells FROM page"))
    file.swaps.note("me", rows, file.cells())


@pytest.mark.parametrize("lasting", [False, True])
def test_what_a_transaction_has_seen_is_not_read_again(file: File, lasting: bool) -> None:
    file.put(DAY, calls=5)
    if lasting:
        file.put(LASTING, calls=7)
    note(file)
    assert file.swap(add(DAY))
    assert file.asked == [UPDATE]


def test_a_transaction_of_several_days_is_not_kept(file: File) -> None:
    for page in (DAY, YESTERDAY):
        file.put(page, calls=5)
    note(file)
    assert file.swap(add(DAY))
    assert file.asked == [SELECT, UPDATE]


def test_what_is_forgotten_is_read_again(file: File) -> None:
    file.put(DAY, calls=5)
    note(file)
    file.swaps.clear()
    assert file.swap(add(DAY))
    assert file.asked == [SELECT, UPDATE]
