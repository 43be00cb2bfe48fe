"""What replies teach the ledger: the service's numbers beat its own.

A number of the service that is lower than ours is taken over at once: others spend too. One that
is higher gives back only calls whose fate is not known (time-outs, killed processes), and only when
that is so old that they can no longer be on their way: a reply may have been overtaken by others.

A refusal blocks what it proves and no more. One that the service did not explain proves nothing of
a pool: it makes a pause that all processes share, of seconds at first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from .allowance import Allowance, day_of, tenths_of
from .cells import (
    ACCOUNT,
    BALANCE,
    BLOCK,
    BLOCKED_UNTIL,
    CALLS,
    CLASS_CALLS,
    LIMIT,
    LOT_SPENT,
    MAGICUBES,
    OBSERVED_AT,
    PRICE,
    REFUSALS,
    REFUSED_AT,
    UNIT,
    UNSETTLED,
)
from .reservation import QuotaBlock, Reservation, pools_of
from .steps import LASTING, Pages, Step

__all__ = [
    "TRIAL",
    "TRIED_AFTER",
    "bucket_of",
    "is_misdated",
    "is_pause",
    "of_block",
    "of_end",
    "of_headers",
    "of_move",
    "of_open",
    "of_success",
    "of_trial_end",
    "of_unexplained",
]

# Seconds of a bucket. A call is over after ten minutes unless its user says otherwise, so what has
# not been settled two buckets later never will be.
_BUCKET = 600
_ON_ITS_WAY = 2
# The pause after an unexplained refusal, in seconds: doubled by each further one, up to the
# quarter of an hour that one recovery from a burst took (public client, 2026).
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 900.0
# What is spent comes back within a day.
_DAY = 86_400.0
# Seconds for which one process alone may try whether unexplained refusals have ended; then the next
# one may.
TRIAL = 60.0
# Where the balance cannot be asked for, a call of the user's own tries it, once an hour.
TRIED_AFTER = 3600.0


def bucket_of(now: float) -> int:
    """The bucket, a span of ten minutes, that a reservation made at ``now`` belongs to."""
    return int(now // _BUCKET)


def of_end(reservation: Reservation, *, charged: bool) -> list[Step]:
    """A reservation's end: its unit is sure to be spent, or goes back to where it came from."""
    day, model = reservation.day, reservation.model
    settled = Step("settle", day, UNSETTLED.name(reservation.bucket, model), -1)
    if charged:
        return [settled]
    lots = [Step("add", LASTING, LOT_SPENT.name(lot), -part) for lot, part in reservation.lots]
    return [settled, *_counted(reservation, day, -1), *lots]


def of_move(reservation: Reservation, day: str) -> list[Step]:
    """A call counts on the day that the service has shown meanwhile, not on the last one."""
    return [*_counted(reservation, reservation.day, -1), *_counted(reservation, day, 1)]


def _counted(reservation: Reservation, day: str, calls: int) -> list[Step]:
    """What a call adds to the counts of a day."""
    pools = pools_of(reservation.model, reservation.account)
    steps = [Step("add", day, CALLS.name(pool), calls) for pool in pools]
    if reservation.price:
        steps.append(Step("add", day, MAGICUBES.word, calls * reservation.price))
        steps.append(Step("add", day, CLASS_CALLS.name(reservation.price_class), calls))
    return steps


def of_block(
    block: QuotaBlock, cells: Mapping[str, Any], now: float, reserved_at: float | None = None
) -> list[Step]:
    """The changes that block a pool which the service declared spent.

    Args:
        block: the pool.
        cells: the lasting page.
        now: seconds since the epoch.
        reserved_at: when the refused call was reserved; ``None`` for a refusal outside of any call.
    """
    pool, price = block.pool, 0 if block.price is None else tenths_of(block.price)
    if pool == BALANCE:
        observed = cells.get(OBSERVED_AT.name(BALANCE), 0)
        until = cells.get(BLOCKED_UNTIL.name(BALANCE), 0)
        holds = until > now and not is_misdated(BALANCE, cells, now)
        if reserved_at is not None and reserved_at < observed:
            return []  # the balance has been reported since
        if holds and cells.get(PRICE.name(BALANCE), 0) <= price:
            return []  # less is known to be left
        # More may be granted at any time: where it cannot be asked for, it is tried once an hour.
        block = replace(block, blocked_until=min(block.blocked_until, now + TRIED_AFTER))
    steps = [
        Step("put", LASTING, BLOCKED_UNTIL.name(pool), block.blocked_until),
        Step("put", LASTING, BLOCK.name(pool), to_builtins(block)),
    ]
    if price:
        steps.append(Step("put", LASTING, PRICE.name(pool), price))
    if block.limit is not None and block.unit == "calls":
        steps.append(Step("put", LASTING, LIMIT.name(pool), block.limit))
    if block.scope == "account" and block.unit is not None:
        steps.append(Step("put", LASTING, UNIT.word, block.unit))
    return steps


def of_open(cells: Mapping[str, Any], *pools: str) -> list[Step]:
    """The changes that lift the blocks of pools."""
    kinds = (BLOCKED_UNTIL, BLOCK, PRICE)
    names = [kind.name(pool) for pool in pools for kind in kinds]
    return [Step("drop", LASTING, name) for name in names if name in cells]


