"""What stands between the protocol and the words: a call goes in, the pieces of an answer come out.

An engine never sees the wire. The service checks the request, the engine finds the words, and
``protocol`` encodes them: as one JSON reply or as a stream, always from the same pieces.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from modelscope_transport.emulator.answers import Answer
from modelscope_transport.emulator.catalogue import Model

_TOKEN = re.compile(r"\s*(?:[A-Za-z0-9_]+|[^\sA-Za-z0-9_])|\s+$")


def tokens(text: str) -> list[str]:
    """Cut a text into tokens by a rule simple enough to check by eye.

    A run of Latin letters and digits is one token, every other sign is one, and so is each Chinese
    character; white space belongs to the token after it. The tokens put together are the text
    again.
    """
    return _TOKEN.findall(text)


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A chat request that has passed every check.

    Attributes:
        body: The request's JSON.
        model: The row of the model that was asked for.
        thinking: Whether this answer starts with reasoning.
    """

    body: dict[str, Any]
    model: Model
    thinking: bool


@dataclass(frozen=True, slots=True)
class ToolPiece:
    """A part of a tool call: the first names the tool, the later ones continue its arguments."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A step of one choice's answer; an empty field adds nothing."""

    text: str = ""
    reasoning: str = ""
    tool: ToolPiece | None = None
    finish: str | None = None
    choice: int = 0
    logprobs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took, in tokens; ``reasoning`` is part of ``completion``."""

    prompt: int
    completion: int
    reasoning: int = 0


Pieces: TypeAlias = AsyncGenerator[Piece | Usage, None]


class Refused(Exception):
    """An engine cannot answer; ``answer`` says so in the service's words."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the engine refused")
        self.answer = answer


class Engine(Protocol):
    """Finds the words."""

    def chat(self, call: ChatCall) -> Pieces:
        """Yield the answer's pieces, then its :class:`Usage`.

        Raises:
            Refused: Before or between the pieces.
        """
        ...

    async def embed(
        self, model: Model, texts: Sequence[str], dimensions: int
    ) -> tuple[list[list[float]], int]:
        """Return one vector for each text, and the number of tokens read.

        Raises:
            Refused: There are no vectors.
        """
        ...
