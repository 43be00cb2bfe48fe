"""One attempt on its way: whatever goes wrong, no slot, no unit and no connection is lost."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from modelscope_transport import ConfigurationError, QuotaExceededError
from modelscope_transport._wire.failure_table import Kind
from modelscope_transport._wire.failures import Verdict, judge
from modelscope_transport._wire.outcomes import NoReply, Outcome, Refused, Reply, read_failure
from modelscope_transport.calls.admission import Admission, Limiters
from modelscope_transport.calls.async_exchange import AsyncExchange
from modelscope_transport.calls.attempt import Attempt
from modelscope_transport.calls.exchange import Exchange, Service
from modelscope_transport.http.async_reply import AsyncOpenReply
from modelscope_transport.http.channel import Channel
from modelscope_transport.http.reply import OpenReply
from modelscope_transport.quota import Closing, Ledger, QuotaBlock, Reservation, SQLiteLedger
from tests.transport.callers import settled
from tests.transport.played import MODEL
from tests.transport.recorded import sample

BLOCK = QuotaBlock(scope="model", model=MODEL, blocked_until=2e9)
GOOD = sample("chat/whole").reply


class FakeLedger:
    """A store that does I/O and answers as it is told."""

    def __init__(self, answer: object = None, *, blocking: bool = True) -> None:
        self.answer = answer
        self.blocking = blocking
        self.pool: QuotaBlock | None = None
        self.settled: list[Closing] = []
        self.recorded: list[QuotaBlock] = []
        self.fails = False
        self.is_gone = False
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def reserve(self, account: str, model: str, **more: Any) -> Any:
        self.asked.set()
        self.go_on.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def blocked(self, account: str, model: str, **more: Any) -> QuotaBlock | None:
        return self.pool

    def settle(self, reservation: Reservation, closing: Closing) -> None:
        if self.fails:
            raise OSError("disk full")
        if self.is_gone:
            raise ConfigurationError("The ledger: it is gone.")
        self.settled.append(closing)

    def observe_time(self, account: str, at: float | None) -> None:
        """Free replies teach the time; nothing is asked."""

    def block(self, account: str, block: QuotaBlock, **more: Any) -> None:
        self.recorded.append(block)

    @property
    def is_shared(self) -> bool:
        return False

    async def areserve(self, account: str, model: str, **more: Any) -> Any:
        return self.reserve(account, model, **more)

    async def ablocked(self, account: str, model: str, **more: Any) -> QuotaBlock | None:
        return self.blocked(account, model, **more)

    async def asettle(self, reservation: Reservation, closing: Closing) -> None:
        self.settle(reservation, closing)

    async def ablock(self, account: str, block: QuotaBlock, **more: Any) -> None:
        self.block(account, block, **more)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A reply's bytes; it notes when it is closed, and breaks off where it is told to."""

    def __init__(self, data: bytes | Exception) -> None:
        self.data, self.closed = data, 0

    def __iter__(self) -> Iterator[bytes]:
        if isinstance(self.data, Exception):
            raise self.data
        yield self.data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for data in self:
            yield data

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class FakeChannel:
    """A way on which a reply, or what went wrong, is prepared."""

    def __init__(self, answer: Reply | Exception = GOOD) -> None:
        self.answer: Any = answer
        self.bodies: list[Body] = []
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def _response(self) -> httpx.Response:
        if isinstance(self.answer, Exception):
            raise self.answer
        self.bodies.append(Body(self.answer.body))
        return httpx.Response(
            self.answer.status, headers=dict(self.answer.headers), stream=self.bodies[-1]
        )

    def send(self, *request: Any) -> OpenReply:
        request[-1]()
        self.asked.set()
        return OpenReply(self._response())

    async def asend(self, *request: Any) -> Any:
        request[-1]()
        self.asked.set()
        assert await settled(self.go_on.is_set)
        return AsyncOpenReply(self._response())


