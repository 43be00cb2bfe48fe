"""Structured output: three ways, every kind of schema, and what they put on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, Field, RootModel, model_validator
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from langchain_modelscope import _structured
from modelscope_transport.catalogue import ModelProfile
from modelscope_transport.emulator import DONE, LocalService, Reply, Stream
from tests.langchain import mixed
from tests.langchain.conftest import NO_SCHEMA, MakeChat


class Person(BaseModel):
    """A person that a text tells about."""

    name: str = Field(description="the person's name")
    age: int


class PersonDict(TypedDict):
    """A person that a text tells about."""

    name: str
    age: int


SCHEMA = {
    "title": "Person",
    "description": "A person that a text tells about.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
ADA = 'The person is called "Ada", aged 36. Answer in JSON with the keys "name" and "age".'
SCHEMAS: list[Any] = [Person, PersonDict, SCHEMA]
IDS = ["pydantic", "TypedDict", "JSON schema"]


@pytest.mark.parametrize(
    ("known", "asked_by"),
    [
        ({"thinking": "always"}, "response_format"),
        ({"forced_tools": "no"}, "response_format"),
        ({"thinking": "always", "structured_output": "json_object"}, "tools"),
        ({"thinking": "hybrid"}, "tools"),
    ],
)
def test_a_model_that_cannot_be_forced_to_call_is_held_to_the_schema_where_it_keeps_one(
    chat: MakeChat,
    service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    known: dict[str, Any],
    asked_by: str,
) -> None:
    profile = ModelProfile(id="a/b", **{"structured_output": "json_schema", **known})
    monkeypatch.setattr(_structured, "profile_for", lambda model: profile)
    assert chat().with_structured_output(Person).invoke(ADA) == Person(name="Ada", age=36)
    assert {"response_format", "tools"} & service.requests[-1].body.keys() == {asked_by}


@pytest.mark.parametrize("schema", SCHEMAS, ids=IDS)
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
async def test_an_object_of_every_kind_of_schema(
    chat: MakeChat, service: LocalService, schema: Any, method: Any
) -> None:
    reader = chat().with_structured_output(schema, method=method)

    answers = [reader.invoke(ADA), await reader.ainvoke(ADA), list(reader.stream(ADA))[-1]]

    expected = Person(name="Ada", age=36) if schema is Person else {"name": "Ada", "age": 36}
    assert answers == [expected] * 3
    body = service.requests[0].body
    if method == "function_calling":
        name = body["tools"][0]["function"]["name"]
        assert body["tool_choice"] == {"type": "function", "function": {"name": name}}
        assert body["parallel_tool_calls"] is False
        assert "response_format" not in body
    else:
        form = body["response_format"]
        assert form["type"] == "json_schema"
        assert set(form["json_schema"]["schema"]["required"]) == {"name", "age"}
        assert "tools" not in body


def test_json_mode_takes_its_keys_from_the_prompt(chat: MakeChat, service: LocalService) -> None:
    asked = 'Tell of a person in JSON with the keys "name" and "age".'
    answer = chat().with_structured_output(None, method="json_mode").invoke(asked)

    assert set(answer) == {"name", "age"}  # type: ignore[arg-type]
    assert service.requests[0].body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_strict_is_sent(
    chat: MakeChat, service: LocalService, method: Any, strict: bool | None
) -> None:
    chat().with_structured_output(Person, method=method, strict=strict).invoke(ADA)

    body = service.requests[0].body
    place = (
        body["tools"][0]["function"]
        if method == "function_calling"
        else body["response_format"]["json_schema"]
    )
    assert place.get("strict") is strict


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_the_raw_answer_beside_the_object(
    chat: MakeChat, service: LocalService, method: Any
) -> None:
    reader = chat().with_structured_output(Person, method=method, include_raw=True)
    service.next("honest", *[Reply(200, {"choices": [broken(method)]})])

    good: Any = reader.invoke(ADA)
    bad: Any = reader.invoke(ADA)

    assert good["raw"].usage_metadata
    if method != "json_mode":  # there the scripted engine finds no numbers for the keys
        assert good["parsed"] == Person(name="Ada", age=36)
        assert good["parsing_error"] is None
    assert bad["parsed"] is None
    assert isinstance(bad["parsing_error"], Exception)


class Grown(BaseModel):
    """A person of at least so many years that a text tells about."""

    name: str
    age: int

    @model_validator(mode="before")
    @classmethod
    def _look_up(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "age": {"36": 36}[str(values["age"])]}


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
async def test_half_an_object_that_its_class_stumbles_over_does_not_end_the_stream(
    chat: MakeChat, method: Any
) -> None:
    reader = chat().with_structured_output(Grown, method=method)
    ada = Grown(name="Ada", age=36)
    assert [*reader.stream(ADA)] == [ada] == [item async for item in reader.astream(ADA)]


async def test_half_an_object_behind_other_braces_grows_with_its_text(
    chat: MakeChat, service: LocalService
) -> None:
    spoken = '{So}:\n```json\n{"name": "Zo\\u00eb\n of Ada", "age": 36}\n```'
    pieces = [mixed.chunk(content=spoken[at : at + 3]) for at in range(0, len(spoken), 3)]
    service.next(*[Stream([*pieces, mixed.chunk("stop"), DONE])] * 2)
    reader: Any = chat().with_structured_output(SCHEMA, method="json_schema")
    for halves in [*reader.stream("?")], [half async for half in reader.astream("?")]:
        assert halves[-1] == {"name": "Zo\u00eb\n of Ada", "age": 36}
        names = [half.get("name", "") for half in halves]
        assert len(halves) > 5
        assert names == sorted(names, key=len)  # none is lost again where an escape is cut


def test_what_half_an_object_lacks_is_looked_for_once(
    chat: MakeChat, service: LocalService
) -> None:
    looks = []

    class Looked(Person):
        @model_validator(mode="before")
        @classmethod
        def _count(cls, values: Any) -> Any:
            looks.append(values)
            return values

    pieces = [mixed.chunk(content=piece) for piece in ('{"name": "A', 'da", ', '"age": 36}')]
    service.next(Stream([*pieces, mixed.chunk("stop"), DONE]))
    reader = chat().with_structured_output(Looked, method="json_schema")
    assert [*reader.stream("?")] == [Looked(name="Ada", age=36)]
    assert looks == [{"name": "A"}, {"name": "Ada"}, *[{"name": "Ada", "age": 36}] * 3]


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
async def test_an_object_that_its_class_stumbles_over_stands_beside_the_raw_answer(
    chat: MakeChat, method: Any
) -> None:
    reader = chat().with_structured_output(Grown, method=method, include_raw=True)
    asked = ADA.replace("36", "37")
    for said in reader.invoke(asked), await reader.ainvoke(asked):
        answer: Any = said
        assert answer["parsed"] is None
        assert isinstance(answer["parsing_error"], KeyError)


def broken(method: str) -> dict[str, Any]:
    if method == "function_calling":
        call = {"id": "a", "function": {"name": "Person", "arguments": '{"name": "Ada"}'}}
        return {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    return {"message": {"content": '{"name": "Ada"'[:-1]}, "finish_reason": "length"}


def test_an_answer_that_is_no_object_raises(chat: MakeChat, service: LocalService) -> None:
    choice = {"message": {"content": "I would rather not."}, "finish_reason": "stop"}
    service.next(Reply(200, {"choices": [choice]}))
    with pytest.raises(OutputParserException):
        chat().with_structured_output(Person, method="json_schema").invoke(ADA)


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
async def test_a_refusal_is_no_object(chat: MakeChat, service: LocalService, method: Any) -> None:
    choice = {"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}
    service.next(*[Reply(200, {"choices": [choice]})] * 2)
    reader = chat().with_structured_output(Person, method=method, include_raw=True)

    for answer in (reader.invoke(ADA), await reader.ainvoke(ADA)):
        assert isinstance(answer, dict)
        assert answer["parsed"] is None
        assert answer["raw"].content_blocks == [{"type": "refusal", "refusal": "I cannot."}]
        if method != "function_calling":  # no call is no error to LangChain
            assert isinstance(answer["parsing_error"], Exception)


@pytest.mark.parametrize("stream", [False, True], ids=["invoke", "stream"])
def test_a_model_without_json_schema_is_asked_by_a_tool(
    chat: MakeChat, service: LocalService, stream: bool
) -> None:
    reader = chat(NO_SCHEMA, enable_thinking=False).with_structured_output(
        Person, method="json_schema", include_raw=True
    )
    answer: Any = reader.invoke(ADA)
    if stream:
        parts: Any = list(reader.stream(ADA))
        assert {"parsed": Person(name="Ada", age=36)} in parts

    assert answer["parsed"] == Person(name="Ada", age=36)
    sent = service.requests[-1].body
    assert "response_format" not in sent
    assert sent["tool_choice"]["function"]["name"] == sent["tools"][0]["function"]["name"]
    adjustments = answer["raw"].response_metadata["modelscope"]["adjustments"]
    assert any("schema" in said for said in adjustments)


class Trace(BaseCallbackHandler):
    def __init__(self) -> None:
        self.forms: list[Any] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.forms.append(kwargs["options"].get("ls_structured_output_format"))


@pytest.mark.parametrize("schema", SCHEMAS, ids=IDS)
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_a_trace_knows_the_schema(chat: MakeChat, method: Any, schema: Any) -> None:
    trace = Trace()
    reader = chat().with_structured_output(schema, method=method)
    reader.invoke(ADA, {"callbacks": [trace]})

    assert trace.forms[0]["kwargs"]["method"] == method
    told = trace.forms[0]["schema"]
    assert told["title"].startswith("Person")
    assert told["description"] == SCHEMA["description"]
    assert set(told["properties"]) == {"name", "age"}


def test_wrong_methods_and_missing_schemas_are_said(chat: MakeChat) -> None:
    with pytest.raises(ValueError, match="needs a schema"):
        chat().with_structured_output(None)
    with pytest.raises(ValueError, match="is not one of"):
        chat().with_structured_output(Person, method="telepathy")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------- schemas as they are


def text(said: str) -> Reply:
    return Reply(200, {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]})


def sent_schema(service: LocalService) -> dict[str, Any]:
    schema: dict[str, Any] = service.requests[-1].body["response_format"]["json_schema"]["schema"]
    return schema


NUMBERS = {"title": "Numbers", "type": "array", "items": {"type": "integer"}}
MOOD = {"title": "Mood", "type": "string", "enum": ["good", "bad"]}
MAYBE = {"title": "Maybe", "anyOf": [SCHEMA, {"type": "null"}]}
NULLABLE = {"title": "Nullable", "type": ["integer", "null"]}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (NUMBERS, [1, 2], {"error": "no idea"}),
        (MOOD, "good", "purple"),
        (MAYBE, {"name": "Ada", "age": 36}, {"name": "Ada"}),
        (NULLABLE, None, "no idea"),
    ],
    ids=["list", "enum", "anyOf", "null"],
)
@pytest.mark.parametrize("strict", [None, False])
@pytest.mark.parametrize("method", ["json_schema", None])
async def test_a_schema_of_no_object_is_sent_and_kept(
    chat: MakeChat,
    service: LocalService,
    method: Any,
    schema: Any,
    good: Any,
    bad: Any,
    strict: bool | None,
) -> None:
    service.next(*[text(json.dumps(good))] * 3, text(json.dumps(bad)))
    reader = chat().with_structured_output(schema, method=method, strict=strict)
    assert [reader.invoke("?"), await reader.ainvoke("?"), *list(reader.stream("?"))[-1:]] == [
        good,
        good,
        good,
    ]
    assert sent_schema(service) == schema
    assert "tools" not in service.requests[-1].body
    with pytest.raises(OutputParserException):
        reader.invoke("?")

    service.next(text("x"))
    chat().invoke("?", response_format=schema)
    assert sent_schema(service) == schema


def test_a_class_of_no_object_is_no_function(chat: MakeChat, service: LocalService) -> None:
    class Ages(RootModel[list[int]]):
        """Ages of people."""

    service.next(text("[36, 7]"))
    assert chat().with_structured_output(Ages).invoke("?") == Ages([36, 7])
    assert sent_schema(service)["type"] == "array"


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("schema", [NUMBERS, MAYBE])
def test_a_function_of_no_object_is_refused(
    chat: MakeChat, schema: Any, strict: bool | None
) -> None:
    with pytest.raises(ValueError, match="json_schema"):
        chat().with_structured_output(schema, method="function_calling", strict=strict)


class Tree(BaseModel):
    """A tree."""

    name: str
    children: list[Tree] = []


class TreeV1(BaseModelV1):
    """A tree."""

    name: str
    children: list[TreeV1] = []


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("tree", [Tree, TreeV1])
def test_a_class_that_holds_itself_is_sent_whole(
    chat: MakeChat, service: LocalService, tree: Any, strict: bool | None
) -> None:
    service.next(text('{"name": "a", "children": [{"name": "b"}]}'), text("{}"))
    reader = chat().with_structured_output(tree, method="json_schema", strict=strict)
    assert reader.invoke("?") == tree(name="a", children=[tree(name="b")])
    by_method = sent_schema(service)
    chat().invoke("?", response_format=tree, strict=strict)
    for schema in (by_method, sent_schema(service)):
        _, place, name = schema["properties"]["children"]["items"]["$ref"].split("/")
        item = schema[place][name]
        assert set(item["properties"]) == {"name", "children"}
        assert schema["type"] == "object"
        for part in (schema, item):
            assert part["required"] == (["name", "children"] if strict else ["name"])
            assert part.get("additionalProperties", True) is not strict


UNNAMED = {name: SCHEMA[name] for name in ("type", "properties", "required")}
OPENAIS = {"name": "A", "schema": UNNAMED, "strict": True}


@pytest.mark.parametrize(
    "schema", [OPENAIS, {"type": "json_schema", "json_schema": OPENAIS}], ids=["inner", "outer"]
)
def test_a_schema_in_the_form_of_openais_service(
    chat: MakeChat, service: LocalService, schema: dict[str, Any]
) -> None:
    service.next(text('{"name": "Ada", "age": 36}'))
    reader = chat().with_structured_output(schema, method="json_schema")
    assert reader.invoke("?") == {"name": "Ada", "age": 36}
    assert service.requests[-1].body["response_format"] == {
        "type": "json_schema",
        "json_schema": OPENAIS,
    }
    assert chat().with_structured_output(schema).invoke(ADA) == {"name": "Ada", "age": 36}
    function = service.requests[-1].body["tools"][0]["function"]
    assert (function["name"], function["parameters"], function["strict"]) == ("A", UNNAMED, True)


def test_a_schema_without_a_name(chat: MakeChat, service: LocalService) -> None:
    for method in ("json_mode", "json_schema"):
        service.next(text('{"name": "Ada"}'), text('{"name": "Ada", "age": 36}'))
        reader = chat().with_structured_output(UNNAMED, method=method)  # type: ignore[arg-type]
        with pytest.raises(OutputParserException, match="age"):
            reader.invoke("In JSON?")
        assert reader.invoke("In JSON?") == {"name": "Ada", "age": 36}
