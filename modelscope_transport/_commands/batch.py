"""``batch run``: many questions from a file, over several days if need be."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from ..client.sync import Client
from ..errors import ConfigurationError, ModelScopeError, QuotaExceededError, RateLimitError
from ..jobs.batch import Batch, BatchReport
from ..jobs.results import BatchRow
from ..types import ChatRequest, Message
from .output import (
    LATER,
    add_connection,
    add_json,
    pick,
    tell_json,
)

__all__ = ["add_arguments", "run"]

_INTERRUPTED = 130  # as shells tell an interrupt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    deeds = parser.add_subparsers(dest="deed", required=True, metavar="COMMAND")
    work = deeds.add_parser(
        "run",
        help=pick("begin a job, or go on with it", "开始或继续一个任务"),
        description=pick(
            "Each line of FILE is a question, or a JSON object with `prompt` or `messages`, and if "
            "you like a `key`, `temperature`, `max_tokens` and so on. The answers go to OUT, a "
            "line of JSON each; what is there already is not asked again.",
            "FILE 的每一行是一个问题，或一个含 `prompt` 或 `messages` 的 JSON 对象，"
            "可另有 `key`、`temperature`、`max_tokens` 等字段。"
            "答案逐行以 JSON 写入 OUT；已有的答案不会重复调用。",
        ),
    )
    work.add_argument("file", metavar="FILE", type=Path, help=pick("the questions", "问题文件"))
    work.add_argument("--model", required=True, metavar="ID", help=pick("model ID", "模型 ID"))
    work.add_argument(
        "--out", required=True, metavar="OUT", type=Path, help=pick("the answers", "答案文件")
    )
    work.add_argument(
        "--system", metavar="TEXT", help=pick("a system message for all", "统一的系统提示词")
    )
    work.add_argument(
        "--workers",
        metavar="N",
        type=int,
        default=1,
        help=pick("calls at once (1)", "并发调用数（1）"),
    )
    work.add_argument(
        "--wait",
        action="store_true",
        help=pick("wait for the reset instead of ending", "额度用完时等待恢复，而不是退出"),
    )
    work.add_argument(
        "--retry-failed",
        action="store_true",
        help=pick("ask the failed ones again too", "失败的项目也重新调用"),
    )
    add_connection(work)
    add_json(work)


def run(arguments: argparse.Namespace) -> int:
    """Do what is left; 75 when the allowance ended it, 1 when items failed."""
    client = Client(base_url=arguments.base_url, ledger=arguments.ledger, account=arguments.account)
    batch = Batch(
        client,
        arguments.out,
        workers=arguments.workers,
        wait=arguments.wait,
        retry_failed=arguments.retry_failed,
        on_row=_tell_row,
        on_park=_tell_park,
    )
    try:
        report = batch.run(_requests(arguments))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(error)) from error
    except ConfigurationError:
        raise  # the same command would end in the same way
    except KeyboardInterrupt:
        _tell_resume(arguments)
        return _INTERRUPTED
    except ModelScopeError as error:
        print(error, file=sys.stderr)
        _tell_resume(arguments)
        return LATER if isinstance(error, QuotaExceededError | RateLimitError) else 1
    _tell_report(report, arguments)
    return 1 if report.failed else 0


# --- the questions ----------------------------------------------------------------------------


class _Turn(Struct, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant"]
    content: str


class _Question(Struct, forbid_unknown_fields=True, kw_only=True):
    """A line; a misspelt field is an error, not silence."""

    prompt: str | None = None
    messages: list[_Turn] = []
    key: str | int | None = None
    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] = []
    seed: int | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    extra_body: dict[str, Any] | None = None


def _requests(arguments: argparse.Namespace) -> Iterator[tuple[str, ChatRequest]]:
    before = [] if arguments.system is None else [Message("system", arguments.system)]
    with open(arguments.file, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                question = _question(line.strip(), number)
                key = number if question.key is None else question.key
                yield str(key), _request(question, arguments.model, before)


def _question(line: str, number: int) -> _Question:
    try:
        if line[0] == "{":
            question = msgspec.json.decode(line, type=_Question)
        else:
            prompt = msgspec.json.decode(line, type=str) if line[0] == '"' else line
            question = _Question(prompt=prompt)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(
            pick(f"Line {number} is no question: {error}.", f"第 {number} 行不是问题：{error}。")
        ) from None
    if (question.prompt is None) is not bool(question.messages):
        raise ConfigurationError(
            pick(
                f"Line {number} needs a prompt or messages, one of them.",
                f"第 {number} 行需要 prompt 或 messages 之一。",
            )
        )
    return question


def _request(question: _Question, model: str, before: list[Message]) -> ChatRequest:
    turns = [Message(turn.role, turn.content) for turn in question.messages]
    if question.prompt is not None:
        turns = [Message("user", question.prompt)]
    fields = structs.asdict(question)
    options = {name: fields[name] for name in _OPTIONS}
    return ChatRequest(
        model=question.model or model,
        messages=(*before, *turns),
        stop=tuple(question.stop),
        **options,
    )


_OPTIONS = (
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "enable_thinking",
    "thinking_budget",
    "extra_body",
)


# --- what is told -----------------------------------------------------------------------------


def _tell_row(row: BatchRow) -> None:
    if row.failure is not None:
        print(f"{row.key}: {row.failure.message}", file=sys.stderr)
    elif sys.stderr.isatty():
        print(f"{row.key}: {pick('answered', '已完成')}", file=sys.stderr)


def _tell_park(error: ModelScopeError) -> None:
    print(error, file=sys.stderr)


def _tell_report(report: BatchReport, arguments: argparse.Namespace) -> None:
    if arguments.json:
        tell_json(report)
        return
    print(
        pick(
            f"{report.items} items: {report.answered} answered now, {report.kept} before, "
            f"{report.failed} failed. The answers are in {arguments.out}.",
            f"共 {report.items} 项：本次完成 {report.answered} 项，此前完成 {report.kept} 项，"
            f"失败 {report.failed} 项。答案在 {arguments.out}。",
        )
    )


def _tell_resume(arguments: argparse.Namespace) -> None:
    """The command that goes on where this one ended: the same one."""
    command = shlex.join(["modelscope-adapters", *arguments.words])
    print(
        pick(
            f"What is answered is kept. To go on: {command}", f"已完成的都已保存。继续：{command}"
        ),
        file=sys.stderr,
    )
