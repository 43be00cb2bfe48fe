"""The tables "you wrote / write now" of the pages on moving from other classes."""

from __future__ import annotations

from collections.abc import Mapping

from llamaindex_modelscope import _argument_tables
from llamaindex_modelscope._arguments import Argument
from modelscope_transport.language import Language, speak, translated

THE_SAME = {"en": "the same", "zh": "不变"}
_HEADS = {"en": "| you wrote | write now |", "zh": "| 原来的写法 | 现在的写法 |"}
# By what becomes of an argument: the words around its own sentence.
_NOW: dict[str, dict[Language, str]] = {
    "taken": {"en": "the same; {now}", "zh": "不变；{now}"},
    "alias": {"en": "the same, or `{now}`", "zh": "不变，或 `{now}`"},
    "unused": {
        "en": "nothing, or the same, which changes nothing: {now}",
        "zh": "不写，或不变（没有作用）：{now}",
    },
    "refused": {"en": "refused: {now}", "zh": "不接受：{now}"},
    "harmless": {
        "en": "{kept} changes nothing; else refused: {now}",
        "zh": "{kept} 没有作用，其他值不接受：{now}",
    },
}
_ORDER = ("alias", "unused", "refused", "taken")


def said(sentence: str, language: Language) -> str:
    """A sentence of the catalogue in a language."""
    speak(language)
    try:
        return translated(sentence)
    finally:
        speak(None)


def argument_table(rows: Mapping[str, Argument], language: Language = "en") -> str:
    """One table of arguments, in Markdown: first what is written otherwise now."""
    lines = [_HEADS[language], "|---|---|"]
    for fate in _ORDER:
        lines += [
            f"| `{row.name}` | {_now(row, language)} |" for row in rows.values() if row.fate == fate
        ]
    return "\n".join(lines)


def _now(row: Argument, language: Language) -> str:
    if row.fate == "taken" and not row.now:
        return THE_SAME[language]
    kept = ", ".join(f"`{value!r}`" for value in row.harmless)
    words = _NOW["harmless" if kept else row.fate][language]
    now = row.now if row.fate == "alias" else said(row.now, language)
    return words.format(now=now, kept=kept)


LLAMAINDEX: dict[str, Mapping[str, Argument]] = {
    "llamaindex llm": _argument_tables.LLM,
    "llamaindex call": _argument_tables.CALL,
    "llamaindex embedding": _argument_tables.EMBEDDING,
    "llamaindex rerank": _argument_tables.RERANK,
}
