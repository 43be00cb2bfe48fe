"""The language of the command's sentences: English, or what the program around it brings.

The service is an island and knows no catalogue of its own; `speak` gives it a translator.
"""

from __future__ import annotations

from collections.abc import Callable

_translators: list[Callable[[str], str]] = []


def speak(translator: Callable[[str], str] | None) -> None:
    """Translate by this function from now on; ``None`` goes back to English."""
    _translators[:] = [] if translator is None else [translator]


def translated(sentence: str) -> str:
    """A sentence in the reader's language."""
    return _translators[0](sentence) if _translators else sentence


def marked(sentence: str) -> str:
    """The same sentence: marks one for the catalogue that is translated later."""
    return sentence
