"""An answer at a terminal: streamed, thoughts dimmed, then what it cost and what is left.

Laws of this file: the answer goes to the output, all else to the error output, so that a pipe gets
the answer alone; words of a model reach a terminal through `plain`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..answers import ChatResult
from ..client.sync import Client
from ..errors import ModelScopeError
from ..language import translated as _
from ..media import media_url
from ..types import ChatRequest, ImagePart, Message, TextPart
from .numbers import whole
from .output import add_connection, amount, client_of, plain, price_and_left, terminal

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "MODEL",
    "add_talk",
    "answer_facts",
    "pictures",
    "request_of",
    "show_cost",
    "streamed",
    "talker",
    "user_turn",
]

Facts = dict[str, object]
MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
"""The model that is asked where none is named."""


def add_talk(parser: argparse.ArgumentParser) -> None:
    """Add the options of a conversation."""
    parser.add_argument(
        "--model", metavar="ID", default=MODEL, help=_("model ID (default: %(default)s)")
    )
    parser.add_argument("--system", metavar="TEXT", help=_("instructions for the model"))
    parser.add_argument(
        "--image",
        metavar="FILE",
        action="append",
        default=[],
        help=_("a picture to ask about: a file or an https address; may be given several times"),
    )
    parser.add_argument(
        "--no-thinking", action="store_true", help=_("switch the model's thoughts off")
    )
    parser.add_argument(
        "--max-tokens",
        metavar="N",
        type=whole(1),
        help=_("longest answer, in tokens, thoughts included"),
    )
    add_connection(parser)


def talker(arguments: argparse.Namespace) -> Client:
    """The client of a conversation, with ten minutes a call: a thinking model may need them."""
    return client_of(arguments, timeout=600.0)


def pictures(images: list[str]) -> list[ImagePart]:
    """The pictures that the options name."""
    return [
        ImagePart(media_url(each if "://" in each or each.startswith("data:") else Path(each)))
        for each in images
    ]


def user_turn(text: str, shown: list[ImagePart]) -> Message:
    """What a user says and shows."""
    return Message("user", (*shown, TextPart(text)) if shown else text)


def request_of(arguments: argparse.Namespace, messages: tuple[Message, ...]) -> ChatRequest:
    """The call that the options describe."""
    return ChatRequest(
        model=arguments.model,
        messages=messages,
        max_tokens=arguments.max_tokens,
        enable_thinking=False if arguments.no_thinking else None,
    )


def streamed(
    client: Client, arguments: argparse.Namespace, messages: tuple[Message, ...]
) -> ChatResult:
    """Ask, and show the answer as it comes."""
    from rich.text import Text

    out, aside = terminal(sys.stdout), terminal(sys.stderr)
    written: Console | None = None
    said = _("waiting for {model}").format(model=arguments.model)
    try:
        with (
            aside.status(Text(plain(said))) as waiting,
            client.stream_chat(request_of(arguments, messages)) as stream,
        ):
            for delta in stream:
                if delta.reasoning or delta.text:
                    waiting.stop()
                if delta.reasoning:
                    written = aside
                    _write(aside, delta.reasoning, "dim")
                if delta.text:
                    if written is aside:
                        _write(aside, "\n\n")
                    written = out
                    _write(out, delta.text)
            answer = stream.result()
    except ModelScopeError:
        if written is not None:  # the error begins a line of its own
            _write(written, "\n")
        raise
    _write(out, "\n")
    return answer


def _write(console: Console, text: str, style: str = "") -> None:
    console.print(plain(text), style=style, end="", soft_wrap=True)


def answer_facts(client: Client, arguments: argparse.Namespace, answer: ChatResult) -> Facts:
    """An answer for programs, with what it cost and what is left."""
    model = answer.model or arguments.model
    cost, left = price_and_left(client, model)
    return {
        "model": model,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "usage": answer.usage,
        "magicubes": cost,
        "left": left and left.remaining,
        "unit": left and left.unit,
    }


def show_cost(client: Client, model: str) -> None:
    """Say what the call to a model cost, and what is left."""
    cost, left = price_and_left(client, model)
    said = _("{model}: {cost}").format(model=model, cost=amount(cost, "magicubes"))
    if left is not None:
        said += _("; {left} left").format(left=amount(left.remaining, left.unit))
    terminal(sys.stderr).print(plain(said), style="dim")
