"""Words of the generated pages in Chinese, from ``words.zh.toml``."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

from modelscope_transport.language import Language

__all__ = ["in_words", "written"]

_FILE = Path(__file__).with_name("words.zh.toml")


@functools.cache
def _words() -> dict[str, dict[str, str]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def in_words(page: str, said: str, language: Language) -> str:
    """Words of a page in a language; what is not in the file stays English.

    Args:
        page: the table of the file.
        said: the English words.
        language: ``"en"`` or ``"zh"``.
    """
    return said if language == "en" else _words()[page].get(said, said)


def written(page: str, part: str) -> str:
    """A whole part of a page in Chinese."""
    return _words()[page][part]
