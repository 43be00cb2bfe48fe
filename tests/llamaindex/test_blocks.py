"""Content blocks on their way to the service, and messages as a history that nobody changes."""

from __future__ import annotations

import base64
import io
from pathlib import Path
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
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llamaindex_modelscope import ModelScope, ModelScopeInvalidRequestError
from modelscope_transport.emulator import LocalService, Reply
from tests.langchain import mixed

from .conftest import MakeLLM

SEES = "Qwen/Qwen3.5-122B-A10B"  # thinks, too, unless told not to
UNKNOWN = "somebody/hears-and-sees"

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(16)
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(16)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
FINE = Reply(200, {"choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}]})


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def sent(llm: ModelScope, service: LocalService, *blocks: Any) -> Any:
    """The content of a message of these blocks, as it arrived."""
    service.next(FINE)
    message = ChatMessage(blocks=list(blocks))
    before = message.model_dump()  # a file object is at its end after this

    assert llm.chat([message]).message.content == "Fine."

    assert message.model_dump() == before
    return service.requests[-1].body["messages"][0]["content"]


# --- text


def test_text_is_a_plain_string(llm: ModelScope, service: LocalService) -> None:
    assert sent(llm, service, TextBlock(text="Hello, 世界")) == "Hello, 世界"


def test_several_texts_are_joined_as_their_message_shows_them(
    llm: ModelScope, service: LocalService
) -> None:
    blocks = [TextBlock(text="one"), TextBlock(text="two")]
    assert sent(llm, service, *blocks) == ChatMessage(blocks=blocks).content == "one\ntwo"


# --- pictures, films, sounds


IMAGES = {
    "url": (ImageBlock(url="https://x.test/a.png"), "https://x.test/a.png"),
    "data url": (ImageBlock(url=data_url("image/png", PNG)), data_url("image/png", PNG)),
    "png bytes": (ImageBlock(image=PNG), data_url("image/png", PNG)),
    "jpeg bytes": (ImageBlock(image=JPEG), data_url("image/jpeg", JPEG)),
    "base64": (ImageBlock(image=base64.b64encode(PNG)), data_url("image/png", PNG)),
    "file object": (ImageBlock(image=io.BytesIO(PNG)), data_url("image/png", PNG)),
    "named type": (
        ImageBlock(image=PNG, image_mimetype="image/x-odd"),
        data_url("image/x-odd", PNG),
    ),
    "no known type": (ImageBlock(image=b"\x00pixels"), data_url("image/jpeg", b"\x00pixels")),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image(make_llm: MakeLLM, service: LocalService, kind: str) -> None:
    block, url = IMAGES[kind]
    for _ in range(2):  # a file object is read anew each time
        assert sent(make_llm(SEES), service, TextBlock(text="What is it?"), block) == [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]


@pytest.mark.parametrize("name", ["pixel.png", "pixel"])
def test_an_image_of_a_file(
    make_llm: MakeLLM, service: LocalService, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(PNG)
    content = sent(make_llm(SEES), service, ImageBlock(path=path, detail="low"))
    image = {"url": data_url("image/png", PNG), "detail": "low"}
    assert content == [{"type": "image_url", "image_url": image}]


VIDEOS = {
    "url": (VideoBlock(url="https://x.test/a.mp4"), "https://x.test/a.mp4"),
    "bytes": (VideoBlock(video=MP4), data_url("video/mp4", MP4)),
    "file object": (VideoBlock(video=io.BytesIO(MP4)), data_url("video/mp4", MP4)),
    "no known type": (VideoBlock(video=b"\x00film"), data_url("video/mp4", b"\x00film")),
}


@pytest.mark.parametrize("kind", VIDEOS)
def test_a_video(make_llm: MakeLLM, service: LocalService, kind: str) -> None:
    block, url = VIDEOS[kind]
    content = sent(make_llm(SEES), service, block)
    assert content == [{"type": "video_url", "video_url": {"url": url}}]


SOUNDS = {
    "bytes": (AudioBlock(audio=WAV), "wav"),
    "named format": (AudioBlock(audio=WAV, format="mp3"), "mp3"),
    "file object": (AudioBlock(audio=io.BytesIO(WAV), format="wav"), "wav"),
    "file object of no named format": (AudioBlock(audio=io.BytesIO(WAV)), "wav"),
    "data url": (AudioBlock(url=data_url("audio/x-wav", WAV)), "wav"),
}


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_sound_goes_to_a_model_that_may_hear(
    make_llm: MakeLLM, service: LocalService, kind: str
) -> None:
    block, form = SOUNDS[kind]
    sound = {"data": base64.b64encode(WAV).decode(), "format": form}
    content = sent(make_llm(UNKNOWN), service, block)
    assert content == [{"type": "input_audio", "input_audio": sound}]


REFUSED = [
    (SEES, AudioBlock(audio=WAV, format="wav"), "does not take audio"),
    ("Qwen/Qwen3-Coder-30B-A3B-Instruct", ImageBlock(image=PNG), "does not take image"),
    ("Qwen/Qwen3-Coder-30B-A3B-Instruct", VideoBlock(video=MP4), "does not take video"),
    (SEES, ImageBlock(), "ImageBlock cannot be read"),
    (SEES, ImageBlock(image=io.BytesIO()), "ImageBlock cannot be read.*zero bytes"),
    (SEES, ImageBlock(image=b""), "ImageBlock cannot be read.*returned zero bytes"),
    (UNKNOWN, VideoBlock(video=b""), "VideoBlock cannot be read.*zero bytes"),
    (UNKNOWN, AudioBlock(audio=b""), "AudioBlock cannot be read.*zero bytes"),
    (SEES, DocumentBlock(data=b"%PDF-1.7\x00\x01", title="a.pdf"), "'a.pdf'.*is not text"),
    (SEES, DocumentBlock(data="café".encode("utf-16")), "is not text"),
]


@pytest.mark.parametrize(("model", "block", "said"), REFUSED, ids=[said for _, _, said in REFUSED])
def test_what_cannot_be_sent_is_said_before_any_request(
    make_llm: MakeLLM, service: LocalService, model: str, block: Any, said: str
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match=said):
        make_llm(model).chat([ChatMessage(blocks=[block])])
    assert not service.requests


def test_a_file_that_went_away_is_said(
    make_llm: MakeLLM, service: LocalService, tmp_path: Path
) -> None:
    path = tmp_path / "pixel.png"
    path.write_bytes(PNG)
    block = ImageBlock(path=path)
    path.unlink()
    with pytest.raises(ModelScopeInvalidRequestError, match=r"cannot be read.*pixel\.png"):
        make_llm(SEES).chat([ChatMessage(blocks=[block])])
    assert not service.requests


# --- documents, citations, cache points


@pytest.mark.parametrize("source", ["bytes", "path", "file object", "data url"])
def test_a_text_document_is_inlined(
    llm: ModelScope, service: LocalService, tmp_path: Path, source: str
) -> None:
    text = "# Städte\n\nParis: 2,1 Mio."
    path = tmp_path / "cities.md"
    path.write_text(text, encoding="utf-8")
    given: dict[str, dict[str, Any]] = {
        "bytes": {"data": text.encode()},
        "path": {"path": path},
        "file object": {"data": io.BytesIO(text.encode())},
        "data url": {"url": data_url("text/markdown", text.encode())},
    }
    block = DocumentBlock(title="cities.md", document_mimetype="text/markdown", **given[source])
    content = sent(llm, service, TextBlock(text="Which city?"), block)
    assert content == f'Which city?\n<document title="cities.md">\n{text}\n</document>'


def test_a_byte_order_mark_is_no_part_of_a_document(llm: ModelScope, service: LocalService) -> None:
    content = sent(llm, service, DocumentBlock(data="Paris.".encode("utf-8-sig"), title="a"))
    assert content == '<document title="a">\nParis.\n</document>'


def test_citations_are_flattened_and_cache_points_left_out(
    make_llm: MakeLLM, service: LocalService
) -> None:
    point = CachePoint(cache_control=CacheControl(type="ephemeral"))
    citable = CitableBlock(
        title="Cities",
        source="atlas",
        content=[TextBlock(text="Paris."), DocumentBlock(data=b"Berlin, too.", title="d")],
    )
    citation = CitationBlock(
        cited_content=TextBlock(text="Paris."),
        source="atlas",
        title="Cities",
        additional_location_info={},
    )
    content = sent(make_llm(), service, citable, point, citation)
    assert content == 'Paris.\n<document title="d">\nBerlin, too.\n</document>\nParis.'

    seen = CitableBlock(title="p", source="s", content=[ImageBlock(image=PNG)])
    content = sent(make_llm(SEES), service, seen, point)
    assert content == [{"type": "image_url", "image_url": {"url": data_url("image/png", PNG)}}]


# --- a history


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Sum(BaseModel):
    """The sum of two numbers."""

    total: int


def conversation() -> list[ChatMessage]:
    """Every kind of block, in every role that it occurs in."""
    return [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(
            role="user",
            blocks=[
                TextBlock(text="What is this?"),
                ImageBlock(image=PNG),
                DocumentBlock(data=b"A note.", title="note"),
                CachePoint(cache_control=CacheControl(type="ephemeral")),
            ],
        ),
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="Let me add."),
                TextBlock(text="Adding."),
                ToolCallBlock(tool_call_id="c1", tool_name="my.add", tool_kwargs={"a": 1, "b": 2}),
                ToolCallBlock(tool_call_id="c2", tool_name="my.add", tool_kwargs='{"a": 3}'),
            ],
        ),
        ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"}),
        ChatMessage(role="tool", content="4", additional_kwargs={"tool_call_id": "c2"}),
        ChatMessage(role="user", content="Please add 3 and 4."),
    ]


def wire(calls: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": calls, **fields}


def wire_call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_history_of_every_block(make_llm: MakeLLM, service: LocalService) -> None:
    make_llm(SEES).chat(conversation())

    messages = service.requests[0].body["messages"]
    calls = [wire_call("c1", "my_add", '{"a":1,"b":2}'), wire_call("c2", "my_add", '{"a": 3}')]
    assert messages[2] == wire(calls, content="Adding.")
    assert messages[3:5] == [
        {"role": "tool", "content": "3", "tool_call_id": "c1"},
        {"role": "tool", "content": "4", "tool_call_id": "c2"},
    ]


def test_thoughts_go_back_only_on_request(make_llm: MakeLLM, service: LocalService) -> None:
    make_llm(SEES, send_reasoning=True).chat(conversation())
    make_llm(SEES).chat(conversation())

    first, second = (request.body["messages"][2] for request in service.requests)
    assert first["reasoning_content"] == "Let me add."
    assert "reasoning_content" not in second


async def _every_call(llm: ModelScope, history: list[ChatMessage]) -> None:
    tools = [FunctionTool.from_defaults(add, name="my.add")]
    llm.chat(history)
    list(llm.stream_chat(history))
    await llm.achat(history)
    _ = [_ async for _ in await llm.astream_chat(history)]
    for message in ("And 5 and 6?", ChatMessage(role="user", content="And 5 and 6?"), None):
        given: Any = {"user_msg": message, "chat_history": history}
        llm.chat_with_tools(tools, **given)
        list(llm.stream_chat_with_tools(tools, **given))
        await llm.achat_with_tools(tools, **given)
        _ = [_ async for _ in await llm.astream_chat_with_tools(tools, **given)]
    prompt = ChatPromptTemplate(message_templates=history)
    llm.structured_predict(Sum, prompt)
    list(llm.stream_structured_predict(Sum, prompt))
    await llm.astructured_predict(Sum, prompt)
    _ = [_ async for _ in await llm.astream_structured_predict(Sum, prompt)]


@pytest.mark.parametrize("mode", ["function_calling", "json_schema", "json_object", "text"])
async def test_a_callers_history_is_never_changed(
    make_llm: MakeLLM, service: LocalService, mode: Any
) -> None:
    objects = Reply(
        200, {"choices": [{"message": {"content": '{"total": 7}'}, "finish_reason": "stop"}]}
    )
    llm = make_llm(SEES, system_prompt="Count.", structured_output_mode=mode)
    history = conversation()
    messages, dumps = list(history), [message.model_dump() for message in history]
    if mode in ("json_object", "text"):  # the scripted engine finds no numbers for these
        service.next(*["honest"] * 16, objects, "honest", objects, "honest")

    await _every_call(llm, history)

    assert len(history) == len(messages)
    for now, then, dump in zip(history, messages, dumps, strict=True):
        assert now is then
        assert now.model_dump() == dump


@pytest.mark.parametrize("streamed", [False, True], ids=["chat", "stream_chat"])
@pytest.mark.parametrize("stored", [False, True], ids=["kept", "stored as JSON"])
def test_an_answer_is_a_history(
    make_llm: MakeLLM, service: LocalService, streamed: bool, stored: bool
) -> None:
    llm = make_llm(SEES)
    service.next(mixed.stream() if streamed else mixed.reply())
    question = ChatMessage(role="user", content="Weather?")
    answer = (list(llm.stream_chat([question]))[-1] if streamed else llm.chat([question])).message
    if stored:
        answer = ChatMessage.model_validate_json(answer.model_dump_json())
    results = [
        ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": id_})
        for id_, *_ in mixed.CALLS
    ]

    llm.chat([question, answer, *results])

    calls = [wire_call(id_, name, arguments) for id_, name, arguments, _ in mixed.CALLS]
    said = service.requests[-1].body["messages"][1]
    assert said == wire(calls, content="".join(mixed.TEXT))


@pytest.mark.parametrize("form", ["dictionary", "object"])
def test_calls_where_older_messages_keep_them(
    llm: ModelScope, service: LocalService, form: str
) -> None:
    class Call(BaseModel):
        id: str = "c1"
        function: Any

    class Function(BaseModel):
        name: str = "my.add"
        arguments: str = '{"a": 1}'

    as_object = Call(function=Function())
    call = as_object if form == "object" else as_object.model_dump() | {"type": "function"}
    older = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [call]})
    result = ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"})

    llm.chat([ChatMessage(content="Add."), older, result])

    said = service.requests[0].body["messages"][1]
    assert said == wire([wire_call("c1", "my_add", '{"a": 1}')], content="")


