"""Structured output: schemas of an uncommon form, and readers that go to another process."""

from __future__ import annotations

import pickle
from datetime import date
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from modelscope_transport.emulator import LocalService, Reply
from tests.langchain.conftest import MakeChat


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


class Sex(Enum):
    GIRL = "girl"
    BOY = "boy"


class Remembered(TypedDict, total=False):
    """What a text may tell of a person."""

    name: str
    age: int


class Birth(BaseModel):
    """When a person was born, to the letter."""

    model_config = ConfigDict(strict=True)
    day: date
    child: Sex


SCHEMA = {
    "title": "Person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
ADA = 'The person is called "Ada", aged 36. Answer in JSON with the keys "name" and "age".'
AGES = {"type": "object", "additionalProperties": {"type": "integer"}}
EITHER = {"type": "object", "anyOf": [SCHEMA, AGES]}


@pytest.mark.parametrize(
    ("schema", "strict"), [(AGES, None), (AGES, True), (EITHER, None)], ids=str
)
def test_a_function_has_a_schema_that_names_no_properties(
    chat: MakeChat, service: LocalService, schema: Any, strict: bool | None
) -> None:
    named = {"title": "Ages", "description": "Their ages.", **schema}
    reader = chat().with_structured_output(named, method="function_calling", strict=strict)
    message = {"content": '{"Ada": 36}'}
    service.next(Reply(200, {"choices": [{"message": message, "finish_reason": "stop"}]}))
    assert reader.invoke("?") == {"Ada": 36}
    function = service.requests[-1].body["tools"][0]["function"]
    assert function["parameters"] == named
    assert (function["name"], function["description"]) == ("Ages", "Their ages.")
    assert function.get("strict") is strict


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_a_strict_class_takes_what_json_has_for_a_date(
    chat: MakeChat, service: LocalService, method: Any
) -> None:
    message = {"content": '{"day": "1815-12-10", "child": "girl"}'}
    reply = Reply(200, {"choices": [{"message": message, "finish_reason": "stop"}]})
    service.next(reply, reply)
    born = Birth(day=date(1815, 12, 10), child=Sex.GIRL)
    assert chat().with_structured_output(Birth, method=method).invoke("?") == born
    assert chat().invoke("?", response_format=Birth).additional_kwargs["parsed"] == born


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_a_typed_dictionary_may_leave_keys_out(
    chat: MakeChat, service: LocalService, method: Any
) -> None:
    message = {"content": '{"name": "Ada"}'}
    for strict, required in (None, []), (True, ["name", "age"]):
        service.next(Reply(200, {"choices": [{"message": message, "finish_reason": "stop"}]}))
        reader = chat().with_structured_output(Remembered, method=method, strict=strict)
        assert reader.invoke("?") == {"name": "Ada"}
        body = service.requests[-1].body
        if method == "function_calling":
            schema = body["tools"][0]["function"]["parameters"]
        else:
            schema = body["response_format"]["json_schema"]["schema"]
        assert schema.get("required", []) == required


def test_a_strict_choice_of_objects_leaves_them_their_keys(
    chat: MakeChat, service: LocalService
) -> None:
    message = {"content": '{"name": "Ada", "age": 36}'}
    service.next(Reply(200, {"choices": [{"message": message, "finish_reason": "stop"}]}))
    chat().with_structured_output(EITHER, method="json_schema", strict=True).invoke("?")
    sent = service.requests[-1].body["response_format"]["json_schema"]["schema"]
    person, ages = sent["anyOf"]
    assert "additionalProperties" not in sent  # false would forbid the keys of either
    assert person["additionalProperties"] is False
    assert ages == AGES


@pytest.mark.parametrize("strict", [None, True])
def test_a_function_has_the_schema_that_its_reference_names(
    chat: MakeChat, service: LocalService, strict: bool | None
) -> None:
    schema = {"title": "Person", "$ref": "#/$defs/P", "$defs": {"P": SCHEMA}}
    reader = chat().with_structured_output(schema, method="function_calling", strict=strict)
    assert reader.invoke(ADA) == {"name": "Ada", "age": 36}
    sent = service.requests[-1].body["tools"][0]["function"]["parameters"]
    assert sent["properties"] == SCHEMA["properties"]


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize(
    ("schema", "method"),
    [
        (Person, "function_calling"),
        (SCHEMA, "function_calling"),
        (SCHEMA, "json_schema"),
        (None, "json_mode"),
    ],
    ids=["class", "function", "json_schema", "json_mode"],
)
async def test_a_reader_can_be_pickled(
    chat: MakeChat,
    service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    schema: Any,
    method: Any,
    include_raw: bool,
) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    reader = chat().with_structured_output(schema, method=method, include_raw=include_raw)
    sent = pickle.loads(pickle.dumps(reader))
    answers: list[Any] = [reader.invoke(ADA), sent.invoke(ADA), await sent.ainvoke(ADA)]
    before, *after = [answer["parsed"] if include_raw else answer for answer in answers]
    assert after == [before, before]
    assert isinstance(before, Person if schema is Person else dict)
