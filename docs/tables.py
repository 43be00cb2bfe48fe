"""Writes the tables of the README from the data they show: ``python docs/tables.py``."""

from __future__ import annotations

import re
from pathlib import Path

from langchain_modelscope import errors as langchain_errors
from llamaindex_modelscope import errors as llamaindex_errors
from modelscope_transport._wire.failure_table import Kind, Row, failure_rows, shape_rows

README = Path(__file__).resolve().parent.parent / "README.md"
_DONE = {
    Kind.AGAIN: "tried again",
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


def _line(row: Row) -> str:
    happened = row.happened.replace("{model}", "*owner/name*")
    names = {
        table[row.error].__name__ for table in (langchain_errors.NATIVE, llamaindex_errors.NATIVE)
    }
    return f"| {happened} | {row.healed or _DONE[row.kind]} | `{'`, `'.join(sorted(names))}` |"


def with_tables(text: str) -> str:
    """The README with its tables as they should be."""
    return re.sub(
        r"(<!-- failures: begin[^\n]*-->\n).*?(<!-- failures: end -->)",
        lambda found: f"{found[1]}{failure_table()}\n{found[2]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
