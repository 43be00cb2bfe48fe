"""Histories and pictures: what LangChain's messages become on the wire, and what they refuse."""

from __future__ import annotations

import copy
import datetime
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_modelscope import ModelScopeInvalidRequestError
from modelscope_transport.emulator import LocalService, Reply
from tests.langchain import mixed
from tests.langchain.conftest import HYBRID, MakeChat

DATA = "aGVsbG8="
HI = Reply(200, {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})


def sent(chat: MakeChat, service: LocalService, *messages: BaseMessage) -> list[dict[str, Any]]:
    """What stands on the wire; the messages themselves must not change."""
    before = copy.deepcopy(messages)
    service.next(HI)
    assert chat(HYBRID).invoke(list(messages)).text == "Hi"
    assert messages == before
    found: list[dict[str, Any]] = service.requests[-1].body["messages"]
    return found


def test_every_role_and_name(chat: MakeChat, service: LocalService) -> None:
    assert sent(
        chat,
        service,
        SystemMessage("Be brief."),
        HumanMessage("Hello", name="Ada"),
        AIMessage("Hello, Ada.", name="poet"),
        ChatMessage("Again.", role="user"),
        HumanMessage(["Twice", {"type": "text", "text": "now."}]),
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello", "name": "Ada"},
        {"role": "assistant", "content": "Hello, Ada.", "name": "poet"},
        {"role": "user", "content": "Again."},
        {"role": "user", "content": "Twice\nnow."},
    ]


def test_calls_and_their_results_are_sent_back(chat: MakeChat, service: LocalService) -> None:
    history = sent(
        chat,
        service,
        HumanMessage("Weather?"),
        AIMessage(
            "",
            tool_calls=[{"name": "weather", "args": {"city": "北京"}, "id": "a"}],
            invalid_tool_calls=[
                {"name": "weather", "args": '{"city": ', "id": "b", "error": "no JSON"}
            ],
        ),
        ToolMessage("Sunny", tool_call_id="a", name="weather"),
        ToolMessage("No JSON.", tool_call_id="b", status="error"),
    )
    assert history[1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "北京"}'},
                },
                {
                    "id": "b",
                    "type": "function",
                    "function": {
                        "name": "weather",
                        "arguments": r'{"invalid_arguments":"{\"city\": "}',
                    },
                },
            ],
        },
        {"role": "tool", "content": "Sunny", "tool_call_id": "a"},
        {"role": "tool", "content": "No JSON.", "tool_call_id": "b"},
    ]


BROKEN: Any = [
    {"name": "weather", "args": '{"city": ', "id": "a", "error": "no JSON"},
    {"name": "weather", "args": '{"city": "Ulm"}', "id": "b", "error": "cut"},
]


def test_broken_calls_that_nothing_answers_are_left_out(
    chat: MakeChat, service: LocalService
) -> None:
    history = sent(
        chat,
        service,
        HumanMessage("Weather?"),
        AIMessage("", invalid_tool_calls=BROKEN),
        HumanMessage("Well?"),
        AIMessage("Let me see.", invalid_tool_calls=BROKEN),
        HumanMessage("And?"),
        AIMessage("", invalid_tool_calls=BROKEN),
        ToolMessage("Cut.", tool_call_id="b", status="error"),
    )
    assert [(turn["role"], turn["content"]) for turn in history] == [
        ("user", "Weather?"),
        ("user", "Well?"),
        ("assistant", "Let me see."),
        ("user", "And?"),
        ("assistant", ""),
        ("tool", "Cut."),
    ]
    assert [call["id"] for turn in history for call in turn.get("tool_calls", ())] == ["b"]


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_an_answer_of_ours_goes_back_as_text_and_calls(
    chat: MakeChat, service: LocalService, version: str
) -> None:
    service.next(mixed.stream())
    chunks = list(chat(HYBRID, output_version=version).stream("Weather?"))
    answer: Any = chunks[0]
    for chunk in chunks[1:]:
        answer += chunk

    history = sent(
        chat,
        service,
        HumanMessage("Weather?"),
        answer,
        ToolMessage("Sunny", tool_call_id="call_a"),
        ToolMessage("Rain", tool_call_id="call_b"),
    )
    assert history[1]["content"] == "".join(mixed.TEXT)
    assert [call["id"] for call in history[1]["tool_calls"]] == ["call_a", "call_b"]
    assert set(history[1]) == {"role", "content", "tool_calls"}


