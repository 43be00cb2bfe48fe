"""Leave to send: whatever goes wrong on the way to it, no place and no unit is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, cast

import pytest

from modelscope_transport._wire.outcomes import NoReply, Refused
from modelscope_transport.calls.admission import Admission, Gates
from modelscope_transport.calls.policy import Attempt
from modelscope_transport.quota import Ledger, Park, Reservation
from tests.transport.callers import settled
from tests.transport.played import MODEL

PARK = Park(scope="model", model=MODEL, until=2e9)


class FakeLedger:
    """A store that does I/O and does as it is told."""

    def __init__(self, answer: object = None, *, blocking: bool = True) -> None:
        self.answer = answer
        self.blocking = blocking
        self.pool: Park | None = None
        self.settled: list[dict[str, Any]] = []
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def reserve(self, account: str, model: str, **more: Any) -> Any:
        self.asked.set()
        self.go_on.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def parked(self, account: str, model: str) -> Park | None:
        return self.pool

    def settle(self, reservation: Reservation, **closing: Any) -> None:
        self.settled.append(closing)

    def put_off(self, reservation: Reservation, **closing: Any) -> bool:
        return False


def reservation() -> Reservation:
    """One that nobody looks into."""
    fields: dict[str, Any] = dict.fromkeys(Reservation.__struct_fields__)
    return Reservation(**fields)


def admission(ledger: FakeLedger | None, places: int = 1) -> Admission:
    return Admission("account", cast("Ledger | None", ledger), Gates(places))


def attempt(*, free: bool = False) -> Attempt:
    return Attempt("/x", b"{}", MODEL, False, free=free)


def soon() -> float:
    return time.monotonic() + 0.02


def later() -> float:
    return time.monotonic() + 20


def test_what_costs_nothing_asks_nobody() -> None:
    ledger = FakeLedger(PARK)
    gate = admission(ledger)
    for _ in range(3):
        ticket = gate.admit(attempt(free=True), soon())
        assert ticket.refusal is None
        gate.settle(ticket, attempt(free=True))
    assert not ledger.asked.is_set()


def test_a_spent_pool_takes_no_place() -> None:
    gate = admission(FakeLedger(PARK))
    for _ in range(3):
        ticket = gate.admit(attempt(), soon())
        assert ticket.refusal == Refused(PARK)
        gate.settle(ticket, attempt())


def test_a_ledger_that_fails_takes_no_place() -> None:
    ledger = FakeLedger(OSError("disk full"))
    gate = admission(ledger)
    for _ in range(3):
        with pytest.raises(OSError, match="disk full"):
            gate.admit(attempt(), soon())
    ledger.answer = reservation()
    sent = attempt()
    gate.admit(sent, soon())
    assert sent.given is not None


async def test_a_ledger_that_fails_takes_no_place_in_a_loop() -> None:
    ledger = FakeLedger(OSError("disk full"))
    gate = admission(ledger)
    for _ in range(3):
        with pytest.raises(OSError, match="disk full"):
            await gate.aadmit(attempt(), soon())
    ledger.answer = reservation()
    sent = attempt()
    await gate.aadmit(sent, soon())
    assert sent.given is not None


def _from_elsewhere(gate: Admission) -> Any:
    """A ticket of another thread: one's own would be let in again."""
    tickets: list[Any] = []
    thread = threading.Thread(target=lambda: tickets.append(gate.admit(attempt(), later())))
    thread.start()
    thread.join()
    return tickets[0]


def test_who_waits_until_his_deadline_is_told_why() -> None:
    gate = admission(None)
    held = _from_elsewhere(gate)
    refusal = gate.admit(attempt(), soon()).refusal
    assert isinstance(refusal, NoReply)
    assert (refusal.cause, refusal.sent) == ("queue", False)
    assert "1 other calls" in refusal.message
    gate.settle(held, attempt())
    assert gate.admit(attempt(), soon()).refusal is None


async def test_who_waits_until_his_deadline_in_a_loop_is_told_why() -> None:
    gate = admission(None)
    held = _from_elsewhere(gate)
    refusal = (await gate.aadmit(attempt(), soon())).refusal
    assert isinstance(refusal, NoReply)
    await gate.asettle(held, attempt())
    assert (await gate.aadmit(attempt(), soon())).refusal is None


async def test_a_spent_pool_is_not_waited_for() -> None:
    ledger = FakeLedger(reservation())
    gate = admission(ledger)
    held = _from_elsewhere(gate)
    ledger.pool = PARK
    assert gate.admit(attempt(), later()).refusal == Refused(PARK)
    assert (await gate.aadmit(attempt(), later())).refusal == Refused(PARK)
    gate.settle(held, attempt())


async def test_a_unit_that_is_taken_for_a_cancelled_call_is_given_back() -> None:
    ledger = FakeLedger(reservation())
    ledger.go_on.clear()
    gate = admission(ledger)
    task = asyncio.create_task(gate.aadmit(attempt(), later()))
    await asyncio.to_thread(ledger.asked.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    ledger.go_on.set()
    assert await settled(lambda: ledger.settled == [{"charged": False}])
    sent = attempt()
    await gate.aadmit(sent, soon())
    assert sent.given is not None, "the place is free"


async def test_a_refusal_that_comes_for_a_cancelled_call_needs_nothing_back() -> None:
    ledger = FakeLedger(PARK)
    ledger.go_on.clear()
    gate = admission(ledger)
    task = asyncio.create_task(gate.aadmit(attempt(), later()))
    await asyncio.to_thread(ledger.asked.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    ledger.go_on.set()
    assert (await gate.aadmit(attempt(), soon())).refusal == Refused(PARK)
    assert ledger.settled == []


async def test_a_place_is_given_back_when_settling_fails() -> None:
    class Failing(FakeLedger):
        def settle(self, reservation: Reservation, **closing: Any) -> None:
            raise OSError("disk full")

    ledger = Failing(reservation())
    gate = admission(ledger)
    sent = attempt()
    ticket = gate.admit(sent, soon())
    with pytest.raises(OSError, match="disk full"):
        gate.settle(ticket, sent)
    sent = attempt()
    ticket = await gate.aadmit(sent, soon())
    assert ticket.refusal is None
    with pytest.raises(OSError, match="disk full"):
        await gate.asettle(ticket, sent)
    assert (await gate.aadmit(attempt(), soon())).refusal is None


def test_a_stream_keeps_its_place() -> None:
    gate = admission(None)
    ticket = gate.admit(attempt(), soon())
    leave = ticket.hand_over()
    gate.settle(ticket, attempt())
    assert gate.gates.of(MODEL).inside == 1
    leave()
    leave()
    assert gate.gates.of(MODEL).inside == 0
    ticket.hand_over()()  # nothing is left to give
