"""The policy of an image task, played by hand: outcomes in, attempts out. No socket, no sleep."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import (
    APIConnectionError,
    APITimeoutError,
    ContentRefusedError,
    EmptyReplyError,
    InvalidRequestError,
    ModelNotServedError,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    UnexpectedReplyError,
)
from modelscope_transport._wire.outcomes import NoReply, Outcome, Refused, Reply
from modelscope_transport.calls.attempt import Attempt, Handover, Terms
from modelscope_transport.calls.polling import poll_flow
from modelscope_transport.calls.retry import RetryBudget, RetryPolicy
from modelscope_transport.catalogue.models import ProfileBook
from modelscope_transport.catalogue.tasks import TASKS
from modelscope_transport.quota import QuotaBlock
from modelscope_transport.task_types import ImageRequest, ImageResult
from tests.transport.played import Played
from tests.transport.recorded import sample

MODEL, OTHER = "somebody/Painter", "somebody/Other-Painter"
TASK_ID = "00000000-0000-0000-0000-000000000000"
PNG = b"\x89PNG\r\n\x1a\nrest"

ACCEPTED = sample("images/accepted").reply
PROCESSING = sample("images/processing").reply
DONE = sample("images/done").reply
REFUSED = sample("images/content_refused").reply
GONE = sample("images/task_not_found").reply
THROTTLED = sample("failures/rate_limit_of_model_2026").reply
MODEL_SPENT = sample("failures/model_quota_today").reply
BALANCE = sample("failures/insufficient_balance_image").reply
BUSY = sample("failures/server_busy").reply
IMAGE = Reply(200, {"content-type": "image/png"}, PNG)
BROKEN = Reply(500, {}, b"")
UNSENT = NoReply("connection", "refused", sent=False, repeatable=True)
LOST = NoReply("connection", "closed", sent=True)
RESET = NoReply("connection", "reset", sent=True, repeatable=True)
SILENT = NoReply("timeout", "silence", sent=True)


def play(
    *outcomes: Outcome,
    times: Iterable[float] = itertools.repeat(0.0),
    deadline: float = 600.0,
    retries: int = 2,
    **fields: Any,
) -> Played:
    clock = iter(times)
    flow = poll_flow(
        TASKS["image"],
        ImageRequest(**{"model": MODEL, "prompt": "a cat", **fields}),
        Terms(
            book=ProfileBook(),
            policy=RetryPolicy(max_retries=retries),
            budget=RetryBudget(),
            deadline=deadline,
            clock=lambda: next(clock),
            chance=lambda: 0.5,
        ),
    )
    attempts: list[Attempt] = []
    to_come = iter(outcomes)
    try:
        attempt = next(flow)
        while True:
            attempts.append(attempt)
            attempt = flow.send(next(to_come))
    except StopIteration as stop:
        end: Handover | ModelScopeError = stop.value
    except ModelScopeError as error:
        end = error
    assert not list(to_come), "the call ended before all outcomes were played"
    return Played(attempts, end)


def submissions(played: Played) -> int:
    return sum(bool(attempt.body) for attempt in played.attempts)


# --- a task that goes well


def test_a_task_is_submitted_looked_after_and_fetched() -> None:
    played = play(ACCEPTED, PROCESSING, DONE, IMAGE)

    submit, first, second, fetch = played.attempts
    assert submit.path == "/images/generations"
    assert json.loads(submit.body)["prompt"] == "a cat"
    assert first.path == second.path == f"/tasks/{TASK_ID}"
    assert fetch.path == "https://example.com/image.png"
    assert fetch.headers is None
    result: ImageResult = played.handover.value
    assert result.image.data == PNG
    assert result.task_id == TASK_ID
    assert result.origin is not None
    assert result.origin.attempts == 4


def test_only_the_submission_costs() -> None:
    played = play(ACCEPTED, PROCESSING, DONE, IMAGE)
    assert [attempt.free for attempt in played.attempts] == [False, True, True, True]


def test_looks_come_less_and_less_often_up_to_five_seconds() -> None:
    played = play(ACCEPTED, *[PROCESSING] * 6, DONE, IMAGE)
    assert played.delays == [0, 1, 1.5, 2.25, 3.375, 5, 5, 5, 0]


def test_the_wait_is_the_callers_where_it_is_longer() -> None:
    played = play(ACCEPTED, PROCESSING, DONE, IMAGE, poll_interval=20.0)
    assert played.delays == [0, 20, 20, 0]


def test_addresses_alone_need_no_fetching() -> None:
    played = play(ACCEPTED, DONE, download=False)
    image = played.handover.value.image
    assert (image.url, image.data) == ("https://example.com/image.png", None)


def test_all_images_of_a_task_are_fetched() -> None:
    two = {
        "task_status": "SUCCEED",
        "output_images": ["https://a.example/1", "https://a.example/2"],
    }
    played = play(ACCEPTED, Reply(200, {}, json.dumps(two).encode()), IMAGE, IMAGE)
    assert [image.url for image in played.handover.value.images] == two["output_images"]


def test_an_answer_at_once_is_taken_too() -> None:
    played = play(sample("images/synchronous_obsolete").reply, IMAGE)
    assert played.handover.value.image.data == PNG


def test_a_task_that_was_begun_before_is_not_submitted() -> None:
    played = play(PROCESSING, DONE, IMAGE, task_id=TASK_ID, prompt="")
    assert submissions(played) == 0
    assert played.handover.value.origin.attempts == 3


# --- the submission is made once


@pytest.mark.parametrize(
    "outcome", [LOST, SILENT, BROKEN, Reply(502, {}, b""), Reply(504, {}, b"")]
)
def test_what_may_have_been_accepted_is_not_submitted_again(outcome: Outcome) -> None:
    played = play(outcome)
    assert submissions(played) == 1
    assert isinstance(played.end, APIConnectionError | ServerError)


@pytest.mark.parametrize("outcome", [UNSENT, RESET, THROTTLED, Reply(503, {}, b"")])
def test_what_was_surely_not_accepted_is(outcome: Outcome) -> None:
    played = play(outcome, ACCEPTED, DONE, IMAGE)
    assert submissions(played) == 2
    assert played.handover.value.origin.attempts == 4


def test_an_empty_success_is_not_submitted_again() -> None:
    played = play(Reply(200, {}, b"{}"))
    assert isinstance(played.error, EmptyReplyError)


def test_a_spent_model_hands_over_to_the_next() -> None:
    played = play(MODEL_SPENT, ACCEPTED, DONE, IMAGE, fallback_models=(OTHER,))
    assert played.models == [MODEL, OTHER, OTHER, OTHER]
    assert played.handover.origin.fallback_reason == "model_spent"


def test_a_spent_balance_ends_it_with_one_request() -> None:
    played = play(BALANCE)
    assert isinstance(played.error, QuotaExceededError)
    assert played.error.details.unit == "magicubes"


def test_a_ledger_that_says_no_ends_it_without_any() -> None:
    played = play(Refused(QuotaBlock(scope="account", model=None, blocked_until=2e9)))
    assert isinstance(played.error, QuotaExceededError)
    assert played.error.details.attempts == 0


LATER = [PROCESSING, BROKEN, LOST, SILENT, BUSY, THROTTLED, UNSENT, GONE, REFUSED, DONE]


@given(st.lists(st.sampled_from(LATER), max_size=12))
def test_whatever_comes_after_it_an_accepted_task_is_never_submitted_again(
    outcomes: list[Outcome],
) -> None:
    flow = poll_flow(
        TASKS["image"],
        ImageRequest(model=MODEL, prompt="a cat"),
        Terms(
            book=ProfileBook(),
            policy=RetryPolicy(),
            budget=RetryBudget(),
            deadline=600.0,
            clock=lambda: 0.0,
            chance=lambda: 0.5,
        ),
    )
    assert next(flow).body
    outcome: Outcome = ACCEPTED
    with contextlib.suppress(StopIteration, ModelScopeError):
        for following in outcomes:
            attempt = flow.send(outcome)
            assert not attempt.body
            assert attempt.free
            outcome = following


# --- what goes wrong later


def test_a_refused_content_is_its_own_error_and_names_the_task() -> None:
    played = play(ACCEPTED, PROCESSING, REFUSED)
    assert isinstance(played.error, ContentRefusedError)
    assert played.error.details.task_id == TASK_ID
    assert TASK_ID in str(played.error)
    assert submissions(played) == 1


def failed(message: str) -> Reply:
    reply = {"errors": {"message": message}, "task_status": "FAILED"}
    return Reply(200, {}, json.dumps(reply).encode())


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Server is busy, please try again later", ServerError),
        ("insufficient balance", QuotaExceededError),
        ("We have to rate limit you for model x.", RateLimitError),
        ("Model id : x , has no provider supported", ModelNotServedError),
        ("something else", ServerError),
        ("", ServerError),
    ],
)
def test_a_failed_task_is_judged_by_its_words_and_asked_after_no_more(
    message: str, error: type[ModelScopeError]
) -> None:
    played = play(ACCEPTED, failed(message))
    assert type(played.error) is error
    assert len(played.attempts) == 2


@pytest.mark.parametrize("trouble", [BROKEN, LOST, SILENT, UNSENT, THROTTLED, Reply(200, {}, b"")])
def test_a_look_that_fails_is_repeated(trouble: Outcome) -> None:
    played = play(ACCEPTED, trouble, trouble, PROCESSING, trouble, DONE, IMAGE)
    assert played.handover.value.image.data == PNG


def test_a_look_is_not_repeated_for_ever() -> None:
    played = play(ACCEPTED, BROKEN, BROKEN, BROKEN)
    assert isinstance(played.error, ServerError)
    assert played.error.details.task_id == TASK_ID


def test_a_look_waits_as_long_as_it_is_asked_to() -> None:
    slow_down = Reply(429, {"retry-after": "7"}, THROTTLED.body)
    assert play(ACCEPTED, slow_down, DONE, IMAGE).delays == [0, 1, 7, 0]


def test_a_task_that_is_not_found_is_not_looked_for() -> None:
    played = play(ACCEPTED, GONE)
    assert isinstance(played.error, InvalidRequestError)
    assert played.error.reason == "task_not_found"


def test_a_success_without_images_is_empty() -> None:
    played = play(ACCEPTED, Reply(200, {}, b'{"task_status": "SUCCEED", "output_images": []}'))
    assert isinstance(played.error, EmptyReplyError)


@pytest.mark.parametrize(
    "reply", [Reply(404, {}, b"<html>"), Reply(403, {}, b""), Reply(200, {}, b"x")]
)
def test_an_image_that_is_not_there_blames_neither_token_nor_model(reply: Reply) -> None:
    played = play(ACCEPTED, DONE, reply)
    assert isinstance(played.error, UnexpectedReplyError)
    assert played.error.reason == "image_not_there"
    assert played.error.details.task_id == TASK_ID


def test_an_image_that_comes_with_trouble_is_fetched_again() -> None:
    played = play(ACCEPTED, DONE, BROKEN, LOST, IMAGE)
    assert played.handover.value.image.data == PNG


# --- the deadline


def test_a_look_past_the_deadline_is_not_waited_for() -> None:
    played = play(ACCEPTED, PROCESSING, PROCESSING, deadline=3.0, times=iter([0.0, 1.0, 2.5, 2.5]))
    assert isinstance(played.error, APITimeoutError)
    assert played.error.reason == "unfinished"
    assert played.error.details.task_id == TASK_ID
    assert "task_id" in str(played.error)


def test_a_look_that_the_deadline_cuts_says_the_same() -> None:
    played = play(ACCEPTED, SILENT, deadline=3.0, times=iter([0.0, 4.0, 4.0, 4.0]))
    assert isinstance(played.error, APITimeoutError)
    assert played.error.reason == "unfinished"


@pytest.mark.parametrize("interval", [0, -1, float("nan"), 4000])
def test_an_interval_of_nothing_is_refused(interval: float) -> None:
    with pytest.raises(InvalidRequestError, match="poll_interval"):
        raise play(poll_interval=interval).error
