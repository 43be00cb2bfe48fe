"""A table of features: who makes the models, and where the rows are entered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from modelscope_transport.emulator import LocalService

PLAIN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
HYBRID = "Qwen/Qwen3.5-122B-A10B"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"


class Outcome(NamedTuple):
    """What came of a row: is it right, and in few words what it was."""

    right: bool
    words: str


class Side:
    """One of the two: makes its models on the local service.

    Args:
        service: the local service, with nothing waiting and a token of its own.
        chat: class of the chat model.
        embeddings: class of the embeddings.
    """

    def __init__(self, service: LocalService, chat: Any, embeddings: Any) -> None:
        self.service = service
        self._chat, self._embeddings = chat, embeddings

    def chat(self, model: str = PLAIN, **options: Any) -> Any:
        """A chat model with its defaults."""
        place = {"api_key": self.service.token, "base_url": self.service.base_url}
        return self._chat(model=model, **place, **options)

    def embeddings(self) -> Any:
        """Embeddings with their defaults."""
        place = {"api_key": self.service.token, "base_url": self.service.base_url}
        return self._embeddings(model=EMBEDDING, **place)

    def stream(self, model: Any, question: Any = "Hello") -> Any:
        """The sum of a stream."""
        total, *rest = model.stream(question)
        for chunk in rest:
            total += chunk
        return total

    def sent(self) -> Any:
        """The last request's body."""
        return self.service.requests[-1].body


Row = Callable[[Side], Outcome]
ROWS: dict[str, Row] = {}


def row(name: str) -> Callable[[Row], Row]:
    """Enter a function in the table."""

    def enter(function: Row) -> Row:
        ROWS[name] = function
        return function

    return enter
