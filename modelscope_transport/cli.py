"""The command ``modelscope-adapters``.

A command is a row below and a module with ``add_arguments(parser)`` and ``run(arguments)``, which
returns the exit code: 0 ok, 1 error, 2 wrong usage, 75 come back later. Only the module of the
command that was asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from .errors import ModelScopeError, QuotaExceededError, RateLimitError
from .settings import resolve_language, speak

__all__ = ["main"]

# name: module, what it does, in English and Chinese
COMMANDS = {
    "quota": ("_commands.quota", "show what is left of the allowance", "查看剩余额度"),
    "plan": ("_commands.plan", "tell whether a job fits into today", "估算任务今天能否完成"),
    "batch": ("_commands.batch", "ask many questions, over days", "批量提问，可跨多天"),
    "models": ("_commands.models", "list models, or show one", "列出模型或查看一个模型"),
    "doctor": ("_commands.doctor", "look for what is wrong, without a paid call", "免费自检"),
    "ledger": ("_commands.ledger", "say where the ledger is, or begin it anew", "账本位置与重置"),
    "serve": ("emulator.serving", "serve the protocol on this machine", "在本机提供同协议的服务"),
}
_LATER = 75  # EX_TEMPFAIL of sysexits.h: come back later


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    chinese = resolve_language() == "zh"
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--lang", choices=("zh", "en"), help="语言 / language")
    parser = argparse.ArgumentParser(
        "modelscope-adapters",
        parents=[shared],
        description="命令行中的 ModelScope API-Inference。"
        if chinese
        else "ModelScope API-Inference, seen from the command line.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, english, chinese_text) in COMMANDS.items():
        says = chinese_text if chinese else english
        described = says + "。" if chinese else says.capitalize() + "."
        command = commands.add_parser(name, help=says, description=described, parents=[shared])
        if name in words:
            room = importlib.import_module(f".{module}", __package__)
            room.add_arguments(command)
            command.set_defaults(run=room.run)
    return parser


def _without_language(words: Sequence[str]) -> list[str]:
    """Heed ``--lang``, wherever it stands, before the parser is built: its help speaks it too."""
    before = argparse.ArgumentParser("modelscope-adapters", add_help=False)
    before.add_argument("--lang", choices=("zh", "en"))
    chosen, others = before.parse_known_args(words)
    speak(chosen.lang)
    return others


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those of the process by default.

    Returns:
        The exit code: 0 ok, 1 error, 2 wrong usage, 75 come back later.
    """
    words = sys.argv[1:] if argv is None else argv
    others = _without_language(words)
    arguments = _parser(others).parse_args(others, argparse.Namespace(words=words))
    try:
        code: int = arguments.run(arguments)
    except (QuotaExceededError, RateLimitError) as error:
        print(error, file=sys.stderr)
        return _LATER
    except ModelScopeError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever was reading, `head` for one, has read enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the last flush
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
