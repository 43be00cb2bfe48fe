"""The policy of one call, played by hand: outcomes in, attempts out. No socket, no sleep."""

from __future__ import annotations

from typing import Any

import pytest

from modelscope_transport import (
    AuthenticationError,
    ChatRequest,
    EmbeddingRequest,
    EmptyReplyError,
    InvalidRequestError,
    Message,
    ModelNotServedError,
    ModelScopeError,
    NamedTool,
    QuotaExceededError,
    RateLimitError,
    ResponseFormat,
    ServerError,
    ToolSpec,
)
from modelscope_transport._wire import catalogue
from modelscope_transport._wire.chat import Opening
from modelscope_transport._wire.failures import Verdict
from modelscope_transport._wire.outcomes import NoReply, Outcome, Refused, Reply
from modelscope_transport.calls.attempt import Flow
from modelscope_transport.calls.retry import RetryBudget, RetryPolicy
from modelscope_transport.quota import QuotaBlock
from tests.transport.played import MODEL, Played, Stage
from tests.transport.recorded import sample

OTHER, THIRD = "other/model", "third/model"
GOOD = sample("chat/whole").reply
STREAM = sample("streams/null_fields").reply
EMPTY = sample("failures/empty_json_schema").reply
THROTTLED = sample("failures/rate_limit_of_model_2026").reply
MODEL_SPENT = sample("failures/model_quota_today").reply
ACCOUNT_SPENT = sample("failures/free_allowance_used_zh").reply
RETIRED = sample("failures/upstream_account_empty").reply
NOT_SERVED = sample("failures/no_provider_2026").reply
BROKEN = Reply(500, {}, b"")
LOST = NoReply("connection", "reset", sent=True, repeatable=True)


def throttled(retry_after: str) -> Reply:
    return Reply(429, {"retry-after": retry_after}, THROTTLED.body)


def refused(scope: Any, model: str | None = None) -> Refused:
    return Refused(QuotaBlock(scope=scope, model=model, blocked_until=2e9))


# --- a call that succeeds


def test_a_good_reply_is_handed_over_at_once() -> None:
    played = Stage().play(GOOD)
    assert played.delays == [0.0]
    assert played.handover.value.text == "人工智能是让机器模拟人类智能行为的技术。"
    origin = played.handover.origin
    assert (origin.model, origin.requested_model) == (MODEL, MODEL)
    assert (origin.attempts, origin.fallback_reason, origin.adjustments) == (1, None, ())


def test_a_stream_is_handed_over_with_its_first_delta() -> None:
    played = Stage().play(STREAM, stream=True)
    assert played.bodies[0]["stream"]
    opening = played.handover.value
    assert isinstance(opening, Opening)
    assert opening.first is not None
    assert opening.first.response_id


def test_a_wait_before_a_free_look_is_not_waited_twice() -> None:
    stage = Stage(looks={"balance": catalogue.balance("https://modelscope.cn")})
    small = QuotaBlock(
        scope="account", model=None, blocked_until=2e9, unit="magicubes", price=1.0, ask="balance"
    )
    told = Reply(200, {}, b'{"data": {"available_balance": 100}}')
    assert stage.play(throttled("30"), Refused(small), told, GOOD).delays == [0.0, 30.0, 0.0, 0.0]


def test_the_origin_tells_the_id_and_the_limits_of_the_reply() -> None:
    told = {"x-request-id": "r", "modelscope-ratelimit-requests-remaining": "7"}
    origin = Stage().play(Reply(200, told, GOOD.body)).handover.origin
    assert origin.request_id == "r"
    assert origin.allowance == {"account_remaining": 7}


# --- again


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(THROTTLED, id="throttled"),
        pytest.param(Reply(429, {}, b""), id="429 without words"),
        pytest.param(BROKEN, id="500"),
        pytest.param(Reply(502, {}, b"<html>"), id="502 web page"),
        pytest.param(Reply(503, {}, b""), id="503"),
        pytest.param(Reply(504, {}, b""), id="504"),
        pytest.param(Reply(408, {}, b""), id="408"),
        pytest.param(EMPTY, id="empty shell"),
        pytest.param(Reply(200, {}, b""), id="empty body"),
        pytest.param(Reply(200, {}, b'{"choices": []}'), id="no choices"),
        pytest.param(Reply(200, {}, b'{"error": {"message": "x"}}'), id="error in a 200"),
        pytest.param(LOST, id="connection lost"),
        pytest.param(
            NoReply("timeout", "no connection", sent=False, repeatable=True),
            id="no connection in time",
        ),
    ],
)
def test_what_a_moment_may_heal_is_tried_three_times(outcome: Outcome) -> None:
    played = Stage().play(outcome, outcome, outcome)
    assert played.delays == [0.0, 0.25, 0.5]
    assert played.error.details.attempts == 3
    assert {attempt.body for attempt in played.attempts} == {played.attempts[0].body}


