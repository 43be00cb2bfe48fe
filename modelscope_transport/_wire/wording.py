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
from ..settings import resolve_language
from .failure_table import Row

__all__ = ["countdown", "message_of"]

Language = Literal["en", "zh"]


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
    said.append(
        f"It comes back at {resets_at.astimezone(UTC8):%Y-%m-%d %H:%M} UTC+8 "
        f"({resets_at.astimezone():%Y-%m-%d %H:%M} here), in {countdown(resets_at, 'en')}."
    )
    return said


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
    said.append(
        f"恢复时间：{resets_at.astimezone(UTC8):%Y-%m-%d %H:%M}（UTC+8；本地 "
        f"{resets_at.astimezone():%Y-%m-%d %H:%M}），还有{countdown(resets_at, 'zh')}。"
    )
    return said


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
