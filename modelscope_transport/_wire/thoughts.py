"""Thoughts that stand inside an answer's text, or in its place; both only where the user says so.

Some servers leave a model's thoughts in the text, between tags; some send a whole answer as
thoughts. Neither is on record for this service itself, but dedicated deployments and other
platforms are as their operators have set them up.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from msgspec.structs import replace

from ..answers import ChatChoice, ChatDelta

__all__ = ["Thoughts"]

Said = TypeVar("Said", bound=ChatDelta | ChatChoice)
_OPEN, _CLOSE = "<think>", "</think>"


class Thoughts:
    """Pieces of an answer in, sorted pieces out: ``feed`` each, then ``close`` with the last.

    Args:
        tags: whether a text that begins with ``<think>`` begins with thoughts.
        promote: whether thoughts without text or calls are the text.
    """

    def __init__(self, *, tags: bool, promote: bool) -> None:
        self._promote = promote
        self._stage: Literal["start", "thoughts", "gap", "text"] = "start" if tags else "text"
        self._held = ""
        self._thoughts: list[str] = []
        self._is_begun = False
        self._is_answered = False

    def sort(self, text: str, reasoning: str, *, final: bool = False) -> tuple[str, str]:
        """Text and thoughts in the next piece; what may be half a tag waits for the next.

        An answer that is ``final`` needs no text: it calls a tool, refuses, or was cut.
        """
        if self._stage != "text" and text:
            text, inside = self._split(text)
            reasoning += inside
        self._is_answered = self._is_answered or final or bool(text.strip())
        if self._promote and reasoning:
            self._thoughts.append(reasoning)
        return text, reasoning

    def finish(self) -> tuple[str, str]:
        """What was held back; the thoughts once more, as text, where they are all there is."""
        text = self._held if self._stage == "start" else ""
        reasoning = self._held.rstrip() if self._stage == "thoughts" else ""
        self._held = ""
        if self._promote and not self._is_answered and not text.strip():
            text = "".join([*self._thoughts, reasoning])
        return text, reasoning

    def feed(self, said: Said) -> Said:
        """The next piece, sorted."""
        text, reasoning = self.sort(said.text, said.reasoning, final=_is_final(said))
        return replace(said, text=text, reasoning=reasoning)

    def close(self, last: Said) -> Said:
        """The last piece, or a whole answer: sorted, with what was held back."""
        last = self.feed(last)
        text, reasoning = self.finish()
        return replace(last, text=last.text + text, reasoning=last.reasoning + reasoning)

    def _split(self, text: str) -> tuple[str, str]:
        held, inside = self._held + text, ""
        if self._stage == "start":
            head = held.lstrip()
            if head.startswith(_OPEN):
                held, self._stage = head.removeprefix(_OPEN), "thoughts"
            elif not _OPEN.startswith(head):
                self._stage = "text"
        if self._stage == "thoughts":
            held = held if self._is_begun else held.lstrip()
            inside, closed, rest = held.partition(_CLOSE)
            if closed:
                inside, held, self._stage = inside.rstrip(), rest, "gap"
            else:
                inside, held = held[: _certain_length(held)], held[_certain_length(held) :]
            self._is_begun = self._is_begun or bool(inside)
        if self._stage == "gap":
            held = held.lstrip()
            if held:
                self._stage = "text"
        self._held, said = ("", held) if self._stage == "text" else (held, "")
        return said, inside


def _certain_length(thoughts: str) -> int:
    """How much of them is certainly no part of the closing tag, nor blanks before it."""
    end = len(thoughts)
    for length in range(min(len(_CLOSE) - 1, end), 0, -1):
        if thoughts.endswith(_CLOSE[:length]):
            end -= length
            break
    return len(thoughts[:end].rstrip())


def _is_final(said: ChatDelta | ChatChoice) -> bool:
    # thoughts that were cut off are no answer
    return bool(said.tool_calls or said.refusal) or said.finish_reason == "length"
