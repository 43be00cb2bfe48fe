"""LangChain's messages as the transport's: the history on its way to the service.

Laws of this file: pure, and it changes nothing that it is given. What the service has no place for
is left out of assistant turns, since it came from a model; in a user's turn it is refused in one
sentence, since leaving it out would change the question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from modelscope_transport.errors import InvalidRequestError
from modelscope_transport.language import translated as _
from modelscope_transport.types import (
    AudioPart,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
    VideoPart,
    made_up_id,
)

__all__ = ["to_messages"]

Role = Literal["system", "developer", "user", "assistant"]


def to_messages(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """A conversation for a `ChatRequest`.

    Raises:
        InvalidRequestError: a message or block that the service has no place for.
    """
    return tuple([_message(message) for message in _without_unanswered(messages)])


def _without_unanswered(messages: Sequence[BaseMessage]) -> Iterator[BaseMessage]:
    """The messages without broken calls that no tool message answers, since nothing runs them.

    Services refuse a conversation with a call that has no answer.
    """
    for place, message in enumerate(messages):
        if isinstance(message, AIMessage) and message.invalid_tool_calls:
            answered = _answered_right_after(messages[place + 1 :])
            kept = [bad for bad in message.invalid_tool_calls if bad["id"] in answered]
            if not (kept or message.tool_calls or message.text):
                continue
            message = message.model_copy(update={"invalid_tool_calls": kept})
        yield message


def _answered_right_after(messages: Sequence[BaseMessage]) -> set[str]:
    answered = set()
    for message in messages:
        if not isinstance(message, ToolMessage):
            break
        answered.add(message.tool_call_id)
    return answered


def _message(message: BaseMessage) -> Message:
    turn = _TURNS.get(type(message)) or _turn_of_subclass(message)
    return turn(message)


def _human(message: HumanMessage) -> Message:
    return Message("user", _content(message.content, "user"), message.name)


def _ai(message: AIMessage) -> Message:
    content = _content(message.content, "assistant")
    calls, thoughts = _tool_calls(message), _thoughts(message)
    return Message("assistant", content, message.name, calls, reasoning=thoughts or None)


def _thoughts(message: AIMessage) -> str:
    """What the model thought, in any form that LangChain keeps it in."""
    said = message.additional_kwargs.get("reasoning_content")
    if isinstance(said, str) or not isinstance(message.content, list):
        return said if isinstance(said, str) else ""
    blocks = [block for block in message.content if isinstance(block, dict)]
    return "".join(
        str(block.get("reasoning") or block.get("thinking") or "")
        for block in blocks
        if block.get("type") in ("reasoning", "thinking")
    )


def _tool(message: ToolMessage) -> Message:
    content = _content(message.content, "tool")
    return Message("tool", content, tool_call_id=message.tool_call_id)


def _system(message: SystemMessage) -> Message:
    return Message("system", _content(message.content, "system"), message.name)


def _of_any_role(message: ChatMessage) -> Message:
    role = message.role
    if role not in ("system", "developer", "user", "assistant"):
        raise _no_place(message, role)
    return Message(cast("Role", role), _content(message.content, role), message.name)


_TURNS: dict[type[BaseMessage], Callable[[Any], Message]] = {
    HumanMessage: _human,
    AIMessage: _ai,
    ToolMessage: _tool,
    SystemMessage: _system,
    ChatMessage: _of_any_role,
}


def _turn_of_subclass(message: BaseMessage) -> Callable[[Any], Message]:
    """The same for chunks and other subclasses."""
    for kind, turn in _TURNS.items():
        if isinstance(message, kind):
            return turn
    raise _no_place(message, message.type)


def _no_place(message: BaseMessage, role: str) -> InvalidRequestError:
    return InvalidRequestError(
        _(
            "A {name} (role {role!r}) cannot be sent. Use system, user, assistant and "
            "tool messages."
        ).format(name=type(message).__name__, role=role)
    )


def _tool_calls(message: AIMessage) -> tuple[ToolCall, ...]:
    if not message.tool_calls and not message.invalid_tool_calls:
        return ()
    calls = [
        ToolCall(call["id"] or "", call["name"], _json(call["args"])) for call in message.tool_calls
    ]
    # The model sees what it wrote, beside the tool's complaint about it.
    calls += [
        ToolCall(bad["id"] or "", bad["name"] or "", bad["args"] or "")
        for bad in message.invalid_tool_calls
    ]
    if any(not call.id for call in calls):
        return tuple(
            ToolCall(call.id or made_up_id(place), call.name, call.arguments)
            for place, call in enumerate(calls)
        )
    return tuple(calls)


def _json(value: Any) -> str:
    # Users write calls by hand too, as examples, with dates and numbers of their own in them.
    return json.dumps(value, ensure_ascii=False, default=str)


# --- content ----------------------------------------------------------------------------------


def _content(content: str | list[str | dict[Any, Any]], role: str) -> str | tuple[Part, ...]:
    if isinstance(content, str):
        return content
    parts = [
        _part({"type": "text", "text": it} if isinstance(it, str) else it, role) for it in content
    ]
    return tuple([part for part in parts if part is not None])


def _part(block: dict[str, Any], role: str) -> Part | None:
    kind = block.get("type") or ("text" if "text" in block else "")
    read = _READERS.get(kind)
    if read is not None:
        try:
            return read(block)
        except InvalidRequestError:
            if role != "assistant":
                raise
    if role == "assistant":
        return None  # thoughts, calls and what other providers' models leave behind
    if role == "tool":
        return TextPart(_json(block))
    said = _(
        "A content block of type {kind!r} cannot be sent to ModelScope, which takes text, "
        "images, video and audio."
    ).format(kind=kind)
    if kind in ("file", "document"):
        said += _(" Extract its text and send that.")
    raise InvalidRequestError(said)


def _text(block: dict[str, Any]) -> TextPart:
    return TextPart(block.get("text") or "")


def _plain(block: dict[str, Any]) -> TextPart:
    text = block.get("text")
    if text is None:
        said = _(
            "A block of type 'text-plain' needs text: files and their addresses are not read here."
        )
        raise InvalidRequestError(said + _(" Extract its text and send that."))
    return TextPart(text)


def _refusal(block: dict[str, Any]) -> TextPart:
    return TextPart(block.get("refusal") or "")


def _image_url(block: dict[str, Any]) -> ImagePart:
    image = block.get("image_url")
    image = image if isinstance(image, dict) else {"url": image}
    return ImagePart(_url(image, "image_url", "image/jpeg"), image.get("detail"))


def _image(block: dict[str, Any]) -> ImagePart:
    source = block.get("source")
    if isinstance(source, dict):  # Anthropic's dialect
        block = {
            "url": source.get("url"),
            "base64": source.get("data"),
            "mime_type": source.get("media_type"),
        }
    return ImagePart(_url(block, "image", "image/jpeg"))


def _video_url(block: dict[str, Any]) -> VideoPart:
    video = block.get("video_url")
    video = video if isinstance(video, dict) else {"url": video}
    return VideoPart(_url(video, "video_url", "video/mp4"))


def _video(block: dict[str, Any]) -> VideoPart:
    return VideoPart(_url(block, "video", "video/mp4"))


def _url(block: dict[str, Any], kind: str, mime_type: str) -> str:
    if url := block.get("url"):
        return str(url)
    if data := _base64(block):
        return f"data:{block.get('mime_type') or mime_type};base64,{data}"
    raise InvalidRequestError(
        _(
            "A block of type {kind!r} has neither url nor base64. Ids of uploaded "
            "files mean nothing to ModelScope: send the file itself."
        ).format(kind=kind)
    )


def _base64(block: dict[str, Any]) -> Any:
    # "data" is LangChain 0's word. A chat model of LangChain's reads that dialect before it calls
    # us; the inputs of a batch and the images of a tool come here as they were given.
    return block.get("base64") or block.get("data")


def _input_audio(block: dict[str, Any]) -> AudioPart:
    sound = block.get("input_audio") or {}  # OpenAI's dialect
    return _audio({"base64": sound.get("data"), "mime_type": sound.get("format")})


def _audio(block: dict[str, Any]) -> AudioPart:
    data = _base64(block)
    if not data:
        raise InvalidRequestError(
            _("An audio block needs base64: sound is sent whole, not by url.")
        )
    subtype = str(block.get("mime_type") or "audio/wav").rpartition("/")[2]
    return AudioPart(str(data), _FORMATS.get(subtype, subtype))


_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}

_READERS: dict[str, Callable[[dict[str, Any]], Part]] = {
    "text": _text,
    "text-plain": _plain,
    "refusal": _refusal,
    "image_url": _image_url,
    "image": _image,
    "video_url": _video_url,
    "video": _video,
    "audio": _audio,
    "input_audio": _input_audio,
}
