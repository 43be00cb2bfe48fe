"""`make live` on the local service: whole, and where that contradicts what is believed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from live import __main__ as program
from live.asking import Seen, Service
from live.chat_calls import CHAT_CALLS
from live.facts import Experiment, Fact
from live.free import FREE, USE
from live.other_calls import OTHER_CALLS
from modelscope_transport._wire.failure_table import failure_rows, shape_rows
from modelscope_transport.emulator import Allowance, LocalService

ROOT = Path(__file__).resolve().parents[2]
EVERY = (*FREE, *CHAT_CALLS, *OTHER_CALLS, USE)
FACTS = [fact for experiment in EVERY for fact in experiment.facts]


@pytest.fixture
def local(canary: str) -> Iterator[LocalService]:
    """A service that takes the canary, so that a recording which shows it fails the test."""
    with LocalService(token=canary, allowance=Allowance(magicubes=250)) as service:
        yield service


def experiment_of(believed: str) -> tuple[Experiment, Fact]:
    """The experiment with a fact of these words."""
    return next(
        (experiment, fact)
        for experiment in EVERY
        for fact in experiment.facts
        if believed in fact.believed
    )


def counts_of(believed: str, local: LocalService, folder: Path) -> dict[str, int]:
    """How one fact comes out."""
    experiment, fact = experiment_of(believed)
    counts = {"confirmed": 0, "contradicted": 0, "unsettled": 0}
    with program.account(folder, local) as service:
        program.price_of(service)
        alone = Experiment(experiment.title, experiment.run, (fact,))
        program.tried(alone, service, counts)
    return counts


@pytest.mark.timeout(300)
def test_the_whole_of_it_confirms_what_the_local_service_is_written_to(
    local: LocalService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--yes", "--folder", str(tmp_path)], local) == 0
    said = capsys.readouterr().out
    assert "0 contradicted" in said
    assert "This takes at most 13 Magicubes" in said
    # Three of them were answered with nothing, or refused: they cost nothing.
    assert 250 - local.meter.balance() == 10
    recorded = sorted(tmp_path.rglob("*.json"))
    assert len(recorded) > 30
    for path in recorded:
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["date"] >= "2026-11"
        assert record["confidence"] == "seen"
        assert {"asked", "status", "headers"} <= set(record)


def test_nothing_is_paid_before_the_price_was_agreed_to(
    local: LocalService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(capsys.readouterr().out)
        return ""

    monkeypatch.setattr("builtins.input", answer)
    assert program.main(["--folder", str(tmp_path)], local) == 0
    assert "at most 13 Magicubes, and 250.0 are there" in asked[0]
    assert local.meter.balance() == 250


def test_dearer_models_leave_experiments_out(tmp_path: Path) -> None:
    service = Service("", "", "", {}, tmp_path, prices=dict.fromkeys(program.MODELS, 2.0))
    chosen, total = program.affordable(service)
    assert 13 <= total <= program.MOST
    assert len(chosen) < len(EVERY)


@pytest.mark.parametrize("scenario", ["balance_spent", "model_spent", "limit_exceeded"])
def test_it_stops_at_the_first_sign_of_a_spent_pool(
    scenario: str, local: LocalService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local.next("honest", scenario)
    program.main(["--yes", "--folder", str(tmp_path)], local)
    paid = [request for request in local.requests if request.method == "POST"]
    assert len(paid) == 2
    assert "Stopped: the allowance may be spent" in capsys.readouterr().out


CONTRADICTIONS = [
    ("usage_everywhere", "dummy usage"),
    ("no_usage", "dummy usage"),
    ("no_done", "one finish reason"),
    ("two_finishes", "one finish reason"),
    ("delta_only", "delta and message"),
    ("no_tool_index", "indices of their own"),
    ("no_tool_id", "its id and name"),
    ("throttled:2", "does not say how long"),
    ("wants_thoughts", "without the thoughts"),
    ("task_gone", "then SUCCEED or FAILED"),
    ("server_error", "length of vectors"),
    ("server_error", "too long is refused in words"),
    ("html", "Without messages"),
]


@pytest.mark.parametrize(("scenario", "believed"), CONTRADICTIONS)
def test_a_service_that_contradicts_a_belief_is_reported_as_such(
    scenario: str, believed: str, local: LocalService, tmp_path: Path
) -> None:
    local.next(*[scenario] * 8)
    counts = counts_of(believed, local, tmp_path)
    assert counts == {"confirmed": 0, "contradicted": 1, "unsettled": 0}


@pytest.mark.parametrize(
    ("body", "believed"),
    [
        ({"rates": [{"scene": "api_inference", "model_tier": "lite", "unit_price": 1}]}, "table"),
        ({}, "in three numbers"),
        ({"records": [{"count": 1}]}, "Use is listed"),
        ({"rules": [{"daily_cap": 1}]}, "A grant is listed"),
    ],
)
def test_books_of_another_form_contradict_what_is_read(body: Any, believed: str) -> None:
    _, fact = experiment_of(believed)
    settled, _ = fact.look([Seen(200, {}, json.dumps({"data": body}))])
    assert settled is False


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.believed[:40])
def test_a_fact_names_a_row_that_exists(fact: Fact) -> None:
    path, _, row = fact.concerns.partition("#")
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith("failures.toml"):
        assert row in shape_rows() or row in {each.name for each in failure_rows()}
    elif row:
        data: Any = tomllib.loads(text)
        names = row.split(".")
        assert names[0] in text
        for name in names if len(names) > 1 else []:
            data = data[name]
