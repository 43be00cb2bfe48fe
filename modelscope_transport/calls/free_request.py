"""The policy of a request that costs nothing: a ``GET``, sent again while a moment may heal it.

Laws of this file: those of ``policy.py``. Sending it twice does no harm, so it is sent again also
where it may have arrived.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from msgspec import Struct

from .._wire.encoded import Encoded, Ended
from .._wire.failure_table import Kind
from .._wire.failures import Verdict, judge
from .._wire.outcomes import Failure, NoReply, Outcome
from ..answers import Origin
from ..quota import Balance, Earnings
from ..task_types import TaskProgress
from .attempt import Attempt, Flow, Handover, Terms, read_outcome

__all__ = ["FreeAnswer", "free_flow", "request_free"]

# Of a request that got no reply: what trying again would not heal.
_HOPELESS = ("certificate", "forbidden")


class FreeAnswer(Struct, frozen=True):
    """What came of a free request: its value if the verdict is good, and how often it was sent."""

    value: Any
    verdict: Verdict
    attempts: int


def request_free(
    encoded: Encoded,
    model: str,
    terms: Terms,
    *,
    delay: float = 0.0,
    progress: TaskProgress | None = None,
    platform: int = 0,
) -> Generator[Attempt, Outcome, FreeAnswer]:
    """The attempts of one free request.

    Args:
        encoded: the request.
        model: model ID that it is about.
        terms: deadline and retries.
        delay: seconds to wait first.
        progress: how far the task is that is looked after; said once, with the first attempt.
        platform: see `Attempt`.
    """
    retries = 0
    while True:
        attempt = Attempt(encoded.path or "", b"", model, delay, encoded.headers, free=True)
        attempt.platform = platform
        attempt.progress, progress = progress, None
        outcome = yield attempt
        value = read_outcome(outcome, encoded)
        failure = value.failure if isinstance(value, Ended) else value
        failure = failure if isinstance(failure, Failure) else None
        verdict = attempt.verdict = judge(outcome, failure, model=model, redact=terms.redact)
        attempt.balance = value if isinstance(value, Balance) else None
        attempt.earnings = value if isinstance(value, Earnings) else None
        wait = None
        unanswered = isinstance(outcome, NoReply) and outcome.cause not in _HOPELESS
        if (verdict.kind is Kind.AGAIN or unanswered) and not isinstance(value, Ended):
            wait = terms.delay(retries, verdict.details.retry_after)
        retries += 1
        if wait is None:
            return FreeAnswer(value, verdict, retries)
        delay = wait


def free_flow(encoded: Encoded, model: str, terms: Terms) -> Flow:
    """A free request by itself; its value is handed over, or its last outcome's error raised."""
    answer = yield from request_free(encoded, model, terms)
    if answer.verdict.kind is not Kind.GOOD:
        raise answer.verdict.error(attempts=answer.attempts)
    return Handover(answer.value, Origin(model, model, attempts=answer.attempts))
