"""Writes into the pages what comes from data and from programs: ``python docs/tables.py``."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

from docs import moving
from docs.commands import commands
from docs.environment import environment_table
from langchain_modelscope import _argument_table as langchain_arguments
from langchain_modelscope import errors as langchain_errors
from langchain_modelscope._argument_table import Argument
from llamaindex_modelscope import errors as llamaindex_errors
from modelscope_transport._wire.carriers import carrier_of
from modelscope_transport._wire.failure_table import Kind, Row, failure_rows, shape_rows
from modelscope_transport.catalogue.tasks import TASKS, Task
from modelscope_transport.language import Language, speak, translated

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh.md",
    ROOT / "docs" / "moving-langchain.md",
    ROOT / "docs" / "tasks.md",
    ROOT / "docs" / "moving-llamaindex.md",
    ROOT / "docs" / "environment.md",
    ROOT / "docs" / "environment.zh.md",
    ROOT / "docs" / "how-it-works.md",
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
            text.replace("{model}", "*owner/name*") for text in (row.happened_zh, row.remedy_zh)
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
        served = f"{shown} ({rows[0].checked})"
        if status == "not offered" and not rows[0].instead:
            lines.append(f"| {names} | – | – | {served} |")
            continue
        if status == "not offered":
            speak(language)
            served += f"; {translated(rows[0].instead)}"
            speak(None)
        lines.append(f"| {names} | `{langchain}` | `{llamaindex}` | {served} |")
    return "\n".join(lines)


def task_table() -> str:
    """The table of all tasks, in Markdown."""
    lines = [
        "| task | a model of it | takes → gives | address | at the service | known from |",
        "|---|---|---|---|---|---|",
    ]
    for row in TASKS.values():
        form = f"{row.form.takes} → {row.form.gives}" if row.wire == "pipelines" else ""
        address = carrier_of(row).PATH.removeprefix("/..")
        lines.append(
            f"| `{row.name}` | {row.does} | {form} | `{address}` | {row.status} | "
            f"{row.source}, {row.checked} |"
        )
    return "\n".join(lines)


def argument_table(table: dict[str, Argument]) -> str:
    """What users of other classes wrote, and what to write now, in Markdown."""
    lines = ["| you wrote | write now | of |", "|---|---|---|"]
    for row in table.values():
        now = "the same" if row.now == row.word else f"`{row.now}` (`{row.word}` is read as it)"
        lines.append(f"| `{row.word}` | {now if row.now else row.instead} | {row.of} |")
    return "\n".join(lines)


def folder_table() -> str:
    """The table of the folders, as CONTRIBUTING.md has it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    begins = text.index("| folder |")
    return text[begins : text.index("\n\n", begins)]


TABLES: dict[str, Callable[[], str]] = {
    "langchain chat arguments": functools.partial(argument_table, langchain_arguments.CHAT),
    "langchain call arguments": functools.partial(argument_table, langchain_arguments.CALL),
    "langchain embedding arguments": functools.partial(
        argument_table, langchain_arguments.EMBEDDINGS
    ),
    "failures": failure_table,
    "failures zh": failure_table_zh,
    "tasks": kind_table,
    "tasks zh": functools.partial(kind_table, "zh"),
    "every task": task_table,
    **{
        name: functools.partial(moving.argument_table, rows)
        for name, rows in moving.LLAMAINDEX.items()
    },
    "environment": environment_table,
    "environment zh": functools.partial(environment_table, "zh"),
    "folders": folder_table,
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
