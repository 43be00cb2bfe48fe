"""The policy of asynchronous tasks: submit one, poll it, fetch what it made.

Laws of this file: those of ``policy.py``. A task that was accepted is never submitted again: it is
paid for and goes on by itself. Polling and fetching cost nothing; every error after the acceptance
names the task, so that it can be polled later.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from .._wire.checks import check_range
from .._wire.encoded import Done, Encoded, Pending, PollWire, Waiting
from .._wire.failure_table import Kind
from .._wire.failures import Verdict, no_answer
from .._wire.outcomes import Outcome
from .._wire.wires import wire_of
from ..answers import Origin
from ..catalogue.tasks import Task
from ..task_types import ImageRequest, TaskProgress
from .attempt import Attempt, Flow, Handover, Terms
from .free_request import request_free
from .policy import call_flow

__all__ = ["poll_flow"]

# The official sample looks every five seconds; a quick model is done before the first of them.
_GROWTH, _LONGEST_WAIT = 1.5, 5.0


def poll_flow(task: Task, request: ImageRequest, terms: Terms) -> Flow:
    """The attempts of one task, whose file is a `PollWire`, from its submission to its products."""
    wire = cast("PollWire", wire_of(task))
    check_range("poll_interval", request.poll_interval, 0.001, 3600)
    if request.task_id is None:
        handover = yield from call_flow(task, request, terms, stream=False, repeatable=False)
        value, origin = handover.value, handover.origin
    else:
        value = Pending(request.task_id)
        origin = Origin(request.model, request.model, attempts=0)
    watch = _Watch(value.task_id, origin, terms)
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
    terms: Terms
    looks: int = 0
    status: str = ""

    def until_done(self, look: Encoded, wait: float) -> Generator[Attempt, Outcome, Done]:
        """Look at it until it is done, less and less often."""
        longest = max(_LONGEST_WAIT, wait)
        while True:
            if wait >= self.terms.remaining():
                raise self._unfinished()
            value: Waiting | Done = yield from self.get(look, wait)
            self.looks, self.status = self.looks + 1, value.status
            if isinstance(value, Done):
                return value
            wait = min(wait * _GROWTH, longest)

    def get(self, encoded: Encoded, delay: float = 0.0) -> Generator[Attempt, Outcome, Any]:
        """One value about it, or of it."""
        answer = yield from request_free(
            encoded,
            self.origin.model,
            self.terms,
            delay=delay,
            progress=TaskProgress(self.task_id, self.looks, self.status),
        )
        self.origin = replace(self.origin, attempts=self.origin.attempts + answer.attempts)
        if answer.verdict.kind is Kind.GOOD:
            return answer.value
        if self.terms.remaining() <= 0:
            raise self._unfinished()
        raise self._named(answer.verdict).error(attempts=self.origin.attempts)

    def _unfinished(self) -> Exception:
        verdict = no_answer("unfinished", self.origin.model)
        return self._named(verdict).error(attempts=self.origin.attempts)

    def _named(self, verdict: Verdict) -> Verdict:
        return replace(verdict, details=replace(verdict.details, task_id=self.task_id))
