"""Leave to send: whatever goes wrong on the way to it, no slot and no unit is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, cast

import pytest

from modelscope_transport._wire.outcomes import NoReply, Refused
from modelscope_transport.calls.admission import Admission, Limiters
from modelscope_transport.calls.policy import Attempt
from modelscope_transport.quota import Ledger, QuotaBlock, Reservation
from tests.transport.callers import settled
from tests.transport.played import MODEL

PARK = QuotaBlock(scope="model", model=MODEL, blocked_until=2e9)


class FakeLedger:
    """A store that does I/O and does as it is told."""

    def __init__(self, answer: object = None, *, blocking: bool = True) -> None:
        self.answer = answer
        self.blocking = blocking
        self.pool: QuotaBlock | None = None
        self.settled: list[dict[str, Any]] = []
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def reserve(self, account: str, model: str, **more: Any) -> Any:
        self.asked.set()
        self.go_on.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def blocked(self, account: str, model: str) -> QuotaBlock | None:
        return self.pool

    def settle(self, reservation: Reservation, **closing: Any) -> None:
        self.settled.append(closing)

    def defer(self, reservation: Reservation, **closing: Any) -> bool:
        return False


def reservation() -> Reservation:
    """One that nobody looks into."""
    fields: dict[str, Any] = dict.fromkeys(Reservation.__struct_fields__)
    return Reservation(**fields)


def admission(ledger: FakeLedger | None, slots: int = 1) -> Admission:
    return Admission("account", cast("Ledger | None", ledger), Limiters(slots))


def attempt(*, free: bool = False) -> Attempt:
    return Attempt("/x", b"{}", MODEL, False, free=free)


def soon() -> float:
    return time.monotonic() + 0.02


def later() -> float:
    return time.monotonic() + 20


def test_what_costs_nothing_asks_nobody() -> None:
    ledger = FakeLedger(PARK)
    limiter = admission(ledger)
    for _ in range(3):
        ticket = limiter.admit(attempt(free=True), soon())
        assert ticket.refusal is None
        limiter.settle(ticket, attempt(free=True))
    assert not ledger.asked.is_set()


def test_a_spent_pool_takes_no_place() -> None:
    limiter = admission(FakeLedger(PARK))
    for _ in range(3):
        ticket = limiter.admit(attempt(), soon())
        assert ticket.refusal == Refused(PARK)
        limiter.settle(ticket, attempt())


def test_a_ledger_that_fails_takes_no_place() -> None:
    ledger = FakeLedger(OSError("disk full"))
    limiter = admission(ledger)
    for _ in range(3):
        with pytest.raises(OSError, match="disk full"):
            limiter.admit(attempt(), soon())
    ledger.answer = reservation()
    sent = attempt()
    limiter.admit(sent, soon())
    assert sent.reservation is not None


async def test_a_ledger_that_fails_takes_no_place_in_a_loop() -> None:
    ledger = FakeLedger(OSError("disk full"))
    limiter = admission(ledger)
    for _ in range(3):
        with pytest.raises(OSError, match="disk full"):
            await limiter.aadmit(attempt(), soon())
    ledger.answer = reservation()
    sent = attempt()
    await limiter.aadmit(sent, soon())
    assert sent.reservation is not None


def _from_elsewhere(limiter: Admission) -> Any:
    """A ticket of another thread: one's own would be let in again."""
    tickets: list[Any] = []
    thread = threading.Thread(target=lambda: tickets.append(limiter.admit(attempt(), later())))
    thread.start()
    thread.join()
    return tickets[0]


def test_who_waits_until_his_deadline_is_told_why() -> None:
    limiter = admission(None)
    held = _from_elsewhere(limiter)
    refusal = limiter.admit(attempt(), soon()).refusal
    assert isinstance(refusal, NoReply)
    assert (refusal.cause, refusal.sent) == ("queue", False)
    assert "1 other calls" in refusal.message
    limiter.settle(held, attempt())
    assert limiter.admit(attempt(), soon()).refusal is None


async def test_who_waits_until_his_deadline_in_a_loop_is_told_why() -> None:
    limiter = admission(None)
    held = _from_elsewhere(limiter)
    refusal = (await limiter.aadmit(attempt(), soon())).refusal
    assert isinstance(refusal, NoReply)
    await limiter.asettle(held, attempt())
    assert (await limiter.aadmit(attempt(), soon())).refusal is None


async def test_a_spent_pool_is_not_waited_for() -> None:
    ledger = FakeLedger(reservation())
    limiter = admission(ledger)
    held = _from_elsewhere(limiter)
    ledger.pool = PARK
    assert limiter.admit(attempt(), later()).refusal == Refused(PARK)
    assert (await limiter.aadmit(attempt(), later())).refusal == Refused(PARK)
    limiter.settle(held, attempt())


async def test_a_unit_that_is_taken_for_a_cancelled_call_is_given_back() -> None:
    ledger = FakeLedger(reservation())
    ledger.go_on.clear()
    limiter = admission(ledger)
    task = asyncio.create_task(limiter.aadmit(attempt(), later()))
    await asyncio.to_thread(ledger.asked.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    ledger.go_on.set()
    assert await settled(lambda: ledger.settled == [{"charged": False}])
    sent = attempt()
    await limiter.aadmit(sent, soon())
    assert sent.reservation is not None, "the slot is free"


async def test_a_refusal_that_comes_for_a_cancelled_call_needs_nothing_back() -> None:
    ledger = FakeLedger(PARK)
    ledger.go_on.clear()
    limiter = admission(ledger)
    task = asyncio.create_task(limiter.aadmit(attempt(), later()))
    await asyncio.to_thread(ledger.asked.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    ledger.go_on.set()
    assert (await limiter.aadmit(attempt(), soon())).refusal == Refused(PARK)
    assert ledger.settled == []


async def test_a_place_is_given_back_when_settling_fails() -> None:
    class Failing(FakeLedger):
        def settle(self, reservation: Reservation, **closing: Any) -> None:
            raise OSError("disk full")

    ledger = Failing(reservation())
    limiter = admission(ledger)
    sent = attempt()
    ticket = limiter.admit(sent, soon())
    with pytest.raises(OSError, match="disk full"):
        limiter.settle(ticket, sent)
    sent = attempt()
    ticket = await limiter.aadmit(sent, soon())
    assert ticket.refusal is None
    with pytest.raises(OSError, match="disk full"):
        await limiter.asettle(ticket, sent)
    assert (await limiter.aadmit(attempt(), soon())).refusal is None


def test_a_stream_keeps_its_place() -> None:
    limiter = admission(None)
    ticket = limiter.admit(attempt(), soon())
    leave = ticket.hand_over()
    limiter.settle(ticket, attempt())
    assert limiter.limiters.of(MODEL).inside == 1
    leave()
    leave()
    assert limiter.limiters.of(MODEL).inside == 0
    ticket.hand_over()()  # nothing is left to give
