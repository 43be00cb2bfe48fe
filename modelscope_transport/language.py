"""The language of every sentence of this project: English, or Chinese from the catalogue.

The sentences in the code are the English ones. The catalogue, a standard gettext one under
``locale/``, is read when the first Chinese sentence is wanted.
"""

from __future__ import annotations

import contextlib
import functools
import gettext
import locale
import os
import subprocess
import sys
from importlib import resources
from typing import Literal

__all__ = ["LANGUAGE_VARIABLE", "Language", "marked", "resolve_language", "speak", "translated"]

Language = Literal["en", "zh"]
LANGUAGE_VARIABLE = "MODELSCOPE_LANG"
# The order of POSIX; a locale that names no language ("C", "POSIX") is English.
_POSIX = ("LC_ALL", "LC_MESSAGES", "LANG")

_spoken: Language | None = None


def speak(language: Language | None) -> None:
    """Choose the language of messages for this process; ``None`` leaves it to the environment."""
    global _spoken
    _spoken = language


def resolve_language() -> Language:
    """The language of messages: what was chosen, then `LANGUAGE_VARIABLE`, then the system's."""
    if _spoken is not None:
        return _spoken
    set_here = (os.environ.get(name, "").strip() for name in (LANGUAGE_VARIABLE, *_POSIX))
    found = next(filter(None, set_here), None)
    if found is None:
        found = _of_system()
    return "zh" if found.lower().startswith("zh") else "en"


def translated(sentence: str) -> str:
    """A sentence in the reader's language, its ``{placeholders}`` still open.

    Args:
        sentence: the English one, as it stands in the code. One that the catalogue does not know
            stays English, and so do all where the catalogue cannot be opened.
    """
    if not sentence or resolve_language() == "en":  # under "" stands the head of the catalogue
        return sentence
    with contextlib.suppress(OSError):  # as of a process that has no descriptor left
        return _chinese().gettext(sentence)
    return sentence


def marked(sentence: str) -> str:
    """The same sentence: marks one for the catalogue that is translated later, in a table's row."""
    return sentence


@functools.cache
def _chinese() -> gettext.NullTranslations:
    file = resources.files(__package__).joinpath("locale/zh_CN/LC_MESSAGES/modelscope_adapters.mo")
    with file.open("rb") as opened:
        return gettext.GNUTranslations(opened)


# Windows sets no variable, and on macOS only a terminal does.
@functools.cache
def _of_system() -> str:
    if sys.platform == "win32":
        import ctypes

        code = ctypes.windll.kernel32.GetUserDefaultUILanguage()
        return locale.windows_locale.get(code, "")
    if sys.platform == "darwin":
        asked = ["/usr/bin/defaults", "read", "-g", "AppleLocale"]
        try:
            told = subprocess.run(asked, capture_output=True, text=True, timeout=2, check=False)
        except (OSError, subprocess.SubprocessError):
            return ""
        return told.stdout
    return ""
