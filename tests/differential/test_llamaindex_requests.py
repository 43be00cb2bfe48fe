"""Messages and options on the wire, from ModelScope and from OpenAILike: equal, or why not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
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
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from llamaindex_modelscope import ModelScope
from llamaindex_modelscope._argument_tables import CALL as CALL_WORDS
from llamaindex_modelscope._chat_fields import CHAT_OPTIONS

from .foreign_server import DONE, ForeignServer, Shape, event

MODEL = "engine/any"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(16)
IMAGE_URL = "https://example.com/a.png"
FUNCTION = {"name": "add", "arguments": '{"a": 2}'}
CALL = {"id": "c1", "type": "function", "function": FUNCTION}


@pytest.fixture
def server() -> Iterator[ForeignServer]:
    text = (event({"role": "assistant", "content": "Yes."}), event({}, "stop"), DONE)
    with ForeignServer([Shape(MODEL, "written here", stream=text)]) as running:
        yield running


def ours(server: ForeignServer, **fields: Any) -> Any:
    place = {"base_url": server.base_url, "api_key": "ms-none", "max_retries": 0}
    return ModelScope(**{"model": MODEL, **place, **fields})


def theirs(server: ForeignServer, **fields: Any) -> Any:
    place: dict[str, Any] = {"api_base": server.base_url, "api_key": "none", "max_retries": 0}
    flags = {"is_chat_model": True, "is_function_calling_model": True}
    return OpenAILike(**{"model": MODEL, **place, **flags, **fields})


def sent(server: ForeignServer, make: Any, call: Any, **fields: Any) -> Any:
    """The body that a call sends; ``"refused"`` where it sends none."""
    count = len(server.requests)
    try:
        call(make(server, **fields))
    except Exception:  # noqa: BLE001 - each package has classes of its own
        return "refused"
    (request,) = server.requests[count:]
    return request.body


def _messages(body: Any) -> list[Any]:
    """The messages of a body; what two writings mean alike is written in one way.

    Beside a call an empty content and null mean the same (ours sends the empty one: some servers
    refuse null), and arguments are JSON whatever their spaces.
    """
    messages = []
    for message in body["messages"]:
        calls = [
            {**call, "function": {**function, "arguments": _read(function)}}
            for call in message.get("tool_calls") or ()
            if (function := call.get("function", {})) is not None
        ]
        beside = {"content": message.get("content") or ""} if calls else {}
        messages.append({**message, **beside, **({"tool_calls": calls} if calls else {})})
    return messages


def _read(function: Any) -> Any:
    try:
        return json.loads(function.get("arguments") or "{}")
    except (TypeError, ValueError):
        return function.get("arguments")


# --- messages


def user(*blocks: Any) -> list[ChatMessage]:
    return [ChatMessage(blocks=[TextBlock(text="What is it?"), *blocks])]


def ai(*blocks: Any, **kwargs: Any) -> list[ChatMessage]:
    said = ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=kwargs)
    return [ChatMessage(content="Hi"), said, ChatMessage(content="Go on")]


def answered(*blocks: Any, role: str = "tool", **kwargs: Any) -> list[ChatMessage]:
    calling = ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 2})
    result = ChatMessage(role=role, blocks=list(blocks), additional_kwargs=kwargs)
    return [*ai(calling)[:2], result]


def call(**fields: Any) -> ToolCallBlock:
    return ToolCallBlock(
        **{"tool_call_id": "c1", "tool_name": "add", "tool_kwargs": {"a": 2}, **fields}
    )


TEXT = TextBlock(text="3")
FORMS: dict[str, list[ChatMessage]] = {
    "user": [ChatMessage(content="Hello")],
    "user by role": [ChatMessage(role=MessageRole.USER, content="Hello")],
    "system": [ChatMessage(role="system", content="Be brief."), ChatMessage(content="Hi")],
    "system later": [ChatMessage(content="Hi"), ChatMessage(role="system", content="Be brief.")],
    "two systems": [ChatMessage(role="system", content=text) for text in "AB"]
    + [ChatMessage(content="Hi")],
    "developer": [ChatMessage(role="developer", content="Be brief."), ChatMessage(content="Hi")],
    "two users": [ChatMessage(content="Hi"), ChatMessage(content="There")],
    "chatbot": [ChatMessage(content="Hi"), ChatMessage(role="chatbot", content="Yes.")],
    "model": [ChatMessage(content="Hi"), ChatMessage(role="model", content="Yes.")],
    "empty": [ChatMessage(content="")],
    "no content": [ChatMessage(content=None)],
    "unicode": [ChatMessage(content="北京 🙂 \u2028")],
    "line breaks": [ChatMessage(content="a\nb\r\nc")],
    "spaces": [ChatMessage(content="  a  ")],
    "two texts": [ChatMessage(blocks=[TextBlock(text="A"), TextBlock(text="B")])],
    "two system texts": [
        ChatMessage(role="system", blocks=[TextBlock(text="A"), TextBlock(text="B")]),
        ChatMessage(content="Hi"),
    ],
    "image url": user(ImageBlock(url=IMAGE_URL)),
    "image detail": user(ImageBlock(url=IMAGE_URL, detail="low")),
    "image bytes": user(ImageBlock(image=PNG)),
    "image kind": user(ImageBlock(image=PNG, image_mimetype="image/png")),
    "image alone": [ChatMessage(blocks=[ImageBlock(url=IMAGE_URL)])],
    "two images": user(ImageBlock(url=IMAGE_URL), ImageBlock(image=PNG)),
    "image then text": user(ImageBlock(url=IMAGE_URL), TextBlock(text="And?")),
    "video url": user(VideoBlock(url="https://example.com/a.mp4")),
    "video bytes": user(VideoBlock(video=MP4)),
    "audio": user(AudioBlock(audio=WAV, format="wav")),
    "document text": user(DocumentBlock(data=b"It is a cat.", title="a.txt")),
    "document pdf": user(DocumentBlock(data=b"%PDF-1.4\x00", title="a.pdf")),
    "citable": user(CitableBlock(title="a", source="b", content=[TextBlock(text="It is a cat.")])),
    "citation": user(
        CitationBlock(
            cited_content=TextBlock(text="A cat."),
            source="b",
            title="a",
            additional_location_info={},
        )
    ),
    "cache point": user(CachePoint(cache_control=CacheControl(type="ephemeral"))),
    "assistant": ai(TextBlock(text="Hello.")),
    "assistant two texts": ai(TextBlock(text="A"), TextBlock(text="B")),
    "thoughts": ai(ThinkingBlock(content="Hm."), TextBlock(text="Hello.")),
    "thoughts alone": ai(ThinkingBlock(content="Hm.")),
    "refusal": ai(TextBlock(text="No."), refusal="No."),
    "call": answered(TEXT, tool_call_id="c1"),
    "call with text": [*ai(TextBlock(text="Adding."), call())[:2], *answered(TEXT)[2:]],
    "call of text": ai(call(tool_kwargs='{"a": 2}')),
    "call without arguments": ai(call(tool_kwargs={})),
    "call with empty text": ai(call(tool_kwargs="")),
    "two calls": ai(call(), call(tool_call_id="c2", tool_name="multiply")),
    "call and thoughts": ai(ThinkingBlock(content="Hm."), call()),
    "call of an odd name": ai(call(tool_name="my.add")),
    "call by kwargs": ai(tool_calls=[CALL]),
    "call by kwargs and block": ai(call(), tool_calls=[CALL]),
    "call by selection": ai(
        tool_calls=[ToolSelection(tool_id="c1", tool_name="add", tool_kwargs={"a": 2})]
    ),
    "call flat": ai(tool_calls=[{"id": "c1", **FUNCTION}]),
    "function call": ai(function_call=FUNCTION),
    "function result": [
        *ai(function_call=FUNCTION)[:2],
        ChatMessage(role="function", content="3", additional_kwargs={"name": "add"}),
    ],
    "tool result": answered(TEXT, tool_call_id="c1"),
    "tool result named": answered(TEXT, tool_call_id="c1", name="add"),
    "tool result empty": answered(tool_call_id="c1"),
    "tool result two texts": answered(TEXT, TextBlock(text="4"), tool_call_id="c1"),
    "tool result image": answered(TEXT, ImageBlock(url=IMAGE_URL), tool_call_id="c1"),
}
_JOINED = "texts are joined by line breaks, as ChatMessage.content shows them; theirs run together"
_ROLE = "the role goes out under a name that servers know"
_VIDEO = "models of the service see films; theirs is refused"
_UNFOLDED = "the block's text goes out; theirs is refused"
_CALLS = "the call is read from this form too; theirs goes out unreadable"
DIFFERENT: dict[str, str] = {
    "developer": "the service refuses the role and takes system for it",
    "chatbot": _ROLE,
    "model": _ROLE,
    "two texts": _JOINED,
    "two system texts": _JOINED,
    "assistant two texts": _JOINED,
    "tool result two texts": _JOINED,
    "video url": _VIDEO,
    "video bytes": _VIDEO,
    "document text": "the service takes no files; a text goes out as text",
    "document pdf": "the service takes no files; an error says so before a call is spent",
    "citable": _UNFOLDED,
    "citation": _UNFOLDED,
    "cache point": "the service caches by itself; the point is left out, theirs is refused",
    "call of an odd name": "a name on the wire has letters, digits, _ and - alone",
    "call by selection": _CALLS,
    "call flat": _CALLS,
    "function call": "the oldest form goes out as a tool call, which servers still read",
    "function result": "the oldest form goes out as a tool's answer; theirs loses whose it is",
    "tool result image": "the image goes out; theirs is lost without a word",
}


@pytest.mark.parametrize("name", FORMS)
def test_a_message_goes_as_theirs_or_the_reason_stands_here(
    server: ForeignServer, name: str
) -> None:
    found = [sent(server, make, lambda llm: llm.chat(FORMS[name])) for make in (ours, theirs)]
    mine, other = (one if one == "refused" else _messages(one) for one in found)
    assert (mine == other) is (name not in DIFFERENT), f"\nours   {mine}\ntheirs {other}"


def test_there_are_enough_forms() -> None:
    assert len(FORMS) >= 50
    assert set(DIFFERENT) <= set(FORMS)


# --- options: of the object, of additional_kwargs, of a call

ADD = FunctionTool.from_defaults(lambda a: a, name="add", description="Add.").metadata
TOOLS = [ADD.to_openai_tool()]
OPTIONS: dict[str, Any] = {
    "temperature": 0.5,
    "max_tokens": 50,
    "top_p": 0.9,
    "seed": 7,
    "stop": ["end"],
    "presence_penalty": 0.5,
    "frequency_penalty": 0.25,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"1": 2.0},
    "reasoning_effort": "low",
    "user": "me",
    "tools": TOOLS,
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_object"},
    "extra_body": {"top_k": 3},
    "extra_headers": {"x-team": "red"},
    "timeout": 20.0,
    "stream_options": {"include_usage": True},
    "max_completion_tokens": 40,
    "n": 1,
    "metadata": {"a": "b"},
    "store": True,
    "service_tier": "auto",
    "verbosity": "low",
    "modalities": ["text"],
    "functions": [FUNCTION],
    "function_call": "auto",
    "extra_query": {"a": "b"},
    "top_k": 3,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "enable_thinking": False,
    "thinking_budget": 7,
    "send_reasoning": True,
    "think_tags": True,
    "promote_reasoning_only": True,
    "fallback_models": ["engine/other"],
    "model": "engine/other",
    "max_new_tokens": 40,
    "stream": False,
    "formatted": True,
    "use_chat_completions": True,
    "audio": {"voice": "a"},
    "messages": [],
    "api_key": "none",
    "moderation": {},
    "prediction": {},
    "prompt_cache_key": "a",
    "prompt_cache_options": {},
    "prompt_cache_retention": "24h",
    "safety_identifier": "a",
    "web_search_options": {},
}
WITH: dict[str, dict[str, Any]] = {
    "top_logprobs": {"logprobs": True},
    "tool_choice": {"tools": TOOLS},
    "parallel_tool_calls": {"tools": TOOLS},
}
# OpenAILike says by default what goes without saying, and a temperature of its own.
_ASIDE = ("messages", "model", "stream", "temperature")
_OPENAI = "a feature of OpenAI's own service; refused, and extra_body sends it all the same"
_SAMPLING = "models here recommend it; theirs is refused by the OpenAI client"
_SAME = "it asks for what is so in any case, and is left out"
_BOTH = {
    "max_completion_tokens": "the service knows max_tokens",
    "n": _SAME,
    "modalities": _SAME,
    "metadata": _OPENAI,
    "store": _OPENAI,
    "service_tier": _OPENAI,
    "verbosity": _OPENAI,
    "functions": "refused: they are called tools now",
    "function_call": "refused: it is called tool_choice now",
    "extra_query": "refused: the service reads no query",
    "top_k": _SAMPLING,
    "min_p": _SAMPLING,
    "repetition_penalty": _SAMPLING,
    **dict.fromkeys(("enable_thinking", "thinking_budget"), "a switch of Qwen's models"),
    **dict.fromkeys(
        ("send_reasoning", "think_tags", "promote_reasoning_only", "fallback_models"),
        "an option of this package, which theirs refuses",
    ),
    "max_new_tokens": "a word of other classes for max_tokens",
    **dict.fromkeys(("stream", "formatted", "use_chat_completions"), _SAME),
    **dict.fromkeys(
        (
            "audio",
            "moderation",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            "web_search_options",
        ),
        _OPENAI,
    ),
}
# At the constructor: an OpenAILike has few of them, and takes no notice of those it has not.
_FIELD = "theirs has no such field, and lets the word go unheard"
# They have these, or nothing of the request changes by them.
_ALIKE = (
    "temperature",
    "max_tokens",
    "timeout",
    "top_logprobs",
    "send_reasoning",
    "think_tags",
    "promote_reasoning_only",
    "fallback_models",
)
OTHERWISE: dict[str, str] = {
    **{f"field {name}": _FIELD for name in CHAT_OPTIONS if name not in _ALIKE},
    **{f"{place} {name}": why for place in ("call", "kwargs") for name, why in _BOTH.items()},
    "field logprobs": "no alternatives are asked for unless the user wants some",
    "field reasoning_effort": "theirs sends it to OpenAI's own models alone",
}


def _options_of(body: Any, name: str) -> Any:
    aside = tuple(one for one in _ASIDE if one != name)
    if body == "refused":
        return body
    return {key: value for key, value in body.items() if key not in aside}


# where an option is given: the fields of the object, and the options of the call
PLACES: dict[str, Any] = {
    "call": lambda options: ({}, options),
    "kwargs": lambda options: ({"additional_kwargs": options}, {}),
    "field": lambda options: (options, {}),
}
ROWS = [
    (place, name)
    for place in PLACES
    for name in OPTIONS
    if place != "field" or name in CHAT_OPTIONS
]


@pytest.mark.parametrize(("place", "name"), ROWS)
def test_an_option_goes_as_theirs_or_the_reason_stands_here(
    server: ForeignServer, place: str, name: str
) -> None:
    options = {name: OPTIONS[name], **WITH.get(name, {})}
    fields, given = PLACES[place](options)
    bodies = [
        sent(server, make, lambda llm: llm.chat(FORMS["user"], **given), **fields)
        for make in (ours, theirs)
    ]
    mine, other = (_options_of(body, name) for body in bodies)
    equal = mine == other
    assert equal is (f"{place} {name}" not in OTHERWISE), f"\nours   {mine}\ntheirs {other}"


def test_the_table_of_options_is_of_rows_and_holds_every_option() -> None:
    assert set(OPTIONS) >= {*CALL_WORDS, *CHAT_OPTIONS}
    assert set(OTHERWISE) <= {f"{place} {name}" for place, name in ROWS}
