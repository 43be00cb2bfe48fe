"""``chat``: a conversation at the terminal."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys

import msgspec

from ..answers import ChatResult
from ..client.sync import Client
from ..errors import ModelScopeError, QuotaExceededError
from ..language import translated as _
from ..types import Message
from .output import add_json
from .piped import read_text, typed_line
from .talking import (
    add_talk,
    answer_facts,
    pictures,
    request_of,
    show_cost,
    streamed,
    talker,
    user_turn,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    add_talk(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Talk until the input ends."""
    with contextlib.suppress(ImportError):  # Windows has its own line editing
        import readline  # noqa: F401 - arrow keys and history in input()
    client = talker(arguments)
    arguments.image = pictures(arguments.image)  # one that cannot be read is said once, now
    said = _("Talking with {model}. /new begins anew, /exit or Ctrl-D ends.")
    help_line = said.format(model=arguments.model)
    print(help_line, file=sys.stderr)
    start = (Message("system", arguments.system),) if arguments.system else ()
    turns: tuple[Message, ...] = start
    while (text := _line()) is not None:
        if text == "/new":
            turns = start
        elif re.fullmatch(r"/\w*", text):  # of another program's words, such as /help
            print(help_line, file=sys.stderr)
        elif text:
            turns = _turn(client, arguments, turns, text)
    return 0


def _line() -> str | None:
    """What was typed; ``None`` at the end."""
    try:
        text = read_text(lambda: typed_line("> " if sys.stdin.isatty() else "")).strip()
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        return None
    return None if text == "/exit" else text


def _turn(
    client: Client, arguments: argparse.Namespace, turns: tuple[Message, ...], text: str
) -> tuple[Message, ...]:
    """Ask; the conversation with the answer, or as it was where none came."""
    try:
        asked = (*turns, user_turn(text, arguments.image))
        answer = _answer(client, arguments, asked)
    except QuotaExceededError:
        raise
    except ModelScopeError as error:
        print(error, file=sys.stderr)
        return turns
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return turns
    arguments.image = []  # shown once
    return (*asked, Message("assistant", answer.text))


def _answer(
    client: Client, arguments: argparse.Namespace, asked: tuple[Message, ...]
) -> ChatResult:
    """An answer, shown as it comes, or as one line of JSON."""
    if arguments.json:
        answer = client.chat(request_of(arguments, asked))
        print(msgspec.json.encode(answer_facts(client, arguments, answer)).decode(), flush=True)
        return answer
    answer = streamed(client, arguments, asked)
    show_cost(client, answer.model or arguments.model)
    return answer
