"""``completion``: what a shell needs to complete this command's words, written by shtab."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from ..errors import ConfigurationError
from ..language import translated as _

__all__ = ["add_arguments", "run"]

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")  # what shtab knows
_FILES = ("FILE", "IN", "OUT")  # metavars of options and words that name a file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument(
        "shell",
        choices=SHELLS,
        help=_('for bash: eval "$(modelscope-adapters completion bash)", in ~/.bashrc'),
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the shell's program for the whole command, which ``arguments.whole`` is."""
    try:
        import shtab
    except ImportError:
        said = _("The package shtab writes the completion: pip install shtab")
        raise ConfigurationError(said) from None
    for action in _actions(arguments.whole):
        if action.metavar in _FILES:
            vars(action)["complete"] = shtab.FILE
    sys.stdout.write(shtab.complete(arguments.whole, shell=arguments.shell) + "\n")
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options and words of a parser and of those below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
