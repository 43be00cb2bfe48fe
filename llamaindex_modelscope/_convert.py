"""Converts LlamaIndex's messages to the transport's.

Laws of this file: pure, except that it reads the files that a block names; it changes nothing that
it is given, since LlamaIndex hands over the caller's own history; a block that cannot be sent is
refused by name rather than left out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import IOBase
from typing import Any, Final, Literal

import filetype  # type: ignore[import-untyped]  # it ships no types
from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from pydantic_core import to_json

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
)

__all__ = ["arguments_text", "calls_beside", "read_field", "sendable_name", "to_messages"]

_Role = Literal["system", "developer", "user", "assistant", "tool"]

_ROLES: Final[dict[MessageRole, _Role]] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "developer",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def to_messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """The conversation as the transport takes it, the thoughts of earlier turns included.

    Args:
        messages: the conversation, oldest first.

    Raises:
        InvalidRequestError: a block that cannot be sent, or a file that cannot be read.
    """
    return tuple([_message(message) for message in messages])


def _message(message: ChatMessage) -> Message:
    role, blocks = _ROLES[message.role], message.blocks
    if len(blocks) == 1 and type(blocks[0]) is TextBlock and not message.additional_kwargs:
        return Message(role, blocks[0].text)
    parts: list[Part] = []
    calls: list[ToolCall] = []
    thoughts: list[str] = []
    for block in blocks:
        if isinstance(block, ToolCallBlock):
            calls.append(
                ToolCall(
                    block.tool_call_id or _id_by_name(block.tool_name),
                    sendable_name(block.tool_name),
                    arguments_text(block.tool_kwargs),
                )
            )
        elif isinstance(block, ThinkingBlock):
            thoughts.append(block.content or "")
        else:
            parts.extend(_parts(block))
    kwargs = message.additional_kwargs
    if role == "assistant" and not calls:
        calls.extend(calls_beside(kwargs))
    return Message(
        role,
        _content(parts),
        tool_calls=tuple(calls),
        tool_call_id=_answered_call(kwargs) if role == "tool" else None,
        reasoning="\n".join(thoughts) if role == "assistant" and thoughts else None,
    )


def _content(parts: list[Part]) -> str | tuple[Part, ...]:
    # As ChatMessage.content joins them, so that the model reads what the user sees.
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    return "\n".join(texts) if len(texts) == len(parts) else tuple(parts)


def _answered_call(kwargs: Mapping[str, Any]) -> str | None:
    """Which call a tool's turn answers: by its id, or in the oldest form by the function's name."""
    call_id = kwargs.get("tool_call_id")
    if call_id is None and kwargs.get("name"):
        return _id_by_name(str(kwargs["name"]))
    return None if call_id is None else str(call_id)


# --- tool calls -------------------------------------------------------------------------------


def sendable_name(name: str) -> str:
    """A tool's name, other characters than a name on the wire may have replaced as core does it."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)


def arguments_text(arguments: Any) -> str:
    """The arguments of a call as JSON text. No arguments are an empty object."""
    if isinstance(arguments, str):
        return arguments or "{}"
    return to_json(arguments or {}, fallback=str).decode()


def read_field(source: Any, name: str) -> Any:
    """A field of a dictionary or of an object: older messages hold either."""
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)


def calls_beside(kwargs: Mapping[str, Any]) -> Iterable[ToolCall]:
    """Calls that a message keeps beside its blocks, as it did before there was a block for them.

    They are OpenAI's dictionaries or objects, flat ones, core's ``ToolSelection``, and the single
    ``function_call``, which has no id.

    Args:
        kwargs: a message's ``additional_kwargs``.
    """
    for call in kwargs.get("tool_calls") or ():
        function = read_field(call, "function") or call
        name = _first(function, "name", "tool_name")
        arguments = _first(function, "arguments", "tool_kwargs", "args", "input")
        call_id = _first(call, "id", "tool_id", "tool_call_id")
        yield _call(str(name or ""), arguments, None if call_id is None else str(call_id))
    single = kwargs.get("function_call")
    if single and not kwargs.get("tool_calls"):
        yield _call(str(read_field(single, "name") or ""), read_field(single, "arguments"), None)


