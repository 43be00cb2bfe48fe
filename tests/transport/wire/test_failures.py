"""What a reply means: every row of the failure table against every recorded reply."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelscope_transport import (
    Allowance,
    ChatRequest,
    Message,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
)
from modelscope_transport._wire.failure_table import Kind, Row, failure_rows, shape_rows
from modelscope_transport._wire.failures import Verdict, judge
from modelscope_transport._wire.outcomes import (
    Failure,
    NoReply,
    Outcome,
    Refused,
    Reply,
    read_failure,
)
from modelscope_transport._wire.wires import prepare
from modelscope_transport.calls.attempt import Terms
from modelscope_transport.calls.policy import call_flow
from modelscope_transport.calls.retry import RetryBudget, RetryPolicy
from modelscope_transport.catalogue.models import ProfileBook, profile_for
from modelscope_transport.catalogue.tasks import TASKS
from modelscope_transport.emulator import Reply as LocalReply
from modelscope_transport.emulator.failures import FAILURES as LOCAL
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.protocol import shell
from modelscope_transport.quota import (
    Budget,
    Closing,
    MemoryLedger,
    QuotaBlock,
    Reservation,
    next_reset,
)
from modelscope_transport.quota.allowance import UTC8
from tests.transport.recorded import Sample, named, samples

ROWS = {row.name: row for row in failure_rows()}
SHAPES = shape_rows()
MODEL = "some/model"
NOW = dt.datetime(2026, 10, 6, 21, 30, tzinfo=UTC8).timestamp()

REFUSALS = [*samples("failures"), *(s for s in samples("images") if s.meaning != "good")]
EACH_REFUSAL = pytest.mark.parametrize("recorded", REFUSALS, ids=named)
EACH_ROW = pytest.mark.parametrize(
    "row", [*ROWS.values(), *SHAPES.values()], ids=lambda row: row.name
)

WITHOUT_SAMPLE = {
    "stream_usage_refused": "texts of other servers of the same interface; none recorded here",
    "reasoning_not_passed_back": "texts of DeepSeek's own service; none recorded here",
    "forbidden": "a 403 without telling words is on no record",
    "timed_out_there": "a 408 of this service is on no record",
    "moved": "a redirect of this service is on no record",
    "unreadable": "made by whatever stands between: proxies, captive portals",
    "no_connection": "no reply, so nothing to record",
    "broken_connection": "no reply, so nothing to record",
    "no_proxy": "no reply, so nothing to record",
    "unknown_host": "no reply, so nothing to record",
    "bad_certificate": "no reply, so nothing to record",
    "forbidden_address": "a request that was never made",
    "timed_out": "no reply, so nothing to record",
    "undocumented": "what the address of classic pipelines answers today is on no record",
    "image_not_there": "a reply of whoever keeps the images",
    "unknown_model": "the hub's words are on no record",
    "unfinished": "a task that takes too long for its caller, not a reply",
    "no_turn": "a call that was never made",
    "free_tier_spent": "a reply of another platform; its code alone is on record",
    "no_place": "a call that was never made",
    "paused": "a call that was never made",
    "budget_spent": "a call that was never made",
    "budget_kept": "a call that was never made",
    "day_unconfirmed": "a call that was never made",
    "provider_account": "words of the gateway, on a model whose provider its user pays",
    "provider_unpaid_said": "these words under another status than 402 are on no record",
}


# Not in a reply, so there is no record of one to name.
SEEN_HERE = (
    "no_connection",
    "broken_connection",
    "no_proxy",
    "unknown_host",
    "bad_certificate",
    "forbidden_address",
    "timed_out",
)


def error_of(outcome: Outcome, *, model: str = MODEL, stream: bool = True) -> ModelScopeError:
    """The error that a call ends with when this is its only outcome."""
    flow = call_flow(
        TASKS["chat"],
        ChatRequest(model=model, messages=(Message("user", "1+1?"),)),
        Terms(
            deadline=60.0,
            policy=RetryPolicy(max_retries=0),
            book=ProfileBook(),
            budget=RetryBudget(),
            clock=lambda: 0.0,
        ),
        stream=stream,
    )
    next(flow)
    with pytest.raises(ModelScopeError) as caught:
        flow.send(outcome)
    return caught.value


def verdict(
    message: str, *, status: int = 429, model: str = MODEL, price: int = 10, **headers: str
) -> Verdict:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    reservation = Reservation(
        account="me", model=model, day="2026-10-06", bucket=1, reserved_at=NOW, price=price
    )
    reply, failure = Reply(status, names, b""), Failure(message)
    return judge(reply, failure, model=model, reservation=reservation, now=NOW)


# --- the table and the samples


@EACH_REFUSAL
def test_a_recorded_reply_means_what_was_learnt_of_it(recorded: Sample) -> None:
    # A task's result is read by its own file; its failures are judged by the same table.
    if recorded.name == "failed_with_message_outside":
        failed = judge(recorded.reply, Failure("placeholder"), model=recorded.model)
        assert failed.details.reason == recorded.meaning
        return
    model = recorded.model if "/" in recorded.model else MODEL
    error = error_of(recorded.reply, model=model)
    row = (ROWS | SHAPES)[recorded.meaning]
    assert error.reason == recorded.meaning
    assert type(error) is row.error
    assert error.status_code == recorded.status
    assert error.details.attempts == 1


@EACH_ROW
def test_each_row_has_a_sample_or_a_reason_for_none(row: Row) -> None:
    has_sample = any(row.name == recorded.meaning for recorded in REFUSALS)
    assert has_sample is not (row.name in WITHOUT_SAMPLE)


@EACH_ROW
def test_each_row_names_its_source_and_its_date(row: Row) -> None:
    if row.name in SEEN_HERE:
        return
    assert row.source
    assert row.date


def test_rows_with_a_pattern_stand_before_rows_with_a_status_alone() -> None:
    alone = [row.pattern is None for row in failure_rows()]
    assert alone == sorted(alone)


def test_of_rows_with_a_status_alone_the_narrower_stands_first() -> None:
    ranges = [row.statuses for row in failure_rows() if row.pattern is None]
    for place, wide in enumerate(ranges):
        assert wide is not None
        for later in ranges[place + 1 :]:
            assert later is not None
            assert not wide[0] <= later[0] <= later[1] <= wide[1]


def test_each_status_from_300_has_a_meaning_without_words() -> None:
    for status in range(300, 600):
        assert judge(Reply(status, {}, b""), Failure(""), model=MODEL).details.reason in ROWS


@pytest.mark.parametrize(
    ("status", "words", "meaning"),
    [
        (400, "Unrecognized request argument supplied: stream_options", "stream_usage_refused"),
        (422, "body.stream_options: extra inputs are not permitted", "stream_usage_refused"),
        (500, "stream_options", "server_error"),
        (
            400,
            "The `reasoning_content` must be passed back to the API",
            "reasoning_not_passed_back",
        ),
        (400, "missing `reasoning_content` in message 3", "reasoning_not_passed_back"),
        (403, "AllocationQuota.FreeTierOnly", "free_tier_spent"),
        (429, "insufficient balance (1008)", "model_retired"),
        (429, "insufficient_balance_error", "model_retired"),
        (400, "invalid: insufficient_balance_error", "bad_request"),
        (429, "Insufficient Balance\nunknown_error", "provider_unpaid_said"),
        (429, "Insufficient Balance\n400 invalid_request_error", "provider_unpaid_said"),
        (404, "unknown to the hub", "unknown_model"),
        (404, "undocumented pipeline", "undocumented"),
        (200, "image not there", "image_not_there"),
        (404, "image not there", "image_not_there"),
        (429, "image not there", "too_fast_unnamed"),
    ],
)
def test_words_of_which_no_reply_was_recorded_have_their_meaning(
    status: int, words: str, meaning: str
) -> None:
    assert verdict(words, status=status).details.reason == meaning


BY_WORDS = [
    s
    for s in REFUSALS
    if s.meaning in ROWS and ROWS[s.meaning].pattern is not None and not ROWS[s.meaning].statuses
]


@pytest.mark.parametrize("recorded", BY_WORDS, ids=named)
@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_the_same_words_mean_the_same_wherever_they_stand(recorded: Sample, status: int) -> None:
    body = json.loads(recorded.reply.body)
    inner = body.get("error") or body.get("errors")
    said = {key: value for key, value in inner.items() if key not in ("code", "http_code")}
    # The two whose code alone tells them apart keep it.
    said |= {
        key: inner[key] for key in ("code", "type") if not str(inner.get(key, "0"))[0].isdigit()
    }
    replies = [
        Reply(status, {}, json.dumps(envelope).encode(), streaming)
        for envelope in (
            {"error": said},
            {"errors": said},
            {"errors": [said]},
            {"error": said, "choices": None},
        )
        for streaming in ([False, True] if status == 200 else [False])
    ]
    meaning = recorded.meaning
    if ROWS[meaning].refusal:  # a service refuses with other statuses; this may be an echo
        meaning = {400: "bad_request", 500: "server_error"}.get(status, meaning)
    assert {error_of(reply).reason for reply in replies} == {meaning}


@pytest.mark.parametrize("code", [401, "403", 404, 422, 503])
def test_a_status_inside_a_200_counts_as_one(code: object) -> None:
    error = error_of(Reply(200, {}, json.dumps({"error": {"code": code, "message": ""}}).encode()))
    assert (
        error.reason
        == judge(Reply(int(str(code)), {}, b""), Failure(""), model=MODEL).details.reason
    )


@pytest.mark.parametrize("code", ["²²²", "٤٠٤", "40", "abc", "", "999", 10010101003, None, {}])
def test_another_code_inside_a_200_tells_nothing(code: object) -> None:
    error = error_of(Reply(200, {}, json.dumps({"error": {"code": code, "message": "x"}}).encode()))
    assert error.reason == "unexplained"


# --- the local service says it in the same words

WORDS: dict[str, Any] = {"tokens": 140_000, "limit": 10, "got": "", "detail": "x"}
ANOTHER_WAY = {
    "429_without_body": "a scenario of its own, throttled_silently",
    "bad_token_messages_endpoint": "its words are a placeholder",
    "balance_without_token": "its words are a placeholder",
}


def _words(body: bytes) -> str:
    failure = read_failure(body)
    return f"{failure.message} {failure.code}"


def _form(value: Any, path: str = "") -> set[str]:
    """The fields of a body, nested ones by their way."""
    if not isinstance(value, dict):
        return {path}
    return {found for name, inner in value.items() for found in _form(inner, f"{path}.{name}")}


@pytest.mark.parametrize("recorded", samples("failures"), ids=named)
def test_the_local_service_refuses_as_the_recorded_one(recorded: Sample) -> None:
    window = 98_304 if "dashscope" in recorded.name else 131_072
    model = recorded.model
    local = [refuse(row.name, model=model, window=window, **WORDS) for row in LOCAL]
    body = recorded.reply.body
    twins = [
        reply
        for reply in [*local, shell(stream=False)]
        if isinstance(reply, LocalReply)
        and reply.status == recorded.status
        and _words(reply.content()) == _words(body)
    ]
    assert bool(twins) is not (recorded.name in ANOTHER_WAY)
    if twins and body.startswith(b"{"):
        forms = [_form(json.loads(twin.content())) for twin in twins]
        assert _form(json.loads(body)) in forms


@pytest.mark.parametrize("row", LOCAL, ids=lambda row: row.name)
def test_every_refusal_of_the_local_service_is_understood(row: Any) -> None:
    reply = refuse(row.name, model=MODEL, window=9, **WORDS)
    error = error_of(Reply(reply.status, {}, reply.content()))
    assert error.reason in ROWS | SHAPES
    assert error.reason != "unreadable"


# --- a success that cannot be read


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"message": {"content": "It says: insufficient balance',
        b"Request limit exceeded.",
        b"<html>You have exceeded today's quota for model x</html>",
        b'["rate limit you"]',
    ],
)
def test_words_of_an_unreadable_success_are_the_answer_and_no_verdict(body: bytes) -> None:
    # Otherwise a cut answer that speaks of a spent balance would close the account for a day.
    assert error_of(Reply(200, {}, body)).reason == "unreadable"


def test_half_a_character_does_not_make_an_answer_unreadable() -> None:
    # Read as leniently as ``json.loads`` reads it.
    said = b'"insufficient balance \\ud800"'
    body = b'{"choices": [{"message": {"content": ' + said + b"}}]}"
    request = ChatRequest(model=MODEL, messages=(Message("user", "1+1?"),))
    answer = prepare(TASKS["chat"], request, profile_for(MODEL)).read(Reply(200, {}, body))
    assert answer.text == "insufficient balance \ufffd"


def test_words_of_an_unreadable_refusal_are_a_verdict() -> None:
    assert error_of(Reply(429, {}, b"Request limit exceeded.")).reason == "too_fast_ambiguous"


# --- what the user reads

SNIFFED = re.compile(r"429|rate.?limit|too many requests", re.IGNORECASE)


@EACH_ROW
def test_a_message_says_what_happened_and_ends_with_what_to_do(row: Row) -> None:
    [message] = Verdict(kind=row.kind, row=row).error(attempts=1).args
    assert message.startswith(row.happened.format(model="None"))
    assert row.remedy
    assert message.endswith(row.remedy)
    assert "{" not in message


@pytest.mark.parametrize(("price", "is_all"), [(0.1, True), (0.2, True), (0.5, False)])
def test_who_has_nothing_left_is_not_sent_to_a_cheaper_model(price: float, is_all: bool) -> None:
    row = ROWS["balance_short"]
    back = dt.datetime.fromtimestamp(NOW, UTC8)
    verdict = Verdict(kind=row.kind, row=row)
    spent = replace(verdict.details, resets_at=back, unit="magicubes", price=price)
    [message] = replace(verdict, details=spent).error(attempts=1).args
    assert ("Every call is refused for now." in message) is is_all
    assert ("cheaper" not in message) is is_all
    assert ("Magicubes or more are refused" not in message) is is_all


def test_suggestions_follow_the_remedy() -> None:
    verdict = Verdict(kind=Kind.MODEL_GONE, row=ROWS["not_served"])
    [message] = verdict.error(attempts=1, alternatives=("a/b", "a/c")).args
    assert message.endswith("Perhaps: a/b, a/c.")


@pytest.mark.parametrize(
    "recorded", [s for s in REFUSALS if s.meaning.endswith("_spent")], ids=named
)
def test_a_spent_allowance_does_not_sound_like_a_throttle(recorded: Sample) -> None:
    # Frameworks look for these words and would wait a minute at a time, all day.
    error = error_of(recorded.reply)
    assert isinstance(error, QuotaExceededError)
    assert not SNIFFED.search(str(error))
    assert "UTC+8" in str(error)
    assert error.resets_at is not None


def test_a_refusal_from_memory_does_not_sound_like_a_throttle_either() -> None:
    block = QuotaBlock(
        scope="account",
        model=None,
        blocked_until=NOW,
        server_message="429 Too Many Requests: rate limit",
    )
    assert not SNIFFED.search(str(error_of(Refused(block))))


@pytest.mark.parametrize("recorded", [s for s in REFUSALS if "too_fast" in s.meaning], ids=named)
def test_a_throttle_sounds_like_one(recorded: Sample) -> None:
    error = error_of(recorded.reply)
    assert isinstance(error, RateLimitError)
    assert "rate limit" in str(error).lower()
    assert "429" in str(error)


def test_the_services_own_words_are_quoted_and_cut() -> None:
    assert "The service said: 'so it is'" in str(verdict("so it is", status=400).error(attempts=1))
    assert len(str(verdict("x" * 5000, status=400).error(attempts=1))) < 500


def test_a_wait_that_was_asked_for_is_told() -> None:
    assert "wait 90000 s" in str(verdict("", retry_after="90000").error(attempts=1))


def test_a_redirect_tells_the_host_and_no_more() -> None:
    told = str(verdict("", status=307, location="https://a.example/p?t=1").error(attempts=1))
    assert "https://a.example" in told
    assert "t=1" not in told


@pytest.mark.parametrize("cause", ["connection", "timeout"])
def test_what_the_network_said_is_not_put_into_the_services_mouth(cause: Any) -> None:
    told = str(error_of(NoReply(cause, "[Errno 111] Connection refused", sent=False)))
    assert "Connection refused" in told
    assert "service said" not in told


# --- which pool, and until when


def test_a_spent_account_comes_back_at_midnight_of_utc8() -> None:
    spent = verdict("免费使用额度已用完")
    assert spent.kind is Kind.ACCOUNT_SPENT
    assert spent.block == QuotaBlock(
        scope="account",
        model=None,
        blocked_until=dt.datetime(2026, 10, 7, tzinfo=UTC8).timestamp(),
        server_message="免费使用额度已用完",
    )
    assert "2026-10-07 00:00 UTC+8" in str(spent.error(attempts=1))


def test_a_balance_that_is_too_small_proves_no_more_than_the_price() -> None:
    short = verdict("insufficient balance", price=20)
    assert (short.kind, short.details.unit, short.details.price) == (
        Kind.PRICE_SPENT,
        "magicubes",
        2.0,
    )
    assert short.block is not None
    assert (short.block.scope, short.block.price) == ("account", 2.0)
    told = str(short.error(attempts=1))
    assert "Calls of 2 Magicubes or more" in told
    assert "sign-in at https://modelscope.cn" in told
    assert "at the earliest" in told


def test_words_that_may_mean_either_prove_nothing_without_numbers() -> None:
    for ambiguous in ("Request limit exceeded.", "", "Insufficient_quota"):
        judged = verdict(ambiguous)
        assert (judged.kind, judged.block) == (Kind.AGAIN, None)
        assert judged.unexplained is not None


@pytest.mark.parametrize("seconds", ["0", "1", "30"])
def test_a_wait_that_was_asked_for_is_evidence_of_nothing_else(seconds: str) -> None:
    for words in ("Request limit exceeded.", "", "x"):
        judged = verdict(words, retry_after=seconds)
        assert (judged.kind, judged.block, judged.unexplained) == (Kind.AGAIN, None, None)
        assert judged.details.retry_after == float(seconds)


@pytest.mark.parametrize(
    "words", ["Too many requests", "concurrency too high, please slow down", "too fast"]
)
def test_words_of_speed_are_evidence_of_nothing_else(words: str) -> None:
    judged = verdict(words)
    assert (judged.kind, judged.block, judged.unexplained) == (Kind.AGAIN, None, None)
    assert judged.too_fast


PRICES = {"discount": 2, "lite": 5, "standard": 10, "ultra": 20}
MODELS = (MODEL, "another/model", f"{MODEL}:Provider")


def test_what_no_words_announce_proves_nothing() -> None:
    assert {row.proves for row in SHAPES.values()} == {"nothing"}


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
@pytest.mark.parametrize("asked", [MODEL, f"{MODEL}:Provider"])
@pytest.mark.parametrize("paid", PRICES)
def test_a_row_blocks_what_it_proves_and_no_more(row: Row, asked: str, paid: str) -> None:
    """Each row, said of a model at a price; then every model at every price is asked for."""
    ledger = MemoryLedger(lambda: NOW)
    reservation = ledger.reserve("me", asked, tier=paid)
    assert isinstance(reservation, Reservation)
    words = WORDS_OF.get(row.name, row.pattern.pattern if row.pattern else "")
    status = row.statuses[0] if row.statuses else 429
    judged = judge(
        Reply(status, {"retry-after": "1"} if row.unexplained else {}, b""),
        Failure(words.partition("|")[0].strip("^")),
        model=asked,
        reservation=reservation,
        now=NOW,
    )
    of_provider = row.proves in ("price", "account") or row.name.startswith("provider_unpaid")
    by_provider = ":" in asked and of_provider
    assert judged.details.reason == ("provider_account" if by_provider else row.name)
    ledger.settle(reservation, settlement(judged))

    proves = "nothing" if by_provider else row.proves
    for model in MODELS:
        for price_class, price in PRICES.items():
            own = ":" in model
            blocked = {
                "nothing": False,
                "model": model == asked,
                "price": not own and price >= PRICES[paid],
                "account": not own,
            }[proves]
            answer = ledger.reserve("me", model, tier=price_class, budget=Budget())
            assert isinstance(answer, QuotaBlock) is blocked, (model, price_class)


WORDS_OF = {
    "model_retired": "insufficient balance (1008)",
    "provider_unpaid": "Insufficient Balance",
    "provider_unpaid_said": "Insufficient Balance\nunknown_error",
    "needs_stream": "enable thinking stream=false",
    "forced_tool_refused": "tool_choice thinking mode",
    "batch_too_large": "batch size",
}


@pytest.mark.parametrize("status", [400, 413, 422, 500, 503])
@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.refusal], ids=lambda r: r.name)
def test_the_users_own_words_in_an_error_of_another_kind_prove_nothing(
    row: Row, status: int
) -> None:
    assert row.pattern is not None
    words = WORDS_OF.get(row.name, row.pattern.pattern)
    echo = f"messages.0.content: invalid [input_value='Translate: {words} some/model']"
    within = Reply(200, {}, b""), Failure(echo, code=str(status))
    for judged in (verdict(echo, status=status), judge(*within, model=MODEL, now=NOW)):
        assert judged.block is None
        assert judged.kind is (Kind.FINAL if status < 500 else Kind.AGAIN)
    assert row.fits(429, words)
    assert row.fits(200, words)
    assert row.fits(403, words)


def test_what_proves_something_is_a_refusal() -> None:
    assert all(row.refusal for row in ROWS.values() if row.proves != "nothing")


def settlement(judged: Verdict) -> Closing:
    return Closing(
        charged=judged.charged,
        block=judged.block,
        unexplained=judged.unexplained,
        allowance=judged.allowance,
    )


def test_a_spent_model_leaves_the_account_alone() -> None:
    spent = verdict("You have exceeded today's quota for model some/model")
    assert spent.kind is Kind.MODEL_SPENT
    assert spent.block is not None
    assert (spent.block.scope, spent.block.model) == ("model", MODEL)


def limits(account_left: int, model_left: int) -> dict[str, Any]:
    return {
        "modelscope_ratelimit_requests_limit": "2000",
        "modelscope_ratelimit_requests_remaining": str(account_left),
        "modelscope_ratelimit_model_requests_limit": "200",
        "modelscope_ratelimit_model_requests_remaining": str(model_left),
    }


def test_where_words_name_no_pool_the_headers_decide() -> None:
    spent = verdict("Request limit exceeded.", **limits(1500, 0))
    assert spent.kind is Kind.MODEL_SPENT
    assert spent.allowance == Allowance(
        account_limit=2000, account_remaining=1500, model_limit=200, model_remaining=0
    )
    error = spent.error(attempts=1)
    assert isinstance(error, QuotaExceededError)
    assert (error.scope, error.limit, error.remaining) == ("model", 200, 0)
    assert error.reason == "model_spent"
    assert MODEL in str(error)
    assert "200 calls a day" in str(error)


def test_an_account_without_a_rest_is_spent_whatever_the_model_has() -> None:
    spent = verdict("Request limit exceeded.", **limits(0, 50))
    assert spent.kind is Kind.ACCOUNT_SPENT
    assert spent.details.limit == 2000
    assert verdict("Request limit exceeded.", **limits(0, 0)).kind is Kind.ACCOUNT_SPENT


@pytest.mark.parametrize("status", [402, 429])
def test_a_provider_with_an_empty_account_closes_nothing_and_is_named(status: int) -> None:
    # owner/name:Provider is paid by the provider's own key.
    if status == 402:
        judged = verdict("Insufficient Balance", status=402, model="some/model:Provider", price=0)
    else:
        judged = verdict("insufficient balance", model="some/model:Provider", price=0)
    assert judged.block is None
    error = judged.error(attempts=1)
    assert isinstance(error, QuotaExceededError)
    assert error.reason == "provider_account"
    assert "'some/model:Provider' is paid by the user's own account with that provider" in str(
        error
    )
    assert error.resets_at is None


@pytest.mark.parametrize("words", ["Insufficient Balance", "insufficient balance", ""])
def test_a_402_is_the_upstreams(words: str) -> None:
    judged = verdict(words, status=402)
    assert (judged.kind, judged.block, judged.unexplained) == (Kind.AGAIN, None, None)
    assert judged.details.reason == "provider_unpaid"
    assert not isinstance(judged.error(attempts=1), QuotaExceededError)


def test_a_refusal_from_memory_is_the_servers_own() -> None:
    spent = verdict("You have exceeded today's quota for model some/model")
    assert spent.block is not None
    remembered = judge(Refused(spent.block), None, model=MODEL)
    assert remembered.kind is spent.kind
    told, said = remembered.error(attempts=0), spent.error(attempts=1)
    assert type(told) is type(said)
    assert str(told) == str(said)
    assert (told.details.scope, told.details.resets_at) == (
        said.details.scope,
        said.details.resets_at,
    )
    assert told.reason == said.reason == "model_spent"


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Sydney", "UTC"])
def test_the_reset_does_not_hang_on_the_hosts_zone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        error = verdict("免费使用额度已用完").error(attempts=1)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert error.details.resets_at == next_reset(NOW)
    assert "2026-10-07 00:00 UTC+8" in str(error)


# --- what was charged


@pytest.mark.parametrize(
    ("outcome", "kind", "charged"),
    [
        (NoReply("connection", "", sent=False, repeatable=True), Kind.AGAIN, False),
        # Reset before a byte of a reply, as a system does with what no program has read.
        (NoReply("connection", "", sent=True, repeatable=True), Kind.AGAIN, None),
        (NoReply("timeout", "", sent=False, repeatable=True), Kind.AGAIN, False),
        (NoReply("unknown_host", "", sent=False, repeatable=True), Kind.AGAIN, False),
        # Sent and perhaps charged: asking again might pay twice.
        (NoReply("connection", "", sent=True), Kind.FINAL, None),
        (NoReply("timeout", "", sent=True), Kind.FINAL, None),
        # What trying again does not heal.
        (NoReply("certificate", "", sent=False, repeatable=True), Kind.FINAL, False),
        (NoReply("forbidden", "", sent=False), Kind.FINAL, False),
        (NoReply("queue", "", sent=False), Kind.FINAL, False),
    ],
)
def test_silence(outcome: NoReply, kind: Kind, charged: bool | None) -> None:
    judged = judge(outcome, None, model=MODEL)
    assert (judged.kind, judged.charged) == (kind, charged)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (NoReply("connection", "", sent=False), "no_connection"),
        (NoReply("connection", "", sent=True), "broken_connection"),
        (NoReply("connection", "", sent=True, repeatable=True), "broken_connection"),
        (NoReply("timeout", "", sent=True), "timed_out"),
        (NoReply("certificate", "", sent=False), "bad_certificate"),
        (NoReply("proxy", "", sent=False), "no_proxy"),
        (NoReply("unknown_host", "", sent=False), "unknown_host"),
        (NoReply("forbidden", "", sent=False), "forbidden_address"),
        (NoReply("queue", "", sent=False), "no_place"),
    ],
)
def test_each_silence_has_a_row_of_its_own(outcome: NoReply, reason: str) -> None:
    assert error_of(outcome).reason == reason


def test_a_good_reply_is_charged_and_tells_its_limits() -> None:
    good = judge(Reply(200, {"modelscope-ratelimit-requests-limit": "5"}, b"{}"), None, model=MODEL)
    assert (good.kind, good.charged, good.row) == (Kind.GOOD, True, None)
    assert good.allowance == Allowance(account_limit=5)


def test_a_refusal_is_not_charged() -> None:
    assert verdict("Request limit exceeded.").charged is False


# --- anything at all

TEXTS = st.text(max_size=20) | st.sampled_from([s.reply.body.decode() for s in REFUSALS])


@given(
    st.integers(100, 999),
    st.dictionaries(
        st.sampled_from(["retry-after", "location", "x-request-id"]), st.text(max_size=20)
    ),
    TEXTS,
    TEXTS | st.none(),
    st.booleans(),
)
def test_any_failure_becomes_an_error_that_can_be_shown(
    status: int, headers: dict[str, str], message: str, code: str | None, unreadable: bool
) -> None:
    failure = Failure(message, code=code, unreadable=unreadable)
    judged = judge(Reply(status, headers, b""), failure, model=MODEL, now=NOW)
    assert judged.kind is not Kind.GOOD
    assert isinstance(judged.error(attempts=1), ModelScopeError)
