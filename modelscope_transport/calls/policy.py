"""The policy of one call, written once for sync and async.

Laws of this file: a flow is a generator that yields attempts and is sent their outcomes; it
returns a `Handover` or raises the error of the last outcome. No I/O, no sleep, no clock but the
one it is given. One kind of effect only: an attempt, which carries its own delay. Retry and
fall-back end when the reply is handed over; nothing is ever restarted behind the user's back.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from .._wire.encoded import Encoded
from .._wire.failure_table import Kind
from .._wire.failures import Verdict, judge
from .._wire.outcomes import (
    Failure,
    NoReply,
    Outcome,
    Refused,
    Reply,
    read_request_id,
    telling_headers,
)
from .._wire.text_answers import forced_tools
from .._wire.wires import prepare, wire_of
from ..answers import Origin
from ..catalogue.models import ModelProfile, near_names, profile_for, similar_models
from ..catalogue.tasks import Task
from ..task_types import ImageRequest, PipelineRequest, RerankRequest
from ..types import ChatRequest, EmbeddingRequest
from .attempt import Attempt, Flow, Handover, Terms, read_outcome
from .free_request import request_free

__all__ = ["Request", "call_flow"]

Request = ChatRequest | EmbeddingRequest | ImageRequest | PipelineRequest | RerankRequest

# Seconds that a free question, such as for the balance, may take.
_QUESTION_TIMEOUT = 10.0
# Seconds between two looks into the ledger while it may change at any moment.
_LEDGER_POLL = 1.0
_NO_PAUSE = -math.inf
# Another model helps where this one is spent or gone; where it is merely slow, that is for the
# frameworks' own fall-backs to decide.
_NEXT_MODEL = (Kind.PAUSED, Kind.MODEL_SPENT, Kind.PRICE_SPENT, Kind.ACCOUNT_SPENT, Kind.MODEL_GONE)


def call_flow(
    task: Task,
    request: Request,
    terms: Terms,
    *,
    stream: bool,
    repeatable: bool = True,
    substitutes: tuple[str | None, ...] = (),
) -> Flow:
    """The attempts of one call, and what to make of their outcomes.

    Args:
        task: row of the task registry.
        request: what the user asks.
        terms: deadline, retries, what is known of models.
        stream: whether the user wants a stream.
        repeatable: whether a request that may have reached the service may be sent again.
        substitutes: by platform, its model that stands in for the one asked; ``None`` for none.
    """
    call = _Call(task, request, terms, stream, repeatable)
    account_spent = False
    verdict: Verdict | None = None
    for model, platform in _routes(request, substitutes):
        # The account's pool is every model's, but for those that another party's key pays.
        if account_spent and ":" not in model and not platform:
            continue
        reason = verdict.row.name if verdict is not None and verdict.row is not None else None
        result = yield from call.ask(model, platform, reason)
        if isinstance(result, Handover):
            return result
        if platform and verdict is not None and result.details.reason == "budget_spent":
            continue  # its cap is reached: the error to raise is still that of the model before
        verdict = result
        if verdict.kind not in _NEXT_MODEL:
            break
        account_spent = account_spent or verdict.kind is Kind.ACCOUNT_SPENT
    assert verdict is not None
    raise verdict.error(attempts=call.attempts, alternatives=_alternatives(verdict))


class _Call(Struct):
    """What the attempts of one call share; see `call_flow`."""

    task: Task
    request: Request
    terms: Terms
    stream: bool
    repeatable: bool
    attempts: int = 0

    def ask(
        self, model: str, platform: int, reason: str | None
    ) -> Generator[Attempt, Outcome, Handover | Verdict]:
        """Ask one model in one place, and again while a moment or another form may heal it."""
        task, request, book = self.task, self.request, self.terms.book
        trial: dict[str, Any] = {}
        retries, delay, pause_ends = 0, 0.0, _NO_PAUSE
        looked: set[str] = set()
        while True:
            profile = replace(book.look_up(model), **trial) if trial else book.look_up(model)
            encoded = prepare(task, request, profile, stream=self.stream)
            attempt = Attempt(
                encoded.path or wire_of(task).PATH,
                encoded.body,
                model,
                delay,
                headers=encoded.headers,
                tier=profile.tier,
                platform=platform,
            )
            outcome = yield attempt
            if (again := (yield from self._look_again(outcome, attempt, looked))) is not None:
                delay = again  # the delay before is over
                continue
            self.attempts += _was_made(outcome)
            value = read_outcome(outcome, encoded)
            failure = value if isinstance(value, Failure) else None
            verdict = attempt.verdict = judge(
                outcome,
                failure,
                model=model,
                reservation=attempt.reservation,
                redact=self.terms.redact,
            )
            if verdict.kind is Kind.GOOD:
                self.terms.budget.refill()
                if trial:
                    book.learn(model, **trial)
                return Handover(value, self._origin(outcome, verdict, encoded, model, reason))
            lesson = _lesson(verdict, request, profile, streaming=encoded.streaming)
            if lesson and not lesson.items() <= trial.items():
                # Another form of the same request: no fault of the service, so no retry is counted.
                trial, delay = {**trial, **lesson}, 0.0
                continue
            wait = self._wait(verdict, outcome, failure, retries)
            if wait is None:
                return verdict
            if verdict.kind is not Kind.PAUSED:
                retries, delay, pause_ends = retries + 1, wait, _NO_PAUSE
                continue
            # A pause is waited out once for each request; nothing was sent, so it is no retry. The
            # ledger is read meanwhile: any success, of any process, ends it.
            delay = min(wait, _LEDGER_POLL)
            if isinstance(outcome, Refused) and outcome.block.pending:
                continue  # another call tries whether it is over, and may take any time
            if (now := self.terms.clock()) >= pause_ends:
                retries += pause_ends != _NO_PAUSE
                pause_ends = now + wait

    def _look_again(
        self, outcome: Outcome, attempt: Attempt, looked: set[str]
    ) -> Generator[Attempt, Outcome, float | None]:
        """Ask the service itself, free of charge, before a pool is called spent by our count.

        A balance that is too small leads to another question: what today still grants. A platform
        can be asked for the time alone. While another call asks for it, this one waits a moment.

        Returns:
            Seconds after which the ledger is to be asked once more; ``None``: it need not be.
        """
        if not isinstance(outcome, Refused):
            return None
        if outcome.block.pending and outcome.block.reason == "day":
            return _LEDGER_POLL if self.terms.remaining() > _LEDGER_POLL else None
        question: str | None = outcome.block.ask
        if question is None and "balance" in looked and outcome.block.unit == "magicubes":
            question = "earnings"
        if question is None or (attempt.platform and question != "time"):
            return None
        look = self.terms.looks.get(question)
        if look is None or question in looked:
            return None
        looked.add(question)
        terms = self.terms.briefly(_QUESTION_TIMEOUT)
        yield from request_free(look, attempt.model, terms, platform=attempt.platform)
        return 0.0

    def _origin(
        self, outcome: Outcome, verdict: Verdict, encoded: Encoded, model: str, reason: str | None
    ) -> Origin:
        headers = outcome.headers if isinstance(outcome, Reply) else {}
        return Origin(
            model=model,
            requested_model=self.request.model,
            fallback_reason=reason if model != self.request.model else None,
            request_id=read_request_id(headers),
            adjustments=encoded.adjustments,
            attempts=self.attempts,
            allowance=verdict.allowance.known() if verdict.allowance else None,
            headers=telling_headers(headers),
        )

    def _wait(
        self, verdict: Verdict, outcome: Outcome, failure: Failure | None, retries: int
    ) -> float | None:
        """Seconds until the same is tried again; ``None`` to give up."""
        if verdict.kind not in (Kind.AGAIN, Kind.PAUSED):
            return None
        if not (self.repeatable or _turned_away(outcome, failure)):
            return None
        if verdict.kind is Kind.PAUSED and 0 < self.terms.policy.max_retries >= retries:
            pause = verdict.details.retry_after or 0.0
            return pause if pause < self.terms.remaining() else None
        wait = self.terms.delay(retries, verdict.details.retry_after)
        timed_out = verdict.details.reason == "timed_out"
        return wait if wait is not None and self.terms.budget.spend(timed_out=timed_out) else None


def _routes(request: Request, substitutes: tuple[str | None, ...]) -> list[tuple[str, int]]:
    """The models to ask, and where: those of the service first."""
    here = dict.fromkeys((request.model, *request.fallback_models))
    there = [(model, platform) for platform, model in enumerate(substitutes, 1) if model]
    return [*((model, 0) for model in here), *there]


def _was_made(outcome: Outcome) -> bool:
    """Whether there was a request at all."""
    if isinstance(outcome, NoReply):
        return outcome.cause != "queue"
    return not isinstance(outcome, Refused)


def _turned_away(outcome: Outcome, failure: Failure | None) -> bool:
    """Whether the request was surely not accepted. A server that failed may have done so before."""
    if isinstance(outcome, NoReply):
        return outcome.repeatable
    if isinstance(outcome, Refused):
        return True
    said_so = failure is not None and not (failure.empty or failure.unreadable)
    return outcome.status in (429, 503) or (outcome.status == 200 and said_so)


def _lesson(
    verdict: Verdict, request: Request, profile: ModelProfile, *, streaming: bool
) -> dict[str, Any] | None:
    """What a refusal teaches of the model: facts to try, kept only if the next attempt succeeds."""
    if not isinstance(request, ChatRequest):
        return None
    reason = verdict.details.reason
    if reason == "needs_stream" and not streaming:
        return {"stream_only": True}
    if reason == "stream_usage_refused":
        return {"stream_usage": False}
    if reason == "reasoning_not_passed_back" and request.send_reasoning is None:
        return {"send_reasoning": True}
    if reason not in ("empty", "forced_tool_refused"):
        return None
    # An empty success is how some models refuse what they cannot do (modelscope/modelscope#1801).
    form = request.response_format
    if form is not None and form.kind == "json_schema":
        if profile.structured_output in (None, "json_schema"):
            return {"structured_output": "function_calling"}
    elif not forced_tools(request):
        return None
    if profile.forced_tools is None and profile.thinking is None:
        return {"forced_tools": "without_thinking", "thinking_switch": "both"}
    return None


def _alternatives(verdict: Verdict) -> tuple[str, ...]:
    """Model IDs worth trying instead: near names of an unknown one, kin of a spent one."""
    asked = verdict.details.model
    if verdict.kind is Kind.MODEL_SPENT and asked is not None:
        return similar_models(asked)
    if verdict.kind is not Kind.MODEL_GONE or asked is None:
        return ()
    return () if profile_for(asked).source is not None else near_names(asked)