def test_what_other_models_left_behind_is_dropped(chat: MakeChat, service: LocalService) -> None:
    answer = AIMessage(
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "x"},
            {"type": "reasoning", "reasoning": "Hm."},
            {"type": "text", "text": "Let me see.", "index": 0, "extras": {"a": 1}},
            {"type": "tool_use", "id": "a", "name": "weather", "input": {}},
            {"type": "tool_call", "id": "a", "name": "weather", "args": {}},
            {"type": "non_standard", "value": {"cachePoint": {}}},
        ],
        tool_calls=[{"name": "weather", "args": {}, "id": "a"}],
    )
    refusal = AIMessage([{"type": "refusal", "refusal": "I cannot."}])
    history = sent(
        chat,
        service,
        HumanMessage([{"type": "text", "text": "Weather?", "cache_control": {"type": "x"}}]),
        answer,
        ToolMessage([{"type": "text", "text": "Sunny"}], tool_call_id="a"),
        refusal,
        HumanMessage("Why?"),
    )
    assert [message["content"] for message in history] == [
        "Weather?",
        "Let me see.",
        "Sunny",
        "I cannot.",
        "Why?",
    ]


PICTURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "address": (
        {"type": "image", "url": "https://example.com/cat.png"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ),
    "base64": (
        {"type": "image", "base64": DATA, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
    ),
    "OpenAI": (
        {"type": "image_url", "image_url": {"url": "https://example.com/c.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/c.png", "detail": "low"}},
    ),
    "OpenAI, short": (
        {"type": "image_url", "image_url": "https://example.com/cat.png"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ),
    "LangChain 0": (
        {"type": "image", "source_type": "base64", "data": DATA, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
    ),
    "Anthropic": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
    ),
    "video": (
        {"type": "video", "url": "https://example.com/cat.mp4"},
        {"type": "video_url", "video_url": {"url": "https://example.com/cat.mp4"}},
    ),
    "video, OpenAI": (
        {"type": "video_url", "video_url": {"url": "https://example.com/cat.mp4"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/cat.mp4"}},
    ),
    "text file": (
        {"type": "text-plain", "text": "notes", "mime_type": "text/plain"},
        {"type": "text", "text": "notes"},
    ),
}


@pytest.mark.parametrize("dialect", PICTURES)
def test_pictures_and_videos(chat: MakeChat, service: LocalService, dialect: str) -> None:
    block, expected = PICTURES[dialect]
    picture = {"type": "image_url", "image_url": "https://example.com/other.png"}
    question = HumanMessage([{"type": "text", "text": "What is it?"}, block, picture])

    assert sent(chat, service, question)[0]["content"] == [
        {"type": "text", "text": "What is it?"},
        expected,
        {"type": "image_url", "image_url": {"url": "https://example.com/other.png"}},
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "audio", "base64": DATA, "mime_type": "audio/mpeg"},
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "mp3"}},
    ],
    ids=["LangChain", "OpenAI"],
)
def test_audio_goes_to_a_model_that_takes_it(
    chat: MakeChat, service: LocalService, block: dict[str, Any]
) -> None:
    service.next(HI)
    chat("someone/Omni").invoke([HumanMessage([block])])  # nothing is known of this model

    assert service.requests[0].body["messages"][0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "mp3"}}
    ]


def test_a_picture_in_a_tools_result(chat: MakeChat, service: LocalService) -> None:
    history = sent(
        chat,
        service,
        HumanMessage("Draw."),
        AIMessage("", tool_calls=[{"name": "draw", "args": {}, "id": "a"}]),
        ToolMessage(
            [
                {"type": "text", "text": "Here: "},
                {"type": "image", "base64": DATA, "mime_type": "image/png"},
                {"type": "json", "json": {"size": 1}},
            ],
            tool_call_id="a",
        ),
    )
    assert [part["type"] for part in history[2]["content"]] == ["text", "image_url", "text"]
    assert '"size": 1' in history[2]["content"][2]["text"]


