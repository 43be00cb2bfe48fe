"""Thoughts that stand inside an answer's text, or in its place; both only where the user says so.

Some servers leave a model's thoughts in the text, between tags; some send a whole answer as
thoughts. Neither is on record for this service itself, but dedicated deployments and other
platforms are as their operators have set them up.
"""

from __future__ import annotations

from typing import Literal

from msgspec import structs

from ..answers import ChatChoice, ChatDelta, ChatResult
from ..types import ChatRequest
from .chat import ChatDecoder
from .outcomes import Failure

__all__ = ["Thoughts", "decoder_for", "sorted_answer"]

_OPEN, _CLOSE = "<think>", "</think>"


class Thoughts:
    """Pieces of an answer in, its text and its thoughts out: ``sort`` each, then ``finish`` once.

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

        Args:
            text: as it came.
            reasoning: as it came.
            final: whether the answer needs no text: it calls a tool, refuses, or was cut.
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
                inside, held = held[: _sure(held)], held[_sure(held) :]
            self._is_begun = self._is_begun or bool(inside)
        if self._stage == "gap":
            held = held.lstrip()
            if held:
                self._stage = "text"
        self._held, said = ("", held) if self._stage == "text" else (held, "")
        return said, inside


def _sure(thoughts: str) -> int:
    """How much of them is certainly no part of the closing tag, nor blanks before it."""
    end = len(thoughts)
    for length in range(min(len(_CLOSE) - 1, end), 0, -1):
        if thoughts.endswith(_CLOSE[:length]):
            end -= length
            break
    return len(thoughts[:end].rstrip())


class _Decoder(ChatDecoder):
    """A `ChatDecoder` whose deltas have text and thoughts sorted."""

    __slots__ = ("_thoughts",)

    def __init__(self, answer_tool: str | None, thoughts: Thoughts) -> None:
        super().__init__(answer_tool)
        self._thoughts = thoughts

    def feed(self, payload: bytes) -> ChatDelta | Failure | None:
        """The delta in a payload, or what the payload says instead."""
        delta = super().feed(payload)
        if not isinstance(delta, ChatDelta):
            return delta
        text, reasoning = self._thoughts.sort(delta.text, delta.reasoning, final=_is_final(delta))
        found = structs.replace(delta, text=text, reasoning=reasoning)
        return None if found == ChatDelta() else found

    def finish(self) -> ChatDelta | None:
        """The last delta: what was held back, and the token usage."""
        last = super().finish() or ChatDelta()
        text, reasoning = self._thoughts.sort(last.text, last.reasoning, final=_is_final(last))
        more, further = self._thoughts.finish()
        last = structs.replace(last, text=text + more, reasoning=reasoning + further)
        return None if last == ChatDelta() else last


def decoder_for(request: ChatRequest, answer_tool: str | None) -> ChatDecoder:
    """The decoder of a stream that answers a request."""
    thoughts = _thoughts_of(request)
    return ChatDecoder(answer_tool) if thoughts is None else _Decoder(answer_tool, thoughts)


def sorted_answer(answer: ChatResult, request: ChatRequest) -> ChatResult:
    """A whole answer to a request, with the text and the thoughts of each choice sorted."""
    choices = tuple(_sorted(choice, _thoughts_of(request)) for choice in answer.choices)
    return structs.replace(answer, choices=choices) if choices != answer.choices else answer


def _sorted(choice: ChatChoice, thoughts: Thoughts | None) -> ChatChoice:
    if thoughts is None:
        return choice
    text, reasoning = thoughts.sort(choice.text, choice.reasoning, final=_is_final(choice))
    more, further = thoughts.finish()
    return structs.replace(choice, text=text + more, reasoning=reasoning + further)


def _thoughts_of(request: ChatRequest) -> Thoughts | None:
    if not (request.think_tags or request.promote_reasoning_only):
        return None
    return Thoughts(tags=request.think_tags, promote=request.promote_reasoning_only)


def _is_final(said: ChatDelta | ChatChoice) -> bool:
    # thoughts that were cut off are no answer
    return bool(said.tool_calls or said.refusal) or said.finish_reason == "length"
