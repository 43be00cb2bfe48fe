"""The comparison with the record can lose, and the record knows every row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import RECORD, conclude, keep
from benchmarks.measuring import Measured
from benchmarks.recorded import (
    KINDS,
    TOLERANCE,
    Entry,
    Goal,
    lost,
    meets,
    read,
    unrecorded,
    write,
)
from benchmarks.row import all_rows

ROOT = Path(__file__).parents[2]
ROW = "LangChain: invoke"


@pytest.mark.parametrize(
    ("kind", "value", "loses"),
    [
        ("of_floor", 1.24, False),
        ("of_floor", 1.26, True),
        ("of_floor", 0.1, False),
        ("less_than_peer", 0.76, False),
        ("less_than_peer", 0.74, True),
        ("less_than_peer", 9.0, False),
        ("wall_of_ideal", 1.26, True),
        ("growth", 1.26, True),
    ],
)
def test_a_quarter_worse_than_recorded_has_lost(kind: str, value: float, loses: bool) -> None:
    assert lost({kind: Goal(recorded=1.0)}, {kind: value}) == ([kind] if loses else [])


def test_the_tolerance_is_settable() -> None:
    goals = {"less_than_peer": Goal(recorded=1.0)}
    assert not lost(goals, {"less_than_peer": 0.51}, 0.5)
    assert lost(goals, {"less_than_peer": 0.49}, 0.5)


def test_a_library_more_than_none_has_lost() -> None:
    goals = {"http_libraries_loaded": Goal(recorded=0.0)}
    assert lost(goals, {"http_libraries_loaded": 1}) == ["http_libraries_loaded"]
    assert not lost(goals, {"http_libraries_loaded": 0})


def test_what_was_recorded_and_could_not_be_measured_has_lost() -> None:
    assert lost({"of_floor": Goal(recorded=1.0)}, {}) == ["of_floor"]


def test_a_missed_target_loses_nothing() -> None:
    goals = {"of_floor": Goal(recorded=1.3, target=1.0)}
    assert not lost(goals, {"of_floor": 1.3})
    assert not meets("of_floor", 1.3, 1.0)
    assert meets("less_than_peer", 3.1, 3.0)


def test_what_has_no_record_is_named() -> None:
    goals = {"of_floor": Goal(target=1.0)}
    assert unrecorded(goals, {"of_floor": 0.9, "less_than_peer": 3.0}) == [
        "of_floor",
        "less_than_peer",
    ]


def test_the_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    entries = {
        ROW: Entry("2026-11-28, 2 cores", {"of_floor": Goal(1.25, 1.15)}),
        "own code, 20,000 over 2,000": Entry("", {"growth": Goal(None, 11)}),
    }
    write(tmp_path / "recorded.toml", entries)
    assert read(tmp_path / "recorded.toml") == entries


def test_every_entry_of_the_record_is_a_row() -> None:
    assert set(read(RECORD)) <= {row.name for row in all_rows()}


def test_a_kind_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "recorded.toml").write_text("[row]\nof_flor = { recorded = 1 }\n")
    with pytest.raises(KeyError, match="of_flor"):
        read(tmp_path / "recorded.toml")
    assert "of_floor" in KINDS


def test_recording_keeps_the_targets() -> None:
    row = next(row for row in all_rows() if row.name == ROW)
    entries = {ROW: Entry("long ago", {"of_floor": Goal(2.0, 1.15)})}

    keep(entries, row, Measured({}, {"of_floor": 1.2, "less_than_peer": 3.0}), "in a test")

    assert entries[ROW].goals == {"of_floor": Goal(1.2, 1.15), "less_than_peer": Goal(3.0)}
    assert entries[ROW].measured.endswith("in a test")


@pytest.mark.parametrize(
    ("rows", "lost", "new", "fails"),
    [(2, [], [], False), (2, [ROW], [], True), (2, [], [ROW], True), (0, [], [], True)],
)
def test_a_run_fails_by_a_lost_row_a_new_one_or_none_at_all(
    rows: int, lost: list[str], new: list[str], fails: bool
) -> None:
    assert conclude(rows, lost, new, TOLERANCE) is fails


@pytest.mark.slow
def test_the_command_fails_when_a_row_loses(tmp_path: Path) -> None:
    record = tmp_path / "recorded.toml"
    write(record, {ROW: Entry("", {"of_floor": Goal(0.001), "less_than_peer": Goal(0.001)})})

    command = [sys.executable, "-m", "benchmarks", "--rounds", "1", "--only", ROW]
    run = subprocess.run(
        [*command, "--recorded", str(record)], cwd=ROOT, capture_output=True, text=True
    )

    assert run.returncode == 1, run.stdout + run.stderr
    assert f"lost: {ROW}" in run.stdout
    assert run.stdout.count("CPU us a call") == 2  # it had a second chance
    assert run.stdout.count("LOST") == 2  # by one ratio of two, each time
