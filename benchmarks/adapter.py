"""What the benchmarks ask of a framework: its contestants, and the ways to ask them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from benchmarks import stub
from benchmarks.measuring import Work

__all__ = ["BATCH", "CONVERSATION", "TEXTS", "Adapter", "message"]

CONVERSATION = 199  # messages
BATCH = 256  # texts in a request for embeddings
TEXTS = [f"This is text {at} of two thousand and forty-eight." for at in range(2048)]


class Adapter(ABC):
    """A framework: how its models are made and asked.

    Attributes:
        imports: statements that import the framework, ours and the peer.
    """

    imports: tuple[str, str, str]

    @abstractmethod
    def ours(self, url: str) -> Any:
        """Our model, by its defaults."""

    @abstractmethod
    def peer(self, url: str) -> Any:
        """The peer's model, by its defaults, with usage in streams as ours has it."""

    @abstractmethod
    def idle(self, reply: stub.Reply) -> Any:
        """A model that makes the stub's answer and does nothing else."""

    @abstractmethod
    def embeddings(self, url: str) -> dict[str, Work]:
        """``ours``, ``peer`` and ``idle``: all `TEXTS` into vectors, `BATCH` a request."""

    @abstractmethod
    def ask(self, model: Any) -> Any:
        """One answer."""

    @abstractmethod
    def converse(self, model: Any) -> Any:
        """One answer to a conversation of `CONVERSATION` messages."""

    @abstractmethod
    async def aask(self, model: Any) -> Any:
        """`ask`, async."""

    @abstractmethod
    def read(self, model: Any) -> Any:
        """A stream to its end, as a user's loop reads it."""

    @abstractmethod
    async def aread(self, model: Any) -> Any:
        """`read`, async."""

    @abstractmethod
    def own(self, model: Any) -> None:
        """A stream to its end, through no more than the adapter's own code; nothing is kept."""

    @abstractmethod
    def said(self, result: Any) -> object:
        """What there is to compare in an answer, so that no contestant is fast by dropping text."""


def message(at: int) -> str:
    """A message of the conversation."""
    return f"This is message {at} of a conversation about nothing much."