@pytest.mark.parametrize("stream", [False, True])
def test_a_success_after_two_failures_counts_its_attempts(stream: bool) -> None:
    played = Stage().play(BROKEN, LOST, STREAM if stream else GOOD, stream=stream)
    assert played.handover.origin.attempts == 3


@pytest.mark.parametrize(
    "first_event",
    [
        pytest.param(sample("failures/error_first_event"), id="throttled"),
        pytest.param(sample("failures/empty_first_event"), id="empty shell"),
    ],
)
def test_a_stream_that_begins_with_a_failure_is_tried_again(first_event: Any) -> None:
    played = Stage().play(first_event.reply, STREAM, stream=True)
    assert played.delays == [0.0, 0.25]
    assert isinstance(played.handover.value, Opening)


@pytest.mark.parametrize("body", [b"", b"[DONE]"], ids=["nothing", "only [DONE]"])
def test_a_stream_without_a_delta_is_empty(body: bytes) -> None:
    nothing = Reply(200, {}, body, streaming=True)
    assert isinstance(Stage().play(nothing, nothing, nothing, stream=True).error, EmptyReplyError)


@pytest.mark.parametrize(
    ("retries", "delays"), [(0, [0.0]), (1, [0.0, 0.25]), (5, [0, 0.25, 0.5, 1, 2, 4])]
)
def test_the_user_says_how_often(retries: int, delays: list[float]) -> None:
    stage = Stage(policy=RetryPolicy(max_retries=retries))
    assert stage.play(*[BROKEN] * len(delays)).delays == delays


def test_delays_stop_growing_at_eight_seconds() -> None:
    stage = Stage(policy=RetryPolicy(max_retries=8))
    assert stage.play(*[BROKEN] * 9).delays[-3:] == [4.0, 4.0, 4.0]


def test_the_error_is_that_of_the_last_outcome() -> None:
    assert isinstance(Stage().play(LOST, THROTTLED, BROKEN).error, ServerError)


# --- a wait that the service asks for


def test_retry_after_is_obeyed_to_the_second() -> None:
    assert Stage().play(throttled("2"), GOOD).delays == [0.0, 2.0]


def test_a_wait_of_nothing_is_obeyed_too() -> None:
    assert Stage().play(throttled("0"), GOOD).delays == [0.0, 0.0]


def test_a_wait_past_the_deadline_is_an_error_now_with_the_time_in_it() -> None:
    error = Stage().play(throttled("3600")).error
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 3600
    assert "3600 s" in str(error)
    assert error.details.attempts == 1


def test_the_deadline_that_counts_is_what_is_left_of_it() -> None:
    stage = Stage(deadline=10.0)
    assert stage.play(throttled("5"), GOOD, times=[4.0]).delays == [0.0, 5.0]
    assert isinstance(stage.play(throttled("5"), times=[5.0]).error, RateLimitError)


def test_no_wait_of_ones_own_passes_the_deadline() -> None:
    assert len(Stage(deadline=0.4).play(BROKEN, BROKEN, times=[0.0, 0.3]).attempts) == 2


# --- the budget of all calls together


def test_a_hundred_calls_that_fail_together_make_at_most_a_hundred_retries() -> None:
    stage, request = Stage(), ChatRequest(model=MODEL, messages=(Message("user", "1+1?"),))
    flows = [stage.flow(request) for _ in range(100)]
    for flow in flows:
        next(flow)
    attempts = 0
    while flows:  # in turns, as a hundred callers would
        attempts += len(flows)
        flows = [flow for flow in flows if _goes_on(flow, BROKEN)]
    assert attempts == 200


def _goes_on(flow: Flow, outcome: Outcome) -> bool:
    try:
        flow.send(outcome)
    except ServerError:
        return False
    return True


def test_without_a_budget_a_call_fails_at_its_first_attempt() -> None:
    assert len(Stage(budget=RetryBudget(tokens=4)).play(BROKEN).attempts) == 1


def test_a_timeout_takes_twice_as_much_of_the_budget() -> None:
    late = NoReply("timeout", "", sent=False, repeatable=True)
    assert len(Stage(budget=RetryBudget(tokens=10)).play(BROKEN, BROKEN, BROKEN).attempts) == 3
    assert len(Stage(budget=RetryBudget(tokens=10)).play(late, late).attempts) == 2


