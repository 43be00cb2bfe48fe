"""What the ledger answers: a reservation for one request, or what forbids it."""

from __future__ import annotations

from typing import Literal, Self

from msgspec import Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from .allowance import Allowance
from .cells import ACCOUNT, BALANCE, CALLS, MAGICUBES, REFUSALS
from .steps import LASTING, Pages

__all__ = ["NO_PROVIDERS", "Closing", "QuotaBlock", "Reservation", "has_provider", "pools_of"]

NO_PROVIDERS = ".plain"
"""Ends the name of an account of a service where a colon in a model's name means nothing."""


class QuotaBlock(Struct, frozen=True, kw_only=True):
    """A pool that is not to be asked, and until when.

    Attributes:
        scope: ``"account"`` or ``"model"``.
        model: model ID, where the pool is a model's.
        blocked_until: seconds since the epoch. A spent balance is asked for again before that, see
            ``ask``.
        reason: ``"spent"``: the service said so; ``"unexplained"``: it refuses the model for now
            and did not say why, so all processes pause together and one of them tries again at
            ``blocked_until``; ``"budget"``: the user's own limit; ``"kept"``: what the user's
            budget leaves to others; ``"day"``: by this host's clock a new day has begun, which the
            service has not confirmed yet, see ``ask``.
        pending: whether another call is finding out just now if it still holds: it tries whether a
            pause is over, which it may do until ``blocked_until``; or it asks the service for the
            time.
        wait: seconds until ``blocked_until``, by the ledger's clock when it refused; of one that is
            ``pending``, after which to look again.
        limit: size of the pool, where known, in ``unit``.
        used: what was counted of it, in ``unit``.
        unit: ``"calls"`` or ``"magicubes"``.
        price: Magicubes; calls of this price or above are refused, cheaper ones are not. ``None``:
            all calls of the pool.
        comes_at: when more may come, seconds since the epoch, where that is not
            ``blocked_until``: Magicubes are granted at a sign-in on the website, at this time at
            the earliest.
        unfetched: Magicubes that a sign-in would grant today, where the service has said so.
        server_message: the words in which the service refused.
        ask: what the reader of this block should ask the service, free of charge, before it gives
            up: ``"balance"``, then `Ledger.report`; or ``"time"``, then `Ledger.observe_time`.
            It then reserves once more. One process at a time is asked to do so.
    """

    scope: Literal["account", "model"]
    model: str | None
    blocked_until: float
    reason: Literal["spent", "unexplained", "budget", "kept", "day"] = "spent"
    pending: bool = False
    wait: float | None = None
    limit: float | None = None
    used: float | None = None
    unit: Literal["calls", "magicubes"] | None = None
    price: float | None = None
    comes_at: float | None = None
    unfetched: float | None = None
    server_message: str | None = None
    ask: Literal["balance", "time"] | None = None

    @property
    def pool(self) -> str:
        """The pool's name in the ledger: a model's ID, the balance, or the account's calls."""
        if self.scope == "model":
            return self.model or ACCOUNT
        return ACCOUNT if self.price is None else BALANCE

    def within_limit(self, counted: float) -> float:
        """What was used of the pool, where ``counted`` is the ledger's count.

        The count includes calls on their way. Of a pool that the service calls spent it took no
        more than the limit.
        """
        if self.reason == "spent" and self.limit is not None:
            return min(counted, self.limit)
        return counted


Decoder(QuotaBlock)  # inspected at import, in one thread; see ModelProfile


class Reservation(Struct, frozen=True, kw_only=True):
    """One unit of the allowance for one request, to be settled once.

    Attributes:
        account: whose allowance.
        model: model ID.
        day: day of the allowance, ISO.
        bucket: part of the day, see `evidence.bucket_of`.
        reserved_at: seconds since the epoch.
        price: tenths of a Magicube taken from the account; 0 where its pool is not concerned.
        price_class: the class that the price belongs to; empty where it is an assumption.
        lots: tenths taken from lots, by their names.
        refusals: unexplained refusals of the model that came before, one after another. Above 0
            this request is the one that tries whether they have ended.
        undated: whether its day may be over, which only the host's clock says: nobody could be
            asked for the time.
        before: what was counted of its pools today before it: the model's calls, the account's
            calls, tenths of a Magicube.
    """

    account: str
    model: str
    day: str
    bucket: int
    reserved_at: float
    price: int = 0
    price_class: str = ""
    lots: tuple[tuple[str, int], ...] = ()
    refusals: int = 0
    undated: bool = False
    before: tuple[int, int, int] = (0, 0, 0)

    def granted(self, pages: Pages, now: float) -> Self:
        """This reservation as it was made: the pages, after it, show what was counted before."""
        cells, model = pages.get(self.day, {}), self.model
        before = (
            cells.get(CALLS.name(model), 1) - 1,
            cells.get(_ACCOUNT_CALLS, 1) - 1,
            cells.get(MAGICUBES.word, self.price) - self.price,
        )
        refusals = pages[LASTING].get(REFUSALS.name(model), 0)
        return replace(self, reserved_at=now, refusals=refusals, before=before)

    def used(self, block: QuotaBlock) -> float | None:
        """What was counted of a pool that turned out to be spent; ``None`` for nothing."""
        calls_of_model, calls, tenths = self.before
        if block.unit == "magicubes":
            return tenths / 10 or None
        return block.within_limit(calls_of_model if block.scope == "model" else calls) or None


_ACCOUNT_CALLS = CALLS.name(ACCOUNT)


class Closing(Struct, frozen=True, kw_only=True):
    """How a request ended, by which its reservation is settled.

    Attributes:
        charged: whether the service counted the request; ``None`` when that is not known.
        allowance: what the reply said of the pools.
        block: the pool that the reply declared spent.
        unexplained: the words of a refusal that proves nothing and asks for no wait.
        at: when the service sent the reply, seconds since the epoch, by its own clock.
    """

    charged: bool | None
    allowance: Allowance | None = None
    block: QuotaBlock | None = None
    unexplained: str | None = None
    at: float | None = None


def has_provider(model: str, account: str = "") -> bool:
    """Whether a model is ``owner/name:Provider``, which ModelScope passes on to be paid elsewhere.

    Other services give a colon other meanings (``qwen3:8b``, ``qwen/qwen3-8b:free``).
    """
    return ":" in model and not account.endswith(NO_PROVIDERS)


def pools_of(model: str, account: str = "") -> tuple[str, ...]:
    """The pools a model's calls are charged to: its own, and the account's.

    What a provider is paid for is outside the free allowance (official documentation,
    API-Provider).
    """
    return (model,) if has_provider(model, account) else (model, ACCOUNT)
