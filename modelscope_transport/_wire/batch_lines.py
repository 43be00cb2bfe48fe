"""Requests in OpenAI's batch files.

Source of the form: platform.openai.com/docs/api-reference/batch (request-input).
A field of a body that has no name in our requests goes on as it is (``extra_body``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..errors import InvalidRequestError
from ..language import translated as _
from ..types import (
    AudioPart,
    ChatRequest,
    EmbeddingRequest,
    ImagePart,
    Message,
    NamedTool,
    Part,
    ResponseFormat,
    TextPart,
    ToolCall,
    ToolSpec,
    VideoPart,
)

__all__ = ["CHAT_URL", "EMBEDDINGS_URL", "RequestLine", "chat_request", "read_request"]

CHAT_URL = "/v1/chat/completions"
EMBEDDINGS_URL = "/v1/embeddings"


class RequestLine(Struct, kw_only=True):
    """A line of the input."""

    custom_id: str
    url: str
    body: dict[str, Any]
    method: str = "POST"


class _ToolCallFunction(Struct):
    name: str
    arguments: str = ""


class _ToolCall(Struct):
    id: str
    function: _ToolCallFunction


class _Part(Struct, kw_only=True):
    type: Literal["text", "image_url", "video_url", "input_audio"]
    text: str = ""
    image_url: ImagePart | str | None = None
    video_url: ImagePart | str | None = None
    input_audio: AudioPart | None = None


class _Message(Struct, kw_only=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class _Tool(Struct):
    function: ToolSpec
    type: Literal["function"] = "function"


class _Choice(Struct):
    function: NamedTool


class _Schema(Struct):
    name: str = "answer"
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class _Format(Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _SameNames(Struct, kw_only=True):
    """Fields that go over as they are: our request calls them the same."""

    model: str
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None


class _ChatBody(_SameNames, kw_only=True):
    messages: list[_Message]
    tools: list[_Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | _Choice | None = None
    response_format: _Format | None = None
    stop: str | list[str] | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None  # the answer is a line either way
    stream_options: Any = None


class _EmbeddingBody(Struct, kw_only=True):
    input: str | list[str]
    model: str
    dimensions: int | None = None
    encoding_format: Any = None  # this project asks for its own


def read_request(url: str, body: Mapping[str, Any]) -> ChatRequest | EmbeddingRequest:
    """The request of a line.

    Args:
        url: ``/v1/chat/completions`` or ``/v1/embeddings``.
        body: what would be sent there.

    Raises:
        InvalidRequestError: another address, or a body that does not fit it.
    """
    if url == CHAT_URL:
        return chat_request(body)
    if url == EMBEDDINGS_URL:
        return _embedding_request(body)
    raise InvalidRequestError(
        _(
            "url must be {chat_url} or {embeddings_url}, and is {url!r}: the others are not served."
        ).format(chat_url=CHAT_URL, embeddings_url=EMBEDDINGS_URL, url=url)
    )


def chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """The request that a chat body stands for.

    Raises:
        InvalidRequestError: it does not fit.
    """
    read = _converted(body, _ChatBody)
    if not read.messages:
        raise InvalidRequestError(_("messages is empty: there is nothing to answer."))
    same = {name: getattr(read, name) for name in _SameNames.__struct_fields__}
    if read.max_completion_tokens is not None and read.max_tokens is None:
        same["max_tokens"] = read.max_completion_tokens
    choice = read.tool_choice
    return ChatRequest(
        messages=tuple([_message(message) for message in read.messages]),
        tools=tuple([tool.function for tool in read.tools or ()]),
        tool_choice=choice.function if isinstance(choice, _Choice) else choice,
        response_format=_format(read.response_format),
        stop=(read.stop,) if isinstance(read.stop, str) else tuple(read.stop or ()),
        extra_body=_others(body, _ChatBody),
        **same,
    )


def _embedding_request(body: Mapping[str, Any]) -> EmbeddingRequest:
    read = _converted(body, _EmbeddingBody)
    texts = (read.input,) if isinstance(read.input, str) else tuple(read.input)
    if not texts or not all(texts):
        raise InvalidRequestError(_("input must be a text or a list of texts, none of them empty."))
    return EmbeddingRequest(
        model=read.model,
        texts=texts,
        dimensions=read.dimensions,
        extra_body=_others(body, _EmbeddingBody),
    )


def _converted(body: Mapping[str, Any], form: type[Any]) -> Any:
    try:
        return msgspec.convert(body, form)
    except msgspec.ValidationError as error:
        said = _("A field has a wrong value ({error}).")
        raise InvalidRequestError(said.format(error=str(error).replace("$", "body"))) from None


def _others(body: Mapping[str, Any], form: type[Struct]) -> dict[str, Any] | None:
    return {name: body[name] for name in body if name not in form.__struct_fields__} or None


def _format(form: _Format | None) -> ResponseFormat | None:
    if form is None or form.type == "text":
        return None
    said = form.json_schema or _Schema()
    return ResponseFormat(form.type, said.name, said.schema, said.description, said.strict)


def _message(message: _Message) -> Message:
    content = message.content
    return Message(
        message.role,
        tuple([_part(part) for part in content]) if isinstance(content, list) else content or "",
        message.name,
        tuple(
            [
                ToolCall(call.id, call.function.name, call.function.arguments)
                for call in message.tool_calls or ()
            ]
        ),
        message.tool_call_id,
        message.reasoning_content,
    )


def _part(part: _Part) -> Part:
    if part.type == "text":
        return TextPart(part.text)
    if part.type == "input_audio" and part.input_audio is not None:
        return part.input_audio
    address = part.image_url if part.type == "image_url" else part.video_url
    if address is None:
        raise InvalidRequestError(
            _("A part of the type {type!r} needs a field {type!r}.").format(type=part.type)
        )
    image = ImagePart(address) if isinstance(address, str) else address
    return image if part.type == "image_url" else VideoPart(image.url)
