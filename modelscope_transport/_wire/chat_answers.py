"""Reads an answer as its request asks: thoughts apart, a call or a form found in the text.

Whole answers and streams go through the same filters.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..answers import ChatChoice, ChatDelta, ChatResult
from ..types import ChatRequest
from .chat import ChatDecoder
from .outcomes import Failure
from .text_answers import TextAnswer, forced_tools
from .thoughts import Thoughts

__all__ = ["decoder_for", "filtered_answer"]

Filter = Thoughts | TextAnswer


def filtered_answer(answer: ChatResult, request: ChatRequest) -> ChatResult:
    """A whole answer to a request."""
    if not _filters_of(request):
        return answer
    return replace(answer, choices=tuple(_filtered(it, request) for it in answer.choices))


def _filtered(choice: ChatChoice, request: ChatRequest) -> ChatChoice:
    for each in _filters_of(request):
        choice = each.close(choice)
    return choice


def decoder_for(request: ChatRequest, answer_tool: str | None) -> ChatDecoder:
    """The decoder of a stream that answers a request."""
    filters = _filters_of(request)
    return _FilteringDecoder(answer_tool, filters) if filters else ChatDecoder(answer_tool)


def _filters_of(request: ChatRequest) -> list[Filter]:
    filters: list[Filter] = []
    if request.think_tags or request.promote_reasoning_only:
        filters.append(Thoughts(tags=request.think_tags, promote=request.promote_reasoning_only))
    if request.response_format is not None or forced_tools(request):
        filters.append(TextAnswer(request))
    return filters


class _FilteringDecoder(ChatDecoder):
    __slots__ = ("_filters",)

    def __init__(self, answer_tool: str | None, filters: list[Filter]) -> None:
        super().__init__(answer_tool)
        self._filters = filters

    def feed(self, payload: bytes) -> ChatDelta | Failure | None:
        delta = super().feed(payload)
        if not isinstance(delta, ChatDelta):
            return delta
        for each in self._filters:
            delta = each.feed(delta)
        return None if delta == ChatDelta() else delta

    def finish(self) -> ChatDelta | None:
        last = super().finish() or ChatDelta()
        for each in self._filters:
            last = each.close(last)
        return None if last == ChatDelta() else last
