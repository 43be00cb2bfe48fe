"""The command ``modelscope-adapters``.

A command is a row below and a module with ``add_arguments(parser)`` and ``run(arguments)``, which
returns the exit code: 0 ok, 1 error, 2 wrong usage, 75 come back later. Only the module of the
command that was asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

__all__ = ["main"]

# name: module, what it does
COMMANDS = {
    "serve": ("modelscope_transport.emulator.serving", "serve the protocol on this machine"),
}


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "modelscope-adapters", description="ModelScope API-Inference, seen from the command line."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, says) in COMMANDS.items():
        command = commands.add_parser(name, help=says, description=says.capitalize() + ".")
        if name in words:
            room = importlib.import_module(module)
            room.add_arguments(command)
            command.set_defaults(run=room.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those of the process by default.

    Returns:
        The exit code: 0 ok, 1 error, 2 wrong usage, 75 come back later.
    """
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser(words).parse_args(words)
    code: int = arguments.run(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