def test_a_success_gives_some_of_the_budget_back() -> None:
    stage = Stage(budget=RetryBudget(tokens=5))
    stage.play(BROKEN, GOOD)
    assert len(stage.play(BROKEN).attempts) == 1
    for _ in range(4):
        stage.play(GOOD)
    assert len(stage.play(BROKEN, GOOD).attempts) == 2


# --- no attempt can succeed


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (sample("failures/bad_token").reply, AuthenticationError),
        (Reply(403, {}, b""), AuthenticationError),
        (Reply(400, {}, b""), InvalidRequestError),
        (Reply(404, {}, b""), ModelNotServedError),
        (Reply(422, {}, b""), InvalidRequestError),
        (Reply(307, {"location": "https://elsewhere.example"}, b""), ModelScopeError),
        (Reply(200, {}, b"<html>"), ModelScopeError),
        (Reply(200, {}, b"{"), ModelScopeError),
        (NoReply("timeout", "silence", sent=True), ModelScopeError),
        (ACCOUNT_SPENT, QuotaExceededError),
        (MODEL_SPENT, QuotaExceededError),
        (RETIRED, ModelNotServedError),
    ],
)
def test_what_cannot_succeed_is_asked_once(outcome: Outcome, kind: type[ModelScopeError]) -> None:
    played = Stage().play(outcome)
    assert isinstance(played.error, kind)
    assert played.error.details.attempts == 1
    assert played.error.model == MODEL


def test_a_misspelt_model_is_told_what_is_like_it() -> None:
    error = Stage().play(NOT_SERVED, model="Qwen/Qwen3-8b").error
    assert "Qwen/Qwen3-8B" in error.details.alternatives
    assert "Qwen/Qwen3-8B" in str(error)


def test_a_misspelt_fallback_is_told_what_is_like_it() -> None:
    played = Stage().play(MODEL_SPENT, NOT_SERVED, fallback_models=("Qwen/Qwen3-8b",))
    assert "Qwen/Qwen3-8B" in played.error.details.alternatives


def test_a_retired_model_of_a_known_name_is_no_spelling_mistake() -> None:
    assert Stage().play(RETIRED, model="Qwen/Qwen3-8B").error.details.alternatives == ()


# --- another model


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(MODEL_SPENT, "model_spent"), (RETIRED, "model_retired"), (NOT_SERVED, "not_served")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_where_a_model_is_spent_or_gone_the_next_one_answers(
    outcome: Outcome, reason: str, stream: bool
) -> None:
    good = STREAM if stream else GOOD
    played = Stage().play(outcome, good, fallback_models=(OTHER,), stream=stream)
    assert played.models == [MODEL, OTHER]
    assert played.delays == [0.0, 0.0]
    assert [body["model"] for body in played.bodies] == [MODEL, OTHER]
    origin = played.handover.origin
    assert (origin.model, origin.requested_model) == (OTHER, MODEL)
    assert (origin.fallback_reason, origin.attempts) == (reason, 2)


@pytest.mark.parametrize("outcome", [BROKEN, THROTTLED, LOST, EMPTY])
def test_a_model_that_is_merely_slow_is_not_left(outcome: Outcome) -> None:
    assert Stage().play(*[outcome] * 3, fallback_models=(OTHER,)).models == [MODEL] * 3


def test_each_model_has_retries_of_its_own() -> None:
    played = Stage().play(BROKEN, MODEL_SPENT, BROKEN, BROKEN, GOOD, fallback_models=(OTHER,))
    assert played.models == [MODEL, MODEL, OTHER, OTHER, OTHER]
    assert played.delays == [0.0, 0.25, 0.0, 0.25, 0.5]
    assert played.handover.origin.attempts == 5


def test_models_are_tried_in_order_and_the_last_reason_is_told() -> None:
    played = Stage().play(MODEL_SPENT, NOT_SERVED, GOOD, fallback_models=(OTHER, THIRD))
    assert played.models == [MODEL, OTHER, THIRD]
    assert played.handover.origin.fallback_reason == "not_served"


def test_when_all_are_spent_the_last_one_says_so() -> None:
    played = Stage().play(MODEL_SPENT, MODEL_SPENT, fallback_models=(OTHER,))
    assert isinstance(played.error, QuotaExceededError)
    assert (played.error.model, played.error.details.attempts) == (OTHER, 2)


def test_a_spent_account_skips_every_model_but_those_a_provider_pays_for() -> None:
    played = Stage().play(ACCOUNT_SPENT, GOOD, fallback_models=(OTHER, f"{MODEL}:DashScope", THIRD))
    assert played.models == [MODEL, f"{MODEL}:DashScope"]
    assert played.handover.origin.fallback_reason == "account_spent"