def test_two_chinese_sentences_have_no_space_between(
    chat: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_LANG", "zh")
    for content in ({"type": "file", "file": {"file_data": DATA}}, {"type": "text-plain"}):
        with pytest.raises(ModelScopeInvalidRequestError, match="。请先提取其中的文本"):
            chat().invoke([HumanMessage([content])])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"type": "file", "base64": DATA, "mime_type": "application/pdf"}, "'file' cannot be sent"),
        ({"type": "file", "file": {"file_data": DATA, "filename": "a.pdf"}}, "Extract its text"),
        ({"type": "image", "file_id": "file-1"}, "neither url nor base64"),
        ({"type": "image_url"}, "neither url nor base64"),
        ({"type": "image_url", "image_url": {"url": None}}, "neither url nor base64"),
        ({"type": "image_url", "image_url": {}}, "neither url nor base64"),
        ({"type": "video_url"}, "neither url nor base64"),
        ({"type": "video_url", "video_url": {"url": ""}}, "neither url nor base64"),
        ({"type": "text-plain", "base64": DATA, "mime_type": "text/plain"}, "Extract its text"),
        ({"type": "text-plain", "url": "https://example.com/a.txt"}, "'text-plain' needs text"),
        ({"type": "text-plain", "file_id": "file-1"}, "'text-plain' needs text"),
        ({"type": "audio", "url": "https://example.com/a.mp3"}, "needs base64"),
        ({"type": "hologram", "hologram": 1}, "'hologram' cannot be sent"),
        ({"type": "audio", "base64": DATA, "mime_type": "audio/wav"}, "does not take audio"),
    ],
    ids=[
        "pdf",
        "OpenAI's file",
        "id",
        "no image_url",
        "null image_url",
        "empty image_url",
        "no video_url",
        "empty video_url",
        "text file",
        "text file by url",
        "text file by id",
        "audio by url",
        "unknown",
        "a model without ears",
    ],
)
def test_what_cannot_be_sent_is_said_without_a_request(
    chat: MakeChat, service: LocalService, content: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match=said):
        chat(HYBRID).invoke([HumanMessage([content])])
    assert not service.requests


def test_what_another_model_left_without_content_is_left_out(
    chat: MakeChat, service: LocalService
) -> None:
    left = [
        {"type": "image_url"},
        {"type": "image", "file_id": "file-1"},
        {"type": "text-plain", "file_id": "file-2"},
        {"type": "text", "text": "Here."},
    ]
    history = sent(chat, service, HumanMessage("Draw."), AIMessage(left), HumanMessage("More."))
    assert history[1] == {"role": "assistant", "content": "Here."}


def test_a_message_without_a_place_is_refused(chat: MakeChat, service: LocalService) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="FunctionMessage"):
        chat().invoke([FunctionMessage("5", name="add")])
    with pytest.raises(ModelScopeInvalidRequestError, match="'critic'"):
        chat().invoke([ChatMessage("Bad.", role="critic")])
    assert not service.requests


def test_arguments_that_json_has_no_word_for_go_as_text(
    chat: MakeChat, service: LocalService
) -> None:
    args = {"day": datetime.date(2026, 11, 29), "price": Decimal("1.50")}
    calling = AIMessage("", tool_calls=[{"id": "a", "name": "buy", "args": args}])
    history = sent(chat, service, HumanMessage("Hi"), calling, ToolMessage("5", tool_call_id="a"))
    (call,) = history[1]["tool_calls"]
    assert call["function"]["arguments"] == '{"day": "2026-11-29", "price": "1.50"}'


def test_arguments_in_chinese_go_as_they_are_written(chat: MakeChat, service: LocalService) -> None:
    # Escaped, a character costs several tokens, and the model copies the escapes.
    call = {"name": "weather", "args": {"city": "北京"}, "id": "1", "type": "tool_call"}
    history = sent(
        chat, service, AIMessage("", tool_calls=[call]), ToolMessage("晴", tool_call_id="1")
    )
    assert "北京" in history[0]["tool_calls"][0]["function"]["arguments"]


def test_what_a_tool_returned_without_a_type_goes_as_json(
    chat: MakeChat, service: LocalService
) -> None:
    calling = AIMessage("", tool_calls=[{"id": "a", "name": "add", "args": {}}])
    history = sent(
        chat, service, HumanMessage("Hi"), calling, ToolMessage([{"sum": 5}], tool_call_id="a")
    )
    assert history[2]["content"] == '{"sum": 5}'
