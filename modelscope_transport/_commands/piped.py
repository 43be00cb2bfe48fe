"""What is typed or piped in: text, or one sentence that says that it is none."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..errors import ConfigurationError
from ..language import translated as _

__all__ = ["read_text", "typed_line"]


def read_text(read: Callable[[], str]) -> str:
    """Text of the standard input, without the mark that Windows puts before it.

    Args:
        read: reads it.

    Raises:
        ConfigurationError: it is no text, or one in another encoding.
    """
    try:
        text = read()
        text.encode()  # some systems let bytes through that are no text
    except UnicodeError:
        said = _("The input is not text in {encoding}. Convert it first, with iconv for example.")
        raise ConfigurationError(said.format(encoding=sys.stdin.encoding)) from None
    return text.removeprefix("\ufeff")


def typed_line(prompt: str) -> str:
    """A line that is typed. What is asked for it goes to no file that the output is sent to.

    Raises:
        EOFError: there is none.
    """
    if sys.stdout.isatty():  # here the keys that edit a line work
        return input(prompt)
    print(prompt, end="", file=sys.stderr, flush=True)
    return input()
