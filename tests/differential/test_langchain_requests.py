"""Messages and options on the wire, from ChatModelScope and from ChatOpenAI: equal, or why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, wrap_model_call
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_modelscope import ChatModelScope
from langchain_modelscope._argument_table import CALL as WORDS
from langchain_modelscope._chat_fields import OPTIONS as FIELDS

from .foreign_server import DONE, ForeignServer, Shape, event

MODEL = "engine/any"
PNG = "iVBORw0KGgo="
IMAGE_URL = "https://example.com/a.png"
CALL = {"id": "c1", "name": "add", "args": {"a": 2, "b": 3}}


@pytest.fixture
def server() -> Iterator[ForeignServer]:
    text = (event({"role": "assistant", "content": "Yes."}), event({}, "stop"), DONE)
    with ForeignServer([Shape(MODEL, "written here", stream=text)]) as running:
        yield running


def ours(server: ForeignServer, **options: Any) -> Any:
    place = {"base_url": server.base_url, "api_key": "ms-none", "max_retries": 0}
    model = {} if "model_name" in options else {"model": MODEL}
    return ChatModelScope(**{**model, **place, **options})


def theirs(server: ForeignServer, **options: Any) -> Any:
    place: dict[str, Any] = {"base_url": server.base_url, "api_key": "none", "max_retries": 0}
    model = {} if "model_name" in options else {"model": MODEL}
    return ChatOpenAI(**{**model, **place, **options})


def sent(server: ForeignServer, call: Any) -> Any:
    """The body that a call sends; the name of an error's class where it sends none."""
    count = len(server.requests)
    try:
        call()
    except Exception as error:  # noqa: BLE001 - each package has classes of its own
        return f"refused: {type(error).__name__}"
    (request,) = server.requests[count:]
    return request.body


# ------------------------------------------------------------------------------------ messages


def ai(**fields: Any) -> list[Any]:
    return [HumanMessage("Hi"), AIMessage(**{"content": "", **fields}), HumanMessage("Go on")]


def tool(**fields: Any) -> list[Any]:
    calling = AIMessage("", tool_calls=[CALL])
    return [HumanMessage("Hi"), calling, ToolMessage(**{"tool_call_id": "c1", **fields})]


def block(**fields: Any) -> list[Any]:
    return [HumanMessage([{"type": "text", "text": "What is it?"}, fields])]


