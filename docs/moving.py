"""The tables "you wrote / write now" of the pages on moving from other classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llamaindex_modelscope import _argument_tables
from llamaindex_modelscope._arguments import Argument

_NOW: dict[str, Callable[[Argument], str]] = {
    "taken": lambda row: f"the same; {row.now}" if row.now else "the same",
    "alias": lambda row: f"the same, or `{row.now}`",
    "unused": lambda row: f"nothing, or the same, which changes nothing: {row.now}",
    "refused": lambda row: _refusal(row),
}
_ORDER = ("alias", "unused", "refused", "taken")


def _refusal(row: Argument) -> str:
    kept = ", ".join(f"`{value!r}`" for value in row.harmless)
    return f"{kept} changes nothing; else refused: {row.now}" if kept else f"refused: {row.now}"


def argument_table(rows: Mapping[str, Argument]) -> str:
    """One table of arguments, in Markdown: first what is written otherwise now."""
    lines = ["| you wrote | write now |", "|---|---|"]
    for fate in _ORDER:
        lines += [
            f"| `{row.name}` | {_NOW[fate](row)} |" for row in rows.values() if row.fate == fate
        ]
    return "\n".join(lines)


LLAMAINDEX: dict[str, Mapping[str, Argument]] = {
    "llamaindex llm": _argument_tables.LLM,
    "llamaindex call": _argument_tables.CALL,
    "llamaindex embedding": _argument_tables.EMBEDDING,
    "llamaindex rerank": _argument_tables.RERANK,
}
