"""The transport's answers as LangChain's: whole ones, and those that come in pieces.

Laws of this file: pure. Numbers and names that LangChain would add up or join when it adds chunks
stand on one chunk only: where the answer comes from on the first, how it ended on the one with the
finish mark, token usage on the last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, InvalidToolCall
from langchain_core.messages import ToolCall as LangChainToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk
from langchain_core.outputs import ChatResult as LangChainResult
from langchain_core.utils.json import parse_partial_json

from modelscope_transport.answers import (
    ChatChoice,
    ChatDelta,
    ChatResult,
    Origin,
    ToolCallDelta,
    Usage,
)
from modelscope_transport.types import ToolCall

from ._fast import build, chunk_builder

__all__ = ["PROVIDER", "ChunkMaker", "merge_usage", "to_result"]

PROVIDER = "modelscope"

# --- whole -----------------------------------------------------------------------------------


def to_result(answer: ChatResult, *, headers: bool = False) -> LangChainResult:
    """A whole answer as LangChain has it: a message for each choice, usage with the first.

    Args:
        answer: the answer.
        headers: whether the metadata hold the reply's headers.
    """
    usage = answer.usage
    spent = {} if usage is None else {"token_usage": _token_usage(usage)}
    generations = []
    for choice in answer.choices:
        metadata = _metadata(answer.origin, answer.response_id, headers=headers) | spent
        ending = _ending(choice.finish_reason, choice.logprobs)
        message = _message(choice, metadata | ending, usage)
        generations.append(ChatGeneration(message=message, generation_info=ending or None))
        usage = None  # it is that of the call, and would be counted once for each choice
    model = answer.model if answer.origin is None else answer.origin.model
    return LangChainResult(generations=generations, llm_output={**spent, "model_name": model})


def _message(choice: ChatChoice, metadata: dict[str, Any], usage: Usage | None) -> AIMessage:
    # An empty list of calls costs LangChain a third of a message's validation.
    called = _calls(choice.tool_calls) if choice.tool_calls else {}
    return AIMessage(
        content=choice.text,
        additional_kwargs=_additional(choice.reasoning, choice.refusal),
        response_metadata=metadata,
        usage_metadata=None if usage is None else _usage(usage),
        **called,
    )


def _calls(made: Sequence[ToolCall]) -> dict[str, Any]:
    """A message's ``tool_calls``, and the ``invalid_tool_calls``, which must not be made."""
    calls: list[LangChainToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in made:
        if call.invalid is None:
            # Not strict: models write line breaks inside strings.
            arguments = json.loads(call.arguments, strict=False) if call.arguments else {}
            calls.append({"name": call.name, "args": arguments, "id": call.id, "type": "tool_call"})
        else:
            invalid.append(
                InvalidToolCall(
                    name=call.name,
                    args=call.arguments,
                    id=call.id,
                    error=call.invalid,
                    type="invalid_tool_call",
                )
            )
    return {"tool_calls": calls, "invalid_tool_calls": invalid}


def _additional(reasoning: str, refusal: str | None) -> dict[str, Any]:
    additional: dict[str, Any] = {}
    if reasoning:
        additional["reasoning_content"] = reasoning
    if refusal:
        additional["refusal"] = refusal
    return additional


def _metadata(origin: Origin | None, response_id: str | None, *, headers: bool) -> dict[str, Any]:
    """What an answer says of itself: known when it begins."""
    metadata: dict[str, Any] = {"model_provider": PROVIDER}
    if response_id:
        metadata["id"] = response_id
    if origin is None:
        return metadata
    metadata["model_name"] = origin.model
    if origin.request_id:
        metadata["request_id"] = origin.request_id
    metadata["modelscope"] = origin.as_metadata()
    if headers:
        metadata["headers"] = dict(origin.headers)
    return metadata


def _ending(finish_reason: str | None, logprobs: Mapping[str, Any] | None) -> dict[str, Any]:
    ending: dict[str, Any] = {}
    if finish_reason is not None:
        ending["finish_reason"] = finish_reason
    if logprobs is not None:
        ending["logprobs"] = dict(logprobs)
    return ending


def _usage(usage: Usage) -> UsageMetadata:
    metadata: UsageMetadata = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        metadata["input_token_details"] = {"cache_read": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        metadata["output_token_details"] = {"reasoning": usage.reasoning_tokens}
    return metadata


def _token_usage(usage: Usage) -> dict[str, Any]:
    """Token usage in the names of OpenAI's API, which LangChain's callbacks read."""
    tokens: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        tokens["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        tokens["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return tokens


def merge_usage(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The sum of two token usages, details included."""
    total = dict(one)
    for name, value in other.items():
        if isinstance(value, dict):
            total[name] = merge_usage(total.get(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
    return total


def _introduces(delta: ChatDelta) -> bool:
    """Whether a first delta brings nothing to show: an id, a role or the name of the model."""
    return not (
        delta.text or delta.reasoning or delta.tool_calls or delta.refusal or delta.finish_reason
    )


# --- in pieces -------------------------------------------------------------------------------


class ChunkMaker:
    """Deltas of one stream in, LangChain's chunks out.

    Args:
        origin: where the answer comes from.
        headers: whether the metadata hold the reply's headers.
    """

    def __init__(self, origin: Origin, *, headers: bool = False) -> None:
        """Start before the first delta."""
        self._opening: dict[str, Any] | None = _metadata(origin, None, headers=headers)
        self._arguments: dict[int, list[str]] = {}
        self._build = chunk_builder()

    def feed(self, delta: ChatDelta) -> ChatGenerationChunk | None:
        """The chunk of a delta; ``None`` where it only introduces the answer."""
        if self._opening is None:
            metadata: dict[str, Any] = {"model_provider": PROVIDER}
        else:
            if delta.response_id:
                self._opening["id"] = delta.response_id
            if _introduces(delta):
                return None  # an empty chunk would count as the first token
            metadata, self._opening = self._opening, None
        additional = _additional(delta.reasoning, delta.refusal)
        calls = delta.tool_calls
        pieces = [self._tool_call_chunk(call) for call in calls] if calls else []
        ending: dict[str, Any] = {}
        if delta.finish_reason is not None or delta.logprobs is not None:
            ending = _ending(delta.finish_reason, delta.logprobs)
            metadata |= ending
        if delta.usage is None:
            chunk = self._build(delta.text, additional, metadata, pieces)
        else:
            # Usage comes with the last delta. LangChain would read the calls of a chunk marked
            # "last" as finished ones; where it holds pieces, LangChain adds an empty last chunk.
            usage, last = _usage(delta.usage), None if pieces else "last"
            chunk = build(
                delta.text, additional, metadata, pieces, usage_metadata=usage, chunk_position=last
            )
        if ending:
            chunk.generation_info = ending
        return chunk

    def _tool_call_chunk(self, call: ToolCallDelta) -> ToolCallChunk:
        arguments = call.arguments
        so_far = self._arguments.setdefault(call.index, [])
        so_far.append(arguments)
        if call.invalid is not None:
            arguments += _closing_of_invalid("".join(so_far))
        return {
            "name": call.name,
            "args": arguments,
            "id": call.id,
            "index": call.index,
            "type": "tool_call_chunk",
        }


def _closing_of_invalid(arguments: str) -> str:
    """What to append to invalid arguments, so that LangChain's sum of the chunks is invalid too.

    LangChain reads the arguments of a sum with `parse_partial_json`, which takes half an object
    for a whole one, but refuses a bracket that closes what was never opened.
    """
    for closing in ("", "]", "}", '"]', '"}', '\\"]', '\\"}'):
        try:
            read = parse_partial_json(arguments + closing) if arguments + closing else {}
        except (ValueError, RecursionError):
            return closing
        if not isinstance(read, dict):
            return closing
    return ""