class Sync:
    """Exchanges of one account, sync."""

    kind: Any = Exchange

    def __init__(
        self, ledger: FakeLedger | None, slots: int | None = 1, channel: Any = None
    ) -> None:
        self.admission = Admission("account", cast("Ledger | None", ledger), Limiters(slots))
        self.channel = channel or FakeChannel()

    def exchange(self, *, free: bool = False, seconds: float = 20.0) -> Any:
        attempt = Attempt("/x", b"{}", MODEL, free=free)
        deadline = time.monotonic() + seconds
        return self.kind(attempt, Service(self.admission, cast("Channel", self.channel)), deadline)

    @property
    def inside(self) -> int:
        return self.admission.limiters.of(MODEL).inside

    def wait(self, work: Any) -> Any:
        return work

    def run(self, exchange: Any) -> Outcome:
        return cast("Outcome", self.wait(exchange.run()))

    def settle(self, exchange: Any) -> None:
        self.wait(exchange.settle())

    def close(self, exchange: Any) -> None:
        self.wait(exchange.aclose() if isinstance(exchange, AsyncExchange) else exchange.close())

    def record(self, exchange: Any, error: QuotaExceededError) -> None:
        self.wait(exchange.record_quota_error(error))

    def whole(self, **how: Any) -> Outcome:
        """Run an exchange, judge its outcome, close it."""
        exchange = self.exchange(**how)
        try:
            outcome = self.run(exchange)
            judged(exchange, outcome)
            return outcome
        finally:
            self.close(exchange)

    def end(self) -> None:
        pass


