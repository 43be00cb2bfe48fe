"""Structured output: which program gets an object of a pydantic class out of a model.

Core's own program for tools does most of the work; added here are a forced tool also when
streaming and the system prompt also when async. Core has none for ``response_format``.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import AsyncGenerator, Generator
from typing import Any, Final, Literal, TypeVar, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program.function_program import FunctionCallingProgram, get_function_tool
from llama_index.core.program.utils import create_flexible_model
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BasePydanticProgram, PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, Field, ValidationError

from modelscope_transport.catalogue import ModelProfile

from ._options import json_schema_format
from ._tool_calls import ToolCallingLLM, read_arguments

__all__ = ["StructuredOutputLLM", "StructuredOutputMode"]

_dispatcher = get_dispatcher(__name__)

StructuredOutputMode = Literal["function_calling", "json_schema", "json_object", "text"]

_Model = TypeVar("_Model", bound=BaseModel)

_MODES: Final[dict[PydanticProgramMode, StructuredOutputMode]] = {
    PydanticProgramMode.FUNCTION: "function_calling",
    PydanticProgramMode.OPENAI: "function_calling",
    PydanticProgramMode.LLM: "text",
}


class StructuredOutputLLM(ToolCallingLLM):
    """The part of `ModelScope` that answers with objects of a class."""

    structured_output_mode: StructuredOutputMode | None = Field(
        default=None, description="How objects are asked for; by default as the model can."
    )

    @property
    @abstractmethod
    def profile(self) -> ModelProfile:
        """What the model can do, as far as is known."""

    @property
    def structured_output(self) -> StructuredOutputMode:
        """How objects are asked for: as set, as the model keeps best, else by a tool or in text."""
        if self.structured_output_mode is not None:
            return self.structured_output_mode
        if mode := _MODES.get(self.pydantic_program_mode):
            return mode
        known = self.profile.structured_output
        if known is not None and known != "function_calling":
            return known
        return "function_calling" if self.metadata.is_function_calling_model else "text"

    def structured_predict(
        self,
        output_cls: type[_Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> _Model:
        """An object of a class, made by the model.

        Args:
            output_cls: class of the object.
            prompt: what to ask.
            llm_kwargs: options of the call.
            prompt_args: values for the prompt's variables.

        Raises:
            ModelScopeError: the call failed.
            ValueError: the model's answer makes no such object.
        """
        _announce(output_cls, prompt, prompt_args)
        program = self._program(output_cls, prompt, llm_kwargs)
        made = program(llm_kwargs=dict(llm_kwargs or {}), **prompt_args)
        _dispatcher.event(LLMStructuredPredictEndEvent(output=made))
        return cast(_Model, made)

    async def astructured_predict(
        self,
        output_cls: type[_Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> _Model:
        """`structured_predict`, for event loops."""
        _announce(output_cls, prompt, prompt_args)
        program = self._program(output_cls, prompt, llm_kwargs)
        made = await program.acall(llm_kwargs=dict(llm_kwargs or {}), **prompt_args)
        _dispatcher.event(LLMStructuredPredictEndEvent(output=made))
        return cast(_Model, made)

    def _structured_stream_call(
        self,
        output_cls: type[_Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        program = self._program(output_cls, prompt, llm_kwargs)
        return program.stream_call(llm_kwargs=dict(llm_kwargs or {}), **prompt_args)

    async def _structured_astream_call(
        self,
        output_cls: type[_Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        program = self._program(output_cls, prompt, llm_kwargs)
        return await program.astream_call(llm_kwargs=dict(llm_kwargs or {}), **prompt_args)

    def _program(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None,
    ) -> BasePydanticProgram[Any]:
        mode, options = self.structured_output, llm_kwargs or {}
        if mode == "function_calling" and "properties" not in output_cls.model_json_schema():
            mode = "json_schema"  # core cuts the schema of a class that holds itself off a tool
        if mode == "function_calling":
            return _FunctionProgram(
                output_cls=output_cls,
                llm=self,
                prompt=prompt,
                tool_choice=options.get("tool_choice") or "required",
            )
        return _TextProgram(self, output_cls, prompt, mode)


def _announce(output_cls: type, prompt: BasePromptTemplate, prompt_args: dict[str, Any]) -> None:
    _dispatcher.event(
        LLMStructuredPredictStartEvent(
            output_cls=output_cls, template=prompt, template_args=prompt_args
        )
    )


def _without_tools(llm_kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Options of a call without those that a program settles by itself."""
    settled = ("tool_required", "tool_choice", "allow_parallel_tool_calls")
    return {name: value for name, value in (llm_kwargs or {}).items() if name not in settled}


