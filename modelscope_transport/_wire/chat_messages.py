"""The messages of a conversation on the wire, as one model can take them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from ..catalogue.models import ModelProfile
from ..errors import InvalidRequestError
from ..language import translated as _
from ..types import AudioPart, ChatRequest, ImagePart, Message, Part, TextPart, ToolCall, VideoPart
from .tool_calls import sent_arguments

__all__ = ["encode_calls", "encode_message"]

_KINDS: dict[type[Part], str] = {
    TextPart: "text",
    ImagePart: "image",
    VideoPart: "video",
    AudioPart: "audio",
}


def encode_message(message: Message, request: ChatRequest, profile: ModelProfile) -> dict[str, Any]:
    # The role "developer" is refused by the service (public client, 2026-10); "system" means the
    # same to it.
    role = "system" if message.role == "developer" else message.role
    content = message.content
    encoded: dict[str, Any] = {
        "role": role,
        "content": content if isinstance(content, str) else _content(content, role, profile),
    }
    if message.name is not None:
        encoded["name"] = message.name
    if message.tool_calls:
        encoded["tool_calls"] = encode_calls(
            replace(call, arguments=sent_arguments(call.arguments)) for call in message.tool_calls
        )
    if message.tool_call_id is not None:
        encoded["tool_call_id"] = message.tool_call_id
    if message.reasoning is not None and _sends_reasoning(message, request, profile):
        encoded["reasoning_content"] = message.reasoning
    return encoded


def encode_calls(calls: Iterable[ToolCall]) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]


def _sends_reasoning(message: Message, request: ChatRequest, profile: ModelProfile) -> bool:
    """Whether the thoughts of an earlier turn are sent."""
    if request.send_reasoning is not None:
        return request.send_reasoning
    # Where thoughts are wanted, it is those that led to tool calls; those of other turns are
    # ignored or refused (api-docs.deepseek.com, thinking mode, tool calls).
    return profile.send_reasoning and bool(message.tool_calls)


def _content(
    parts: tuple[Part, ...], role: str, profile: ModelProfile
) -> str | list[dict[str, Any]]:
    given: Any = parts
    for part in given if isinstance(given, tuple | list) else (given,):
        if type(part) not in _KINDS:  # it would be sent as a null, and be paid for
            raise InvalidRequestError(
                _(
                    "The content of a message must be one text, or a tuple of parts such as "
                    "TextPart and ImagePart; it is or holds an object of type {kind}."
                ).format(kind=type(part).__name__)
            )
    if role == "assistant" and profile.inputs is not None:
        # Another model's answer, such as a drawing, is no question that anybody could put right.
        parts = tuple([part for part in parts if _KINDS[type(part)] in profile.inputs])
    # Plain text where it can be: models without vision often refuse a list (litellm flattens it
    # for this service as well, BerriAI/litellm#28460). Line breaks keep the parts apart, as vLLM
    # joins them (vllm/entrypoints/chat_utils.py).
    if all(isinstance(part, TextPart) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))
    return [_part(part, profile) for part in parts]


def _part(part: Part, profile: ModelProfile) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            _check_input("image", profile)
            image = {"url": part.url} | ({"detail": part.detail} if part.detail else {})
            return {"type": "image_url", "image_url": image}
        case VideoPart():
            _check_input("video", profile)
            return {"type": "video_url", "video_url": {"url": part.url}}
        case AudioPart():
            _check_input("audio", profile)
            sound = {"data": part.data, "format": part.format}
            return {"type": "input_audio", "input_audio": sound}


def _check_input(kind: str, profile: ModelProfile) -> None:
    if profile.inputs is not None and kind not in profile.inputs:
        raise InvalidRequestError(
            _(
                "Model {id!r} does not take {kind} input; it takes {inputs}. Choose a "
                "model that does."
            ).format(id=profile.id, kind=kind, inputs=", ".join(profile.inputs))
        )
