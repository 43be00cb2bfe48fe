"""Answers that were asked for in a form and came as text: read alike, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelscope_transport import (
    ChatDelta,
    ChatRequest,
    ChatResult,
    Message,
    NamedTool,
    ResponseFormat,
    ToolSpec,
)
from modelscope_transport._wire.chat import Opening
from modelscope_transport._wire.chat_request import prepare
from modelscope_transport._wire.outcomes import Reply
from modelscope_transport.accumulator import ChatAccumulator
from modelscope_transport.catalogue.models import ModelProfile

PROFILE = ModelProfile(id="some/model")
ASKED = (Message("user", "Who?"),)
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
PERSON = ToolSpec("Person", "A person.", SCHEMA)
NOTHING = ToolSpec("stop", "Stops.", {"type": "object", "properties": {}})
ADA = '{"name": "Ada", "age": 36}'
PROSE = f"She may be this:\n```json\n{ADA}\n```\nI hope so."


def request(**options: Any) -> ChatRequest:
    return ChatRequest(model="some/model", messages=ASKED, **options)


FORCED = request(tools=(PERSON,), tool_choice=NamedTool("Person"))
ANY = request(tools=(NOTHING, PERSON), tool_choice="required")
FORM = request(response_format=ResponseFormat("json_schema", "Person", SCHEMA))
JSON = request(response_format=ResponseFormat("json_object"))


def whole(asked: ChatRequest, text: str, **message: Any) -> ChatResult:
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    body = json.dumps({"id": "1", "choices": [choice]}).encode()
    answer = prepare(asked, PROFILE, stream=False).read(Reply(200, {}, body, streaming=False))
    assert isinstance(answer, ChatResult)
    return answer


def streamed(asked: ChatRequest, text: str, *, size: int = 3, **delta: Any) -> ChatResult:
    deltas: list[dict[str, Any]] = [
        {"content": text[at : at + size]} for at in range(0, len(text), size)
    ]
    deltas += [delta] if delta else []
    choices: list[dict[str, Any]] = [{"delta": it, "finish_reason": None} for it in deltas]
    choices.append({"delta": {}, "finish_reason": "stop"})
    payloads = [json.dumps({"id": "1", "choices": [it]}).encode() for it in choices]
    first = Reply(200, {}, payloads[0], streaming=True)
    opening = prepare(asked, PROFILE, stream=True).read(first)
    assert isinstance(opening, Opening)
    sum_ = ChatAccumulator()
    found = [opening.first, *map(opening.decoder.feed, [*payloads[1:], b"[DONE]"])]
    for piece in [*found, opening.decoder.finish()]:
        if piece is not None:
            assert isinstance(piece, ChatDelta)
            assert piece != ChatDelta()
            sum_.add(piece)
    assert opening.decoder.done
    assert opening.decoder.finished
    return sum_.result(None)


both = pytest.mark.parametrize("answered", [whole, streamed])


@both
@pytest.mark.parametrize("asked", [FORCED, ANY], ids=["named", "any"])
def test_a_forced_call_that_came_as_text(answered: Any, asked: ChatRequest) -> None:
    choice = answered(asked, PROSE).choice

    (call,) = choice.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("Person", json.loads(ADA))
    assert call.id
    assert choice.text == PROSE


@both
def test_a_call_that_came_as_text_keeps_its_characters(answered: Any) -> None:
    said = '好的：{"name": "李白", "age": 61}'
    (call,) = answered(FORCED, said).choice.tool_calls
    assert call.arguments == '{"name": "李白", "age": 61}'


@both
@pytest.mark.parametrize(
    "said",
    [
        "Neither.",
        '{"name": "Ada"}',
        '{"name": "Ada", "age": 36, "town": "London"}',
        "{}",
        "[1]",
        ADA[:-1],
    ],
)
def test_text_that_is_no_call_stays_text(answered: Any, said: str) -> None:
    choice = answered(ANY, said).choice
    assert (choice.text, choice.tool_calls) == (said, ())


@both
def test_a_call_that_was_made_is_the_only_one(answered: Any) -> None:
    made = {"index": 0, "id": "a", "function": {"name": "Person", "arguments": "{}"}}
    (call,) = answered(FORCED, ADA, tool_calls=[made]).choice.tool_calls
    assert (call.id, call.arguments) == ("a", "{}")


@both
@pytest.mark.parametrize("asked", [request(tools=(PERSON,)), request()])
def test_what_nobody_forced_is_not_searched(answered: Any, asked: ChatRequest) -> None:
    choice = answered(asked, PROSE).choice
    assert (choice.text, choice.tool_calls) == (PROSE, ())


@both
@pytest.mark.parametrize(
    ("asked", "said", "text"),
    [
        (FORM, PROSE, ADA),
        (FORM, ADA, ADA),
        (FORM, f" \n{ADA} ", f" \n{ADA} "),
        (FORM, "I cannot say.", "I cannot say."),
        (FORM, 'Only {"name": "Ada"}.', 'Only {"name": "Ada"}.'),
        (FORM, f"Cut: {ADA[:-2]}", f"Cut: {ADA[:-2]}"),
        (JSON, "So: [1, 2]", "[1, 2]"),
        (JSON, "北京: {}", "{}"),
        (JSON, '好的: {"城市": "北京"}', '{"城市": "北京"}'),
        (JSON, "So: 7", "So: 7"),
    ],
)
def test_a_form_is_read_out_of_the_text(
    answered: Any, asked: ChatRequest, said: str, text: str
) -> None:
    assert answered(asked, said).text == text


@both
def test_text_before_a_call_stays_what_it_is_beside_a_form(answered: Any) -> None:
    asked = request(tools=(PERSON,), response_format=ResponseFormat("json_schema", "P", SCHEMA))
    made = {"index": 0, "id": "a", "function": {"name": "Person", "arguments": ADA}}
    choice = answered(asked, PROSE, tool_calls=[made]).choice
    assert choice.text == PROSE
    assert len(choice.tool_calls) == 1


def test_a_text_in_its_form_streams_at_once() -> None:
    payload = json.dumps({"choices": [{"delta": {"content": '{"na'}}]}).encode()
    opening = prepare(FORM, PROFILE, stream=True).read(Reply(200, {}, payload, streaming=True))
    assert isinstance(opening, Opening)
    assert opening.first is not None
    assert opening.first.text == '{"na'