FORMS: dict[str, Any] = {
    "text": "Hello",
    "human": [HumanMessage("Hello")],
    "tuple": [("user", "Hello")],
    "dict": [{"role": "user", "content": "Hello"}],
    "system": [SystemMessage("Be brief."), HumanMessage("Hi")],
    "system later": [HumanMessage("Hi"), SystemMessage("Be brief.")],
    "two systems": [SystemMessage("A"), SystemMessage("B"), HumanMessage("Hi")],
    "two humans": [HumanMessage("Hi"), HumanMessage("There")],
    "system parts": [SystemMessage([{"type": "text", "text": "Be brief."}]), HumanMessage("Hi")],
    "developer": [("developer", "Be brief."), ("user", "Hi")],
    "name": [HumanMessage("Hi", name="Ada")],
    "empty": [HumanMessage("")],
    "unicode": [HumanMessage("北京 🙂 \u2028")],
    "line breaks": [HumanMessage("a\nb\r\nc")],
    "text list": [HumanMessage(["Hi"])],
    "one text block": [HumanMessage([{"type": "text", "text": "Hi"}])],
    "two text blocks": [
        HumanMessage([{"type": "text", "text": "A"}, {"type": "text", "text": "B"}])
    ],
    "cache control": block(type="text", text="B", cache_control={"type": "ephemeral"}),
    "image url": block(type="image_url", image_url={"url": IMAGE_URL}),
    "image url text": block(type="image_url", image_url=IMAGE_URL),
    "image detail": block(type="image_url", image_url={"url": IMAGE_URL, "detail": "low"}),
    "image v1 url": block(type="image", url=IMAGE_URL),
    "image v1 base64": block(type="image", base64=PNG, mime_type="image/png"),
    "image v0 base64": block(type="image", source_type="base64", data=PNG, mime_type="image/png"),
    "image v0 url": block(type="image", source_type="url", url=IMAGE_URL),
    "image anthropic": block(
        type="image", source={"type": "base64", "media_type": "image/png", "data": PNG}
    ),
    "image id": block(type="image", file_id="file-1"),
    "audio": block(type="audio", base64=PNG, mime_type="audio/wav"),
    "audio openai": block(type="input_audio", input_audio={"data": PNG, "format": "wav"}),
    "video": block(type="video", url="https://example.com/a.mp4"),
    "video url": block(type="video_url", video_url={"url": "https://example.com/a.mp4"}),
    "file": block(type="file", base64=PNG, mime_type="application/pdf"),
    "assistant": ai(content="Hello."),
    "assistant name": ai(content="Hello.", name="Bob"),
    "assistant parts": ai(content=[{"type": "text", "text": "Hello."}]),
    "assistant thoughts": ai(content="Hello.", additional_kwargs={"reasoning_content": "Hm."}),
    "assistant thinking block": ai(
        content=[{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hello."}]
    ),
    "assistant reasoning block": ai(
        content=[{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Hello."}]
    ),
    "call": tool(content="5"),
    "call with text": [
        HumanMessage("Hi"),
        AIMessage("Let me add.", tool_calls=[CALL]),
        ToolMessage("5", tool_call_id="c1"),
    ],
    "two calls": [
        HumanMessage("Hi"),
        AIMessage("", tool_calls=[CALL, {**CALL, "id": "c2"}]),
        ToolMessage("5", tool_call_id="c1"),
        ToolMessage("5", tool_call_id="c2"),
    ],
    "unicode call": ai(tool_calls=[{**CALL, "args": {"city": "北京"}}]),
    "invalid call": ai(
        invalid_tool_calls=[{"id": "c1", "name": "add", "args": '{"a":', "error": None}]
    ),
    "tool use block": ai(
        content=[{"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 2, "b": 3}}],
        tool_calls=[CALL],
    ),
    "call without id": ai(tool_calls=[{**CALL, "id": None}]),
    "tool parts": tool(content=[{"type": "text", "text": "5"}]),
    "tool error": tool(content="No.", status="error"),
    "tool name": tool(content="5", name="add"),
    "tool artifact": tool(content="5", artifact={"x": 1}),
    "tool json": tool(content=[{"sum": 5}]),
    "chat user": [ChatMessage(content="Hi", role="user")],
    "chat other role": [ChatMessage(content="Hi", role="critic")],
    "function": [HumanMessage("Hi"), FunctionMessage(content="5", name="add")],
    "remove": [RemoveMessage(id="1")],
    "chunks": [HumanMessage("Hi"), AIMessage("A"), HumanMessage("B")],
}

_TEXT = "text goes as text, which models without vision want; line breaks keep parts apart"
_REFUSED = "refused before it costs a call: the service has no such role"
DIFFERENT: dict[str, str] = {
    "system parts": _TEXT,
    "text list": _TEXT,
    "one text block": _TEXT,
    "two text blocks": _TEXT,
    "cache control": _TEXT,
    "assistant parts": _TEXT,
    "assistant thinking block": _TEXT,
    "assistant reasoning block": _TEXT,
    "tool parts": _TEXT,
    "tool json": "sent as JSON text; theirs sends a part without a type",
    "developer": "sent as system: the service refuses the role developer",
    "image url text": "sent in the form that the service documents",
    "video": "sent as video_url; theirs raises",
    "invalid call": "left out where nothing answers it: services refuse a call without one",
    "call without id": "an id is made, which the tool's answer needs",
    "chat other role": _REFUSED,
    "function": _REFUSED,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_message_is_sent_alike_or_the_reason_stands_here(
    server: ForeignServer, name: str
) -> None:
    mine = sent(server, lambda: ours(server).invoke(FORMS[name]))
    other = sent(server, lambda: theirs(server).invoke(FORMS[name]))
    if isinstance(mine, dict) and isinstance(other, dict):
        mine, other = mine["messages"], _plain(other["messages"])
    equal = mine == other or (isinstance(mine, str) and isinstance(other, str))
    assert equal is (name not in DIFFERENT), f"\nours   {mine}\ntheirs {other}"


def _plain(messages: Any) -> Any:
    """Their content ``null`` beside tool calls is our empty text."""
    return [{**turn, "content": turn.get("content") or ""} for turn in messages]


def test_there_are_enough_forms() -> None:
    assert len(FORMS) >= 50
    assert set(DIFFERENT) <= set(FORMS)


# ------------------------------------------------------------------------------------- options


class Person(BaseModel):
    """A person."""

    name: str


SCHEMA = {"name": "Person", "schema": {"type": "object", "properties": {}}}
OPTIONS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "max_tokens": 7,
    "max_completion_tokens": 7,
    "stop": ["end"],
    "seed": 7,
    "n": 2,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "logit_bias": {"5": 1},
    "logprobs": True,
    "top_logprobs": 2,
    "reasoning_effort": "low",
    "extra_body": {"enable_search": True},
    "stop_sequences": ["end"],
    "timeout": 20.0,
    "request_timeout": 20.0,
    "stream_usage": True,
    "model_name": "engine/other",
    "model": "engine/other",
    "top_k": 3,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "enable_thinking": False,
    "thinking_budget": 7,
    "send_reasoning": True,
    "think_tags": True,
    "promote_reasoning_only": True,
    "fallback_models": ["engine/other"],
}
CALL_OPTIONS: dict[str, Any] = {
    "extra_headers": {"x-team": "red"},
    "strict": True,
    "stream": False,
    "tools": [{"type": "function", "function": {"name": "add", "parameters": {}}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_object"},
}
_SAMPLING = "models here recommend it; theirs is refused by the OpenAI client"
_OURS = "an option of this package, which theirs refuses"
_ALIAS = "theirs reads this word in the constructor alone"
AT_A_CALL: dict[str, str] = {
    "stop_sequences": _ALIAS,
    "request_timeout": _ALIAS,
    "model_name": _ALIAS,
    "stream_usage": "theirs takes it for a stream alone",
    "strict": "theirs takes it in bind_tools alone",
}
OTHERWISE: dict[str, str] = {
    **dict.fromkeys(("top_k", "min_p", "repetition_penalty"), _SAMPLING),
    **dict.fromkeys(("enable_thinking", "thinking_budget"), "a switch of Qwen's models"),
    **dict.fromkeys(("send_reasoning", "think_tags", "promote_reasoning_only"), _OURS),
    "fallback_models": _OURS,
}


def body_of(server: ForeignServer, model: Any, place: str, name: str, value: Any) -> Any:
    given = {name: value}
    if name in ("tool_choice", "parallel_tool_calls", "strict"):
        given["tools"] = CALL_OPTIONS["tools"]
    asked = "Answer in JSON." if name == "response_format" else "Hello"
    if place == "constructor":
        return sent(server, lambda: model(server, **given).invoke(asked))
    if place == "call":
        return sent(server, lambda: model(server).invoke(asked, **given))
    if place == "bind":
        return sent(server, lambda: model(server).bind(**given).invoke(asked))

    @wrap_model_call
    def settle(request: ModelRequest[Any], handler: Any) -> Any:
        return handler(request.override(model_settings=given))

    agent: Any = create_agent(model(server), middleware=[settle])
    return sent(server, lambda: agent.invoke({"messages": [("user", asked)]}))


def same_words(body: Any) -> Any:
    if not isinstance(body, dict):
        return "refused"
    known = {key: value for key, value in body.items() if value is not None}
    if "max_completion_tokens" in known:
        known["max_tokens"] = known.pop("max_completion_tokens")
    known.pop("stream", None)  # false is the default
    for tool in known.get("tools", ()):
        tool["function"].pop("description", None)
        tool["function"]["parameters"] = tool["function"].get("parameters") or {
            "type": "object",
            "properties": {},
        }
    return known


PLACES = ["constructor", "call", "bind", "model_settings"]
OPTION_ROWS = [
    *[(place, name) for name in OPTIONS for place in PLACES],
    *[(place, name) for name in CALL_OPTIONS for place in PLACES[1:]],
]


@pytest.mark.parametrize(("place", "name"), OPTION_ROWS)
def test_an_option_is_sent_alike_wherever_it_is_written(
    server: ForeignServer, place: str, name: str
) -> None:
    value = {**OPTIONS, **CALL_OPTIONS}[name]
    server.add(Shape("engine/other", "written here", whole=_answer()))
    server.add(Shape(MODEL, "written here", whole=_answer()))
    mine = same_words(body_of(server, ours, place, name, value))
    other = same_words(body_of(server, theirs, place, name, value))
    assert mine != "refused"
    reasons = OTHERWISE if place == "constructor" else {**OTHERWISE, **AT_A_CALL}
    assert (mine == other) is (name not in reasons), f"\nours   {mine}\ntheirs {other}"


def test_every_option_is_here() -> None:
    taken = {row.word for row in WORDS.values() if row.now}
    assert set(OPTIONS) | set(CALL_OPTIONS) >= {*FIELDS, *taken}
    assert {*OTHERWISE, *AT_A_CALL} <= {*OPTIONS, *CALL_OPTIONS}


def _answer() -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "{}"},
        "finish_reason": "stop",
    }
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


TYPOS = ["temprature", "max_token", "stop_sequence", "bas_url"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_never_reaches_the_service(server: ForeignServer, place: str, typo: str) -> None:
    assert isinstance(body_of(server, ours, place, typo, 1), str)
    assert not server.requests
