"""What is read off any reply before it is judged: envelopes of failure, limits, waits, ids."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import Allowance
from modelscope_transport._wire.failures import judge
from modelscope_transport._wire.outcomes import (
    Failure,
    Reply,
    _epoch,
    describe,
    read_allowance,
    read_date,
    read_failure,
    read_request_id,
    read_retry_after,
    telling_headers,
)
from tests.transport.recorded import sample

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


# --- envelopes


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        pytest.param(
            {"error": {"message": "no", "request_id": "r"}},
            Failure("no", request_id="r"),
            id="gateway of 2026",
        ),
        pytest.param(
            {"errors": {"message": "no", "request_id": "r"}},
            Failure("no", request_id="r"),
            id="gateway of 2025",
        ),
        pytest.param(
            {"errors": {"message": "no"}, "request_id": "r"},
            Failure("no", request_id="r"),
            id="id outside",
        ),
        pytest.param(
            {"errors": {"code": 422, "message": "no"}, "task_status": "FAILED"},
            Failure("no", code="422"),
            id="failed task",
        ),
        pytest.param(
            {"error": {"code": "c", "message": "no", "type": "t"}},
            Failure("no", code="c t"),
            id="code and type",
        ),
        pytest.param(
            {"error": {"http_code": "429", "message": "no", "type": "t"}},
            Failure("no", code="429 t"),
            id="code of the server behind",
        ),
        pytest.param(
            {"type": "error", "error": {"type": "t", "message": "no"}},
            Failure("no", code="t"),
            id="messages endpoint",
        ),
        pytest.param({"detail": "no"}, Failure("no"), id="detail"),
        pytest.param(
            {"Code": 10010101003, "Message": "no", "Success": False},
            Failure("no", code="10010101003"),
            id="hub",
        ),
        pytest.param(
            {"success": False, "code": "c", "message": "no", "request_id": "r"},
            Failure("no", code="c", request_id="r"),
            id="hub's open interface",
        ),
        pytest.param({"error": "no"}, Failure("no"), id="text alone"),
        pytest.param({"error": {"msg": "no"}}, Failure("no"), id="msg"),
        pytest.param({"error": {"type": "t"}}, Failure("t"), id="type alone"),
        pytest.param(
            {"detail": [{"msg": "no"}, {"msg": "x"}]}, Failure("no"), id="first of a list"
        ),
        pytest.param({"error": 5}, Failure("5"), id="number"),
        pytest.param({"error": {"message": None}, "errors": None}, Failure(""), id="nulls"),
        pytest.param({}, Failure(""), id="nothing"),
    ],
)
def test_envelopes(body: Any, failure: Failure) -> None:
    assert read_failure(json.dumps(body).encode()) == failure


def test_an_error_body_of_plain_text() -> None:
    assert read_failure(b" 404 page not found\n").message == "404 page not found"


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><p>x", b"\n <html><body>", b"<?xml version='1.0'?>", b"<HEAD>"]
)
def test_a_web_page_is_not_quoted(page: bytes) -> None:
    assert read_failure(page) == Failure("a web page", unreadable=True)


@pytest.mark.parametrize("name", ["message", "code", "type", "request_id"])
def test_what_is_nested_too_deeply_to_be_written_out_is_left_out(name: str) -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]
    assert describe({name: deep}).message == describe(deep, request_id=deep).message == ""


def test_a_long_text_is_cut() -> None:
    assert len(read_failure(b"a" * 10**6).message) < 600
    assert len(read_failure(json.dumps({"error": "a" * 10**6}).encode()).message) < 600


@given(st.sampled_from(["error", "errors", "detail", "message", "code", "request_id"]), JSON, JSON)
def test_whatever_stands_in_an_envelope_gives_texts(name: str, value: Any, other: Any) -> None:
    for body in (
        {name: value},
        {"error": {name: value}},
        {"errors": [{name: value}], name: other},
    ):
        failure = read_failure(json.dumps(body).encode())
        assert isinstance(failure.message, str)
        assert failure.code is None or isinstance(failure.code, str)
        assert failure.request_id is None or isinstance(failure.request_id, str)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_failure(body: bytes) -> None:
    assert isinstance(read_failure(body), Failure)


# --- headers


def test_the_four_headers_of_the_calls_a_day_rule() -> None:
    headers = sample("chat/rate_limit_headers").headers
    assert read_allowance(headers) == Allowance(
        account_limit=2000, account_remaining=1500, model_limit=200, model_remaining=150
    )


def test_the_headers_of_today_say_nothing_of_limits() -> None:
    assert read_allowance(sample("chat/current_headers").headers) is None


@pytest.mark.parametrize(
    "nonsense", ["", " ", "-1", "many", "1.5", "1" + "0" * 40, "٣", "²", "0x10"]
)
def test_nonsense_in_a_limit_counts_as_absent(nonsense: str) -> None:
    name = "modelscope-ratelimit-requests-remaining"
    assert read_allowance({name: nonsense}) is None
    both = {name: nonsense, "modelscope-ratelimit-requests-limit": " 5 "}
    assert read_allowance(both) == Allowance(account_limit=5)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("Thu, 01 Jan 1970 08:01:40 +0800", 60.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("Thu, 32 Jan 1970 00:00:00 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    headers = {} if value is None else {"retry-after": value}
    assert read_retry_after(headers, now=40.0) == seconds


@given(st.text(max_size=40) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [+-]?\w+"))
def test_any_retry_after_is_a_wait_or_nothing(value: str) -> None:
    seconds = read_retry_after({"retry-after": value}, now=0.0)
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    "date",
    [
        "Tue, 06 Oct 2026 13:30:00 GMT",
        "Tuesday, 06-Oct-26 13:30:00 GMT",
        "Tue Oct  6 13:30:00 2026",
    ],
)
def test_a_date_is_gmt_in_all_forms_of_http(date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime(2026, 10, 6, 13, 30, tzinfo=UTC).timestamp()
    _epoch.cache_clear()
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Shanghai")
            time.tzset()
            assert read_date({"date": date}) == moment
            assert read_retry_after({"retry-after": date}, now=moment - 60) == 60
    finally:
        time.tzset()


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "once", ""]
)
def test_a_clock_that_is_not_set_tells_no_time(date: str) -> None:
    assert read_date({"date": date}) is None
    judged = judge(Reply(200, {"date": date}, b""), None, model="a/b")
    assert judged.at is None


def test_the_id_of_a_request() -> None:
    assert read_request_id({"x-request-id": "r"}) == "r"
    assert read_request_id({}) is None


def test_an_error_keeps_limits_and_ids_but_no_cookie() -> None:
    headers = {**sample("chat/current_headers").headers, "retry-after": "2", "x-request-id": "r"}
    kept = telling_headers(headers | sample("chat/rate_limit_headers").headers)
    assert set(kept) == {
        "content-type",
        "retry-after",
        "x-request-id",
        "modelscope-ratelimit-requests-limit",
        "modelscope-ratelimit-requests-remaining",
        "modelscope-ratelimit-model-requests-limit",
        "modelscope-ratelimit-model-requests-remaining",
    }


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("https://elsewhere.example/v1/chat?token=x", "https://elsewhere.example"),
        ("http://user:pass@elsewhere.example:8080/", "http://elsewhere.example:8080"),
        ("//elsewhere.example/x", "//elsewhere.example"),
        ("/v2/chat?token=x", "this host"),
        ("http://[", "nowhere"),
        ("", "this host"),
    ],
)
def test_of_a_redirect_only_the_host_is_kept(location: str, kept: str) -> None:
    assert telling_headers({"location": location}) == {"location": kept}


def test_a_long_header_is_cut() -> None:
    assert len(telling_headers({"x-request-id": "a" * 10**6})["x-request-id"]) == 200
