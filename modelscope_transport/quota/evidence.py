"""What replies teach the ledger: the service's numbers beat its own.

A number of the service that is lower than ours is taken over at once: others spend too. One that
is higher gives back only what nobody knew the fate of (time-outs, killed processes), and only when
that is so old that it can no longer be on its way: a reply may have been overtaken by others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from .allowance import Allowance, day_of
from .reservation import QuotaBlock, Reservation, pools_of
from .steps import LASTING, Pages, Step

__all__ = ["bucket_of", "of_block", "of_end", "of_headers", "of_strike"]

# A call is over after ten minutes unless its user says otherwise, so what has not been settled two
# buckets later never will be.
_BUCKET = 600
_ON_ITS_WAY = 2
# Refusals without a reason, one after another, that make a pause; and how long it is.
_STRIKES = 3
_PAUSE = 900.0


def bucket_of(now: float) -> int:
    """The part of time that a reservation belongs to."""
    return int(now // _BUCKET)


def of_end(given: Reservation, *, charged: bool) -> list[Step]:
    """A reservation's end: its unit is sure to be spent, or goes back to where it came from."""
    sure = Step("add", given.day, f"unsure {given.bucket} {given.model}", -1)
    if charged:
        return [sure]
    back = [Step("add", given.day, f"calls {pool}", -1) for pool in pools_of(given.model)]
    if given.halves:
        back.append(Step("add", given.day, "halves", -given.halves))
    lots = [Step("add", LASTING, f"lot {name}", -part) for name, part in given.lots]
    return [sure, *back, *lots]


def of_block(block: QuotaBlock) -> list[Step]:
    """A pool that the service declared spent."""
    steps = [
        Step("put", LASTING, f"until {block.pool}", block.blocked_until),
        Step("put", LASTING, f"block {block.pool}", to_builtins(block)),
    ]
    if block.limit is not None and block.unit == "calls":
        steps.append(Step("put", LASTING, f"limit {block.pool}", block.limit))
    if block.scope == "account" and block.unit is not None:
        steps.append(Step("put", LASTING, "unit", block.unit))
    return steps


def of_strike(
    given: Reservation, cells: Mapping[str, Any], now: float, server_message: str | None
) -> list[Step]:
    """A refusal without a reason: the third in a row makes a pause, with one try at its end.

    Those that were sent before the last one came back count as one with it.
    """
    model = given.model
    if given.reserved_at < cells.get(f"struck {model}", 0.0):
        return []
    strikes = cells.get(f"strikes {model}", 0) + 1
    steps = [
        Step("put", LASTING, f"strikes {model}", strikes),
        Step("put", LASTING, f"struck {model}", now),
    ]
    if strikes < _STRIKES:
        return steps
    block = QuotaBlock(
        scope="model",
        model=model,
        blocked_until=now + _PAUSE,
        reason="unexplained",
        server_message=server_message,
    )
    return steps + of_block(block)


def of_headers(
    given: Reservation, allowance: Allowance, pages: Pages, now: float, *, charged: bool
) -> tuple[list[Step], list[Step]]:
    """What the four numbers of a reply say.

    Args:
        given: the reservation of the call; its own settlement comes first in the same program.
        allowance: the numbers.
        pages: the lasting page and the day's, as they are before that.
        now: when the reply was sent, seconds since the epoch.
        charged: whether the call itself stays counted.

    Returns:
        Tests and changes.
    """
    day = day_of(now)
    cells, lasting = pages.get(day, {}), pages.get(LASTING, {})
    tests: list[Step] = []
    changes: list[Step] = []
    given_back = 0
    for pool, limit, remaining in (
        (given.model, allowance.model_limit, allowance.model_remaining),
        ("", allowance.account_limit, allowance.account_remaining),
    ):
        if not limit or remaining is None:
            continue
        if lasting.get(f"limit {pool}") != limit:
            changes.append(Step("put", LASTING, f"limit {pool}", limit))
        changes.append(Step("put", LASTING, f"heard {pool}", round(now)))
        coming, lost = _unsettled(given, cells, pool, now)
        truth = limit - min(remaining, limit) + coming
        ours = cells.get(f"calls {pool}", 0) - (not charged) - given_back
        if truth > ours:
            changes.append(Step("raise", day, f"calls {pool}", truth))
            continue
        for cell, count in lost if not given_back else ():
            back = min(count, ours - truth - given_back)
            if back > 0:
                tests.append(Step("least", day, cell, back))
                changes += _give_back(day, cell, back)
                given_back += back
    if changes and lasting.get("unit") != "calls":
        changes.append(Step("put", LASTING, "unit", "calls"))
    return tests, changes


def _unsettled(
    given: Reservation, cells: Mapping[str, Any], pool: str, now: float
) -> tuple[int, list[tuple[str, int]]]:
    """The calls of a pool whose fate nobody knows, without the one that is being settled.

    Returns:
        How many may be on their way, and the others, by the cells that count them.
    """
    own = f"unsure {given.bucket} {given.model}"
    coming, lost = 0, []
    for cell, count in cells.items():
        word, _, rest = cell.partition(" ")
        bucket, _, model = rest.partition(" ")
        if word != "unsure" or (model != pool if pool else ":" in model):
            continue
        count -= cell == own
        if int(bucket) >= bucket_of(now) - _ON_ITS_WAY:
            coming += count
        elif count > 0:
            lost.append((cell, count))
    return coming, lost


def _give_back(day: str, cell: str, calls: int) -> list[Step]:
    model = cell.split(" ", 2)[2]
    return [
        Step("add", day, cell, -calls),
        *(Step("add", day, f"calls {pool}", -calls) for pool in pools_of(model)),
    ]
