"""Writes into the pages what comes from data and from programs: ``python docs/tables.py``."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs import moving
from docs.commands import commands
from docs.environment import environment_table
from langchain_modelscope import _argument_table as langchain_arguments
from langchain_modelscope import errors as langchain_errors
from langchain_modelscope._argument_table import Argument
from llamaindex_modelscope import errors as llamaindex_errors
from modelscope_transport._wire.failure_table import Kind, Row, failure_rows, shape_rows
from modelscope_transport._wire.wires import wire_of
from modelscope_transport.catalogue.tasks import TASKS, Task
from modelscope_transport.language import Language

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh.md",
    ROOT / "docs" / "failures.md",
    ROOT / "docs" / "failures.zh.md",
    ROOT / "docs" / "moving-langchain.md",
    ROOT / "docs" / "moving-langchain.zh.md",
    ROOT / "docs" / "tasks.md",
    ROOT / "docs" / "tasks.zh.md",
    ROOT / "docs" / "moving-llamaindex.md",
    ROOT / "docs" / "environment.md",
    ROOT / "docs" / "environment.zh.md",
    ROOT / "docs" / "how-it-works.md",
    ROOT / "docs" / "how-it-works.zh.md",
    ROOT / "docs" / "moving-llamaindex.zh.md",
]
_DONE = {
    Kind.AGAIN: "tried again",
    Kind.PAUSED: "waited out, or `fallback_models`",
    Kind.PRICE_SPENT: "cheaper models go on; `fallback_models`",
    Kind.MODEL_SPENT: "not asked again until it is back; `fallback_models`",
    Kind.ACCOUNT_SPENT: "not asked again until it is back",
    Kind.MODEL_GONE: "`fallback_models`",
    Kind.FINAL: "raised at once",
}


def failure_table() -> str:
    """The table of failures, in Markdown. Both adapters call a class by the same name."""
    lines = ["| what happened | what is done | error |", "|---|---|---|"]
    lines += [_line(row) for row in (*failure_rows(), *shape_rows().values())]
    return "\n".join(lines)


def failure_table_zh() -> str:
    """The same in Chinese, with what the user can do, as the errors themselves say it."""
    lines = ["| 发生了什么 | 怎么办 | 错误类 |", "|---|---|---|"]
    for row in (*failure_rows(), *shape_rows().values()):
        happened, remedy = (
            moving.said(text, "zh").replace("{model}", "*owner/name*")
            for text in (row.happened, row.remedy)
        )
        lines.append(f"| {happened} | {remedy} | `{_name(row)}` |")
    return "\n".join(lines)


def _line(row: Row) -> str:
    happened = row.happened.replace("{model}", "*owner/name*")
    return f"| {happened} | {row.healed or _DONE[row.kind]} | `{_name(row)}` |"


def _name(row: Row) -> str:
    names = {
        table[row.error].__name__ for table in (langchain_errors.NATIVE, llamaindex_errors.NATIVE)
    }
    return "`, `".join(sorted(names))


_HEADS = {
    "en": "| task | LangChain | LlamaIndex | at the service |",
    "zh": "| 任务 | LangChain | LlamaIndex | 服务情况 |",
}
_STATUS_ZH = {"served": "提供", "not offered": "不提供", "undocumented": "没有公开文档"}


def kind_table(language: Language = "en") -> str:
    """The table of the kinds of work, in Markdown: tasks of one class stand together."""
    together: dict[tuple[str, str, str], list[Task]] = {}
    for row in TASKS.values():
        together.setdefault((row.langchain, row.llamaindex, row.status), []).append(row)
    lines = [_HEADS[language], "|---|---|---|---|"]
    for (langchain, llamaindex, status), rows in together.items():
        names = ", ".join(f"`{row.name}`" for row in rows)
        shown = status if language == "en" else _STATUS_ZH[status]
        served = (
            f"{shown}（{rows[0].checked}）" if language == "zh" else f"{shown} ({rows[0].checked})"
        )
        if status == "not offered" and not rows[0].instead:
            lines.append(f"| {names} | – | – | {served} |")
            continue
        if status == "not offered":
            between = "；" if language == "zh" else "; "
            served += f"{between}{moving.said(rows[0].instead, language)}"
        lines.append(f"| {names} | `{langchain}` | `{llamaindex}` | {served} |")
    return "\n".join(lines)


_TASK_HEADS = {
    "en": "| task | what its models do | takes → gives | address | at the service | known from |",
    "zh": "| 任务 | 模型做什么 | 输入 → 输出 | 地址 | 服务情况 | 出处 |",
}
_FORMS_ZH = {
    "text": "文本",
    "sentences": "多个文本",
    "pair": "两个文本",
    "audio": "音频",
    "image": "图片",
    "object": "对象",
    "labels": "标签",
    "entities": "实体",
    "scores": "分数",
    "vectors": "向量",
    "output": "原样输出",
}


def task_table(language: Language = "en") -> str:
    """The table of all tasks, in Markdown."""
    lines = [_TASK_HEADS[language], "|---|---|---|---|---|---|"]
    for row in TASKS.values():
        form = f"{row.form.takes} → {row.form.gives}" if row.wire == "pipelines" else ""
        status: str = row.status
        if language == "zh":
            form = re.sub(r"\w+", lambda found: _FORMS_ZH[found[0]], form)
            status = _STATUS_ZH[status]
        address = wire_of(row).PATH.removeprefix("/..")
        does, source = (moving.said(text, language) for text in (row.does, row.source))
        between = "，" if language == "zh" else ", "
        lines.append(
            f"| `{row.name}` | {does} | {form} | `{address}` | {status} | "
            f"{source}{between}{row.checked} |"
        )
    return "\n".join(lines)


_ARGUMENT_HEADS = {
    "en": "| you wrote | write now | of |",
    "zh": "| 原来的写法 | 现在的写法 | 属于 |",
}
_READ_AS = {"en": "`{now}` (`{word}` is read as it)", "zh": "`{now}`（写 `{word}` 也可以）"}


def argument_table(table: Mapping[str, Argument], language: Language = "en") -> str:
    """What users of other classes wrote, and what to write now, in Markdown."""
    lines = [_ARGUMENT_HEADS[language], "|---|---|---|"]
    for row in table.values():
        now = moving.said(row.instead, language)
        if row.now:
            now = _READ_AS[language].format(now=row.now, word=row.word)
        if row.now == row.word:
            now = moving.THE_SAME[language]
        of = moving.said(row.of, language)
        lines.append(f"| `{row.word}` | {now} | {of} |")
    return "\n".join(lines)


def folder_table(page: str, head: str) -> str:
    """The table of the folders, as CONTRIBUTING.md has it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    begins = text.index(head)
    return text[begins : text.index("\n\n", begins)]


