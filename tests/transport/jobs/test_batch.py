"""Long jobs: over several days, killed, interrupted, with poison in them; every call paid for once.

Days pass by one clock, which the job, the ledger and the local service share.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelscope_transport import (
    AuthenticationError,
    Batch,
    BatchReport,
    BatchRow,
    Budget,
    ChatRequest,
    Client,
    ConfigurationError,
    EmbeddingRequest,
    MemoryLedger,
    Message,
    ModelNotServedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    SQLiteLedger,
    read_results,
)
from modelscope_transport.calls.retry import RetryPolicy
from modelscope_transport.emulator import Allowance, LocalService
from modelscope_transport.quota import Closing, Reservation

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
MORNING = dt.datetime(2026, 10, 5, 1, tzinfo=dt.UTC).timestamp()
DAY = 86_400


class Days:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = MORNING
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def days() -> Days:
    return Days()


@pytest.fixture
def service(days: Days) -> Iterator[LocalService]:
    with LocalService(clock=days) as service:
        yield service


Make = Callable[..., Batch]


@pytest.fixture
def batch(service: LocalService, days: Days, tmp_path: Path) -> Make:
    """Make a job on the local service; the ledger is one for all of them."""
    ledger = MemoryLedger(days)

    def make(path: str = "answers.jsonl", **options: Any) -> Batch:
        fields = {name: options.pop(name) for name in ("budget", "api_key") if name in options}
        given: dict[str, Any] = {"api_key": service.token, "base_url": service.base_url}
        client = Client(**given | {"ledger": ledger} | fields)
        client._core.policy = RetryPolicy(first_delay=0)
        pace: dict[str, Any] = {"clock": days, "sleep": days.sleep}
        return Batch(client, tmp_path / path, **pace | options)

    return make


def ask(text: str, **fields: Any) -> ChatRequest:
    request = ChatRequest(model=QWEN, messages=(Message("user", text),))
    return replace(request, **fields)


def questions(number: int, **fields: Any) -> dict[str, ChatRequest]:
    return {f"item {place}": ask(f"Question {place}.", **fields) for place in range(number)}


def asked(service: LocalService) -> list[str]:
    """What the paid requests asked, in their order."""
    return [request.body["messages"][-1]["content"] for request in service.requests]


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "answers.jsonl").read_bytes().splitlines()]


# ------------------------------------------------------------------------------------- it works


async def test_answers_are_on_file_under_their_names(
    batch: Make, service: LocalService, tmp_path: Path
) -> None:
    embed = EmbeddingRequest(model="Qwen/Qwen3-Embedding-0.6B", texts=("one",), dimensions=4)
    heard: list[BatchRow] = []
    report = await batch(on_row=heard.append).arun([("a", ask("Hello.")), ("b", embed)])

    assert report == BatchReport(items=2, answered=2)
    rows = read_results(tmp_path / "answers.jsonl")
    assert rows["a"].text == "You said: “Hello.”."
    assert rows["a"].chat is not None
    assert rows["a"].chat.usage is not None
    assert rows["b"].embedding is not None
    assert len(rows["b"].embedding.vectors[0]) == 4
    assert [row.key for row in heard] == list(rows) == ["a", "b"]
    assert (tmp_path / "answers.jsonl").stat().st_mode & 0o777 == 0o600
    assert service.token not in (tmp_path / "answers.jsonl").read_text()


@pytest.mark.parametrize("workers", [1, 4])
def test_what_is_on_file_is_not_asked_again(
    batch: Make, service: LocalService, workers: int
) -> None:
    assert batch(workers=workers).run(questions(10)).answered == 10
    assert batch(workers=workers).run(questions(12)) == BatchReport(items=12, answered=2, kept=10)
    assert Counter(asked(service)) == {f"Question {place}.": 1 for place in range(12)}


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message("user", "Another question."),)},
        {"model": "Qwen/Qwen3.5-122B-A10B"},
        {"temperature": 0.5},
        {"extra_body": {"top_k": 5}},
        {"max_tokens": 20},
        {"enable_thinking": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_has_changed_is_asked_anew(
    batch: Make, service: LocalService, tmp_path: Path, change: dict[str, Any]
) -> None:
    before = questions(3)
    after = before | {"item 1": replace(before["item 1"], **change)}
    batch().run(before)
    assert batch().run(after) == BatchReport(items=3, answered=1, kept=2)
    assert batch().run(after) == BatchReport(items=3, kept=3)
    assert len(lines(tmp_path)) == 4
    assert len(service.requests) == 4
    newest = read_results(tmp_path / "answers.jsonl")["item 1"]
    assert newest.fingerprint == lines(tmp_path)[-1]["fingerprint"]


def test_patience_and_stand_ins_change_no_answer(batch: Make, service: LocalService) -> None:
    batch().run(questions(2))
    report = batch().run(questions(2, timeout=30.0, fallback_models=("Qwen/Qwen3-8B",)))
    assert report == BatchReport(items=2, kept=2)


def test_another_address_is_another_answer(
    batch: Make, service: LocalService, tmp_path: Path
) -> None:
    batch().run(questions(2))
    with LocalService() as other:
        client = Client(other.token, base_url=other.base_url, ledger="memory")
        assert Batch(client, tmp_path / "answers.jsonl").run(questions(2)).answered == 2


# --------------------------------------------------------------------------------- the allowance


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_a_thousand_items_on_250_calls_a_day(days: Days, tmp_path: Path, workers: int) -> None:
    blocks: list[Any] = []
    with LocalService(clock=days, allowance="calls=250,headers") as service:
        client = Client(service.token, base_url=service.base_url, ledger=MemoryLedger(days))
        job = Batch(
            client,
            tmp_path / "answers.jsonl",
            workers=workers,
            clock=days,
            sleep=days.sleep,
            on_block=blocks.append,
        )
        report = job.run(questions(1000))
        spent = len(asked(service))

    assert report == BatchReport(items=1000, answered=1000, blocked=3)
    assert [error.resets_at.timestamp() for error in blocks] == [
        pytest.approx(MORNING + day * DAY - 9 * 3600) for day in (1, 2, 3)
    ]  # midnight in China
    assert int((days.now - MORNING + 9 * 3600) // DAY) == 3  # the fourth day
    assert max(days.slept) <= 60
    rows = read_results(tmp_path / "answers.jsonl")
    assert {row.text for row in rows.values()} == {
        f"You said: “Question {place}.”." for place in range(1000)
    }
    assert len(lines(tmp_path)) == 1000
    # of each spent day, what was on its way when it ended
    assert spent - 1000 <= 3 * workers


@pytest.mark.parametrize("unit", ["calls", "magicubes"])
def test_the_plan_comes_true(days: Days, tmp_path: Path, unit: str) -> None:
    allowance = "calls=25,headers" if unit == "calls" else "magicubes=25"
    with LocalService(clock=days, allowance=allowance) as service:
        ledger = MemoryLedger(days)
        client = Client(service.token, base_url=service.base_url, ledger=ledger)
        client.chat(ask("First."))  # its reply tells the limit of calls
        if unit == "magicubes":
            client.balance()
        plan = client.plan(99, QWEN)
        job = Batch(client, tmp_path / "answers.jsonl", clock=days, sleep=days.sleep)
        report = job.run(questions(99))

    assert plan.kind == "reported"
    assert plan.calls == report.answered == 99
    assert plan.fits_today == 24
    if unit == "calls":  # of Magicubes, nobody knows what the next day will grant
        assert plan.days == report.blocked + 1 == 4


def test_without_waiting_the_error_says_until_when(days: Days, tmp_path: Path) -> None:
    with LocalService(clock=days, allowance="calls=2,headers") as service:
        client = Client(service.token, base_url=service.base_url, ledger=MemoryLedger(days))

        def run() -> BatchReport:
            path = tmp_path / "answers.jsonl"
            job = Batch(client, path, wait=False, clock=days, sleep=days.sleep)
            return job.run(questions(4))

        with pytest.raises(QuotaExceededError) as caught:
            run()
        assert caught.value.resets_at is not None
        assert caught.value.resets_at.timestamp() == MORNING + DAY - 9 * 3600
        assert len(lines(tmp_path)) == 2
        asked_once = len(asked(service))
        with pytest.raises(QuotaExceededError):  # the ledger knows, so nothing is paid for
            run()
        assert len(asked(service)) == asked_once

        days.now += DAY
        assert run() == BatchReport(items=4, answered=2, kept=2)
    assert not days.slept


def test_magicubes_that_another_process_sees_granted_end_the_wait(
    days: Days, tmp_path: Path
) -> None:
    """The job waits for a sign-in; its clock runs, and somebody signs in at 10:30."""
    with LocalService(clock=days, allowance="magicubes=3,sign-in") as service:
        one, other = (SQLiteLedger(tmp_path / "ledger.sqlite3", days) for _ in range(2))
        client = Client(service.token, base_url=service.base_url, ledger=one)
        watching = Client(service.token, base_url=service.base_url, ledger=other)
        waits: list[Any] = []

        async def sleep(seconds: float) -> None:
            await days.sleep(seconds)
            if days.now >= MORNING + 5400 and service.meter.sign_in():
                await watching.aio.balance()

        pace: dict[str, Any] = {"clock": days, "sleep": sleep, "on_block": waits.append}
        report = Batch(client, tmp_path / "answers.jsonl", **pace).run(questions(3))
        paid = [request for request in service.requests if request.method == "POST"]

    assert report == BatchReport(items=3, answered=3, blocked=1)
    assert days.now - MORNING <= 5400 + 120
    assert len(paid) == 4  # one was refused
    assert "sign-in" in str(waits[0])


def test_a_job_notices_a_grant_by_itself(days: Days, tmp_path: Path) -> None:
    """250 Magicubes a day, at 09:00: each day is spent, and one request a day is refused."""
    with LocalService(clock=days, allowance="magicubes=25,sign-in") as service:
        client = Client(service.token, base_url=service.base_url, ledger=MemoryLedger(days))

        async def sleep(seconds: float) -> None:
            await days.sleep(seconds)
            if (days.now - MORNING) % DAY < 3600:
                service.meter.sign_in()

        service.meter.sign_in()
        job = Batch(client, tmp_path / "answers.jsonl", clock=days, sleep=sleep)
        report = job.run(questions(100))
        paid = [request for request in service.requests if request.method == "POST"]

    assert report.answered == 100
    assert days.now - MORNING <= 3 * DAY + 600  # the fourth day
    assert len(paid) <= 100 + 3


def test_a_success_of_another_process_ends_the_wait(
    service: LocalService, days: Days, tmp_path: Path
) -> None:
    """The pause after refusals without a reason has grown to a quarter of an hour."""
    one, other = (SQLiteLedger(tmp_path / "ledger.sqlite3", days) for _ in range(2))
    client = Client(service.token, base_url=service.base_url, ledger=one)
    slow = other.reserve(client.account, QWEN)
    assert isinstance(slow, Reservation)
    for _ in range(9):  # each pause has ended, and the next request is refused too
        answer = one.reserve(client.account, QWEN)
        assert isinstance(answer, Reservation)
        one.settle(answer, Closing(charged=False, unexplained="?"))
        days.now += 900
    days.now -= 899
    on_its_way = [slow]

    async def sleep(seconds: float) -> None:
        await days.sleep(seconds)
        if days.now - begun > 100 and on_its_way:
            other.blocked(client.account, QWEN)
            other.settle(on_its_way.pop(), Closing(charged=True))

    begun = days.now
    report = Batch(client, tmp_path / "answers.jsonl", clock=days, sleep=sleep).run(questions(1))
    assert report.answered == 1
    assert 100 < days.now - begun < 200


def test_a_reserve_of_ones_own_parks_it_too(batch: Make, service: LocalService) -> None:
    with pytest.raises(QuotaExceededError, match="budget"):
        batch(wait=False, budget=Budget(calls=3)).run(questions(5))
    assert len(service.requests) == 3


def test_too_fast_is_waited_for_as_long_as_the_service_says(
    batch: Make, service: LocalService, days: Days
) -> None:
    service.next("throttled:7000")
    report = batch().run(questions(2))
    assert report == BatchReport(items=2, answered=2, blocked=1)
    assert sum(days.slept) == pytest.approx(7000, abs=2)


def test_a_service_that_is_busy_for_hours_is_waited_for(
    batch: Make, service: LocalService, days: Days
) -> None:
    service.next(*["throttled:7000"] * 10)
    assert batch().run(questions(2)).answered == 2
    assert len(service.requests) == 12
    assert days.now - MORNING >= 70_000


def test_a_service_that_is_busy_for_more_than_a_day_ends_the_job(
    batch: Make, service: LocalService, days: Days
) -> None:
    service.next(*["throttled:7000"] * 30)
    with pytest.raises(RateLimitError):
        batch().run(questions(2))
    assert DAY < days.now - MORNING < 1.2 * DAY


# --------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("poison", ["context_length", "task_failed", "invalid_parameter"])
def test_poison_is_one_row_and_the_others_go_on(
    batch: Make, service: LocalService, tmp_path: Path, poison: str
) -> None:
    service.next("honest", poison)
    assert batch().run(questions(5)) == BatchReport(items=5, answered=4, failed=1)
    failures = [line for line in lines(tmp_path) if "failure" in line]
    assert [failure["key"] for failure in failures] == ["item 1"]
    assert read_results(tmp_path / "answers.jsonl")["item 1"].failure is not None

    assert batch().run(questions(5)) == BatchReport(items=5, kept=4, failed=1)
    assert len(service.requests) == 5
    assert batch(retry_failed=True).run(questions(5)) == BatchReport(items=5, kept=4, answered=1)


def test_what_may_pass_is_asked_again_by_the_next_run(
    batch: Make, service: LocalService, tmp_path: Path
) -> None:
    service.next(*["server_error"] * 3)
    assert batch().run(questions(3)) == BatchReport(items=3, answered=2, failed=1)
    failure = read_results(tmp_path / "answers.jsonl")["item 0"].failure
    assert failure is not None
    assert (failure.error, failure.again) == ("ServerError", True)
    assert batch().run(questions(3)) == BatchReport(items=3, answered=1, kept=2)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_outage_marks_no_more_than_three_a_worker(
    batch: Make, service: LocalService, tmp_path: Path, workers: int
) -> None:
    batch().run(questions(1))
    service.next(*["server_error"] * 100)
    with pytest.raises(ServerError):
        batch(workers=workers).run(questions(50))
    marked = len(lines(tmp_path)) - 1
    assert 3 * workers <= marked <= 4 * workers
    assert len(service.requests) == 1 + 3 * marked
    service.reset()
    # a token is made up anew, so the client is another one
    assert batch().run(questions(50)) == BatchReport(items=50, answered=49, kept=1)


@pytest.mark.parametrize(
    ("scenario", "error"),
    [("authentication_failed", AuthenticationError), ("no_provider", ModelNotServedError)],
)
def test_what_is_wrong_with_all_ends_the_job_at_once(
    batch: Make, service: LocalService, tmp_path: Path, scenario: str, error: type[Exception]
) -> None:
    service.next("honest", *[scenario] * 5)
    with pytest.raises(error):
        batch().run(questions(5))
    assert len(service.requests) == 2
    assert len(lines(tmp_path)) == 1


OTHER, GONE, EMBEDDER = "Qwen/Qwen3-8B", "Qwen/Withdrawn", "Qwen/Qwen3-Embedding-0.6B"


def in_turn(*models: str, number: int = 3) -> dict[str, ChatRequest]:
    """Some questions to each model, in turn."""
    asked = [(place, model) for place in range(number) for model in models]
    return {f"{model} {place}": ask(f"Question {place}.", model=model) for place, model in asked}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("wrong", [GONE, EMBEDDER], ids=["gone", "does something else"])
def test_a_model_that_is_gone_fails_and_the_others_go_on(
    batch: Make, service: LocalService, tmp_path: Path, wrong: str, workers: int
) -> None:
    requests, told = in_turn(wrong, QWEN, OTHER), list[BatchRow]()
    report = batch(workers=workers, on_row=told.append).run(requests)
    assert report == BatchReport(items=9, answered=6, failed=3)
    rows = read_results(tmp_path / "answers.jsonl")
    assert {row.key: row for row in told} == rows
    failures = {key: row.failure for key, row in rows.items() if row.failure is not None}
    assert set(failures) == {key for key in requests if wrong in key}
    assert all(wrong in failure.message for failure in failures.values())
    models = Counter(request.body["model"] for request in service.requests)
    assert models[QWEN] == models[OTHER] == 3
    assert models[wrong] <= workers

    before = len(service.requests)
    assert batch().run(requests) == BatchReport(items=9, kept=6, failed=3)
    assert len(service.requests) == before


@pytest.fixture
def spent_service(days: Days) -> Iterator[LocalService]:
    """Each model answers twice a day, but for one."""
    allowance = Allowance(calls_per_model={QWEN: 2}, headers=True)
    with LocalService(clock=days, allowance=allowance) as service:
        yield service


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("forms", [dict, lambda pairs: list(pairs.items())])
def test_a_spent_model_waits_and_the_others_go_on(
    spent_service: LocalService,
    days: Days,
    tmp_path: Path,
    workers: int,
    forms: Callable[[dict[str, ChatRequest]], Any],
) -> None:
    when: dict[str, float] = {}
    pace: dict[str, Any] = {"clock": days, "sleep": days.sleep, "workers": workers}
    address = {"base_url": spent_service.base_url, "ledger": MemoryLedger(days)}
    client = Client(spent_service.token, **address)
    job = Batch(
        client,
        tmp_path / "answers.jsonl",
        on_row=lambda row: when.setdefault(row.key, days.now),
        **pace,
    )
    report = job.run(forms(in_turn(QWEN, OTHER, GONE, number=5)))

    assert report == BatchReport(items=15, answered=10, failed=5, blocked=2)
    on_day = Counter(
        (key.split()[0], int((at - MORNING + 9 * 3600) // DAY)) for key, at in when.items()
    )
    assert on_day[OTHER, 0] == 5
    assert [on_day[QWEN, day] for day in range(3)] == [2, 2, 1]
    paid = Counter(request.body["model"] for request in spent_service.requests)
    assert paid[OTHER] == 5
    assert paid[QWEN] <= 5 + 2 * workers


def test_without_waiting_the_spent_model_ends_the_job_after_the_others(
    spent_service: LocalService, days: Days, tmp_path: Path
) -> None:
    address = {"base_url": spent_service.base_url, "ledger": MemoryLedger(days)}
    client = Client(spent_service.token, **address)

    def run(requests: Any) -> BatchReport:
        path = tmp_path / "answers.jsonl"
        return Batch(client, path, wait=False, clock=days, sleep=days.sleep).run(requests)

    requests = in_turn(QWEN, OTHER, number=4)
    with pytest.raises(QuotaExceededError):
        run(iter(requests.items()))  # what can be read once only waits in its order
    assert len(lines(tmp_path)) == 4
    with pytest.raises(QuotaExceededError) as caught:
        run(requests)
    assert caught.value.model == QWEN
    assert len(lines(tmp_path)) == 2 + 4
    assert not days.slept
    days.now += DAY
    assert run(requests) == BatchReport(items=8, answered=2, kept=6)


def test_what_makes_no_job_is_refused(batch: Make) -> None:
    with pytest.raises(ConfigurationError, match="'a' comes twice"):
        batch().run([("a", ask("1")), ("a", ask("2"))])
    with pytest.raises(ConfigurationError, match="workers"):
        batch(workers=0)
    with pytest.raises(ConfigurationError, match="short, openai"):
        batch(form="xml")


@pytest.mark.parametrize(
    "poison",
    [ask("half a pair: \ud83d"), ask("1", extra_body={"x": object()}), ask("1", top_p=math.nan)],
    ids=["surrogate", "object", "nan"],
)
@pytest.mark.parametrize("form", ["short", "openai"])
def test_what_cannot_be_sent_is_one_row_and_the_others_go_on(
    batch: Make, service: LocalService, tmp_path: Path, poison: ChatRequest, form: str
) -> None:
    asked = questions(2) | {"poison": poison} | {"last": ask("Last.")}
    assert batch(form=form).run(asked) == BatchReport(items=4, answered=3, failed=1)
    failure = read_results(tmp_path / "answers.jsonl")["poison"].failure
    assert failure is not None
    assert (failure.error, failure.again) == ("InvalidRequestError", False)
    assert batch().run(asked) == BatchReport(items=4, kept=3, failed=1)
    assert len(lines(tmp_path)) == 4
    assert len(service.requests) == 3
    assert batch(retry_failed=True).run(questions(2) | {"poison": ask("Mended.")}).answered == 1


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("wrong", [("b", {"model": QWEN}), "ab", None, ("b",), ("b", "Hello", 3)])
def test_what_is_no_pair_of_a_name_and_a_request_is_said(
    batch: Make, service: LocalService, wrong: object, lazily: bool
) -> None:
    items: Any = [wrong]
    with pytest.raises(ConfigurationError, match="is not an item of a job"):
        batch().run(iter(items) if lazily else items)
    assert not service.requests


@pytest.mark.parametrize("make", [dict, list, iter])
def test_a_name_that_is_no_text_is_refused_before_it_costs(
    batch: Make, service: LocalService, tmp_path: Path, make: Callable[[Any], Any]
) -> None:
    with pytest.raises(ConfigurationError, match=r"name 0 is not text.* str\(0\)"):
        batch().run(make(enumerate([ask("1"), ask("2")])))
    assert not service.requests
    assert not lines(tmp_path)


# ------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_half_a_line_is_cut_off(
    batch: Make, service: LocalService, tmp_path: Path, cut: int
) -> None:
    batch().run(questions(2))
    path = tmp_path / "answers.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    assert len(read_results(path)) == 2

    assert batch().run(questions(3)) == BatchReport(items=3, answered=1, kept=2)
    assert len(lines(tmp_path)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "my notes\n",
        "my notes",
        '{"key": 1}\n',
        '[{"key":1}]',
        '{"key":"my name"}',
        '{"id": 1, "name": "my config"}',
        '{"id":"my config","value":true}',
        '{"id": 1, "name": NaN}',
        '{"key":"\udcff"}',
    ],
)
def test_a_file_of_something_else_stays_as_it_is(
    batch: Make, service: LocalService, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigurationError, match="not a file of results"):
        batch().run(questions(2))
    assert path.read_text(errors="surrogateescape") == text
    assert not service.requests


def test_one_damaged_line_gives_up_no_other_answer(
    batch: Make, service: LocalService, tmp_path: Path
) -> None:
    batch().run(questions(3))
    path = tmp_path / "answers.jsonl"
    first, _, last = path.read_text().splitlines(keepends=True)
    path.write_text(first + "damaged\n" + last)
    with pytest.raises(ConfigurationError, match=r"Line 2 of .*Remove that line") as caught:
        batch().run(questions(3))
    assert "another file" not in str(caught.value)
    path.write_text(first + last)
    assert batch().run(questions(3)) == BatchReport(items=3, answered=1, kept=2)


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.jsonl.gz"])
def test_a_whole_last_line_without_its_end_is_kept(
    batch: Make, service: LocalService, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    packs = path.suffix == ".gz"
    batch(name).run(questions(2))
    text = gzip.decompress(path.read_bytes()) if packs else path.read_bytes()
    text = text.removesuffix(b"\n")  # as some editors do
    path.write_bytes(gzip.compress(text) if packs else text)
    assert len(read_results(path)) == 2

    assert batch(name).run(questions(3)) == BatchReport(items=3, answered=1, kept=2)
    assert list(read_results(path)) == list(questions(3))
    text = gzip.decompress(path.read_bytes()) if packs else path.read_bytes()
    assert [json.loads(line)["key"] for line in text.splitlines()] == list(questions(3))
    assert len(service.requests) == 3


def test_a_packed_file_that_no_job_has_cut_off_stays_as_it_is(
    batch: Make, service: LocalService, tmp_path: Path
) -> None:
    batch().run(questions(3))
    rows = (tmp_path / "answers.jsonl").read_bytes()
    path = tmp_path / "answers.jsonl.gz"
    for text in (rows, b"notes " * 1000):
        cut = gzip.compress(text)[:-9]
        path.write_bytes(cut)
        with pytest.raises(ConfigurationError, match="not a complete gzip file of results"):
            batch("answers.jsonl.gz").run(questions(3))
        assert path.read_bytes() == cut
    assert len(service.requests) == 3


async def test_two_jobs_do_not_write_one_file(batch: Make, service: LocalService) -> None:
    begun = asyncio.Event()
    first = asyncio.create_task(batch(on_row=lambda row: begun.set()).arun(questions(3)))
    await begun.wait()
    with pytest.raises(ConfigurationError, match="Another process is writing"):
        await batch().arun(questions(3))
    assert await first == BatchReport(items=3, answered=3)
    assert len(service.requests) == 3


async def test_in_an_event_loop_the_async_method_is_named(batch: Make) -> None:
    with pytest.raises(ConfigurationError, match="arun"):
        batch().run(questions(1))


# ---------------------------------------------------------------------------- killed, interrupted

KILLED = """
import os, random, signal, sys, threading
from modelscope_transport import Batch, ChatRequest, Client, Message

