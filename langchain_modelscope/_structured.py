"""Structured output: the ways to an object of a schema, and one reader at the end of each.

Laws of this file: an answer without an object is an error with the raw answer in it, never ``None``
in silence; a call, a stream and their async twins give the same object or the same error. The one
``None`` there is stands beside ``include_raw``, where the model called one of the user's own tools.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import AddableDict, Runnable, RunnableGenerator
from pydantic import BaseModel
from pydantic.v1 import BaseModel as BaseModelV1
from pydantic_core import from_json

from modelscope_transport.answer_text import begun, check_form, escaped, read_answer
from modelscope_transport.catalogue import profile_for
from modelscope_transport.language import translated as _

from ._expected import failure, unreadable
from ._schemas import form_of, function_of, is_class, is_object, object_of, traced

__all__ = ["Method", "method_for", "structured_output"]

Method = Literal["function_calling", "json_schema", "json_mode"]


def method_for(model: str, schema: Any) -> Method:
    """How to ask a model: by a tool where it can be forced to call one and an object is wanted."""
    if schema is not None and not is_object(schema):
        return "json_schema"
    known = profile_for(model)
    cannot_be_forced = known.forced_tools == "no" or known.thinking == "always"
    keeps_schema = known.structured_output == "json_schema"
    return "json_schema" if cannot_be_forced and keeps_schema else "function_calling"


def structured_output(
    model: BaseChatModel,
    schema: Any,
    method: Method,
    *,
    include_raw: bool,
    strict: bool | None,
    tools: list[Any] | None,
    kwargs: dict[str, Any],
) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
    """A model whose answers are objects of the schema.

    Raises:
        ValueError: an unknown method, no schema where one is needed, ``strict`` with a method that
            knows no schema.
    """
    if schema is None and method != "json_mode":
        raise ValueError(_("method {method!r} needs a schema").format(method=method))
    if method == "json_mode" and strict is not None:
        raise ValueError(_("json_mode keeps no schema, strictly or not. Use method='json_schema'."))
    kwargs["ls_structured_output_format"] = {"kwargs": {"method": method}, "schema": traced(schema)}
    asked: Runnable[LanguageModelInput, Any]
    name = None
    if method == "function_calling":
        tool = function_of(schema, strict)
        name = tool["function"]["name"]
        choice = "any" if tools else name
        asked = model.bind_tools(
            [tool, *(tools or ())], tool_choice=choice, parallel_tool_calls=False, **kwargs
        )
    elif method in ("json_schema", "json_mode"):
        form: dict[str, Any] = {"type": "json_object"}
        if method == "json_schema":
            form = {"type": "json_schema", "json_schema": form_of(schema, strict)}
        asked = model.bind_tools(tools or [], strict=strict, response_format=form, **kwargs)
    else:
        raise ValueError(
            _(
                "method {method!r} is not one of 'function_calling', 'json_schema', 'json_mode'"
            ).format(method=method)
        )
    parser = _ObjectParser(
        accept=_accepts(schema),
        is_class=is_class(schema),
        tool=name,
        may_call=bool(tools and include_raw),
    )
    if not include_raw:
        return asked | parser
    beside = _BesideRaw(parser)
    return asked | RunnableGenerator(beside.transform, beside.atransform, name="object_beside_raw")


class _BesideRaw:
    """The answer as it is, then its object or why it has none."""

    def __init__(self, parser: _ObjectParser) -> None:
        self._parser = parser

    def transform(self, messages: Iterator[AIMessage]) -> Iterator[AddableDict]:
        whole = _Sum(self._parser)
        for message in messages:
            whole.add(message)
            yield AddableDict(raw=message)
        yield from self._outcome(whole)

    async def atransform(self, messages: AsyncIterator[AIMessage]) -> AsyncIterator[AddableDict]:
        whole = _Sum(self._parser)
        async for message in messages:
            whole.add(message)
            yield AddableDict(raw=message)
        for said in self._outcome(whole):
            yield said

    def _outcome(self, whole: _Sum) -> Iterator[AddableDict]:
        parsed, problem = None, None
        try:
            parsed = self._parser.read(whole.message())
        except Exception as error:  # noqa: BLE001 - a validator's own too, as LangChain gives it
            problem = error
        yield AddableDict(parsed=parsed)
        yield AddableDict(parsing_error=problem)


def _accepts(schema: Any) -> Callable[[Any], Any]:
    """What turns a JSON value into the object, or raises ``ValueError``; it can be pickled."""
    if schema is None:
        return functools.partial(check_form, schema={"type": ["object", "array"]})
    if is_class(schema):
        is_v1 = issubclass(schema, BaseModelV1)
        return schema.parse_obj if is_v1 else functools.partial(object_of, schema)
    return functools.partial(check_form, schema=form_of(schema)["schema"])


class _ObjectParser(BaseTransformOutputParser[Any]):
    """Reads the object of an answer: from the call of its tool, else from the text.

    Attributes:
        accept: turns a JSON value into the object, or raises ``ValueError``.
        is_class: whether the object is an instance of a class, which is not there in part.
        tool: name of the tool whose arguments are the object; ``None`` where the text is.
        may_call: whether the call of another tool is an answer too, with no object yet.
    """

    accept: Callable[[Any], Any]
    is_class: bool
    tool: str | None
    may_call: bool

    @property
    def _type(self) -> str:
        return "modelscope_object"

    def parse(self, text: str) -> Any:
        """The object in a text."""
        return self.read(AIMessage(text))

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """The object of an answer.

        Raises:
            OutputParserException: it holds none; ``llm_output`` is what the model wrote.
        """
        generation = result[0]
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
            return self.read(generation.message)
        return self.parse(generation.text)

    def read(self, message: AIMessage) -> Any:
        """The object of a message.

        Raises:
            OutputParserException: it holds none; ``llm_output`` is what the model wrote.
        """
        for call in message.tool_calls:
            if call["name"] == self.tool:
                if message.response_metadata.get("finish_reason") == "length":
                    raise failure(
                        _("The answer was cut: max_tokens is too low."), str(call["args"])
                    )
                return self._accepted(call["args"])
        if message.invalid_tool_calls:
            raise unreadable(message)
        if message.tool_calls and self.may_call:
            return None
        return self._read_text(message)

    def _accepted(self, args: dict[str, Any]) -> Any:
        try:
            return self.accept(args)
        except ValueError as error:
            raise failure(
                _("The arguments of {tool} do not fit: {error}").format(
                    tool=self.tool, error=error
                ),
                str(args),
            ) from error

    def _read_text(self, message: AIMessage) -> Any:
        try:
            return read_answer(message.text, self.accept, tool=self.tool)
        except ValueError as error:
            refusal = message.additional_kwargs.get("refusal")
            if refusal:
                raise failure(_("The model refused."), refusal) from None
            others = ", ".join(call["name"] for call in message.tool_calls)
            called = (
                _(" The model called {others}; include_raw=True gives that.").format(others=others)
                if others
                else ""
            )
            raise failure(f"{error}{called}", message.text) from error

    def begun(self, text: str) -> Any:
        """The object of a text that has not ended, as far as it goes; ``None`` for no object."""
        try:
            value = _half(begun(text))
            return self.accept(value) if self.is_class else value
        except Exception:  # noqa: BLE001 - a validator of the class may look for a key to come
            return None

    def _transform(self, input: Iterator[Any]) -> Iterator[Any]:
        whole = _Sum(self)
        for message in input:
            if whole.add(message):
                yield whole.given
        last = self.read(whole.message())
        if last is None or last != whole.given:
            yield last

    async def _atransform(self, input: AsyncIterator[Any]) -> AsyncIterator[Any]:
        whole = _Sum(self)
        async for message in input:
            if whole.add(message):
                yield whole.given
        last = self.read(whole.message())
        if last is None or last != whole.given:
            yield last


def _half(text: str) -> Any:
    """What JSON has so far. LangChain's own parser takes seconds for a long text that grows.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return from_json(escaped(text), allow_partial="trailing-strings")


class _Sum:
    """The chunks of a stream so far.

    Attributes:
        given: the last object that they made.
    """

    def __init__(self, parser: _ObjectParser) -> None:
        self._parser = parser
        self._messages: list[Any] = []
        self._text = ""
        self._call: Any = None
        self.given: Any = None

    def add(self, message: AIMessage) -> bool:
        """Take one more; whether the object has changed."""
        self._messages.append(message)
        text = message.text if self._parser.tool is None else self._arguments(message)
        if not text:
            return False
        self._text += text
        begun = self._parser.begun(self._text)
        if begun is None or begun == self.given:
            return False
        self.given = begun
        return True

    def _arguments(self, message: AIMessage) -> str:
        text = ""
        for piece in getattr(message, "tool_call_chunks", ()):
            if piece["name"] == self._parser.tool and self._call is None:
                self._call = piece["index"]
            if self._call is not None and piece["index"] == self._call:
                text += piece["args"] or ""
        return text

    def message(self) -> AIMessage:
        """The whole answer."""
        if not self._messages:
            return AIMessage("")
        first, *others = self._messages
        whole: AIMessage = first + others if others else first
        return whole
