"""What a reply means.

Laws of this file: replies are judged, not status codes, because only the text of a 429 tells
"slow down" from "come back tomorrow" and because errors also come inside a 200. The meanings
themselves are rows of ``data/failures.toml``.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ..errors import ErrorDetails, ModelScopeError, RateLimitError
from ..quota import Allowance, QuotaBlock, Reservation, has_provider, next_reset
from .failure_table import Kind, Row, failure_rows, shape_rows
from .outcomes import (
    Failure,
    NoReply,
    Outcome,
    Refused,
    Reply,
    read_allowance,
    read_date,
    read_request_id,
    read_retry_after,
    telling_headers,
)
from .wording import message_of

__all__ = ["Verdict", "block_of", "judge", "no_answer"]


class Verdict(Struct, frozen=True, kw_only=True):
    """What was decided of one outcome.

    Attributes:
        kind: what to do.
        row: the meaning that fitted; ``None`` for a good reply.
        details: what is known.
        block: the pool to leave alone from now on.
        allowance: what the reply said of the pools.
        charged: whether the service counted the request; ``None``: that is not known.
        at: when the service sent its reply, by its own clock; seconds since the epoch.
    """

    kind: Kind
    row: Row | None = None
    details: ErrorDetails = ErrorDetails()
    block: QuotaBlock | None = None
    allowance: Allowance | None = None
    charged: bool | None = True
    at: float | None = None

    @property
    def too_fast(self) -> bool:
        """Whether the service asked for fewer calls at once."""
        throttled = self.row is not None and self.row.error is RateLimitError
        return throttled and self.details.status_code is not None

    @property
    def unexplained(self) -> str | None:
        """The words of a refusal that may mean anything; ``None`` of any other.

        One that says how long to wait is a wait, and evidence of nothing else.
        """
        if self.row is None or not self.row.unexplained or self.details.retry_after is not None:
            return None
        return self.details.server_message or ""

    def error(self, *, attempts: int, alternatives: tuple[str, ...] = ()) -> ModelScopeError:
        """A fresh instance of the error this verdict stands for."""
        row = self.row or shape_rows()["unreadable"]
        details = replace(self.details, attempts=attempts, alternatives=alternatives)
        return row.error(message_of(row, details), details=details)


def no_answer(shape: str, model: str, server_message: str | None = None) -> Verdict:
    """The verdict of a call without a reply to judge, by the name of its row of shapes."""
    row = shape_rows()[shape]
    details = ErrorDetails(reason=row.name, model=model, server_message=server_message)
    return Verdict(kind=Kind.FINAL, row=row, details=details)


def judge(
    outcome: Outcome,
    failure: Failure | None,
    *,
    model: str,
    reservation: Reservation | None = None,
    now: float | None = None,
    redact: Callable[[str], str] = str,
) -> Verdict:
    """Decide what an outcome means.

    Args:
        outcome: what came of the attempt.
        failure: what the body says where it is no good answer; ``None`` for a good one.
        model: model ID that was asked.
        reservation: the attempt's unit of the allowance, which knows what was counted before it.
        now: seconds since the epoch; the present by default.
        redact: takes credentials out of what a server says: it may repeat what it was sent.
    """
    if isinstance(outcome, Refused):
        return _refusal(outcome.block, model, time.time() if now is None else now)
    if isinstance(outcome, NoReply):
        return _silence(outcome, model, redact)
    at = read_date(outcome.headers)
    # A reset is a matter of the service's clock, not of the host's.
    now = (time.time() if at is None else at) if now is None else now
    allowance = read_allowance(outcome.headers)
    if failure is None:
        return Verdict(kind=Kind.GOOD, allowance=allowance, at=at)
    failure = _redacted(failure, redact)
    row = _row_for(outcome, failure)
    account = "" if reservation is None else reservation.account
    if has_provider(model, account) and (row.proves in ("price", "account") or row.name in _UNPAID):
        row = shape_rows()["provider_account"]
    proved = _proved(row, allowance)
    block = None
    if proved is not None:
        block = _block(proved, failure, allowance, model, reservation, now)
        row = row if row.proves == "account" else _spent_row(block)
    details = ErrorDetails(
        reason=row.name,
        status_code=outcome.status,
        code=failure.code,
        request_id=failure.request_id or redact(read_request_id(outcome.headers) or "") or None,
        model=model,
        server_message=failure.message or None,
        headers={name: redact(value) for name, value in telling_headers(outcome.headers).items()},
        retry_after=read_retry_after(outcome.headers, now),
    )
    if block is not None:
        details = _with_block(details, block, allowance, reservation)
    # Whether the service counts a refusal is not on record; a system failure is refunded
    # (official documentation, Magicube introduction).
    return Verdict(
        kind=row.kind,
        row=row,
        details=details,
        block=block,
        allowance=allowance,
        charged=False,
        at=at,
    )


def _redacted(failure: Failure, redact: Callable[[str], str]) -> Failure:
    """What a server said without the credentials that it may have repeated."""
    return replace(
        failure,
        message=redact(failure.message),
        code=redact(failure.code) if failure.code else None,
        request_id=redact(failure.request_id) if failure.request_id else None,
    )


_SILENCES = {
    "timeout": "timed_out",
    "queue": "no_place",
    "connection": "no_connection",
    "certificate": "bad_certificate",
    "proxy": "no_proxy",
    "unknown_host": "unknown_host",
    "forbidden": "forbidden_address",
}


def _silence(outcome: NoReply, model: str, redact: Callable[[str], str]) -> Verdict:
    broken = outcome.cause == "connection" and outcome.sent
    shape = "broken_connection" if broken else _SILENCES[outcome.cause]
    # What may have been accepted is not sent again: it would be paid for twice.
    again = outcome.repeatable and outcome.cause != "certificate"
    return replace(
        no_answer(shape, model, redact(outcome.message)),
        kind=Kind.AGAIN if again else Kind.FINAL,
        charged=None if outcome.sent else False,
    )


def _row_for(reply: Reply, failure: Failure) -> Row:
    if failure.empty:
        return shape_rows()["empty"]
    status = reply.status
    if 200 <= status < 300:
        if failure.unreadable:
            # Its words may be a cut answer's own, and an answer may speak of spent balances.
            return shape_rows()["unreadable"]
        status = _status_within(failure.code) or status
    text = f"{failure.message}\n{failure.code or ''}"
    for row in failure_rows():
        if row.fits(status, text):
            return row
    return shape_rows()["unreadable" if failure.unreadable else "unexplained"]


def _status_within(code: str | None) -> int | None:
    """The HTTP status that a code begins with, as a failed task's 422 does."""
    head = (code or "").partition(" ")[0]
    return int(head) if len(head) == 3 and head.isascii() and head.isdigit() else None