def test_a_spent_account_stays_spent_after_a_provider_has_failed() -> None:
    played = Stage().play(ACCOUNT_SPENT, NOT_SERVED, fallback_models=(f"{MODEL}:DashScope", THIRD))
    assert played.models == [MODEL, f"{MODEL}:DashScope"]


def test_a_model_is_asked_once_however_often_it_is_named() -> None:
    played = Stage().play(MODEL_SPENT, GOOD, fallback_models=(MODEL, OTHER, OTHER))
    assert played.models == [MODEL, OTHER]


# --- refused by the ledger


def test_a_refusal_of_the_ledger_is_no_attempt() -> None:
    played = Stage().play(refused("account"))
    assert isinstance(played.error, QuotaExceededError)
    assert played.error.details.attempts == 0
    assert played.error.scope == "account"


def test_a_model_the_ledger_refuses_gives_way_without_a_request() -> None:
    played = Stage().play(refused("model", MODEL), GOOD, fallback_models=(OTHER,))
    origin = played.handover.origin
    assert (origin.model, origin.attempts, origin.fallback_reason) == (OTHER, 1, "model_spent")


def test_an_account_the_ledger_refuses_leaves_only_providers() -> None:
    played = Stage().play(refused("account"), GOOD, fallback_models=(OTHER, f"{MODEL}:X"))
    assert played.models == [MODEL, f"{MODEL}:X"]


# --- what the driver settles by


def verdicts(played: Played) -> list[Verdict]:
    found = [attempt.verdict for attempt in played.attempts]
    assert None not in found
    return [verdict for verdict in found if verdict is not None]


def test_each_attempt_bears_its_verdict() -> None:
    played = Stage().play(BROKEN, LOST, GOOD)
    assert [verdict.charged for verdict in verdicts(played)] == [False, None, True]
    (spent,) = verdicts(Stage().play(MODEL_SPENT))
    assert spent.block is not None
    assert (spent.charged, spent.block.model) == (False, MODEL)


# --- lessons

NEEDS_STREAM = sample("failures/stream_needed_thinking_model").reply
NO_STREAM_USAGE = Reply(400, {}, b'{"error": {"message": "stream_options is not supported"}}')
FORCED_REFUSED = sample("failures/forced_tool_while_thinking").reply
ADD = ToolSpec("add", "adds", {"type": "object"})
FORCED: dict[str, Any] = {"tools": (ADD,), "tool_choice": "required"}
SCHEMA: dict[str, Any] = {
    "response_format": ResponseFormat("json_schema", "add", schema={"type": "object"})
}


def test_a_model_that_must_be_streamed_is_streamed() -> None:
    stage = Stage()
    played = stage.play(NEEDS_STREAM, STREAM)
    assert [body.get("stream") for body in played.bodies] == [None, True]
    assert played.delays == [0.0, 0.0]
    assert isinstance(played.handover.value, Opening)
    assert "joined" in played.handover.origin.adjustments[0]
    assert stage.play(STREAM).bodies[0]["stream"], "learnt for the next call"


def test_a_stream_that_may_not_tell_its_usage_is_asked_without() -> None:
    stage = Stage()
    played = stage.play(NO_STREAM_USAGE, STREAM, stream=True)
    assert ["stream_options" in body for body in played.bodies] == [True, False]
    assert "stream_options" not in stage.play(STREAM, stream=True).bodies[0]


