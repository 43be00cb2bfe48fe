"""``ask``: one question from the shell."""

from __future__ import annotations

import argparse
import sys

from ..language import translated as _
from ..types import Message
from .output import add_json, tell_json
from .piped import read_text
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
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORDS",
        help=_("the question; what is piped in is put after it"),
    )
    add_talk(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and show the answer; 2 when there is no question."""
    text = " ".join(arguments.words)
    if not sys.stdin.isatty():
        text = "\n\n".join(filter(None, (text, read_text(sys.stdin.read).strip())))
    if not text.strip():
        said = _('Ask something: modelscope-adapters ask "What is an allowance?"')
        print(said, file=sys.stderr)
        return 2
    messages: tuple[Message, ...] = (user_turn(text, pictures(arguments.image)),)
    if arguments.system:
        messages = (Message("system", arguments.system), *messages)
    client = talker(arguments)
    if arguments.json:
        answer = client.chat(request_of(arguments, messages))
        tell_json(answer_facts(client, arguments, answer))
        return 0
    answer = streamed(client, arguments, messages)
    show_cost(client, answer.model or arguments.model)
    return 0
