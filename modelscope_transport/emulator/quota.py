"""The allowance of the local service's one account, under both of the real service's rules.

Calls a day (up to July 2026): a number for the account and one for each model, back at 00:00 UTC+8.
Magicubes (since August 2026): 0.2, 0.5, 1 or 2 a call, counted in whole tenths. A grant lasts 24
hours. The first call after the last grant has lapsed opens a new one; with ``sign-in`` only
`Meter.sign_in` does, as on the real service. The price of a call is frozen while it runs. A call
that fails is not charged. That embeddings are charged like chat is an assumption: what the real
service charges for them is not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelscope_transport.emulator.answers import Reply
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.language import translated as _

DAY = 86_400
UTC8 = 8 * 3600
UNLIMITED = 1_000_000
"""What the headers tell where nothing is limited; the balance is this less what was spent."""

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
        sign_in: Grant Magicubes at a sign-in only, not at the first call.
    """

    calls_per_day: int | None = None
    calls_per_model: int | Mapping[str, int] | None = None
    magicubes: float | None = None
    headers: bool = False
    concurrency: int | None = None
    sign_in: bool = False

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Read ``calls=20,per-model=5,magicubes=250,headers,sign-in``, or a part of it.

        Raises:
            ValueError: A part is not understood.
        """
        parts = dict(part.strip().partition("=")[::2] for part in text.split(",") if part.strip())
        headers = parts.pop("headers", None) is not None
        sign_in = parts.pop("sign-in", None) is not None
        read = {name: _number(name, parts.pop(name, None)) for name in _PARTS}
        if parts:
            known = ", ".join(f"{name}=N" for name in _PARTS)
            raise ValueError(
                _("an allowance has no {part!r}; it has {known}, headers, sign-in").format(
                    part=next(iter(parts)), known=known
                )
            )
        calls, each, cubes, at_once = read.values()
        return cls(_whole(calls), _whole(each), cubes, headers, _whole(at_once), sign_in)

    def of_model(self, model: str) -> int | None:
        """Calls a day for one model."""
        each = self.calls_per_model
        return each.get(model) if isinstance(each, Mapping) else each


def _number(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    if not text.replace(".", "", 1).isdecimal():
        raise ValueError(_("{name} needs a number, such as {name}=20").format(name=name))
    return float(text)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


@dataclass(slots=True)
class Lot:
    """One grant: tenths of a Magicube that are left, and when they lapse."""

    left: int
    ends: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the account's books.

    Attributes:
        kind: ``"SPEND_CONFIRM"`` or ``"EARN"``.
        at: When, in seconds since the epoch.
        tenths: How much.
        tier: The tier of the model that was called; empty for a grant.
    """

    kind: str
    at: float
    tenths: int
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Charge:
    """What was charged for one call: on which day, and how much of which grant."""

    model: str
    day: int
    entry: Entry
    parts: list[tuple[Lot, int]] = field(default_factory=list)


class Meter:
    """Counts what is spent and says when nothing is left."""

    def __init__(self, allowance: Allowance, clock: Callable[[], float]) -> None:
        self.allowance = allowance
        self._clock = clock
        self.running: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget what was spent; calls that run still count for the concurrency."""
        self._day = -1
        self._calls: Counter[str] = Counter()
        self.lots: list[Lot] = []
        self.entries: list[Entry] = []
        self._signed_in = -1

    # --- grants

    def sign_in(self) -> float:
        """Sign in as on the website, and return the Magicubes that this grants: once a day."""
        self._turn()
        if self.allowance.magicubes is None or self._signed_in == self._day:
            return 0.0
        self._signed_in = self._day
        return self.grant(self.allowance.magicubes)

    def grant(self, magicubes: float, hours: float = 24) -> float:
        """Open a lot of Magicubes that lapses after some hours, and return how many it holds."""
        now = self._clock()
        self.lots.append(Lot(_tenths(magicubes), now + hours * 3600))
        self.entries.append(Entry("EARN", now, _tenths(magicubes)))
        return magicubes

    # --- a call

    def refusal(self, model: Model) -> Reply | None:
        """The 429 for a call to this model now, or None."""
        self._turn()
        allowance, headers = self.allowance, self.headers(model)
        if allowance.concurrency is not None and self.running[model.id] >= allowance.concurrency:
            return refuse("throttled", headers, model=model.id)
        if allowance.calls_per_day is not None and self._calls.total() >= allowance.calls_per_day:
            return refuse("limit_exceeded", headers, model=model.id)
        limit = allowance.of_model(model.id)
        if limit is not None and self._calls[model.id] >= limit:
            return refuse("model_spent", headers, model=model.id)
        if allowance.magicubes is not None and _tenths(model.cost) > self._left():
            return refuse("balance_spent", headers, model=model.id)
        return None

    def charge(self, model: Model) -> Charge:
        """Take the price of a call that begins."""
        self._turn()
        self._calls[model.id] += 1
        price = _tenths(model.cost)
        entry = Entry("SPEND_CONFIRM", self._clock(), price, model.tier)
        self.entries.append(entry)
        charge = Charge(model.id, self._day, entry)
        if self.allowance.magicubes is None:
            return charge
        if not self.lots and not self.allowance.sign_in:
            self.sign_in()
        for lot in sorted(self.lots, key=lambda lot: lot.ends):
            part = min(price, lot.left)
            lot.left -= part
            price -= part
            charge.parts.append((lot, part))
        return charge

    def refund(self, charge: Charge) -> None:
        """Take back what was charged for a call that failed after all, from where it was put."""
        self._turn()
        place = next((at for at, one in enumerate(self.entries) if one is charge.entry), None)
        if place is None:  # it was forgotten by a reset
            return
        del self.entries[place]
        if charge.day == self._day:
            self._calls[charge.model] -= 1
        for lot, part in charge.parts:
            lot.left += part

    # --- what the service tells

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
        """Magicubes that can be spent."""
        self._turn()
        if self.allowance.magicubes is not None:
            return self._left() / 10
        spent = sum(entry.tenths for entry in self.entries if entry.kind == "SPEND_CONFIRM")
        return UNLIMITED - spent / 10  # a balance that never fell would look like new grants

    def left(self) -> float | None:
        """Magicubes that can be spent; None where they are not limited."""
        return None if self.allowance.magicubes is None else self.balance()

    def frozen(self, models: Mapping[str, Model]) -> float:
        """Magicubes that are held for calls that run."""
        running = ((models.get(model), count) for model, count in self.running.items())
        return sum(_tenths(model.cost) * count for model, count in running if model) / 10

    def earned_today(self) -> float:
        """Magicubes that today's sign-in has granted."""
        self._turn()
        signed = self._signed_in == self._day
        return (self.allowance.magicubes or 0.0) if signed else 0.0

    def _left(self) -> int:
        if not self.lots and not self.allowance.sign_in:
            return _tenths(self.allowance.magicubes or 0.0)
        return sum(lot.left for lot in self.lots)

    def _turn(self) -> None:
        """Begin a new day, and drop the grants that have lapsed."""
        now = self._clock()
        day = int((now + UTC8) // DAY)
        if day != self._day:
            self._day = day
            self._calls.clear()
        if any(lot.ends <= now for lot in self.lots):
            self.lots = [lot for lot in self.lots if lot.ends > now]
            if not self.allowance.sign_in:
                self._signed_in = -1


def _tenths(magicubes: float) -> int:
    return round(10 * magicubes)
