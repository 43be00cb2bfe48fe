"""The command ``modelscope-adapters``.

A command is a row below and a module with ``add_arguments(parser)`` and ``run(arguments)``, which
returns the exit code: 0 ok, 1 error, 2 wrong usage, 75 come back later, 130 interrupted. Only the
module of the command that was asked for is imported.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata

from .errors import ModelScopeError, QuotaExceededError, RateLimitError
from .language import marked as _N
from .language import speak
from .language import translated as _

__all__ = ["argparse_translated", "main", "take_every_character"]


# name: module, what it does
COMMANDS = {
    "login": ("_commands.login", _N("store your access token")),
    "logout": ("_commands.logout", _N("remove the stored token")),
    "ask": ("_commands.ask", _N("ask a model one question")),
    "chat": ("_commands.chat", _N("talk with a model")),
    "quota": ("_commands.quota", _N("show what is left of the allowance")),
    "plan": ("_commands.plan", _N("tell whether a job fits into today")),
    "batch": ("_commands.batch", _N("ask many questions, over days")),
    "models": ("_commands.models", _N("list models, or show one")),
    "doctor": ("_commands.doctor", _N("look for what is wrong, without a paid call")),
    "ledger": ("_commands.ledger", _N("say where the ledger is, or begin it anew")),
    "serve": ("emulator.serving", _N("serve the protocol on this machine")),
    "completion": ("_commands.completion", _N("print what a shell needs to complete these words")),
}
_LATER = 75  # EX_TEMPFAIL of sysexits.h: come back later
_INTERRUPTED = 130  # as shells report an interrupt


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--lang", choices=("zh", "en"), help="语言 / language")
    parser = argparse.ArgumentParser(
        "modelscope-adapters",
        parents=[shared],
        description=_("ModelScope API-Inference, seen from the command line."),
    )
    version = f"modelscope-adapters {metadata.version('modelscope-adapters')}"
    # argparse takes its own words for this when it is imported, which is too early.
    shown = _("show program's version number and exit")
    parser.add_argument("--version", action="version", version=version, help=shown)
    commands = parser.add_subparsers(metavar=_("COMMAND"), required=True)
    for name, (path, sentence) in COMMANDS.items():
        says = _(sentence)
        described = says[0].upper() + says[1:] + _(".")
        command = commands.add_parser(name, help=says, description=described, parents=[shared])
        if name in words or words[:1] == ["completion"]:  # which describes all of them
            module = importlib.import_module(f".{path}", __package__)
            if name == "serve":
                importlib.import_module(".emulator.language", __package__).speak(_)
            module.add_arguments(command)
            command.set_defaults(run=module.run, whole=parser)
    return parser


@contextlib.contextmanager
def argparse_translated() -> Iterator[None]:
    """Let argparse's own words ("usage:", "invalid choice") come from the catalogue too.

    It takes them from the default domain of ``gettext``, which looks for a language in the
    environment alone.
    """
    names = {"_": _, "ngettext": lambda one, many, number: _(one if number == 1 else many)}
    before = {name: getattr(argparse, name) for name in names}
    vars(argparse).update(names)
    try:
        yield
    finally:
        vars(argparse).update(before)


def _open_what_is_closed() -> None:
    """Let a stream that was closed before (``<&-``) be an empty one; Python has ``None`` there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def take_every_character() -> None:
    """Let the outputs take Chinese, and whatever a model writes, also where they are a file.

    A file of a Windows program has the encoding of the country, and a character that it lacks would
    end the program.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        try:
            _("COMMAND").encode(stream.encoding)
        except UnicodeEncodeError:
            stream.reconfigure(encoding="utf-8")
        stream.reconfigure(errors="replace")


def _without_language(words: Sequence[str]) -> list[str]:
    """Obey ``--lang``, wherever it stands, before the parser is built: its help is in it too."""
    before = argparse.ArgumentParser("modelscope-adapters", add_help=False)
    before.add_argument("--lang", choices=("zh", "en"))
    chosen, others = before.parse_known_args(words)
    speak(chosen.lang)
    return others


def _say_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    """Say a warning to a person: the line of code that it comes from is of no use here."""
    print(message, file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those of the process by default.

    Returns:
        The exit code: 0 ok, 1 error, 2 wrong usage, 75 come back later, 130 interrupted.
    """
    try:
        return _main(argv)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _main(argv: Sequence[str] | None) -> int:
    _open_what_is_closed()
    words = sys.argv[1:] if argv is None else argv
    take_every_character()  # of what is wrong with --lang itself
    with argparse_translated():
        others = _without_language(words)
        take_every_character()
        arguments = _parser(others).parse_args(others, argparse.Namespace(words=words))
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say_warning
            code: int = arguments.run(arguments)
        sys.stdout.flush()
    except (QuotaExceededError, RateLimitError) as error:
        print(error, file=sys.stderr)
        return _LATER
    except ModelScopeError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is not None:  # of a file, and not of an output
            raise
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the last flush
        if isinstance(error, BrokenPipeError):  # the reader, `head` for one, has read enough
            return 0
        said = _("The output cannot be written: {cause}.")
        print(said.format(cause=error.strerror or error), file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
