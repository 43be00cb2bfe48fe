"""Processes that share what the service takes at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from modelscope_transport.quota import ConcurrencyShare, Ledger
from tests.transport.quota.clockwork import Hands

MODEL = "Qwen/Qwen3-8B"


class Service:
    """Takes so many calls at once and refuses the others."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.requests = self.refused = self.inside = self.peak = 0
        self.lock = threading.Lock()

    def call(self) -> bool:
        with self.lock:
            self.requests += 1
            if self.inside >= self.most:
                self.refused += 1
                return False
            self.inside += 1
            self.peak = max(self.peak, self.inside)
        threading.Event().wait(0.03)  # how long the call takes
        with self.lock:
            self.inside -= 1
        return True


def work(share: ConcurrencyShare, service: Service, calls: int) -> None:
    """A process that has so many calls to make, with a slot for each thread of its own."""
    wake = threading.Condition()
    open_calls, inside, successes = calls, 0, 0
    too_fast: int | None = None
    epoch = 0

    def one(sent_in: int) -> None:
        nonlocal open_calls, inside, successes, too_fast
        taken = service.call()
        with wake:
            inside -= 1
            if taken:
                successes += 1
            else:
                open_calls += 1
                too_fast = sent_in
            wake.notify()

    threads = []
    while True:
        with wake:
            learnt, said = successes, too_fast
            successes, too_fast = 0, None
        granted = share.update(open_calls + inside, inside, successes=learnt, too_fast=said)
        epoch = granted.epoch
        with wake:
            while open_calls and inside < granted.slots:
                open_calls -= 1
                inside += 1
                threads.append(threading.Thread(target=one, args=(epoch,)))
                threads[-1].start()
            if not open_calls and not inside and too_fast is None:
                break
            wake.wait(granted.renew_in)
    share.update(0, 0)
    for thread in threads:
        thread.join()


def run(ledgers: list[Ledger], account: str, most: int, calls: int) -> Service:
    service = Service(most)
    workers = [
        threading.Thread(target=work, args=(ledger.share(account, MODEL), service, calls))
        for ledger in ledgers
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    return service


def test_twelve_workers_divide_what_the_service_takes(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    clock.run()
    service = run([open_again() for _ in range(12)], account, most=4, calls=15)

    assert service.requests - service.refused == 180
    assert service.requests <= 1.15 * 180


def test_one_worker_alone_reaches_all_that_the_service_takes(ledger: Ledger, account: str) -> None:
    service = run([ledger], account, most=4, calls=40)
    assert service.peak == 4


def test_a_dead_workers_part_comes_back(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    dead, living = open_again().share(account, MODEL), open_again().share(account, MODEL)
    assert dead.update(1, 0).slots == 1
    dead.update(1, 1)
    assert living.update(1, 0).slots == 0
    clock.now += 31
    assert living.update(1, 0).slots == 1


def test_a_part_that_a_fast_clock_has_dated_ahead_comes_back_as_well(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    dead, living = open_again().share(account, MODEL), open_again().share(account, MODEL)
    clock.now += 3600
    assert dead.update(1, 1).slots == 1
    clock.now -= 3600
    assert living.update(1, 0).slots == 1


def test_a_clock_that_is_a_little_ahead_costs_nobody_a_part(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    ahead, right = open_again().share(account, MODEL), open_again().share(account, MODEL)
    clock.now += 2
    assert ahead.update(1, 1).slots == 1
    clock.now -= 2
    assert right.update(1, 0).slots == 0


def test_a_worker_whose_clock_was_put_right_takes_turns_at_once(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    hasty, other = open_again().share(account, MODEL), open_again().share(account, MODEL)
    clock.now += 3
    assert hasty.update(1, 1).slots == 1
    clock.now -= 3  # it has heard the service
    hasty.update(1, 1)
    assert other.update(1, 0).slots == 0
    clock.now += 0.3
    assert hasty.update(1, 0).slots == 0
    assert other.update(1, 0).slots == 1


def test_what_is_given_back_is_the_others_at_once(
    open_again: Callable[[], Ledger], account: str
) -> None:
    one, other = open_again().share(account, MODEL), open_again().share(account, MODEL)
    assert one.update(5, 0).slots == 1
    assert other.update(5, 0).slots == 0
    one.update(0, 0)
    assert other.update(5, 0).slots == 1


def test_workers_take_turns_where_there_are_fewer_slots(
    open_again: Callable[[], Ledger], account: str, clock: Hands
) -> None:
    shares = [open_again().share(account, MODEL) for _ in range(3)]
    served = [0, 0, 0]
    for _ in range(60):
        clock.now += 0.1
        for place, share in enumerate(shares):
            served[place] += share.update(1, 0).slots
    assert min(served) >= 10


def test_refusals_of_one_burst_cut_the_level_once(ledger: Ledger, account: str) -> None:
    share = ledger.share(account, MODEL)
    share.update(20, 0)
    grown = share.update(20, 1, successes=7)
    assert grown.level == 8
    for _ in range(3):
        cut = share.update(20, 8, too_fast=grown.epoch)
    assert cut.level == 4
