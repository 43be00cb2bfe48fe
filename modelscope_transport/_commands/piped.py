"""What is typed or piped in: as text, or with one sentence that says why it cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..errors import ConfigurationError
from ..language import translated as _

__all__ = ["read_text", "typed_line"]


def read_text(read: Callable[[], str]) -> str:
    """Text of the standard input, without the mark that Windows puts before it.

    Args:
        read: reads it, all of it or a line.

    Raises:
        ConfigurationError: it is not text in the encoding of the standard input.
    """
    try:
        text = read()
        text.encode()  # fails for bytes that were let through undecoded
    except UnicodeError:
        said = _("The input is not text in {encoding}. Convert it first, with iconv for example.")
        raise ConfigurationError(said.format(encoding=sys.stdin.encoding)) from None
    return text.removeprefix("\ufeff")


def typed_line(prompt: str) -> str:
    """A line that is typed.

    Where the output goes to a file or a pipe, the prompt goes to the error output instead.

    Raises:
        EOFError: the input has ended.
    """
    if sys.stdout.isatty():  # only this way the keys that edit a line work
        return input(prompt)
    print(prompt, end="", file=sys.stderr, flush=True)
    return input()
