"""Between LangChain's objects and the transport's: requests down, answers back up.

Laws of this file: pure, and it changes nothing that it is given. What LangChain leaves open
(dictionaries in several dialects) is read here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, InvalidToolCall
from langchain_core.messages import ToolCall as LangChainToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk
from langchain_core.outputs import ChatResult as LangChainResult
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from modelscope_transport.errors import InvalidRequestError
from modelscope_transport.types import (
    ChatChoice,
    ChatDelta,
    ChatRequest,
    ChatResult,
    NamedTool,
    Origin,
    ResponseFormat,
    ToolCallDelta,
    ToolChoice,
    ToolSpec,
    Usage,
)

from ._messages import to_messages

__all__ = ["PROVIDER", "ChunkMaker", "read_tool_choice", "to_request", "to_result"]

PROVIDER = "modelscope"

# --- down: what is asked ----------------------------------------------------------------------

_FIELDS = frozenset(ChatRequest.__struct_fields__) - {"messages"}
# Switches between LangChain and the adapter; none of the service's business.
_NOT_SENT = frozenset({"stream", "streaming", "strict"})


def to_request(messages: Sequence[BaseMessage], options: Mapping[str, Any]) -> ChatRequest:
    """A request for the transport.

    Args:
        messages: the conversation.
        options: fields of `ChatRequest` in LangChain's dialects; ``None`` leaves a field out,
            and a name that is no field goes to the service as it is.

    Raises:
        InvalidRequestError: something that cannot be sent.
    """
    known: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name in _FIELDS:
            known[name] = value
        elif name not in _NOT_SENT:
            others[name] = value
    if others:
        known["extra_body"] = {**others, **known.get("extra_body", {})}
    for name, read in _DIALECTS.items():
        if name in known:
            known[name] = read(known[name])
    if "tool_choice" in known:
        names = [tool.name for tool in known.get("tools", ())]
        known["tool_choice"] = read_tool_choice(known["tool_choice"], names)
    return ChatRequest(messages=to_messages(messages), **known)


def _stop(stop: str | Sequence[str]) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _tools(tools: Sequence[Any]) -> tuple[ToolSpec, ...]:
    return tuple([_tool(tool) for tool in tools])


def _tool(tool: Any) -> ToolSpec:
    described = (
        tool if isinstance(tool, dict) and "function" in tool else convert_to_openai_tool(tool)
    )
    function = described.get("function")
    if function is None:
        raise InvalidRequestError(
            f"The tool {described.get('type')!r} is another provider's own. ModelScope calls "
            "functions only."
        )
    return ToolSpec(
        function["name"],
        function.get("description", ""),
        function.get("parameters", {}),
        function.get("strict"),
    )


def read_tool_choice(choice: Any, names: Sequence[str]) -> ToolChoice | None:
    """A tool choice in any of LangChain's dialects.

    Args:
        choice: ``"auto"``, ``"none"``, ``"any"`` or ``"required"`` or ``True``, the name of a
            tool, a dictionary that names one, or ``None`` or ``False`` for no choice.
        names: tools on offer.

    Raises:
        InvalidRequestError: a choice that is none of these.
    """
    if isinstance(choice, dict):
        named = choice.get("function") or choice
        choice = named.get("name") or choice.get("type")
    if choice is None or choice is False:
        return None
    if choice is True or choice == "any" or choice == "required":
        return "required"
    if choice in names:
        return NamedTool(choice)
    if choice == "auto" or choice == "none":
        return choice  # type: ignore[no-any-return]
    raise InvalidRequestError(
        f"tool_choice {choice!r} is neither auto, none, any, required nor one of the tools: "
        f"{', '.join(names) or 'there are none'}."
    )


def _response_format(form: Any) -> ResponseFormat | None:
    if isinstance(form, dict) and form.get("type") == "text":
        return None
    if isinstance(form, dict) and form.get("type") == "json_object":
        return ResponseFormat("json_object")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        wrapped = form.get("json_schema", {})
        return ResponseFormat(
            "json_schema",
            wrapped.get("name", "answer"),
            wrapped.get("schema", {}),
            wrapped.get("description"),
            wrapped.get("strict"),
        )
    schema = convert_to_json_schema(form)
    return ResponseFormat(
        "json_schema", schema.get("title", "answer"), schema, schema.get("description")
    )


_DIALECTS: dict[str, Callable[[Any], Any]] = {
    "stop": _stop,
    "fallback_models": tuple,
    "tools": _tools,
    "response_format": _response_format,
}


# --- up: a whole answer -----------------------------------------------------------------------


def to_result(answer: ChatResult) -> LangChainResult:
    """A whole answer as LangChain has it: a message for each choice, usage with the first."""
    usage = answer.usage
    generations = []
    for choice in answer.choices:
        metadata = _metadata(answer.origin, answer.response_id)
        metadata |= _ending(choice.finish_reason, choice.logprobs)
        generations.append(ChatGeneration(message=_message(choice, metadata, usage)))
        usage = None  # it is that of the call, and would be counted once for each choice
    return LangChainResult(generations=generations)


def _message(choice: ChatChoice, metadata: dict[str, Any], usage: Usage | None) -> AIMessage:
    calls: list[LangChainToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in choice.tool_calls:
        try:
            # Not strict: models write line breaks inside strings.
            arguments = json.loads(call.arguments, strict=False) if call.arguments else {}
            problem = None if isinstance(arguments, dict) else "The arguments are no JSON object."
        except ValueError as error:
            arguments, problem = {}, f"The arguments are no JSON: {error}."
        if problem is None:
            calls.append({"name": call.name, "args": arguments, "id": call.id, "type": "tool_call"})
        else:
            invalid.append(
                {
                    "name": call.name,
                    "args": call.arguments,
                    "id": call.id,
                    "error": problem,
                    "type": "invalid_tool_call",
                }
            )
    return AIMessage(
        content=choice.text,
        additional_kwargs=_additional(choice.reasoning, choice.refusal),
        response_metadata=metadata,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=None if usage is None else _usage(usage),
    )


def _additional(reasoning: str, refusal: str | None) -> dict[str, Any]:
    additional: dict[str, Any] = {}
    if reasoning:
        additional["reasoning_content"] = reasoning
    if refusal:
        additional["refusal"] = refusal
    return additional


def _metadata(origin: Origin | None, response_id: str | None) -> dict[str, Any]:
    """What an answer says of itself: known when it begins."""
    metadata: dict[str, Any] = {"model_provider": PROVIDER}
    if response_id:
        metadata["id"] = response_id
    if origin is None:
        return metadata
    metadata["model_name"] = origin.model
    if origin.request_id:
        metadata["request_id"] = origin.request_id
    if origin.model != origin.requested_model:
        metadata["requested_model"] = origin.requested_model
        metadata["fallback_reason"] = origin.fallback_reason
    if origin.adjustments:
        metadata["adjustments"] = list(origin.adjustments)
    if origin.allowance:
        metadata["allowance"] = dict(origin.allowance)
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


def _introduces(delta: ChatDelta) -> bool:
    """Whether a first delta brings nothing but names."""
    return not (
        delta.text or delta.reasoning or delta.tool_calls or delta.refusal or delta.finish_reason
    )


# --- up: a stream -----------------------------------------------------------------------------


class ChunkMaker:
    """Deltas of one stream in, LangChain's chunks out.

    Numbers and names that LangChain would add up or join when it adds chunks stand on one chunk
    only: where the answer comes from on the first, how it ended on the one with the finish mark,
    token usage on the last.

    Args:
        origin: where the answer comes from.
    """

    def __init__(self, origin: Origin) -> None:
        """Start before the first delta."""
        self._origin = origin
        self._opening: dict[str, Any] | None = None
        self._begun = False
        self._identified: set[int] = set()
        self._named: set[int] = set()

    def feed(self, delta: ChatDelta) -> ChatGenerationChunk | None:
        """The chunk of a delta; ``None`` where it only introduces the answer."""
        metadata: dict[str, Any] = {"model_provider": PROVIDER}
        if not self._begun:
            self._begun = True
            self._opening = _metadata(self._origin, delta.response_id)
        if self._opening is not None:
            if _introduces(delta):
                return None  # an empty chunk would count as the first token
            metadata, self._opening = self._opening, None
        metadata |= _ending(delta.finish_reason, delta.logprobs)
        message = AIMessageChunk(
            content=delta.text,
            additional_kwargs=_additional(delta.reasoning, delta.refusal),
            response_metadata=metadata,
            tool_call_chunks=[self._tool_call_chunk(call) for call in delta.tool_calls],
            usage_metadata=None if delta.usage is None else _usage(delta.usage),
            # usage comes with the last delta, and nothing after it
            chunk_position=None if delta.usage is None else "last",
        )
        return ChatGenerationChunk(message=message)

    def _tool_call_chunk(self, call: ToolCallDelta) -> ToolCallChunk:
        # Id and name go once: LangChain joins names, and some servers repeat both with each piece.
        name = call_id = None
        if call.index not in self._identified:
            self._identified.add(call.index)
            call_id = call.id or f"call_{call.index}"
        if call.name and call.index not in self._named:
            self._named.add(call.index)
            name = call.name
        return {
            "name": name,
            "args": call.arguments,
            "id": call_id,
            "index": call.index,
            "type": "tool_call_chunk",
        }
