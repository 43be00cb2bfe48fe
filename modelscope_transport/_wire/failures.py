"""What a reply means.

Laws of this file: replies are judged, not status codes, because only the text of a 429 tells
"slow down" from "come back tomorrow" and because errors also come inside a 200. The meanings
themselves are rows of ``data/failures.toml``.
"""

from __future__ import annotations

import datetime as dt
import time

from msgspec import Struct
from msgspec.structs import replace

from ..errors import ErrorDetails, ModelScopeError
from ..quota import Allowance, Park, next_reset
from ..quota.allowance import UTC8
from ..types import ChatResult
from .failure_table import Kind, Row, failure_rows, shape_rows
from .outcomes import (
    Failure,
    NoReply,
    Outcome,
    Refused,
    Reply,
    read_allowance,
    read_request_id,
    read_retry_after,
    telling_headers,
)

__all__ = ["Verdict", "judge"]


class Verdict(Struct, frozen=True, kw_only=True):
    """What was decided of one outcome.

    Attributes:
        kind: what to do.
        row: the meaning that fitted; ``None`` for a good reply.
        details: what is known.
        park: the pool to leave alone from now on.
        allowance: what the reply said of the pools.
        charged: whether the service counted the request; ``None``: nobody can know.
    """

    kind: Kind
    row: Row | None = None
    details: ErrorDetails = ErrorDetails()
    park: Park | None = None
    allowance: Allowance | None = None
    charged: bool | None = True

    def error(
        self,
        *,
        attempts: int,
        alternatives: tuple[str, ...] = (),
        partial: ChatResult | None = None,
    ) -> ModelScopeError:
        """A fresh instance of the error this verdict stands for.

        Args:
            attempts: HTTP requests made so far.
            alternatives: model IDs that may still serve.
            partial: what had arrived of a stream.
        """
        row = self.row or shape_rows()["unreadable"]
        details = replace(
            self.details, attempts=attempts, alternatives=alternatives, partial=partial
        )
        return row.error(_message(row, details), details=details)


def judge(
    outcome: Outcome, failure: Failure | None, *, model: str, now: float | None = None
) -> Verdict:
    """Decide what an outcome means.

    Args:
        outcome: what came of the attempt.
        failure: what the body says where it is no good answer; ``None`` for a good one.
        model: model ID that was asked.
        now: seconds since the epoch; the present by default.
    """
    now = time.time() if now is None else now
    if isinstance(outcome, Refused):
        return _refusal(outcome.park, model)
    if isinstance(outcome, NoReply):
        again = outcome.cause == "connection" or not outcome.sent
        row = shape_rows()["timed_out" if outcome.cause == "timeout" else "no_connection"]
        return Verdict(
            kind=Kind.AGAIN if again else Kind.FINAL,
            row=row,
            details=ErrorDetails(reason=row.name, model=model, server_message=outcome.message),
            charged=None if outcome.sent else False,
        )
    allowance = read_allowance(outcome.headers)
    if failure is None:
        return Verdict(kind=Kind.GOOD, allowance=allowance)
    row = _row_for(outcome, failure)
    details = ErrorDetails(
        reason=row.name,
        status_code=outcome.status,
        code=failure.code,
        request_id=failure.request_id or read_request_id(outcome.headers),
        model=model,
        server_message=failure.message or None,
        headers=telling_headers(outcome.headers),
        retry_after=read_retry_after(outcome.headers, now),
    )
    park = None
    if row.kind in (Kind.ACCOUNT_SPENT, Kind.MODEL_SPENT):
        park = _park(row.kind, failure, allowance, model, now)
        row = _spent_row(park)
        details = _with_park(replace(details, reason=row.name), park, allowance)
    # Whether the service counts a refusal is not on record; a system failure is refunded
    # (official documentation, Magicube introduction).
    return Verdict(
        kind=row.kind, row=row, details=details, park=park, allowance=allowance, charged=False
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


def _spent_row(park: Park) -> Row:
    name = "model_spent" if park.scope == "model" else "account_spent"
    return next(row for row in failure_rows() if row.name == name)


def _park(
    kind: Kind,
    failure: Failure,
    allowance: Allowance | None,
    model: str,
    now: float,
) -> Park:
    # ``owner/name:Provider`` is paid by the provider's own key, so it can spend no pool but its
    # own. "Request limit exceeded." names no pool; where the headers do, they decide.
    of_model = (
        kind is Kind.MODEL_SPENT
        or ":" in model
        or (
            allowance is not None
            and allowance.model_remaining == 0
            and (allowance.account_remaining or 0) > 0
        )
    )
    in_magicubes = "balance" in failure.message.lower()
    limit = None
    if allowance is not None:
        limit = allowance.model_limit if of_model else allowance.account_limit
    return Park(
        scope="model" if of_model else "account",
        model=model if of_model else None,
        until=next_reset(now).timestamp(),
        limit=limit,
        unit="magicubes" if in_magicubes else "calls",
        server_message=failure.message or None,
    )


def _refusal(park: Park, model: str) -> Verdict:
    row = _spent_row(park)
    details = ErrorDetails(reason=row.name, model=model, server_message=park.server_message)
    return Verdict(kind=row.kind, row=row, details=_with_park(details, park, None), charged=False)


def _with_park(details: ErrorDetails, park: Park, allowance: Allowance | None) -> ErrorDetails:
    remaining: float | None = None
    if allowance is not None:
        remaining = (
            allowance.model_remaining if park.scope == "model" else allowance.account_remaining
        )
    return replace(
        details,
        scope=park.scope,
        limit=park.limit,
        remaining=remaining,
        unit=park.unit,
        resets_at=dt.datetime.fromtimestamp(park.until, dt.UTC).astimezone(),
    )


def _message(row: Row, details: ErrorDetails) -> str:
    """What happened, then what to do."""
    sentences = [row.happened.format(model=repr(details.model))]
    if details.resets_at is not None:
        # The service's own words are left out here: callers sniff error texts for "429" and
        # "rate limit" and would wait a minute at a time for a pool that opens tomorrow.
        sentences += _pool(details)
    elif details.server_message:
        speaker = "The cause" if details.status_code is None else "The service said"
        sentences.append(f"{speaker}: {details.server_message[:200]!r}.")
    if "location" in details.headers:
        sentences.append(f"It points to {details.headers['location']!r}.")
    if details.retry_after is not None:
        sentences.append(f"It asks to wait {details.retry_after:.10g} s.")
    if details.task_id is not None:
        sentences.append(f"Its task is {details.task_id!r}.")
    if row.remedy:
        sentences.append(row.remedy)
    if details.alternatives:
        sentences.append("Perhaps: " + ", ".join(details.alternatives) + ".")
    return " ".join(sentences)


def _pool(details: ErrorDetails) -> list[str]:
    assert details.resets_at is not None
    sentences = []
    if details.limit is not None:
        sentences.append(f"It is {details.limit:g} {details.unit or 'calls'} a day.")
    there = details.resets_at.astimezone(UTC8)
    sentences.append(
        f"It comes back at {there:%Y-%m-%d %H:%M} UTC+8 ({details.resets_at:%Y-%m-%d %H:%M} here)."
    )
    return sentences
