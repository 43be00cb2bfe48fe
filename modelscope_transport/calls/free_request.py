"""The policy of a question that costs nothing: a ``GET``, asked again while a moment may heal it.

Laws of this file: those of ``_flow.py``. Asking twice does no harm, so a question is asked again
also where it may have arrived.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from typing import Any

from msgspec import Struct

from .._wire.encoded import Encoded, Ended
from .._wire.failure_table import Kind
from .._wire.failures import Verdict, judge
from .._wire.outcomes import Failure, NoReply, Outcome
from ..types import Origin
from .policy import (
    Attempt,
    Flow,
    Handover,
    read_outcome,
)
from .retry import RetryPolicy

__all__ = ["Asked", "ask", "ask_flow"]


class Asked(Struct, frozen=True):
    """What came of a question: its value if the verdict is good, and how often it was asked."""

    value: Any
    verdict: Verdict
    attempts: int


def ask(
    encoded: Encoded,
    model: str,
    *,
    policy: RetryPolicy,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
    chance: Callable[[], float] = random.random,
    delay: float = 0.0,
) -> Generator[Attempt, Outcome, Asked]:
    """The attempts of one question.

    Args:
        encoded: the question.
        model: model ID that it is about.
        policy: when to ask again.
        deadline: end of the call on ``clock``.
        clock: seconds, monotonic.
        chance: source of numbers in [0, 1).
        delay: seconds to wait first.
    """
    retries = 0
    while True:
        attempt = Attempt(
            encoded.path or "", b"", model, False, delay, headers=encoded.headers, free=True
        )
        outcome = yield attempt
        value = read_outcome(outcome, encoded)
        failure = value.failure if isinstance(value, Ended) else value
        failure = failure if isinstance(failure, Failure) else None
        verdict = attempt.verdict = judge(outcome, failure, model=model)
        wait = None
        healing = verdict.kind is Kind.AGAIN or isinstance(outcome, NoReply)
        if healing and not isinstance(value, Ended):
            wait = policy.delay(
                retries,
                retry_after=verdict.details.retry_after,
                remaining=deadline - clock(),
                chance=chance,
            )
        retries += 1
        if wait is None:
            return Asked(value, verdict, retries)
        delay = wait


def ask_flow(encoded: Encoded, model: str, *, policy: RetryPolicy, deadline: float) -> Flow:
    """A question by itself; its value is handed over, or the error of its last outcome raised."""
    asked = yield from ask(encoded, model, policy=policy, deadline=deadline)
    if asked.verdict.kind is not Kind.GOOD:
        raise asked.verdict.error(attempts=asked.attempts)
    return Handover(asked.value, Origin(model, model, attempts=asked.attempts))