token, url, path, model, workers = sys.argv[1:]

def work(seed):
    client = Client(token, base_url=url, ledger="off", concurrency=None)
    batch = Batch(client, path, workers=int(workers))
    if seed is not None:
        after = random.Random(seed).uniform(0.002, 0.06)
        threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
    batch.run(
        (f"item {place}", ChatRequest(model=model, messages=(Message("user", f"{place}"),)))
        for place in range(400)
    )

killed = 0
for seed in range(50):
    child = os.fork()
    if not child:
        try:
            work(seed)
        finally:
            os._exit(0)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
work(None)
print(killed)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("workers", [1, 4])
def test_a_job_that_is_killed_fifty_times_repeats_a_call_a_worker_each_time_at_most(
    modelscope_service: LocalService, tmp_path: Path, workers: int
) -> None:
    service, path = modelscope_service, tmp_path / "answers.jsonl"
    words = [service.token, service.base_url, str(path), QWEN, str(workers)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=True
    )
    killed = int(done.stdout)

    assert killed >= 10
    assert len(read_results(path)) == 400
    assert len(lines(tmp_path)) == 400
    assert len(service.requests) <= 400 + killed * workers


def test_an_interrupt_ends_it_and_keeps_what_there_is(
    batch: Make, service: LocalService, tmp_path: Path
) -> None:
    def interrupt(row: BatchRow) -> None:
        if row.key == "item 2":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        batch(on_row=interrupt, workers=2).run(questions(10))
    there = len(lines(tmp_path))
    assert there >= 1
    report = batch().run(questions(10))
    assert report == BatchReport(items=10, answered=10 - there, kept=there)
    assert len(service.requests) <= 10 + 2


async def test_a_cancelled_job_lets_go_of_its_calls(
    batch: Make, service: LocalService, tmp_path: Path
) -> None:
    service.next("honest", "silence")
    rows: asyncio.Queue[BatchRow] = asyncio.Queue()
    job = asyncio.create_task(batch(on_row=rows.put_nowait, workers=2).arun(questions(50)))
    for _ in range(3):
        await rows.get()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    there = len(lines(tmp_path))
    assert there >= 3
    report = await batch().arun(questions(50))
    assert report == BatchReport(items=50, answered=50 - there, kept=there)
    assert len(service.requests) <= 50 + 2
