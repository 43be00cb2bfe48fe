"""What an error says, in both languages: what happened, which pool, until when, what to do."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from modelscope_transport import ErrorDetails
from modelscope_transport._wire.failure_table import Row, failure_rows, shape_rows
from modelscope_transport._wire.wording import countdown, message_of
from modelscope_transport.language import translated
from modelscope_transport.quota import UTC8

ROWS = {row.name: row for row in failure_rows()} | shape_rows()
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])
EACH_ROW = pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
SNIFFED = re.compile(r"429|rate.?limit|too many requests", re.IGNORECASE)
TOMORROW = dt.datetime(2026, 10, 7, tzinfo=UTC8)


def said(language: str, row: str, monkeypatch: pytest.MonkeyPatch, **details: Any) -> str:
    monkeypatch.setenv("MODELSCOPE_LANG", language)
    return message_of(ROWS[row], ErrorDetails(**{"model": "some/model", **details}))


@EACH_ROW
@LANGUAGES
def test_every_row_says_what_happened_and_ends_with_what_to_do(
    row: Row, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = said(language, row.name, monkeypatch)
    happened, remedy = translated(row.happened), translated(row.remedy)
    assert told.startswith(happened.format(model="'some/model'"))
    assert remedy
    assert told.endswith(remedy)
    assert "{" not in told


@EACH_ROW
@LANGUAGES
def test_no_other_model_is_advised_for_an_embedding_model(
    row: Row, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = said(language, row.name, monkeypatch, model="Qwen/Qwen3-Embedding-0.6B")
    assert "fallback_models" not in told or "owner/name:Provider" in told


@EACH_ROW
def test_chinese_is_chinese(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    told = said("zh", row.name, monkeypatch)
    assert re.search(r"[\u4e00-\u9fff]", told)
    assert told.endswith("。")


@pytest.mark.parametrize("row", [name for name in ROWS if name.endswith("_spent")])
@LANGUAGES
def test_a_spent_pool_never_sounds_like_a_throttle(
    row: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = said(
        language,
        row,
        monkeypatch,
        status_code=429,
        server_message="429 Too Many Requests: rate limit",
        resets_at=TOMORROW,
        limit=200.0,
        used=200.0,
    )
    assert not SNIFFED.search(told)


@pytest.mark.parametrize("row", [name for name in ROWS if name.startswith("too_fast")])
@LANGUAGES
def test_a_throttle_sounds_like_one_in_any_language(
    row: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = said(language, row, monkeypatch, status_code=429)
    assert "429" in told
    assert "rate limit" in told.lower()


@pytest.mark.parametrize(
    ("language", "details", "part"),
    [
        ("en", {"limit": 200.0, "used": 180.0}, "180 of 200 calls a day are used."),
        ("zh", {"limit": 200.0, "used": 180.0}, "今日已用 180 / 200 次调用。"),
        ("en", {"limit": 200.0}, "It is 200 calls a day."),
        ("zh", {"limit": 200.0}, "每日 200 次调用。"),
        ("en", {"used": 7.5, "unit": "magicubes"}, "7.5 Magicubes were counted today."),
        ("zh", {"used": 7.5, "unit": "magicubes"}, "今日已计 7.5 魔粒。"),
        ("en", {}, "2026-10-07 00:00 UTC+8"),
        ("zh", {}, "2026-10-07 00:00（UTC+8"),
    ],
)
def test_a_pool_is_told_as_far_as_it_is_known(
    language: str, details: dict[str, Any], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert part in said(language, "model_spent", monkeypatch, resets_at=TOMORROW, **details)


@pytest.mark.parametrize(
    ("language", "details", "part"),
    [
        ("en", {"status_code": 400, "server_message": "no"}, "The service said: 'no'."),
        ("zh", {"status_code": 400, "server_message": "no"}, "服务的原话：'no'。"),
        ("en", {"server_message": "refused"}, "The cause: 'refused'."),
        ("zh", {"server_message": "refused"}, "原因：'refused'。"),
        ("en", {"headers": {"location": "https://h"}}, "It points to 'https://h'."),
        ("zh", {"headers": {"location": "https://h"}}, "它指向 'https://h'。"),
        ("en", {"status_code": 429, "retry_after": 90_000.0}, "It asks to wait 90000 s."),
        ("zh", {"status_code": 429, "retry_after": 0.5}, "需等待 0.5 秒。"),
        ("en", {"task_id": "t"}, "Its task is 't'."),
        ("zh", {"task_id": "t"}, "任务编号：'t'。"),
    ],
)
def test_what_is_known_is_told(
    language: str, details: dict[str, Any], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert part in said(language, "bad_request", monkeypatch, **details)


@pytest.mark.parametrize(
    ("language", "end"), [("en", " Perhaps: a/b, a/c."), ("zh", "也许可用：a/b、a/c。")]
)
def test_suggestions_come_last(language: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = said(language, "not_served", monkeypatch, alternatives=("a/b", "a/c"))
    assert told.endswith(end)


@pytest.mark.parametrize(
    ("minutes", "english", "chinese"),
    [
        (0, "1 min", "1 分钟"),
        (-5, "1 min", "1 分钟"),
        (59, "59 min", "59 分钟"),
        (60, "1 h", "1 小时"),
        (61, "1 h 1 min", "1 小时 1 分钟"),
        (24 * 60, "24 h", "24 小时"),
    ],
)
def test_a_countdown(
    minutes: int, english: str, chinese: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: TOMORROW.timestamp())
    moment = TOMORROW + dt.timedelta(minutes=minutes)
    for language, words in (("en", english), ("zh", chinese)):
        monkeypatch.setenv("MODELSCOPE_LANG", language)
        assert countdown(moment) == words