def _call(name: str, arguments: Any, call_id: str | None) -> ToolCall:
    if not name:
        raise InvalidRequestError(
            _(
                "A message's additional_kwargs hold a tool call without a name. Write it "
                "as a ToolCallBlock, or as an OpenAI dictionary with a function and its "
                "name."
            )
        )
    return ToolCall(
        _id_by_name(name) if call_id is None else call_id,
        sendable_name(name),
        arguments_text(arguments),
    )


def _id_by_name(name: str) -> str:
    return f"call_{sendable_name(name)}"


def _first(source: Any, *names: str) -> Any:
    found = (read_field(source, name) for name in names)
    return next((value for value in found if value is not None), None)


# --- blocks -----------------------------------------------------------------------------------


def _parts(block: object) -> Iterable[Part]:
    """The parts of one block; a block inside another is unfolded."""
    match block:
        case TextBlock():
            yield TextPart(block.text)
        case ImageBlock():
            yield ImagePart(_address(block, block.image, block.image_mimetype), block.detail)
        case VideoBlock():
            yield VideoPart(_address(block, block.video, block.video_mimetype))
        case AudioBlock():
            sound = _base64(block, block.audio, block.resolve_audio)
            yield AudioPart(sound, block.format or "wav")
        case DocumentBlock():
            yield TextPart(_document(block))
        case CitableBlock():
            for inner in block.content:
                yield from _parts(inner)
        case CitationBlock():
            yield from _parts(block.cited_content)
        case CachePoint():
            return  # the service takes no advice on what to cache
        case _:
            raise InvalidRequestError(
                _("A {name} cannot be sent. Pass its text or its image.").format(
                    name=type(block).__name__
                )
            )


def _address(block: ImageBlock | VideoBlock, data: bytes | IOBase | None, kind: str | None) -> str:
    """The address of a picture or video, or the file itself as a data URL."""
    if block.url and not data:
        return str(block.url)
    resolve = block.resolve_image if isinstance(block, ImageBlock) else block.resolve_video
    encoded = _base64(block, data, resolve)
    if kind is None:
        # the first bytes tell the type; 344 characters of base64 are 258 bytes
        guessed = filetype.guess(base64.b64decode(encoded[:344]))
        kind = guessed.mime if guessed else "image/jpeg" if isinstance(block, ImageBlock) else None
    return f"data:{kind or 'video/mp4'};base64,{encoded}"


def _base64(block: object, data: bytes | IOBase | None, resolve: Callable[..., IOBase]) -> str:
    if isinstance(data, bytes) and data:  # core's own reading refuses what is empty
        return data.decode("ascii")  # the block's own validator has encoded it already
    return base64.b64encode(_read(block, resolve)).decode("ascii")


def _read(block: object, resolve: Callable[..., IOBase]) -> bytes:
    """The bytes of a block's file, from the start."""
    try:
        file = resolve()
        content: bytes = file.read()
        file.seek(0)
    except (OSError, ValueError) as error:
        raise InvalidRequestError(
            _("The {name} cannot be read: {error}. Nothing was sent.").format(
                name=type(block).__name__, error=error
            )
        ) from error
    return content


def _document(block: DocumentBlock) -> str:
    content = _read(block, block.resolve_document)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidRequestError(
            _(
                "The document {title!r} ({document_mimetype}) is not text, and the service "
                "takes no other documents. Extract its text, or send its pages as images "
                "to a model that sees."
            ).format(
                title=block.title,
                document_mimetype=block.document_mimetype or _("of no known type"),
            )
        )
    return f'<document title="{block.title}">\n{text}\n</document>'