@pytest.mark.parametrize("refusal", [EMPTY, FORCED_REFUSED], ids=["empty", "refused"])
@pytest.mark.parametrize("choice", ["required", NamedTool("add")])
def test_a_forced_tool_is_tried_with_thinking_off(refusal: Reply, choice: Any) -> None:
    stage = Stage()
    played = stage.play(refusal, GOOD, tools=(ADD,), tool_choice=choice)
    first, second = played.bodies
    assert "enable_thinking" not in first
    assert second["enable_thinking"] is False
    assert second["chat_template_kwargs"] == {"enable_thinking": False}
    assert second["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert stage.play(GOOD, tools=(ADD,), tool_choice=choice).bodies[0] == second


def test_a_schema_the_model_cannot_keep_becomes_a_tool() -> None:
    stage = Stage()
    played = stage.play(EMPTY, sample("chat/tool_call").reply, **SCHEMA)
    assert "response_format" in played.bodies[0]
    assert played.bodies[1]["tools"][0]["function"]["name"] == "add"
    answer = played.handover.value.choice
    assert (answer.text, answer.tool_calls, answer.finish_reason) == (
        '{"a": 2, "b": 3}',
        (),
        "stop",
    )
    assert "tools" in stage.play(sample("chat/tool_call").reply, **SCHEMA).bodies[0]


def test_a_second_lesson_builds_on_the_first() -> None:
    played = Stage().play(EMPTY, EMPTY, sample("chat/tool_call").reply, **SCHEMA)
    assert [
        sorted({"response_format", "tools", "enable_thinking"} & set(body))
        for body in played.bodies
    ] == [
        ["response_format"],
        ["tools"],
        ["enable_thinking", "tools"],
    ]
    assert played.handover.origin.attempts == 3


def test_lessons_are_no_retries() -> None:
    played = Stage(policy=RetryPolicy(max_retries=0)).play(NEEDS_STREAM, STREAM)
    assert played.handover.origin.attempts == 2
    assert Stage(budget=RetryBudget(tokens=0)).play(NEEDS_STREAM, STREAM).handover


def test_a_lesson_leaves_the_retries_as_they_were() -> None:
    played = Stage().play(BROKEN, NEEDS_STREAM, BROKEN, BROKEN)
    assert played.delays == [0.0, 0.25, 0.0, 0.5]
    assert ["stream" in body for body in played.bodies] == [False, False, True, True]


def test_a_lesson_that_did_not_help_is_not_kept() -> None:
    stage = Stage()
    played = stage.play(NEEDS_STREAM, NEEDS_STREAM)
    assert isinstance(played.error, InvalidRequestError)
    assert "stream" not in stage.play(GOOD).bodies[0]
    assert len(stage.play(EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, **SCHEMA).attempts) == 5
    assert "response_format" in stage.play(GOOD, **SCHEMA).bodies[0]


def test_a_lesson_is_of_the_model_that_taught_it() -> None:
    stage = Stage()
    stage.play(NEEDS_STREAM, STREAM)
    assert "stream" not in stage.play(GOOD, model=OTHER).bodies[0]


def test_a_fallback_begins_without_the_lessons_of_the_first_model() -> None:
    played = Stage().play(NEEDS_STREAM, MODEL_SPENT, GOOD, fallback_models=(OTHER,))
    assert ["stream" in body for body in played.bodies] == [False, True, False]


@pytest.mark.parametrize(
    "request_", [{}, {"tools": (ADD,)}, {"tools": (ADD,), "tool_choice": "auto"}]
)
def test_where_nothing_was_forced_an_empty_reply_teaches_nothing(request_: dict[str, Any]) -> None:
    played = Stage().play(EMPTY, EMPTY, EMPTY, **request_)
    assert {attempt.body for attempt in played.attempts} == {played.attempts[0].body}


def test_a_model_known_to_force_tools_is_taught_nothing() -> None:
    stage = Stage()
    stage.book.learn(MODEL, forced_tools="yes")
    played = stage.play(EMPTY, EMPTY, EMPTY, **FORCED)
    assert len({attempt.body for attempt in played.attempts}) == 1


def test_a_streamed_call_has_no_streaming_to_learn() -> None:
    assert len(Stage().play(NEEDS_STREAM, stream=True).attempts) == 1


def test_a_schema_beside_tools_becomes_one_more_tool() -> None:
    stage = Stage()
    form = {"response_format": ResponseFormat("json_schema", "sum", schema={"type": "object"})}
    played = stage.play(EMPTY, sample("chat/tool_call").reply, tools=(ADD,), **form)
    first, second = ([tool["function"]["name"] for tool in body["tools"]] for body in played.bodies)
    assert (first, second) == (["add"], ["add", "sum"])
    assert [call.name for call in played.handover.value.choice.tool_calls] == ["add"]
    assert played.handover.value.choice.finish_reason == "tool_calls"


def test_embeddings_have_no_lessons() -> None:
    request = EmbeddingRequest(model="Qwen/Qwen3-Embedding-0.6B", texts=("a",))
    played = Stage().play_request(request, EMPTY, EMPTY, EMPTY)
    assert isinstance(played.error, EmptyReplyError)
    assert len(played.attempts) == 3


# --- before any attempt


@pytest.mark.parametrize("wrong", [{"messages": ()}, {"max_tokens": 0}])
def test_a_request_that_is_wrong_is_not_attempted(wrong: dict[str, Any]) -> None:
    played = Stage().play(**wrong)
    assert isinstance(played.error, InvalidRequestError)
    assert played.attempts == []


def test_the_profile_decides_the_form_of_the_request() -> None:
    stage = Stage()
    stage.book.learn(MODEL, stream_only=True)
    assert stage.play(STREAM).bodies[0]["stream"]
