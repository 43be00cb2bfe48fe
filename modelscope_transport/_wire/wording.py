"""What an error says, in English and in Chinese: what happened, which pool, until when, what to do.

Laws of this file: the text of a spent allowance holds none of "429", "rate limit" and "too many
requests" in either language. Frameworks look for these words and would wait a minute at a time
for a pool that opens tomorrow; so the service's own words are left out there.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Literal

from ..errors import ErrorDetails
from ..quota import UTC8
from ..quota.allowance import quota_rules
from ..settings import resolve_language
from .failure_table import Row

__all__ = ["countdown", "message_of"]

Language = Literal["en", "zh"]
SIGN_IN: str = quota_rules()["magicubes"]["sign_in_at"]
# Limits of the user's own, which need no grant.
_OWN = ("budget_spent", "day_unconfirmed")


def message_of(row: Row, details: ErrorDetails) -> str:
    """The text of an error, in the language of its reader."""
    return (_chinese if resolve_language() == "zh" else _english)(row, details)


def _english(row: Row, details: ErrorDetails) -> str:
    said = [row.happened.format(model=repr(details.model))]
    if details.resets_at is not None:
        said += _english_pool(details, details.resets_at)
    elif details.server_message:
        speaker = "The cause" if details.status_code is None else "The service said"
        said.append(f"{speaker}: {details.server_message[:200]!r}.")
    if "location" in details.headers:
        said.append(f"It points to {details.headers['location']!r}.")
    if details.retry_after is not None:
        speaker = "It" if details.status_code is not None else "The ledger"
        said.append(f"{speaker} asks to wait {details.retry_after:.10g} s.")
    if details.task_id is not None:
        said.append(f"Its task is {details.task_id!r}.")
    said.append(row.remedy)
    if details.alternatives:
        said.append("Perhaps: " + ", ".join(details.alternatives) + ".")
    return " ".join(said)


def _english_pool(details: ErrorDetails, resets_at: dt.datetime) -> list[str]:
    said, unit = [], "Magicubes" if details.unit == "magicubes" else "calls"
    if details.limit is not None and details.used is not None:
        said.append(f"{details.used:g} of {details.limit:g} {unit} a day are used.")
    elif details.limit is not None:
        said.append(f"It is {details.limit:g} {unit} a day.")
    elif details.used is not None:
        said.append(f"{details.used:g} {unit} were counted today.")
    if details.price is not None:
        said.append(f"Calls of {details.price:g} Magicubes or more are refused for now.")
    when = (
        f"{resets_at.astimezone(UTC8):%Y-%m-%d %H:%M} UTC+8 "
        f"({resets_at.astimezone():%Y-%m-%d %H:%M} here), in {countdown(resets_at, 'en')}"
    )
    if details.unit != "magicubes" or details.reason in _OWN:
        return [*said, f"It comes back at {when}."]
    if details.unfetched:
        said.append(
            f"{details.unfetched:g} Magicubes of today have not been fetched: sign in at "
            f"{SIGN_IN}, which calls of the API do not count as."
        )
    return [
        *said,
        f"The daily grant comes with a sign-in at {SIGN_IN}, not by itself; the next one comes at "
        f"{when}, at the earliest.",
    ]


def _chinese(row: Row, details: ErrorDetails) -> str:
    said = [row.happened_zh.format(model=repr(details.model))]
    if details.resets_at is not None:
        said += _chinese_pool(details, details.resets_at)
    elif details.server_message:
        speaker = "原因" if details.status_code is None else "服务的原话"
        said.append(f"{speaker}：{details.server_message[:200]!r}。")
    if "location" in details.headers:
        said.append(f"它指向 {details.headers['location']!r}。")
    if details.retry_after is not None:
        said.append(f"需等待 {details.retry_after:.10g} 秒。")
    if details.task_id is not None:
        said.append(f"任务编号：{details.task_id!r}。")
    said.append(row.remedy_zh)
    if details.alternatives:
        said.append("也许可用：" + "、".join(details.alternatives) + "。")
    return "".join(said)


def _chinese_pool(details: ErrorDetails, resets_at: dt.datetime) -> list[str]:
    said, unit = [], "魔粒" if details.unit == "magicubes" else "次调用"
    if details.limit is not None and details.used is not None:
        said.append(f"今日已用 {details.used:g} / {details.limit:g} {unit}。")
    elif details.limit is not None:
        said.append(f"每日 {details.limit:g} {unit}。")
    elif details.used is not None:
        said.append(f"今日已计 {details.used:g} {unit}。")
    if details.price is not None:
        said.append(f"单价 {details.price:g} 魔粒及以上的调用暂被拒绝。")
    when = (
        f"{resets_at.astimezone(UTC8):%Y-%m-%d %H:%M}（UTC+8；本地 "
        f"{resets_at.astimezone():%Y-%m-%d %H:%M}），还有{countdown(resets_at, 'zh')}"
    )
    if details.unit != "magicubes" or details.reason in _OWN:
        return [*said, f"恢复时间：{when}。"]
    if details.unfetched:
        said.append(
            f"今天还有 {details.unfetched:g} 魔粒未领取：请登录 {SIGN_IN}（API 调用不算登录）。"
        )
    return [*said, f"每日魔粒在登录 {SIGN_IN} 时发放，不会自动到账；最早：{when}。"]


def countdown(moment: dt.datetime, language: Language) -> str:
    """How long it is until then: hours and minutes, in words."""
    minutes = max(1, round((moment.timestamp() - time.time()) / 60))
    hours, minutes = divmod(minutes, 60)
    if language == "zh":
        return (f" {hours} 小时" if hours else "") + (f" {minutes} 分钟" if minutes else "")
    return " ".join(
        part
        for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "")
        if part
    )