def _spent_row(block: QuotaBlock) -> Row:
    if block.scope == "model":
        name = "model_spent"
    else:
        name = "balance_short" if block.unit == "magicubes" else "account_spent"
    return next(row for row in failure_rows() if row.name == name)


# The provider's account is the service's own, unless the user pays for it behind the colon.
_UNPAID = ("provider_unpaid", "provider_unpaid_said")
Proved = Literal["model", "price", "account"]


def _proved(row: Row, allowance: Allowance | None) -> Proved | None:
    """What a refusal proves to be spent: by its row or, where that may mean anything, its numbers.

    A refusal was seen at a quarter of the allowance too (QwenLM/qwen-code#220).
    """
    model_left = None if allowance is None else allowance.model_remaining
    account_left = None if allowance is None else allowance.account_remaining
    if row.unexplained and account_left == 0:
        return "account"
    if model_left == 0 and (row.unexplained or (row.proves == "account" and account_left)):
        return "model"
    return None if row.proves == "nothing" else row.proves


def _block(
    proved: Proved,
    failure: Failure,
    allowance: Allowance | None,
    model: str,
    reservation: Reservation | None,
    now: float,
) -> QuotaBlock:
    """The pool that a refusal proves to be spent; without numbers its unit may stay unknown."""
    limit: float | None = None
    price: float | None = None
    unit: Literal["calls", "magicubes"] | None = "calls" if proved == "model" else None
    if proved == "price":
        unit, price = "magicubes", None if reservation is None else reservation.price / 10
    elif allowance is not None:
        limit = allowance.model_limit if proved == "model" else allowance.account_limit
        unit = unit if limit is None else "calls"
    return QuotaBlock(
        scope="model" if proved == "model" else "account",
        model=model if proved == "model" else None,
        blocked_until=next_reset(now).timestamp(),
        limit=limit,
        unit=unit,
        price=price,
        server_message=failure.message or None,
    )


# What it means that the ledger refuses, by its reason: the row of the table.
_REASONS = {
    "unexplained": "paused",
    "budget": "budget_spent",
    "kept": "budget_kept",
    "day": "day_unconfirmed",
}


def _refusal(block: QuotaBlock, model: str, now: float) -> Verdict:
    """What it means that the ledger refuses."""
    name = _REASONS.get(block.reason)
    row = _spent_row(block) if name is None else shape_rows()[name]
    details = ErrorDetails(reason=row.name, model=model, server_message=block.server_message)
    if block.reason == "unexplained":
        wait = max(0.0, block.blocked_until - now) if block.wait is None else block.wait
        details = replace(details, scope="model", retry_after=math.ceil(1000 * wait) / 1000)
        kind = Kind.PAUSED
    else:
        details = _with_block(details, block)
        of_account = Kind.PRICE_SPENT if block.unit == "magicubes" else Kind.ACCOUNT_SPENT
        kind = Kind.MODEL_SPENT if block.scope == "model" else of_account
    return Verdict(kind=kind, row=row, details=details, charged=False)


def block_of(details: ErrorDetails) -> QuotaBlock | None:
    """The pool that an error declares spent; ``None`` where it names none."""
    if details.scope is None or details.resets_at is None:
        return None
    return QuotaBlock(
        scope=details.scope,
        model=details.model if details.scope == "model" else None,
        blocked_until=details.resets_at.timestamp(),
        limit=details.limit,
        unit=details.unit,
        price=details.price,
        server_message=details.server_message,
    )


def _with_block(
    details: ErrorDetails,
    block: QuotaBlock,
    allowance: Allowance | None = None,
    reservation: Reservation | None = None,
) -> ErrorDetails:
    remaining: float | None = None
    if allowance is not None:
        remaining = (
            allowance.model_remaining if block.scope == "model" else allowance.account_remaining
        )
    used = block.used
    if used is None and block.limit is not None and remaining is not None:
        used = max(0.0, block.limit - remaining)
    if used is None and reservation is not None:
        used = reservation.used(block)
    return replace(
        details,
        scope=block.scope,
        limit=block.limit,
        used=used,
        remaining=remaining,
        unit=block.unit,
        price=block.price,
        unfetched=block.unfetched,
        resets_at=dt.datetime.fromtimestamp(
            block.blocked_until if block.comes_at is None else block.comes_at, dt.UTC
        ).astimezone(),
    )
