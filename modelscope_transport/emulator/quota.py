"""The allowance of the local service's one account, under both of the real service's rules.

Calls a day (up to July 2026): so many for the account, so many for each model, back at 00:00 UTC+8.
Magicubes (since August 2026): 0.5, 1 or 2 a call; a grant lives 24 hours from the call that opened
it, then the next one takes its place. A call that fails is not charged. That embeddings are charged
like chat is an assumption: what the real service charges for them is not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelscope_transport.emulator.answers import Reply
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.failures import refuse

DAY = 86_400
UTC8 = 8 * 3600
UNLIMITED = 1_000_000
"""What the headers and the balance tell when nothing is limited."""

_PARTS = ("calls", "per-model", "magicubes", "concurrency")
_HEADER = "modelscope-ratelimit-"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an account may spend; None does not limit.

    Attributes:
        calls_per_day: Calls a day for all models together.
        calls_per_model: Calls a day for each model, or a mapping of model ids to numbers.
        magicubes: The grant, in Magicubes, for 24 hours.
        headers: Send the four headers that told what is left until the middle of 2026.
        concurrency: Calls at once to one model.
    """

    calls_per_day: int | None = None
    calls_per_model: int | Mapping[str, int] | None = None
    magicubes: float | None = None
    headers: bool = False
    concurrency: int | None = None

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Read ``calls=20,per-model=5,magicubes=250,headers,concurrency=2``, or a part of it.

        Raises:
            ValueError: A part is not understood.
        """
        parts = dict(part.strip().partition("=")[::2] for part in text.split(",") if part.strip())
        headers = parts.pop("headers", None) is not None
        read = {name: _number(name, parts.pop(name, None)) for name in _PARTS}
        if parts:
            known = ", ".join(f"{name}=N" for name in _PARTS)
            raise ValueError(f"an allowance has no {next(iter(parts))!r}; it has {known}, headers")
        calls, each, cubes, at_once = read.values()
        return cls(_whole(calls), _whole(each), cubes, headers, _whole(at_once))

    def of_model(self, model: str) -> int | None:
        """Calls a day for one model."""
        each = self.calls_per_model
        return each.get(model) if isinstance(each, Mapping) else each


def _number(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    if not text.replace(".", "", 1).isdecimal():
        raise ValueError(f"{name} needs a number, such as {name}=20")
    return float(text)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


class Meter:
    """Counts what is spent and says when nothing is left."""

    def __init__(self, allowance: Allowance, clock: Callable[[], float]) -> None:
        self.allowance = allowance
        self._clock = clock
        self.running: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget what was spent; calls that run keep their places."""
        self._day = -1
        self._calls: Counter[str] = Counter()
        self._cubes = 0.0
        self._granted = float("-inf")

    def refusal(self, model: Model) -> Reply | None:
        """The 429 for a call to this model now, or None."""
        self._turn()
        allowance, headers = self.allowance, self.headers(model)
        if allowance.concurrency is not None and self.running[model.id] >= allowance.concurrency:
            return refuse("throttled", headers, model=model.id)
        if allowance.calls_per_day is not None and self._calls.total() >= allowance.calls_per_day:
            return refuse("account_spent", headers, model=model.id)
        limit = allowance.of_model(model.id)
        if limit is not None and self._calls[model.id] >= limit:
            return refuse("model_spent", headers, model=model.id)
        if allowance.magicubes is not None and self._cubes + model.cost > allowance.magicubes:
            return refuse("balance_spent", headers, model=model.id)
        return None

    def charge(self, model: Model) -> None:
        """Count a call that was answered."""
        self._turn()
        self._calls[model.id] += 1
        if self._granted == float("-inf"):
            self._granted = self._clock()
        self._cubes += model.cost

    def refund(self, model: Model) -> None:
        """Take the charge of a call back that failed after all."""
        self._calls[model.id] -= 1
        self._cubes -= model.cost

    def headers(self, model: Model) -> dict[str, str]:
        """The four headers of the rule of calls a day, if the allowance sends them."""
        if not self.allowance.headers:
            return {}
        self._turn()
        account = self.allowance.calls_per_day
        each = self.allowance.of_model(model.id)
        account = UNLIMITED if account is None else account
        each = UNLIMITED if each is None else each
        return {
            f"{_HEADER}requests-limit": str(account),
            f"{_HEADER}requests-remaining": str(max(0, account - self._calls.total())),
            f"{_HEADER}model-requests-limit": str(each),
            f"{_HEADER}model-requests-remaining": str(max(0, each - self._calls[model.id])),
        }

    def balance(self) -> float:
        """Magicubes left."""
        self._turn()
        granted = self.allowance.magicubes
        return UNLIMITED if granted is None else max(0.0, granted - self._cubes)

    def _turn(self) -> None:
        """Begin a new day, or a new grant, when it is time."""
        now = self._clock()
        day = int((now + UTC8) // DAY)
        if day != self._day:
            self._day = day
            self._calls.clear()
        if now - self._granted >= DAY and self._granted != float("-inf"):
            self._granted = float("-inf")
            self._cubes = 0.0