def test_a_call_without_an_id_is_answered_by_its_tools_name(
    llm: ModelScope, service: LocalService
) -> None:
    call = ToolCallBlock(tool_name="my.add", tool_kwargs={"a": 1})
    asked = ChatMessage(role="assistant", blocks=[call])
    result = ChatMessage(role="function", content="3", additional_kwargs={"name": "my.add"})

    llm.chat([ChatMessage(content="Add."), asked, result])

    _, said, answered = service.requests[0].body["messages"]
    assert said["tool_calls"][0]["id"] == answered["tool_call_id"] == "call_my_add"


@pytest.mark.parametrize(
    ("role", "name"),
    [
        (MessageRole.DEVELOPER, "system"),
        (MessageRole.CHATBOT, "assistant"),
        (MessageRole.MODEL, "assistant"),
    ],
    ids=lambda value: str(getattr(value, "value", value)),
)
def test_roles_by_other_names(
    llm: ModelScope, service: LocalService, role: MessageRole, name: str
) -> None:
    llm.chat([ChatMessage(role=role, content="Hello."), ChatMessage(content="Go on.")])
    assert service.requests[0].body["messages"][0] == {"role": name, "content": "Hello."}


def test_pictures_in_a_tools_result_are_sent(make_llm: MakeLLM, service: LocalService) -> None:
    call = ToolCallBlock(tool_call_id="c1", tool_name="look", tool_kwargs={})
    result = ChatMessage(
        role="tool",
        blocks=[TextBlock(text="Here:"), ImageBlock(image=PNG)],
        additional_kwargs={"tool_call_id": "c1"},
    )
    make_llm(SEES).chat(
        [ChatMessage(content="Look."), ChatMessage(role="assistant", blocks=[call]), result]
    )

    said = service.requests[0].body["messages"]
    assert said[1] == wire([wire_call("c1", "look", "{}")], content="")
    assert [part["type"] for part in said[2]["content"]] == ["text", "image_url"]
