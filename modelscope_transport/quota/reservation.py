"""What the ledger answers: leave to send, or what forbids it."""

from __future__ import annotations

from typing import Literal, Self

from msgspec import Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from .steps import LASTING, Pages

__all__ = ["QuotaBlock", "Reservation", "pools_of"]


class QuotaBlock(Struct, frozen=True, kw_only=True):
    """A pool that is not to be asked, and until when.

    Attributes:
        scope: ``"account"`` or ``"model"``.
        model: model ID, where the pool is a model's.
        blocked_until: seconds since the epoch.
        reason: ``"spent"``: the service said so; ``"unexplained"``: it keeps refusing without a
            reason, and is asked again now and then; ``"budget"``: the user's own limit;
            ``"kept"``: what the user's budget leaves to others.
        limit: size of the pool, where known, in ``unit``.
        used: what was counted of it, in ``unit``.
        unit: ``"calls"`` or ``"magicubes"``.
        server_message: the words in which the service refused.
    """

    scope: Literal["account", "model"]
    model: str | None
    blocked_until: float
    reason: Literal["spent", "unexplained", "budget", "kept"] = "spent"
    limit: float | None = None
    used: float | None = None
    unit: Literal["calls", "magicubes"] | None = None
    server_message: str | None = None

    @property
    def pool(self) -> str:
        """The pool's name in the ledger: a model's ID, or empty for the account's."""
        return (self.model or "") if self.scope == "model" else ""


Decoder(QuotaBlock)  # work it out while there is one thread; see ModelProfile


class Reservation(Struct, frozen=True, kw_only=True):
    """Leave to send one request, to be settled once.

    Attributes:
        account: whose allowance.
        model: model ID.
        day: day of the allowance, ISO.
        bucket: part of the day, see `evidence.bucket_of`.
        reserved_at: seconds since the epoch.
        halves: half Magicubes taken from the account; 0 where its pool is not concerned.
        lots: half Magicubes taken from lots, by their names.
        strikes: refusals without a reason that came before, one after another.
        before: what was counted of its pools today before it: the model's calls, the account's
            calls, half Magicubes.
    """

    account: str
    model: str
    day: str
    bucket: int
    reserved_at: float
    halves: int = 0
    lots: tuple[tuple[str, int], ...] = ()
    strikes: int = 0
    before: tuple[int, int, int] = (0, 0, 0)

    def granted(self, pages: Pages, now: float) -> Self:
        """The same, taken at a moment out of pages that are as they were left then."""
        cells, model = pages.get(self.day, {}), self.model
        before = (
            cells.get(f"calls {model}", 1) - 1,
            cells.get("calls ", 1) - 1,
            cells.get("halves", self.halves) - self.halves,
        )
        strikes = pages[LASTING].get(f"strikes {model}", 0)
        return replace(self, reserved_at=now, strikes=strikes, before=before)

    def used(self, block: QuotaBlock) -> float | None:
        """What was counted of a pool that turned out to be spent; ``None`` for nothing."""
        calls_of_model, calls, halves = self.before
        if block.unit == "magicubes":
            return halves / 2 or None
        return (calls_of_model if block.scope == "model" else calls) or None


def pools_of(model: str) -> tuple[str, ...]:
    """The pools a model's calls are charged to: its own, and the account's.

    ``owner/name:Provider`` is outside the free allowance (official documentation, API-Provider).
    """
    return (model,) if ":" in model else (model, "")
