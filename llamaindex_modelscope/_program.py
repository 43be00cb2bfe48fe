"""One way to an object of a pydantic class: asks the model for it, and reads it out of the answer.

Laws of this file: a call, its async twin and both streams read an answer by the same function, so
they give the same object or raise the same error. What a stream yields before its end is a part of
an object, read from what has come; its last object is read from the whole answer.
"""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any, Literal

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program.function_program import get_function_tool
from llama_index.core.program.utils import create_flexible_model
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BasePydanticProgram
from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import to_json

from modelscope_transport.answer_text import begun, read_answer
from modelscope_transport.language import translated as _

from ._options import json_schema_format
from ._tool_calls import read_arguments
from .errors import ModelScopeOutputParserError

if TYPE_CHECKING:
    from ._structured import StructuredOutputLLM

__all__ = ["Program", "StructuredOutputMode"]

StructuredOutputMode = Literal["function_calling", "json_schema", "json_object", "text"]

# Options of a call that the program decides itself.
_SETTLED = ("tool_required", "tool_choice", "allow_parallel_tool_calls")


class Program(BasePydanticProgram[Any]):
    """Asks for an object by a tool, by a JSON form, or in words, and reads it.

    Args:
        llm: the model.
        output_cls: class of the object; a ``RootModel`` of a list or a scalar too.
        prompt: what to ask.
        mode: ``"function_calling"`` makes the model call a tool whose arguments are the object's
            fields; ``"json_schema"`` has the server keep to the schema; ``"json_object"`` asks for
            any object, the prompt carries the schema; ``"text"`` has the prompt alone.
    """

    def __init__(
        self,
        llm: StructuredOutputLLM,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        mode: StructuredOutputMode,
    ) -> None:
        self._llm = llm
        self._output_cls = output_cls
        self._prompt = prompt
        schema = output_cls.model_json_schema()
        # Of a recursive class, the schema is a reference to an object.
        self._is_object = schema.get("type") == "object" or "$ref" in schema
        if mode == "function_calling" and self._is_object and "properties" not in schema:
            # A dictionary has no fields of its own, and core sends nothing else of a tool's schema.
            mode = "json_schema"
        self._mode = mode
        # Tools and JSON forms hold objects alone: a list or a scalar is one field of an object.
        self._asked_cls = output_cls
        if not self._is_object and mode != "text":
            self._asked_cls = create_model(
                output_cls.__name__, __doc__=output_cls.__doc__, root=(output_cls, ...)
            )

        self._tool = get_function_tool(self._asked_cls) if mode == "function_calling" else None
        self._tool_name = None if self._tool is None else self._tool.metadata.get_name()

    @property
    def output_cls(self) -> type[BaseModel]:
        """Class of the object."""
        return self._output_cls

    # --- asking ---------------------------------------------------------------------------------

    def _ask(
        self, llm_kwargs: dict[str, Any] | None, prompt_args: dict[str, Any]
    ) -> tuple[list[ChatMessage], dict[str, Any]]:
        given = llm_kwargs or {}
        options = {name: value for name, value in given.items() if name not in _SETTLED}
        messages = self._prompt.format_messages(llm=self._llm, **prompt_args)
        if self._tool is not None:
            options |= self._llm._prepare_chat_with_tools(
                [self._tool],
                tool_choice=given.get("tool_choice") or "required",
            )
            del options["messages"]
        elif self._mode == "json_object":
            options["response_format"] = {"type": "json_object"}
        elif self._mode == "json_schema":
            options["response_format"] = json_schema_format(
                self._asked_cls, strict=self._llm.strict or None
            )
        if self._mode in ("json_object", "text") and messages:
            messages = [*messages[:-1], self._with_schema(messages[-1])]
        return self._llm._extend_messages(messages), options

    def _with_schema(self, message: ChatMessage) -> ChatMessage:
        # Not by the parser's own format_messages: that writes into the message it is given, which
        # may be the caller's, and sends the schema with every brace doubled.
        parser = PydanticOutputParser(output_cls=self._asked_cls)
        schema = TextBlock(text=parser.get_format_string(escape_json=False))
        return message.model_copy(update={"blocks": [*message.blocks, schema]})

    def __call__(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> BaseModel:
        """The object.

        Raises:
            ModelScopeError: the call failed.
            ModelScopeOutputParserError: the answer makes no such object.
        """
        messages, options = self._ask(llm_kwargs, kwargs)
        return self._read(self._llm.chat(messages, **options))

    async def acall(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> BaseModel:
        """The object, for event loops."""
        messages, options = self._ask(llm_kwargs, kwargs)
        return self._read(await self._llm.achat(messages, **options))

    def stream_call(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """The object as it grows, at last the whole one.

        Raises:
            ModelScopeError: the call failed.
            ModelScopeOutputParserError: at the end, where the answer makes no such object.
        """
        messages, options = self._ask(llm_kwargs, kwargs)
        last: ChatResponse | None = None
        for response in self._llm.stream_chat(messages, **options):
            if last is not None and self._is_object:
                yield self._part(last)
            last = response
        yield self._read(last)

    async def astream_call(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> AsyncGenerator[Any, None]:
        """`stream_call`, for event loops."""
        messages, options = self._ask(llm_kwargs, kwargs)
        stream = await self._llm.astream_chat(messages, **options)

        async def grow() -> AsyncGenerator[Any, None]:
            last: ChatResponse | None = None
            async for response in stream:
                if last is not None and self._is_object:
                    yield self._part(last)
                last = response
            yield self._read(last)

        return grow()

    # --- reading --------------------------------------------------------------------------------

    def _read(self, response: ChatResponse | None) -> BaseModel:
        """The object of a whole answer: a call's arguments, else what its text holds."""
        message = ChatMessage() if response is None else response.message
        name = self._tool_name
        calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
        raw = message.content or ""
        try:
            if not calls or name is None:
                broken = message.additional_kwargs.get("invalid_tool_calls")
                if not broken or raw:
                    return read_answer(raw, self._accept, tool=name)
                raw, why = broken[0]["arguments"], broken[0]["error"]
                try:
                    return read_answer(raw, self._accept, tool=name)
                except ValueError:
                    raise ValueError(
                        _("it is not a complete JSON object ({broken})").format(broken=why)
                    ) from None
            call = next((call for call in calls if call.tool_name == name), calls[0])
            raw = _written(call.tool_kwargs)
            if call.tool_name != name:
                raise ValueError(
                    _("it calls the tool {tool_name!r} instead of {name!r}").format(
                        tool_name=call.tool_name, name=name
                    )
                )
            return self._accept(json.loads(raw or "{}", strict=False))
        except (ValueError, RecursionError) as error:
            why = _why(error)
            # the error of an invalid call says itself that it was cut
            if _was_cut(response) and "invalid_tool_calls" not in message.additional_kwargs:
                why = _(
                    '{why}; it reached its longest length (finish_reason "length"), thoughts '
                    "included, and a larger max_tokens leaves room for the rest"
                ).format(why=why)
            raise ModelScopeOutputParserError(
                _("The answer makes no {name}: {error}. It was: {raw!r}").format(
                    name=self._output_cls.__name__, error=why, raw=raw
                ),
                raw_answer=raw,
            ) from error

    def _accept(self, value: Any) -> BaseModel:
        """The object of a JSON value; a list or a scalar may also come as the field ``root``."""
        try:
            return self._output_cls.model_validate_json(_json(value))
        except ValidationError:
            if self._is_object or not isinstance(value, dict) or "root" not in value:
                raise
            return self._output_cls.model_validate_json(_json(value["root"]))

    @functools.cached_property
    def _flexible_cls(self) -> type[BaseModel]:
        return create_flexible_model(self._output_cls)

    def _part(self, response: ChatResponse) -> BaseModel:
        """The object as far as it has come; an instance of the class as soon as it is valid."""
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        text = begun(response.message.content or "")
        fields = read_arguments(calls[0].tool_kwargs if calls else text)
        # A class's own validators may fail on half an object in any way: on a text that they cut
        # in two, or a key that has not come.
        try:
            return self._output_cls.model_validate(fields)
        except Exception:  # noqa: BLE001
            return self._flexible(fields)

    def _flexible(self, fields: dict[str, Any]) -> BaseModel:
        try:
            return self._flexible_cls.model_validate(fields)
        except Exception:  # noqa: BLE001 - as above, by the validator of a field's class
            return self._flexible_cls()


def _json(value: Any) -> str:
    """A value as JSON; lone surrogates, which models write as escapes, become U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _written(arguments: dict[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else to_json(arguments).decode()


def _was_cut(response: ChatResponse | None) -> bool:
    raw = None if response is None else response.raw
    return isinstance(raw, dict) and raw.get("finish_reason") == "length"


def _why(error: Exception) -> str:
    """The reason in one line."""
    if isinstance(error, json.JSONDecodeError):
        return _("it is not complete JSON")
    if isinstance(error.__cause__, ValidationError):
        error = error.__cause__
    if isinstance(error, ValidationError):
        whole = _("the whole")
        error = ValueError(
            "; ".join(
                f"{'.'.join(str(part) for part in one['loc']) or whole}: {one['msg']}"
                for one in error.errors(include_url=False, include_input=False)
            )
        )
    return " ".join(str(error).rstrip(".").split())
