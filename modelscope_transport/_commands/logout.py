"""``logout``: remove the stored token."""

from __future__ import annotations

import argparse

from ..language import translated as _
from ..settings import token_variable
from ..token_file import forget_token
from .output import add_json, tell_json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Remove the token."""
    was_there = forget_token()
    if arguments.json:
        tell_json({"removed": was_there})
        return 0
    print(_("The stored token is removed.") if was_there else _("No token was stored."))
    if (variable := token_variable()) is not None:
        print(_("{variable} is still set.").format(variable=variable))
    return 0
