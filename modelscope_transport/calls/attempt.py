"""What a flow yields, on which terms, and what it hands over in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from .._wire.encoded import Encoded
from .._wire.failures import Verdict
from .._wire.outcomes import Outcome, Reply
from ..answers import Origin
from ..catalogue.models import ProfileBook
from ..quota import Balance, Earnings, Reservation
from ..task_types import TaskProgress
from .retry import RetryBudget, RetryPolicy

__all__ = ["Attempt", "Flow", "Handover", "Terms", "read_outcome", "steps"]


class Attempt(Struct):
    """Wait, then send this.

    Attributes:
        path: address under the base URL (``/../`` leads beside its last part), or a whole
            ``https`` address; the token goes to the service and its hub, to no one else.
        body: JSON to post; empty for a ``GET``.
        model: model ID that is asked.
        delay: seconds to wait first.
        headers: further headers of this request.
        free: whether it costs nothing of the allowance, so that the ledger is not asked.
        tier: price class of the model.
        platform: 0 for the service itself, else which of the client's platforms: 1 for the first.
        reservation: its unit of the allowance, once it has one.
        verdict: what the flow made of its outcome; the ledger and the limiter learn by it.
        balance: the account's Magicubes, where that is what the reply says; for the ledger.
        earnings: what today grants, likewise.
        progress: how far the task is that it looks after, as it goes out; for the caller.
    """

    path: str
    body: bytes
    model: str
    delay: float = 0.0
    headers: Mapping[str, str] | None = None
    free: bool = False
    tier: str | None = None
    platform: int = 0
    reservation: Reservation | None = None
    verdict: Verdict | None = None
    balance: Balance | None = None
    earnings: Earnings | None = None
    progress: TaskProgress | None = None


class Handover(Struct, frozen=True):
    """A call that succeeded.

    Attributes:
        value: its decoded reply, or the opening of its stream.
        origin: where it comes from.
    """

    value: Any
    origin: Origin


Flow = Generator[Attempt, Outcome, Handover]


def steps(flow: Flow) -> Generator[Attempt | Handover, Outcome, None]:
    """The attempts of a flow, and last what it hands over, which ``send`` would raise otherwise."""
    yield (yield from flow)


class Terms(Struct, frozen=True, kw_only=True):
    """On which terms a call is made.

    Attributes:
        deadline: end of the call on ``clock``.
        policy: when to try again.
        book: profiles of models, and where lessons are kept.
        budget: retries left to all calls of the account together.
        redact: takes credentials out of what a server says.
        looks: free requests by what they look at again before a pool is called spent:
            ``"time"``; and ``"balance"`` and ``"earnings"`` where the service's hub is known.
        clock: seconds, monotonic.
        chance: source of numbers in [0, 1).
    """

    deadline: float
    policy: RetryPolicy
    book: ProfileBook
    budget: RetryBudget
    redact: Callable[[str], str] = str
    looks: Mapping[str, Encoded] = {}
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def briefly(self, seconds: float) -> Terms:
        """The terms of a free request that the call waits for: one try, in so many seconds."""
        deadline = min(self.deadline, self.clock() + seconds)
        return replace(self, deadline=deadline, policy=RetryPolicy(max_retries=0))

    def remaining(self) -> float:
        """Seconds left."""
        return self.deadline - self.clock()

    def delay(self, retries: int, retry_after: float | None) -> float | None:
        """Seconds until the next attempt, or ``None`` to give up; see `RetryPolicy.delay`."""
        return self.policy.delay(
            retries, retry_after=retry_after, remaining=self.remaining(), chance=self.chance
        )


def read_outcome(outcome: Outcome, encoded: Encoded) -> Any:
    """What a reply says: a value, or a `Failure`; ``None`` where there was no reply."""
    if not isinstance(outcome, Reply):
        return None
    return encoded.read(outcome) if 200 <= outcome.status < 300 else encoded.refused(outcome)