class Async(Sync):
    """The same in an event loop of its own."""

    kind = AsyncExchange

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loop = asyncio.new_event_loop()

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def end(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


def verdict_of(outcome: Outcome) -> Verdict:
    refused = isinstance(outcome, Reply) and outcome.status >= 400
    failure = read_failure(outcome.body) if refused else None  # type: ignore[union-attr]
    return judge(outcome, failure, model=MODEL)


def judged(exchange: Any, outcome: Outcome) -> None:
    exchange.attempt.verdict = verdict_of(outcome)


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def side(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(*args: Any, **kwargs: Any) -> Any:
        made.append(request.param(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.end()


def reservation() -> Reservation:
    """One that no one looks into."""
    fields: dict[str, Any] = dict.fromkeys(Reservation.__struct_fields__)
    return Reservation(**fields)


def elsewhere(side: Any) -> Any:
    """Take a slot in another thread: a caller's own would be let in again."""
    slots: list[Any] = []
    limiter = side.admission.limiters.of(MODEL)
    thread = threading.Thread(target=lambda: slots.append(limiter.try_acquire()))
    thread.start()
    thread.join()
    return slots[0]


# --- what an attempt has to pass


def test_what_costs_nothing_asks_no_ledger_and_takes_no_slot(side: Any) -> None:
    ledger = FakeLedger(BLOCK)
    made = side(ledger)
    held = elsewhere(made)
    for _ in range(3):
        assert isinstance(made.whole(free=True, seconds=0.02), Reply)
    assert not ledger.asked.is_set()
    held.release()


def test_a_spent_pool_keeps_no_slot(side: Any) -> None:
    made = side(FakeLedger(BLOCK))
    for _ in range(3):
        assert made.whole(seconds=0.5) == Refused(BLOCK)
    assert made.inside == 0
    assert not made.channel.asked.is_set()


def test_a_ledger_that_fails_keeps_no_slot(side: Any) -> None:
    ledger = FakeLedger(OSError("disk full"))
    made = side(ledger)
    for _ in range(3):
        with pytest.raises(OSError, match="disk full"):
            made.whole(seconds=0.5)
    assert made.inside == 0
    ledger.answer = reservation()
    exchange = made.exchange(seconds=0.5)
    made.run(exchange)
    assert exchange.attempt.reservation is not None
    made.close(exchange)


def test_who_waits_until_its_deadline_learns_why(side: Any) -> None:
    made = side(None)
    held = elsewhere(made)
    outcome = made.whole(seconds=0.02)
    assert isinstance(outcome, NoReply)
    assert (outcome.cause, outcome.sent) == ("queue", False)
    assert "1 other calls" in outcome.message
    held.release()
    assert isinstance(made.whole(seconds=0.5), Reply)


def test_a_spent_pool_is_not_waited_for(side: Any) -> None:
    ledger = FakeLedger(reservation())
    made = side(ledger)
    held = elsewhere(made)
    ledger.pool = BLOCK
    assert made.whole() == Refused(BLOCK)
    held.release()


# --- what is learnt


def test_a_reply_is_settled_once_as_it_was_judged(side: Any) -> None:
    ledger = FakeLedger(reservation())
    made = side(ledger)
    exchange = made.exchange()
    judged(exchange, made.run(exchange))
    for _ in range(2):
        made.settle(exchange)
        made.close(exchange)
    assert [closing.charged for closing in ledger.settled] == [True]


def test_an_answer_is_not_lost_with_the_ledger(side: Any) -> None:
    ledger = FakeLedger(reservation())
    ledger.is_gone = True
    made = side(ledger)
    assert made.whole() == GOOD
    given_up = made.exchange()
    made.run(given_up)
    with pytest.raises(ConfigurationError, match="gone"):
        made.close(given_up)
    assert made.inside == 0


def test_a_call_that_was_sent_and_given_up_may_have_been_charged(side: Any) -> None:
    ledger = FakeLedger(reservation())
    made = side(ledger)
    exchange = made.exchange()
    made.run(exchange)
    made.close(exchange)
    assert ledger.settled == [Closing(charged=None)]


def test_a_call_that_was_given_up_before_it_was_sent_is_given_back(side: Any) -> None:
    ledger = FakeLedger(reservation())
    made = side(ledger)
    exchange = made.exchange()
    made.wait(exchange._admit())
    made.close(exchange)
    assert ledger.settled == [Closing(charged=False)]
    assert made.inside == 0


def test_a_stream_and_a_whole_reply_that_are_given_up_are_counted_alike(side: Any) -> None:
    for reply in (GOOD, STREAMED):
        ledger = FakeLedger(reservation())
        made = side(ledger, channel=FakeChannel(reply))
        exchange = made.exchange()
        made.run(exchange)
        made.close(exchange)
        assert ledger.settled == [Closing(charged=None)]


STREAMED = Reply(200, {"content-type": "text/event-stream"}, sample("streams/null_fields").wire)


def test_a_stream_is_settled_when_it_has_begun_and_keeps_its_slot(side: Any) -> None:
    ledger = FakeLedger(reservation())
    made = side(ledger, channel=FakeChannel(STREAMED))
    exchange = made.exchange()
    outcome = made.run(exchange)
    assert outcome.streaming
    assert exchange.is_stream
    judged(exchange, outcome)
    made.settle(exchange)
    assert [closing.charged for closing in ledger.settled] == [True]
    assert (made.inside, made.channel.bodies[0].closed) == (1, 0)
    made.close(exchange)
    made.close(exchange)
    assert (made.inside, made.channel.bodies[0].closed) == (0, 1)
    assert len(ledger.settled) == 1


def test_a_stream_that_begins_well_lets_the_limiter_grow(side: Any) -> None:
    made = side(None, slots="adaptive", channel=FakeChannel(STREAMED))
    exchange = made.exchange()
    judged(exchange, made.run(exchange))
    made.settle(exchange)
    assert made.admission.limiters.of(MODEL).size == 2, "before its reader is done"
    made.close(exchange)


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_refusal_without_a_reason_has_one_where_others_were_on_their_way(
    side: Any, is_alone: bool
) -> None:
    ledger = FakeLedger(reservation())
    made = side(ledger, slots=2, channel=FakeChannel(Reply(429, {}, b"slow")))
    held = None if is_alone else elsewhere(made)
    exchange = made.exchange()
    judged(exchange, made.run(exchange))
    assert exchange.attempt.verdict.too_fast
    made.close(exchange)
    assert ledger.settled[0].unexplained == ("slow" if is_alone else None)
    if held is not None:
        held.release()


def test_a_pool_that_a_stream_declares_spent_is_recorded(side: Any) -> None:
    ledger = FakeLedger(reservation())
    made = side(ledger)
    verdict = verdict_of(sample("failures/model_quota_today").reply)
    assert verdict.kind is Kind.MODEL_SPENT
    error = verdict.error(attempts=1)
    assert isinstance(error, QuotaExceededError)
    exchange = made.exchange()
    made.run(exchange)
    made.record(exchange, error)
    assert [(block.scope, block.model) for block in ledger.recorded] == [("model", MODEL)]
    made.close(exchange)


# --- what goes wrong on the way


@pytest.mark.parametrize(
    ("failure", "cause", "sent", "repeatable"),
    [
        (httpx.ConnectError("no"), "connection", False, True),
        (httpx.ConnectTimeout("slow"), "timeout", False, True),
        (httpx.WriteError("broken pipe"), "connection", False, True),
        (httpx.ReadError("reset"), "connection", True, True),
        (httpx.RemoteProtocolError("closed"), "connection", True, False),
        (httpx.ReadTimeout("slow"), "timeout", True, False),
    ],
)
def test_what_gets_no_reply_is_an_outcome(
    side: Any, failure: Exception, cause: str, sent: bool, repeatable: bool
) -> None:
    made = side(None, channel=FakeChannel(failure))
    outcome = made.whole()
    assert outcome == NoReply(cause, str(failure), sent, repeatable)
    assert made.inside == 0


def test_a_reply_that_breaks_off_was_sent_and_is_not_repeatable(side: Any) -> None:
    broken = Reply(200, {"content-type": "application/json"}, httpx.ReadError("reset"))  # type: ignore[arg-type]
    made = side(None, channel=FakeChannel(broken))
    assert made.whole() == NoReply("connection", "reset", sent=True, repeatable=False)
    assert made.channel.bodies[0].closed == 1


def test_a_slot_is_given_back_when_settling_fails(side: Any) -> None:
    ledger = FakeLedger(reservation())
    ledger.fails = True
    made = side(ledger)
    for _ in range(2):
        exchange = made.exchange(seconds=0.5)
        assert isinstance(made.run(exchange), Reply)
        with pytest.raises(OSError, match="disk full"):
            made.close(exchange)
        assert made.inside == 0
        assert made.channel.bodies[-1].closed == 1


# --- a caller that is cancelled


async def test_a_unit_that_is_taken_for_a_cancelled_call_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = SQLiteLedger(path)
    ledger.settle(ledger.reserve("me", MODEL), Closing(charged=True))  # type: ignore[arg-type]
    made = Sync(ledger)  # type: ignore[arg-type]
    made.kind = AsyncExchange

    async def call() -> None:
        exchange = made.exchange()
        try:
            await exchange.run()
        finally:
            await exchange.aclose()

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # the reservation has to wait
        task = asyncio.create_task(call())
        while made.inside == 0:  # noqa: ASYNC110 - the ledger is waited for in a thread
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        other.execute("ROLLBACK")
    assert task.cancelled()
    assert made.inside == 0, "the slot is free"
    assert not made.channel.bodies, "nothing was sent"
    taken = ledger.reserve("me", MODEL)
    assert isinstance(taken, Reservation)
    assert await settled(lambda: sum(day.calls for day in ledger.history("me")) == 2)
    ledger.close()


async def test_a_call_that_is_cancelled_on_its_way_may_have_been_charged() -> None:
    ledger, channel = FakeLedger(reservation()), FakeChannel()
    channel.go_on.clear()
    made = Sync(ledger, channel=channel)
    made.kind = AsyncExchange

    async def call() -> None:
        exchange = made.exchange()
        try:
            await exchange.run()
        finally:
            await exchange.aclose()

    task = asyncio.create_task(call())
    await asyncio.to_thread(channel.asked.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await settled(lambda: ledger.settled == [Closing(charged=None)])
    assert made.inside == 0