class _FunctionProgram(FunctionCallingProgram[Any]):
    """Core's program, with the system prompt in its async call as in its other three.

    A model that calls a tool which is not there is wrong like one that calls none: that is a
    ``ValueError``, where core lets a ``KeyError`` through.
    """

    def __call__(self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        tools, options = [get_function_tool(self._output_cls)], self._options(llm_kwargs, kwargs)
        try:
            answer = self._llm.predict_and_call(tools, **options)
        except KeyError as error:
            raise self._no_such_tool(error) from error
        return self._parse_tool_outputs(answer)

    async def acall(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        tools, options = [get_function_tool(self._output_cls)], self._options(llm_kwargs, kwargs)
        try:
            answer = await self._llm.apredict_and_call(tools, **options)
        except KeyError as error:
            raise self._no_such_tool(error) from error
        return self._parse_tool_outputs(answer)

    def _options(
        self, llm_kwargs: dict[str, Any] | None, prompt_args: dict[str, Any]
    ) -> dict[str, Any]:
        messages = self._prompt.format_messages(llm=self._llm, **prompt_args)
        return {
            "chat_history": self._llm._extend_messages(messages),
            "tool_choice": self._tool_choice,
            **_without_tools(llm_kwargs),
        }

    def _no_such_tool(self, error: KeyError) -> ValueError:
        return ValueError(
            f"The model called the tool {error} instead of {self._output_cls.__name__!r}."
        )


class _TextProgram(BasePydanticProgram[Any]):
    """Reads an object out of the answer's text.

    ``response_format`` carries the schema (``json_schema``), or asks for an object while the
    prompt carries the schema (``json_object``), or is left out (``text``).
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
        self._parser = PydanticOutputParser(output_cls=output_cls)
        self._prompt = prompt
        self._mode = mode

    @property
    def output_cls(self) -> type[BaseModel]:
        """Class of the object."""
        return self._output_cls

    @functools.cached_property
    def _flexible_cls(self) -> type[BaseModel]:
        return create_flexible_model(self._output_cls)

    def _ask(
        self, llm_kwargs: dict[str, Any] | None, prompt_args: dict[str, Any]
    ) -> tuple[list[ChatMessage], dict[str, Any]]:
        options = _without_tools(llm_kwargs)
        messages = self._prompt.format_messages(llm=self._llm, **prompt_args)
        if self._mode == "json_object":
            options["response_format"] = {"type": "json_object"}
        elif self._mode == "json_schema":
            options["response_format"] = json_schema_format(
                self._output_cls, strict=self._llm.strict or None
            )
        if self._mode != "json_schema":
            messages = [*messages[:-1], self._with_schema(messages[-1])]
        return self._llm._extend_messages(messages), options

    def _with_schema(self, message: ChatMessage) -> ChatMessage:
        # Not by the parser's own format_messages: that writes into the message it is given, which
        # may be the caller's, and sends the schema with every brace doubled.
        schema = TextBlock(text=self._parser.get_format_string(escape_json=False))
        return message.model_copy(update={"blocks": [*message.blocks, schema]})

    def _read(self, response: ChatResponse) -> BaseModel:
        made: BaseModel = self._parser.parse(response.message.content or "")
        return made

    def __call__(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> BaseModel:
        messages, options = self._ask(llm_kwargs, kwargs)
        return self._read(self._llm.chat(messages, **options))

    async def acall(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> BaseModel:
        messages, options = self._ask(llm_kwargs, kwargs)
        return self._read(await self._llm.achat(messages, **options))

    def stream_call(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> Generator[Any, None, None]:
        messages, options = self._ask(llm_kwargs, kwargs)
        for response in self._llm.stream_chat(messages, **options):
            yield self._read_part(response)

    async def astream_call(
        self, *args: Any, llm_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> AsyncGenerator[Any, None]:
        messages, options = self._ask(llm_kwargs, kwargs)
        stream = await self._llm.astream_chat(messages, **options)
        return (self._read_part(response) async for response in stream)

    def _read_part(self, response: ChatResponse) -> BaseModel:
        """The object as far as it has come; of the class itself as soon as it can be."""
        text = response.message.content or ""
        fields = read_arguments(text[text.find("{") :]) if "{" in text else {}
        try:
            return self._output_cls.model_validate(fields)
        except ValidationError:
            return self._flexible_cls.model_validate(fields)
