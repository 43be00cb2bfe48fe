"""How many calls to one model the service takes at once: one level that all processes share.

The processes of an account find the level out together, see ``aimd.py``, and keep it in the ledger.
It is divided into slots. A process holds its slots by a lease, so that those of a dead one come
back; where there are fewer slots than processes that want one, they take turns.

Nothing here is exact to the call: a process may be a moment late in giving a slot back, and then
the service refuses one call.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from msgspec import Struct, convert, field, to_builtins
from msgspec.json import Decoder

from .aimd import AIMD
from .bookkeeper import Bookkeeper
from .cells import SHARE, SHARE_VERSION
from .runner import Work
from .steps import Step

__all__ = ["ConcurrencyShare", "Share"]

PAGE = "shares"
# Seconds: how long slots are kept for a process that does not renew them, how long it keeps one
# while another has none, and how soon to ask again where slots are lacking, or are not.
_LEASE, _TURN, _SOON, _LATER = 5.0, 0.2, 0.05, 1.0
# How far ahead the end of a lease may lie. Clocks differ by seconds; what lies further ahead was
# dated by a clock that is wrong, and would outlive its holder by as much.
_AHEAD = 2 * _LEASE


class Share(NamedTuple):
    """What one process may use of the level now.

    Attributes:
        slots: calls to the model at once. A process that has more on their way begins no new
            ones.
        level: what all processes may use together.
        renew_in: seconds after which to ask again.
        epoch: number of times that the level was cut so far; see `ConcurrencyShare.update`.
        others: slots that other processes have.
    """

    slots: int
    level: int
    renew_in: float
    epoch: int
    others: int


class _Holder(Struct):
    slots: int
    wanted: int
    until: float
    since: float


class _Level(AIMD):
    """The level of one model, and which processes hold how much of it."""

    holders: dict[str, _Holder] = field(default_factory=dict)

    def grow(self, successes: int) -> None:
        """Calls were taken while the level was full: perhaps more can be."""
        wanted = sum(holder.wanted for holder in self.holders.values())
        for _ in range(successes):
            if wanted < self.level:
                return
            self.increase()

    def shrink(self, epoch: int) -> None:
        """A call was too fast."""
        self.decrease(epoch, sum(holder.slots for holder in self.holders.values()))

    def deal(self, name: str, wanted: int, inside: int, now: float) -> Share:
        """Give one process its slots."""
        before = self.holders.pop(name, None)
        others = [holder for holder in self.holders.values() if holder.wanted]
        had = before.slots if before is not None else 0
        since = min(before.since, now) if before is not None else now
        slots = self._due(wanted, others, had, since, now)
        if bool(max(slots, inside)) != bool(had) or before is None:
            since = now
        if wanted or inside:
            until = now + _LEASE
            if before is not None and now + _LEASE / 2 < before.until <= until:
                until = before.until  # a question that changes nothing writes nothing
            self.holders[name] = _Holder(max(slots, inside), wanted, until, since)
        is_short = wanted > slots or any(other.wanted > other.slots for other in others)
        taken = sum(other.slots for other in others)
        return Share(slots, self.level, _SOON if is_short else _LATER, self.epoch, taken)

    def _due(self, wanted: int, others: list[_Holder], had: int, since: float, now: float) -> int:
        """How many slots a process is to have; ``since`` is when it last gained or lost all."""
        free = max(0, self.level - sum(other.slots for other in others))
        fair = max(1, self.level // (len(others) + 1))
        without = [other for other in others if not other.slots]
        if had and without and len(others) >= self.level and now - since >= _TURN:
            return 0  # its turn is over
        if not had and sum(other.since < since for other in without) >= free:
            return 0  # others have waited longer
        lacking = sum(max(0, min(fair, other.wanted) - other.slots) for other in others)
        return min(wanted, max(min(fair, free), free - lacking))


Decoder(_Level)  # inspected at import, in one thread; see ModelProfile


class ConcurrencyShare:
    """This process's part of the calls that the service takes at once for one model.

    Args:
        books: the ledger's work.
        account: whose calls.
        model: model ID.
    """

    def __init__(self, books: Bookkeeper, account: str, model: str) -> None:
        self._books = books
        self._account = account
        self._model = model
        self._name = uuid.uuid4().hex

    def update(
        self,
        wanted: int,
        inside: int,
        *,
        successes: int = 0,
        too_fast: int | None = None,
    ) -> Share:
        """Say what is wanted and what was learnt; get the slots that may be used now.

        Args:
            wanted: calls that are on their way or wait for a slot. 0, with ``inside`` 0, gives
                all slots back.
            inside: calls that are on their way.
            successes: calls that the service has taken since the last update.
            too_fast: the epoch, as `Share.epoch` was when the call was sent that the service
                refused for being too fast; ``None`` for none.

        Raises:
            ConfigurationError: the ledger cannot be used.
        """
        return self._books.runner.play(
            self._account, lambda: self._updating(wanted, inside, successes, too_fast)
        )

    def _updating(
        self, wanted: int, inside: int, successes: int, too_fast: int | None
    ) -> Work[Share]:
        runner = self._books.runner
        cell, version_cell = SHARE.name(self._model), SHARE_VERSION.name(self._model)
        pages = yield from runner.read(self._account, (PAGE,))
        while True:
            cells: dict[str, Any] = pages.get(PAGE, {})
            now = self._books.now(self._account)
            level = convert(cells.get(cell, {}), _Level)
            level.holders = {
                name: holder
                for name, holder in level.holders.items()
                if now < holder.until <= now + _AHEAD
            }
            if self._name in level.holders:
                level.holders[self._name].wanted = wanted
            level.grow(successes)
            if too_fast is not None:
                level.shrink(too_fast)
            share = level.deal(self._name, wanted, inside, now)
            dealt = to_builtins(level)
            if dealt == cells.get(cell):
                return share
            same = Step("same", PAGE, version_cell, cells.get(version_cell, 0))
            changes = [
                Step("put", PAGE, cell, dealt),
                Step("add", PAGE, version_cell, 1),
            ]
            ran = yield from runner.run(self._account, now, (same,), changes)
            if ran.failed is None:
                return share
            pages = ran.pages
