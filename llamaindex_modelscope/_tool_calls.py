"""Calling tools: what LlamaIndex's tools become in a call, and the calls that an answer holds."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool
from pydantic import Field
from pydantic_core import from_json

from modelscope_transport.answer_text import escaped
from modelscope_transport.language import translated as _

from ._convert import calls_beside
from ._options import original_names, tool_option
from .errors import ModelScopeOutputParserError, native_errors

__all__ = ["ToolCallingLLM", "read_arguments"]


class ToolCallingLLM(FunctionCallingLLM, defer_build=True):  # only its subclasses are made
    """The part of `ModelScope` that lets the model call tools."""

    strict: bool = Field(default=False, description="Whether the server must keep to schemas.")

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if isinstance(user_msg, str):
            user_msg = ChatMessage(role=MessageRole.USER, content=user_msg)
        messages = list(chat_history or ())
        if user_msg is not None:
            messages.append(user_msg)
        options: dict[str, Any] = {"messages": messages, **kwargs}
        if tools:
            strict = self.strict if strict is None else strict
            options["tools"] = [tool_option(tool, strict=strict) for tool in tools]
            options["tool_choice"] = tool_choice or ("required" if tool_required else "auto")
            options["parallel_tool_calls"] = allow_parallel_tool_calls
            with native_errors():
                names = original_names(tools)
            if names:
                options["tool_names"] = names
        return options

    def stream_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseGen:
        """`chat_with_tools`, as it comes."""
        allowed = allow_parallel_tool_calls
        stream: ChatResponseGen = _core_stream(
            self, tools, user_msg, chat_history, verbose, allowed, tool_required, **kwargs
        )
        if allowed:
            return stream
        return (self._validate_chat_with_tools_response(one, tools) for one in stream)

    async def astream_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        """`achat_with_tools`, as it comes."""
        allowed = allow_parallel_tool_calls
        stream: ChatResponseAsyncGen = await _core_astream(
            self, tools, user_msg, chat_history, verbose, allowed, tool_required, **kwargs
        )
        if allowed:
            return stream
        return (self._validate_chat_with_tools_response(one, tools) async for one in stream)

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        """Keep the first call only, where the caller allows no parallel calls."""
        message = response.message
        calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
        if allow_parallel_tool_calls or len(calls) < 2:
            return response
        dropped = {id(call) for call in calls[1:]}  # by identity: two calls may be equal
        kept = [block for block in message.blocks if id(block) not in dropped]
        first = message.additional_kwargs["tool_calls"][:1]
        trimmed = message.model_copy(
            update={
                "blocks": kept,
                "additional_kwargs": {**message.additional_kwargs, "tool_calls": first},
            }
        )
        return response.model_copy(update={"message": trimmed})

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The calls in an answer; of one that is still coming, what can be read of them.

        A call whose arguments are not a JSON object, or were cut, is not among them; it is in the
        message's ``additional_kwargs["invalid_tool_calls"]``.

        Raises:
            ModelScopeOutputParserError: the answer has only such calls. An agent that went on
                would end as if it had succeeded, with the text before them as its answer.
            ValueError: there is none and ``error_on_no_tool_call`` is set. It speaks of the
                model's words, not of the service, and core's programs expect it.
        """
        calls = [
            ToolSelection(
                tool_id=block.tool_call_id or "",
                tool_name=block.tool_name,
                tool_kwargs=read_arguments(block.tool_kwargs),
            )
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]
        # messages of other or older classes may hold calls only beside their blocks
        calls = calls or [
            ToolSelection(
                tool_id=call.id, tool_name=call.name, tool_kwargs=read_arguments(call.arguments)
            )
            for call in calls_beside(response.message.additional_kwargs)
        ]
        if calls:
            return calls
        if invalid := response.message.additional_kwargs.get("invalid_tool_calls"):
            said = _("Expected at least one tool call, and the answer has none that can be made.")
            why = "".join(
                _(" Of {name!r}: {error}").format(name=call["name"], error=call["error"])
                for call in invalid
            )
            raise ModelScopeOutputParserError(said + why, raw_answer=invalid[0]["arguments"])
        if error_on_no_tool_call:
            raise ValueError(_("Expected at least one tool call, and the answer has none."))
        return calls


# Core's own, which let every call of a stream through; without their spans, since ours have spans.
_core_stream: Final[Any] = inspect.unwrap(FunctionCallingLLM.stream_chat_with_tools)
_core_astream: Final[Any] = inspect.unwrap(FunctionCallingLLM.astream_chat_with_tools)


def read_arguments(arguments: dict[str, Any] | str) -> dict[str, Any]:
    """The arguments of a call, or as much of them as has come.

    It never fails, since agents call it for every response of a stream. Pydantic's parser is
    hundreds of times faster than core's on a long argument that grows. Whole arguments are read
    leniently, since models write tabs inside strings.
    """
    if isinstance(arguments, dict):
        return arguments
    if not arguments:
        return {}
    for parse in (_half, _whole, _half_escaped):
        with suppress(ValueError, RecursionError):
            read = parse(arguments)
            return read if isinstance(read, dict) else {}
    return {}


def _half(arguments: str) -> Any:
    return from_json(arguments, allow_partial="trailing-strings")


def _whole(arguments: str) -> Any:
    return json.loads(arguments, strict=False)


def _half_escaped(arguments: str) -> Any:
    return _half(escaped(arguments))