_LANGCHAIN: dict[str, Mapping[str, Argument]] = {
    "langchain chat arguments": langchain_arguments.CHAT,
    "langchain call arguments": langchain_arguments.CALL,
    "langchain embedding arguments": langchain_arguments.EMBEDDINGS,
}


TABLES: dict[str, Callable[[], str]] = {
    "failures": failure_table,
    "failures zh": failure_table_zh,
    "tasks": kind_table,
    "tasks zh": functools.partial(kind_table, "zh"),
    "every task": task_table,
    "every task zh": functools.partial(task_table, "zh"),
    **{name: functools.partial(argument_table, rows) for name, rows in _LANGCHAIN.items()},
    **{
        f"{name} zh": functools.partial(argument_table, rows, "zh")
        for name, rows in _LANGCHAIN.items()
    },
    **{
        name: functools.partial(moving.argument_table, rows)
        for name, rows in moving.LLAMAINDEX.items()
    },
    "environment": environment_table,
    "environment zh": functools.partial(environment_table, "zh"),
    "folders": functools.partial(folder_table, "CONTRIBUTING.md", "| folder |"),
    "folders zh": functools.partial(folder_table, "CONTRIBUTING.zh.md", "| 目录 |"),
    **{
        f"{name} zh": functools.partial(moving.argument_table, rows, "zh")
        for name, rows in moving.LLAMAINDEX.items()
    },
    "commands": commands,
    "commands zh": functools.partial(commands, "zh"),
}


def with_tables(text: str) -> str:
    """A page with its tables as they should be."""
    for name, table in TABLES.items():
        text = re.sub(
            rf"(<!-- {name}: begin[^\n]*-->\n).*?(<!-- {name}: end -->)",
            functools.partial(_filled, table),
            text,
            flags=re.DOTALL,
        )
    return text


def _filled(table: Callable[[], str], found: re.Match[str]) -> str:
    return f"{found[1]}{table()}\n{found[2]}"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
