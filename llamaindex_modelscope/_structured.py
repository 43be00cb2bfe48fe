"""Structured output: how a model is asked for an object of a pydantic class.

The program that asks and reads is in `_program`. Core's own programs cannot be used: the one for
tools does not force its tool when it streams and leaves the system prompt out when it is async, and
there is none for ``response_format``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Generator
from typing import Any, Final, TypeVar, cast

from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, Field

from modelscope_transport.catalogue import ModelProfile
from modelscope_transport.language import translated as _

from ._program import Program, StructuredOutputMode
from ._tool_calls import ToolCallingLLM
from .errors import ModelScopeInvalidRequestError

__all__ = ["StructuredOutputLLM", "StructuredOutputMode"]

_dispatcher = get_dispatcher(__name__)

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
            ModelScopeOutputParserError: the model's answer makes no such object; it holds the
                answer, and is a ``ValueError`` and core's ``OutputParserException``.
        """
        _announce(output_cls, prompt, prompt_args)
        program = self._program(output_cls, prompt)
        made = program(llm_kwargs=llm_kwargs, **prompt_args)
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
        program = self._program(output_cls, prompt)
        made = await program.acall(llm_kwargs=llm_kwargs, **prompt_args)
        _dispatcher.event(LLMStructuredPredictEndEvent(output=made))
        return cast(_Model, made)

    def _structured_stream_call(
        self,
        output_cls: type[_Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        program = self._program(output_cls, prompt)
        return program.stream_call(llm_kwargs=llm_kwargs, **prompt_args)

    async def _structured_astream_call(
        self,
        output_cls: type[_Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        program = self._program(output_cls, prompt)
        return await program.astream_call(llm_kwargs=llm_kwargs, **prompt_args)

    def _program(self, output_cls: Any, prompt: BasePromptTemplate) -> Program:
        if not (isinstance(output_cls, type) and issubclass(output_cls, BaseModel)):
            raise ModelScopeInvalidRequestError(
                _(
                    "Pass a pydantic class, and not {output_cls!r}. For a list or a number, "
                    "pydantic.RootModel makes one: RootModel[list[int]]."
                ).format(output_cls=output_cls)
            )
        return Program(self, output_cls, prompt, self.structured_output)


def _announce(output_cls: type, prompt: BasePromptTemplate, prompt_args: dict[str, Any]) -> None:
    _dispatcher.event(
        LLMStructuredPredictStartEvent(
            output_cls=output_cls, template=prompt, template_args=prompt_args
        )
    )
