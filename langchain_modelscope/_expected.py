"""What a call expects of its answer: a tool call, or an object of a class.

An agent that hands its answer over as a tool call (``ToolStrategy``) ends without an answer where
the model only talks, or where its call cannot be read; such an answer raises instead. Where
``response_format`` is a pydantic class, the answer's ``additional_kwargs["parsed"]`` is an instance
of it. Whole answers and streams alike.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import BaseModel

from modelscope_transport.answer_text import read_answer
from modelscope_transport.errors import ModelScopeError
from modelscope_transport.language import translated as _

from ._schemas import object_of

__all__ = ["Expected", "expected_of", "failure", "unreadable"]


def expected_of(options: dict[str, Any]) -> Expected | None:
    """What the options of a call expect; ``None``: nothing."""
    form = options.get("response_format")
    is_class = isinstance(form, type) and issubclass(form, BaseModel)
    must_call = bool(options.get("must_call"))
    if not is_class and not must_call:
        return None
    return Expected(form if is_class else None, must_call)


class Expected(NamedTuple):
    """What is expected.

    Attributes:
        form: the class of the answer, or ``None``.
        must_call: whether the answer is of no use without a tool call that can be made.
    """

    form: type[BaseModel] | None
    must_call: bool

    def of_whole(self, result: ChatResult) -> ChatResult:
        """The result, checked.

        Raises:
            OutputParserException: the answer has no tool call that can be made.
        """
        for generation in result.generations:
            message = generation.message
            assert isinstance(message, AIMessage)
            message.additional_kwargs |= self.beside(message)
        return result

    def of_stream(self, chunks: Iterator[ChatGenerationChunk]) -> Iterator[ChatGenerationChunk]:
        """The chunks, each given only when the next has come, so that the last can say more.

        Raises:
            OutputParserException: the answer has no tool call that can be made.
        """
        held = _Held(self)
        try:
            for chunk in chunks:
                before = held.swap(chunk)
                if before is not None:
                    yield before
        except ModelScopeError:
            if held.chunk is not None:
                yield held.chunk  # it came before the stream broke
            raise
        if held.chunk is not None:
            yield held.last()

    async def of_async_stream(
        self, chunks: AsyncIterator[ChatGenerationChunk]
    ) -> AsyncIterator[ChatGenerationChunk]:
        """As `of_stream`."""
        held = _Held(self)
        try:
            async for chunk in chunks:
                before = held.swap(chunk)
                if before is not None:
                    yield before
        except ModelScopeError:
            if held.chunk is not None:
                yield held.chunk
            raise
        if held.chunk is not None:
            yield held.last()

    def beside(self, message: AIMessage) -> dict[str, Any]:
        """What a whole message says beside its text: the object of the class.

        Raises:
            OutputParserException: the answer has no tool call that can be made.
        """
        text = message.text
        if self.must_call and not message.tool_calls:
            if message.invalid_tool_calls:
                raise unreadable(message)
            raise OutputParserException(
                _(
                    "The model was to answer with a tool call, and wrote text without one. Its "
                    "text: {text!r}"
                ).format(text=text),
                llm_output=text,
            )
        if self.form is None:
            return {}
        try:
            return {"parsed": read_answer(text, functools.partial(object_of, self.form))}
        except ValueError:
            return {}  # the text is the answer all the same; parsing it raises the error


class _Held:
    """A stream so far, and its latest chunk, which has not been given out yet."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._messages: list[AIMessageChunk] = []
        self.chunk: ChatGenerationChunk | None = None

    def swap(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk | None:
        """Hold a chunk; the one that was held before it."""
        before, self.chunk = self.chunk, chunk
        message = chunk.message
        assert isinstance(message, AIMessageChunk)
        self._messages.append(message)
        return before

    def last(self) -> ChatGenerationChunk:
        """The last chunk, with what the whole answer says beside its text."""
        assert self.chunk is not None
        first, *others = self._messages
        whole: Any = first + others if others else first
        self.chunk.message.additional_kwargs |= self._expected.beside(whole)
        return self.chunk


def unreadable(message: AIMessage) -> OutputParserException:
    """The error of a call whose arguments are cut off or not JSON."""
    bad = message.invalid_tool_calls[0]
    said = _("The arguments of {bad} cannot be read.").format(bad=bad["name"])
    return failure(said, bad["args"] or "")


def failure(said: str, raw: str) -> OutputParserException:
    """The error of an answer that cannot be used, with what the model wrote."""
    text = _("{said} The model's answer: {raw!r}").format(said=said, raw=raw)
    return OutputParserException(text, llm_output=raw)