def of_success(model: str, cells: Mapping[str, Any]) -> list[Step]:
    """A success ends the pause of its model, for all processes."""
    kinds = (REFUSALS, REFUSED_AT, *((BLOCKED_UNTIL, BLOCK) if is_pause(model, cells) else ()))
    return [Step("drop", LASTING, kind.name(model)) for kind in kinds]


def of_trial_end(model: str, cells: Mapping[str, Any], now: float) -> list[Step]:
    """The end of a request that was to try the model and has shown nothing: the next one may."""
    until = cells.get(BLOCKED_UNTIL.name(model), 0.0)
    if until <= now or not is_pause(model, cells):
        return []
    return [Step("put", LASTING, BLOCKED_UNTIL.name(model), now)]


def is_pause(model: str, cells: Mapping[str, Any]) -> bool:
    """Whether the block of a model is only a pause: its day is not known to be spent."""
    block = cells.get(BLOCK.name(model))
    return block is None or block.get("reason") == "unexplained"


def is_misdated(pool: str, cells: Mapping[str, Any], now: float) -> bool:
    """Whether a block ends further ahead than any can: the clock that dated it was wrong.

    It then counts as over. Twice the longest time is allowed, since clocks differ a little.
    """
    longest = _DAY
    if cells.get(REFUSALS.name(pool)) and is_pause(pool, cells):
        pending = cells.get(BLOCK.name(pool), {}).get("pending")
        longest = TRIAL if pending else _LONGEST_PAUSE
    return bool(cells.get(BLOCKED_UNTIL.name(pool), 0.0) > now + 2 * longest)


def of_unexplained(
    reservation: Reservation, cells: Mapping[str, Any], now: float, server_message: str | None
) -> list[Step]:
    """A refusal that the service did not explain makes a pause, or doubles it.

    A call that was sent before the last such refusal came back makes no further one.
    """
    model = reservation.model
    if reservation.reserved_at < cells.get(REFUSED_AT.name(model), 0.0):
        return []
    if cells.get(BLOCKED_UNTIL.name(model), 0.0) > now and not is_pause(model, cells):
        return []  # its day is spent, which is more
    refusals = cells.get(REFUSALS.name(model), 0) + 1
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(refusals - 1, 60))
    block = QuotaBlock(
        scope="model",
        model=model,
        blocked_until=now + pause,
        reason="unexplained",
        server_message=server_message,
    )
    return [
        Step("put", LASTING, REFUSALS.name(model), refusals),
        Step("put", LASTING, REFUSED_AT.name(model), now),
        *of_block(block, cells, now),
    ]


def of_headers(
    reservation: Reservation, allowance: Allowance, pages: Pages, now: float, *, charged: bool
) -> tuple[list[Step], list[Step]]:
    """What the four numbers of a reply say: tests and changes.

    The reservation's own settlement comes first in the same program, and ``charged`` says whether
    it stays counted; the pages are as they are before that.
    """
    day = day_of(now)
    cells, lasting = pages.get(day, {}), pages.get(LASTING, {})
    tests: list[Step] = []
    changes: list[Step] = []
    given_back = 0
    for pool, limit, remaining in (
        (reservation.model, allowance.model_limit, allowance.model_remaining),
        (ACCOUNT, allowance.account_limit, allowance.account_remaining),
    ):
        if not limit or remaining is None:
            continue
        if lasting.get(LIMIT.name(pool)) != limit:
            changes.append(Step("put", LASTING, LIMIT.name(pool), limit))
        changes.append(Step("put", LASTING, OBSERVED_AT.name(pool), round(now)))
        on_way, lost = _unsettled(reservation, cells, pool, now)
        theirs = limit - min(remaining, limit) + on_way
        ours = cells.get(CALLS.name(pool), 0) - (not charged) - given_back
        if theirs > ours:
            changes.append(Step("raise", day, CALLS.name(pool), theirs))
            continue
        if given_back:  # of the model's pool, and so of the account's: once is enough
            continue
        for model, cell, count in lost:
            back = min(count, ours - theirs - given_back)
            if back > 0:
                tests.append(Step("at_least", day, cell, back))
                changes.append(Step("settle", day, cell, -back))
                pools = pools_of(model, reservation.account)
                changes += [Step("add", day, CALLS.name(pool), -back) for pool in pools]
                given_back += back
    if changes and lasting.get(UNIT.word) != "calls":
        changes.append(Step("put", LASTING, UNIT.word, "calls"))
    return tests, changes


def _unsettled(
    reservation: Reservation, cells: Mapping[str, Any], pool: str, now: float
) -> tuple[int, list[tuple[str, str, int]]]:
    """The calls of a pool whose fate is not known, without the one that is being settled.

    Those that may be on their way are counted together, the others by model and cell.
    """
    own = (str(reservation.bucket), reservation.model)
    on_way, lost = 0, []
    for key, calls in UNSETTLED.all_in(cells):
        bucket, model = key
        if pool not in pools_of(model, reservation.account):
            continue
        count = calls - (key == own)
        if int(bucket) >= bucket_of(now) - _ON_ITS_WAY:
            on_way += count
        elif count > 0:
            lost.append((model, UNSETTLED.name(*key), count))
    return on_way, lost
