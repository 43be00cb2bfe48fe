"""Frozen values: what is asked, and the conversation that it is asked in.

Laws of this file: values only, no behaviour beyond reading themselves; no JSON field name of the
service, no HTTP, no framework. Everything here pickles and compares by value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from msgspec import Struct, field
from msgspec.structs import replace

__all__ = [
    "AudioPart",
    "ChatRequest",
    "EmbeddingRequest",
    "ImagePart",
    "Message",
    "NamedTool",
    "Part",
    "RequestBase",
    "ResponseFormat",
    "TextPart",
    "ToolCall",
    "ToolChoice",
    "ToolSpec",
    "VideoPart",
    "made_up_id",
]

# --- what a conversation is made of -----------------------------------------------------------


class TextPart(Struct, frozen=True):
    """A piece of text inside a message."""

    text: str


class ImagePart(Struct, frozen=True):
    """An image inside a message.

    Attributes:
        url: an ``https`` address or a ``data:image/…;base64,…`` URL.
        detail: ``"low"``, ``"high"`` or ``"auto"``; ``None`` sends nothing.
    """

    url: str
    detail: str | None = None


class VideoPart(Struct, frozen=True):
    """A video inside a message, by address or data URL."""

    url: str


class AudioPart(Struct, frozen=True):
    """A sound inside a message.

    Attributes:
        data: the sound, base64.
        format: file format, for instance ``"wav"`` or ``"mp3"``.
    """

    data: str
    format: str


Part = TextPart | ImagePart | VideoPart | AudioPart


class ToolCall(Struct, frozen=True, omit_defaults=True):
    """A call the model wants made.

    Attributes:
        id: the call's id; the tool's answer refers to it.
        name: name of the tool.
        arguments: JSON text exactly as the model wrote it, possibly invalid.
        invalid: of a call in an answer, why its arguments cannot be used: they are not a JSON
            object, or the answer was cut (``finish_reason="length"``) before they were complete.
            ``None`` where they can be used. It is never sent.
    """

    id: str
    name: str
    arguments: str
    invalid: str | None = None


def made_up_id(index: int) -> str:
    """The id of a tool call to which the service gave none, by its place in the answer."""
    return f"call_{index}"


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation.

    Attributes:
        role: ``"system"``, ``"developer"`` (sent as system), ``"user"``, ``"assistant"`` or
            ``"tool"``.
        content: text, or parts in order.
        name: name of the speaker, where the caller gave one.
        tool_calls: calls made in an assistant turn.
        tool_call_id: in a tool turn, the call that this answers.
        reasoning: thoughts of an assistant turn; ``send_reasoning`` of the request says whether
            they go back.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[Part, ...] = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None


class ToolSpec(Struct, frozen=True, omit_defaults=True):
    """A tool offered to the model; ``parameters`` is a JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool | None = None


class NamedTool(Struct, frozen=True):
    """Forces the call of one tool, by name."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


class ResponseFormat(Struct, frozen=True, omit_defaults=True):
    """A form that the answer's text must have.

    Attributes:
        kind: ``"json_object"`` for any JSON object, ``"json_schema"`` for one of ``schema``.
        name: name of the schema.
        schema: JSON schema of the answer.
        description: what the answer is for.
        strict: whether the server must enforce the schema.
    """

    kind: Literal["json_object", "json_schema"]
    name: str = "answer"
    schema: Mapping[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


# --- what is asked ----------------------------------------------------------------------------


class RequestBase(Struct, frozen=True, kw_only=True):
    """What every request has.

    Attributes:
        extra_headers: further HTTP headers. They may hold credentials, so they are not shown.
        model: model ID, ``owner/name``.
        timeout: total deadline of this call in seconds, instead of the client's.
        fallback_models: models to ask when this one's allowance is spent or it was withdrawn.
    """

    extra_headers: Mapping[str, str] | None = None
    model: str
    timeout: float | None = None
    fallback_models: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The fields, and of the headers the names alone."""
        return Struct.__repr__(self._shown())

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for rich, which shows the locals of a traceback by it."""
        return Struct.__rich_repr__(self._shown())

    def _shown(self) -> Self:
        if not self.extra_headers:
            return self
        return replace(self, extra_headers=dict.fromkeys(self.extra_headers, "***"))


class ChatRequest(RequestBase, frozen=True, kw_only=True, omit_defaults=True):
    """One chat call. ``None`` leaves a parameter to the service's own default.

    Beside these it has the attributes of `RequestBase`.

    Attributes:
        messages: the conversation, oldest first; at least one.
        tools: tools on offer.
        tool_choice: which of them the model may or must call.
        parallel_tool_calls: whether one answer may call several.
        response_format: form of the answer's text.
        temperature: 0 to 2.
        top_p: nucleus sampling, above 0 up to 1.
        top_k: how many of the likeliest tokens are sampled from; at least 1, -1 for all.
        min_p: least probability of a token, relative to the likeliest one's; 0 to 1.
        max_tokens: longest answer, in tokens, thoughts included; at least 1.
        stop: texts that end the answer.
        seed: seed of the sampling.
        n: answers wanted; more than one cannot be streamed.
        presence_penalty: -2 to 2.
        frequency_penalty: -2 to 2.
        repetition_penalty: above 0; above 1 makes repetition less likely.
        logit_bias: what is added to the score of a token, by its id; -100 to 100.
        logprobs: whether to send log probabilities.
        top_logprobs: alternatives per token, 0 to 20.
        reasoning_effort: how long to think, in a word of the model's: ``"low"``, ``"medium"``,
            ``"high"`` or another.
        enable_thinking: switches the thoughts of a model that can do both.
        thinking_budget: longest thoughts, in tokens.
        send_reasoning: whether the thoughts of earlier turns go back to the model: ``True`` all
            that the messages hold, ``False`` none, ``None`` what the model's profile asks for.
        think_tags: whether a text that begins with ``<think>`` begins with thoughts.
        promote_reasoning_only: whether thoughts are the text where there is no other.
        stream_usage: whether a stream ends with its token usage.
        extra_body: further fields of the request, merged in last.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[int | str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    send_reasoning: bool | None = True
    think_tags: bool = False
    promote_reasoning_only: bool = False
    stream_usage: bool = True
    extra_body: Mapping[str, Any] | None = None


class EmbeddingRequest(RequestBase, frozen=True, kw_only=True, omit_defaults=True):
    """One embedding call.

    Beside these it has the attributes of `RequestBase`; ``fallback_models`` are other ways to the
    same model (``owner/name:Provider``), no other model.

    Attributes:
        texts: texts to embed, none of them empty.
        dimensions: length of the vectors; ``None`` is the model's own.
        batch_size: most texts in one HTTP request; ``None`` is the model's own. Where the service
            has refused so many, it is fewer.
        extra_body: further fields of the request, merged in last.
    """

    texts: tuple[str, ...]
    dimensions: int | None = None
    batch_size: int | None = None
    extra_body: Mapping[str, Any] | None = None
