"""The policy of work that takes its time: submit, look after it, fetch what it made.

Laws of this file: those of ``_flow.py``. What was accepted is never submitted again: it is paid
for and goes on by itself. Looking and fetching cost nothing; every error after the acceptance
names the task, so that it can be looked after later.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from .._wire.carriers import carrier_of
from .._wire.checks import check_range
from .._wire.encoded import (
    Done,
    Encoded,
    Pending,
    PollWire,
)
from .._wire.failure_table import Kind, shape_rows
from .._wire.failures import Verdict
from .._wire.outcomes import Outcome
from ..catalogue.models import ProfileBook
from ..catalogue.tasks import Task
from ..errors import ErrorDetails
from ..task_types import ImageRequest
from ..types import Origin
from .free_request import ask
from .policy import (
    Attempt,
    Flow,
    Handover,
    call_flow,
)
from .retry import RetryBudget, RetryPolicy

__all__ = ["poll_flow"]

# The official sample looks every five seconds; a quick model is done before the first of them.
_GROWTH, _LONGEST_WAIT = 1.5, 5.0


def poll_flow(
    task: Task,
    request: ImageRequest,
    *,
    book: ProfileBook,
    policy: RetryPolicy,
    budget: RetryBudget,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
    chance: Callable[[], float] = random.random,
) -> Flow:
    """The attempts of one task, from its submission to its products.

    Args:
        task: row of the task registry; its file is a `PollWire`.
        request: what the user asks.
        book: profiles, and where lessons are kept.
        policy: when to try again.
        budget: retries left to all calls together.
        deadline: end of the call on ``clock``.
        clock: seconds, monotonic.
        chance: source of numbers in [0, 1).
    """
    wire = cast("PollWire", carrier_of(task))
    check_range("poll_interval", request.poll_interval, 0.001, 3600)
    if request.task_id is None:
        handover = yield from call_flow(
            task,
            request,
            stream=False,
            repeatable=False,
            book=book,
            policy=policy,
            budget=budget,
            deadline=deadline,
            clock=clock,
            chance=chance,
        )
        value, origin = handover.value, handover.origin
    else:
        value = Pending(request.task_id)
        origin = Origin(request.model, request.model, attempts=0)
    watch = _Watch(value.task_id, origin, deadline, policy, clock, chance)
    if isinstance(value, Pending):
        value = yield from watch.until_done(wire.look(value.task_id), request.poll_interval)
    done = cast("Done", value)
    products: list[Any] = []
    for url in done.urls:
        product = (yield from watch.get(wire.fetch(url))) if request.download else url
        products.append(product)
    return Handover(wire.finish(tuple(products), watch.task_id, watch.origin), watch.origin)


class _Watch(Struct):
    """What is known of a task that was accepted."""

    task_id: str
    origin: Origin
    deadline: float
    policy: RetryPolicy
    clock: Callable[[], float]
    chance: Callable[[], float]

    def until_done(self, look: Encoded, wait: float) -> Generator[Attempt, Outcome, Done]:
        """Look at it until it is done, less and less often."""
        longest = max(_LONGEST_WAIT, wait)
        while True:
            if wait >= self.deadline - self.clock():
                raise self._unfinished()
            value = yield from self.get(look, wait)
            if isinstance(value, Done):
                return value
            wait = min(wait * _GROWTH, longest)

    def get(self, encoded: Encoded, delay: float = 0.0) -> Generator[Attempt, Outcome, Any]:
        """One value about it, or of it."""
        asked = yield from ask(
            encoded,
            self.origin.model,
            policy=self.policy,
            deadline=self.deadline,
            clock=self.clock,
            chance=self.chance,
            delay=delay,
        )
        self.origin = replace(self.origin, attempts=self.origin.attempts + asked.attempts)
        if asked.verdict.kind is Kind.GOOD:
            return asked.value
        if self.clock() >= self.deadline:
            raise self._unfinished()
        raise self._named(asked.verdict).error(attempts=self.origin.attempts)

    def _unfinished(self) -> Exception:
        row = shape_rows()["unfinished"]
        details = ErrorDetails(reason=row.name, model=self.origin.model)
        verdict = Verdict(kind=Kind.FINAL, row=row, details=details)
        return self._named(verdict).error(attempts=self.origin.attempts)

    def _named(self, verdict: Verdict) -> Verdict:
        return replace(verdict, details=replace(verdict.details, task_id=self.task_id))
