"""Structured output: every way to an object, as the model can, and what is asked on the wire."""

from __future__ import annotations

import json
import pickle
from typing import Any, Generic, Literal, TypeVar

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.output_parsers.base import OutputParserException
from llama_index.core.program import FunctionCallingProgram, LLMTextCompletionProgram
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, Field, RootModel, field_validator

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeInvalidRequestError,
    ModelScopeOutputParserError,
)
from modelscope_transport.emulator import DONE, LocalService, Reply, Stream
from tests.langchain import mixed

from .conftest import MakeLLM
from .consumers.kit import CHAT

HYBRID = "Qwen/Qwen3.5-122B-A10B"  # keeps a JSON schema; thinks unless told not to
ALWAYS_THINKS = "Qwen/QwQ-32B"
NO_SCHEMA = "deepseek-ai/DeepSeek-V4.1-Flash"
UNKNOWN = "nex-agi/Nex-N2.5-mini"


class Person(BaseModel):
    """A person that a text tells about."""

    name: str = Field(description="the person's name")
    age: int


ADA = Person(name="Ada", age=36)
TEMPLATE = PromptTemplate('The person is called "{name}", aged {age}.')
ASKED: dict[str, Any] = {"prompt": TEMPLATE, "name": "Ada", "age": 36}
MODES: list[Any] = ["function_calling", "json_schema", "json_object", "text"]


def said(text: str, *, stream: bool = False) -> Reply | Stream:
    """An answer of this text; streamed in pieces of three characters."""
    if not stream:
        return Reply(200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    pieces = [text[start : start + 3] for start in range(0, len(text), 3)]
    return Stream([*(mixed.chunk(content=piece) for piece in pieces), mixed.chunk("stop"), DONE])


def called(arguments: Any, name: str = "Person", *, stream: bool = False) -> Reply | Stream:
    """An answer that calls a tool with these arguments."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = mixed.call(0, written, id="c1", name=name)
    if stream:
        return Stream([mixed.chunk(tool_calls=[call]), mixed.chunk("tool_calls"), DONE])
    choice = {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    return Reply(200, {"choices": [choice]})


WAYS = ["plain", "async", "stream", "async stream"]
each_way = pytest.mark.parametrize("way", WAYS)


async def made(llm: ModelScope, way: str, output_cls: Any = Person, **asked: Any) -> Any:
    """The object, or the last of a stream of objects."""
    asked = asked or ASKED
    if way == "plain":
        return llm.structured_predict(output_cls, **asked)
    if way == "async":
        return await llm.astructured_predict(output_cls, **asked)
    if way == "stream":
        return list(llm.stream_structured_predict(output_cls, **asked))[-1]
    return [one async for one in await llm.astream_structured_predict(output_cls, **asked)][-1]


# --- which way, and what it asks


PROFILES = [
    (CHAT, {}, "function_calling"),
    (UNKNOWN, {}, "function_calling"),
    (HYBRID, {}, "json_schema"),
    (NO_SCHEMA, {}, "json_object"),
    (CHAT, {"is_function_calling_model": False}, "text"),
    (HYBRID, {"pydantic_program_mode": PydanticProgramMode.FUNCTION}, "function_calling"),
    (HYBRID, {"pydantic_program_mode": PydanticProgramMode.LLM}, "text"),
    (HYBRID, {"structured_output_mode": "json_object"}, "json_object"),
]


@pytest.mark.parametrize(
    ("model", "fields", "mode"), PROFILES, ids=[f"{mode}-{model}" for model, _, mode in PROFILES]
)
def test_the_way_is_the_models_best(
    make_llm: MakeLLM, model: str, fields: dict[str, Any], mode: str
) -> None:
    assert make_llm(model, **fields).structured_output == mode


@each_way
@pytest.mark.parametrize("mode", MODES)
async def test_an_object_by_every_mode_in_every_way(
    make_llm: MakeLLM, service: LocalService, mode: Any, way: str
) -> None:
    llm = make_llm(structured_output_mode=mode, system_prompt="Be exact.")
    if mode in ("json_object", "text"):  # the scripted engine finds no numbers for these
        service.next(said(ADA.model_dump_json(), stream="stream" in way))

    assert await made(llm, way) == ADA

    assert len(service.requests) == 1
    check_asked(service.requests[0].body, mode, stream="stream" in way)


def check_asked(body: dict[str, Any], mode: str, *, stream: bool) -> None:
    system, user = body["messages"]
    assert system == {"role": "system", "content": "Be exact."}
    assert user["content"].startswith('The person is called "Ada", aged 36.')
    assert body.get("stream", False) is stream
    if mode == "function_calling":
        assert body["tool_choice"] == "required"
        assert body["parallel_tool_calls"] is False
        function = body["tools"][0]["function"]
        assert (function["name"], function["description"]) == ("Person", Person.__doc__)
        assert set(function["parameters"]["properties"]) == {"name", "age"}
    else:
        assert "tools" not in body
    form = body.get("response_format", {"type": None})
    assert form["type"] == {"json_schema": mode, "json_object": mode}.get(mode)
    # the schema stands in the form where that can hold it, else in the prompt
    assert ('"properties"' in user["content"]) is (mode in ("json_object", "text"))
    if mode == "json_schema":
        assert form["json_schema"]["name"] == "Person"
        assert set(form["json_schema"]["schema"]["properties"]) == {"name", "age"}


@pytest.mark.filterwarnings("ignore:The `json` method")  # core calls it
@pytest.mark.parametrize("mode", MODES)
async def test_a_structured_llm_eight_ways(
    make_llm: MakeLLM, service: LocalService, mode: Any
) -> None:
    llm = make_llm(structured_output_mode=mode).as_structured_llm(Person)
    messages = [ChatMessage(content='The person is called "Ada", aged 36.')]
    prompt = 'The person is called "Ada", aged 36.'
    if mode in ("json_object", "text"):
        text = ADA.model_dump_json()
        service.next(*[said(text)] * 4, *[said(text, stream=True)] * 2)

    answers: list[Any] = [
        llm.chat(messages),
        await llm.achat(messages),
        llm.complete(prompt),
        await llm.acomplete(prompt),
        list(llm.stream_chat(messages))[-1],
        [_ async for _ in await llm.astream_chat(messages)][-1],
    ]

    assert [answer.raw for answer in answers] == [ADA] * 6
    assert [json.loads(str(answer).removeprefix("assistant: ")) for answer in answers] == [
        ADA.model_dump()
    ] * 6
    # the last two are core's own and not to be had
    with pytest.raises(NotImplementedError):
        llm.stream_complete(prompt)
    with pytest.raises(NotImplementedError):
        await llm.astream_complete(prompt)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS[2:])
async def test_a_streamed_object_grows(
    make_llm: MakeLLM, service: LocalService, mode: Any, way: str
) -> None:
    llm = make_llm(structured_output_mode=mode)
    if mode in ("json_object", "text"):
        service.next(said(ADA.model_dump_json(), stream=True))

    if way == "stream":
        objects = list(llm.stream_structured_predict(Person, **ASKED))
    else:
        objects = [_ async for _ in await llm.astream_structured_predict(Person, **ASKED)]

    shown = [(getattr(one, "name", None), getattr(one, "age", None)) for one in objects]
    assert shown[0] == (None, None)
    assert shown.index(("Ada", None)) < shown.index(("Ada", 36)), (
        "the name does not wait for the age"
    )
    assert objects[-1] == ADA


@pytest.mark.parametrize("way", WAYS[2:])
async def test_a_streamed_object_grows_behind_the_braces_of_a_sentence(
    make_llm: MakeLLM, service: LocalService, way: str
) -> None:
    service.next(said(f"Of {{her}} and {{ his }}: {ADA.model_dump_json()}", stream=True))
    llm = make_llm(structured_output_mode="text")
    if way == "stream":
        objects = list(llm.stream_structured_predict(Person, **ASKED))
    else:
        objects = [_ async for _ in await llm.astream_structured_predict(Person, **ASKED)]
    shown = [(getattr(one, "name", None), getattr(one, "age", None)) for one in objects]
    assert shown.index(("Ada", None)) < shown.index(("Ada", 36))


class Surname(BaseModel):
    """A surname, cut out of a whole name, which half an answer does not hold."""

    name: str

    @field_validator("name")
    @classmethod
    def _last(cls, name: str) -> str:
        return name.split(" ")[1]


class Family(BaseModel):
    """A family."""

    of: list[Surname]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS[2:])
async def test_half_an_object_that_its_class_stumbles_over_does_not_end_the_stream(
    make_llm: MakeLLM, service: LocalService, mode: Any, way: str
) -> None:
    text = '{"of": [{"name": "Ada Lovelace"}]}'
    parts = [mixed.call(0, text[:20], id="c1", name="Family"), mixed.call(0, text[20:])]
    pieces = [mixed.chunk(tool_calls=[part]) for part in parts]
    by_tool = mode == "function_calling"
    service.next(
        Stream([*pieces, mixed.chunk("tool_calls"), DONE]) if by_tool else said(text, stream=True)
    )

    found = await made(make_llm(structured_output_mode=mode), way, Family, **ASKED)

    assert [one.name for one in found.of] == ["Lovelace"]


# --- kinds of classes


class Circle(BaseModel):
    """A circle."""

    kind: Literal["circle"] = "circle"
    radius: float


class Square(BaseModel):
    """A square."""

    kind: Literal["square"] = "square"
    side: float


class Drawing(BaseModel):
    """A drawing."""

    title: str | None = None
    shape: Circle | Square = Field(discriminator="kind")
    frames: list[Circle | Square] = []
    labels: dict[str, list[int]] = {}


class Folder(BaseModel):
    """A folder and what is in it."""

    name: str
    folders: list[Folder] = []


class Names(BaseModel):
    """The names in a text."""

    names: list[str]


Item = TypeVar("Item")


class Box(BaseModel, Generic[Item]):
    """A box with something in it."""

    content: Item


CLASSES: dict[str, BaseModel] = {
    "union, nested, lists": Drawing(
        shape=Square(side=2),
        frames=[Circle(radius=1), Square(side=3)],
        labels={"a": [1, 2]},
    ),
    "optional given": Drawing(title="T", shape=Circle(radius=0.5)),
    "recursive": Folder(name="a", folders=[Folder(name="b", folders=[Folder(name="c")])]),
    "one field": Names(names=["Ada", "Alan"]),
    "generic": Box[int](content=7),
    "generic of a class": Box[Person](content=ADA),
}


@each_way
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", CLASSES)
async def test_classes_of_every_kind(
    make_llm: MakeLLM, service: LocalService, kind: str, mode: Any, way: str
) -> None:
    wanted, stream = CLASSES[kind], "stream" in way
    llm = make_llm(structured_output_mode=mode)
    name = "".join(one if one.isalnum() else "_" for one in type(wanted).__name__)
    text = wanted.model_dump_json()
    by_tool = mode == "function_calling" and kind != "recursive"
    service.next(called(text, name, stream=stream) if by_tool else said(text, stream=stream))

    found = await made(llm, way, type(wanted), prompt=PromptTemplate("Look."))

    assert found == wanted
    body = service.requests[0].body
    asked = json.dumps([body["messages"], body.get("tools"), body.get("response_format")])
    assert all(field in asked for field in type(wanted).model_fields)


# --- models that cannot do it that way


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_model_without_json_schema_is_asked_by_a_tool(
    make_llm: MakeLLM, service: LocalService, stream: bool
) -> None:
    llm = make_llm(NO_SCHEMA, structured_output_mode="json_schema", enable_thinking=False)

    assert await made(llm, "stream" if stream else "plain") == ADA

    body = service.requests[-1].body
    assert "response_format" not in body
    assert body["tool_choice"]["function"]["name"] == body["tools"][0]["function"]["name"]


@each_way
async def test_a_refused_json_schema_is_learnt_once(
    make_llm: MakeLLM, service: LocalService, way: str
) -> None:
    llm = make_llm(UNKNOWN, structured_output_mode="json_schema")
    service.next("shell")

    assert await made(llm, way) == ADA
    assert await made(llm, way) == ADA

    first, *later = (request.body for request in service.requests)
    assert first["response_format"]["type"] == "json_schema"
    assert len(later) == 2
    assert all("response_format" not in body and body["tools"] for body in later)


@each_way
async def test_a_forced_tool_turns_thinking_off(
    make_llm: MakeLLM, service: LocalService, way: str
) -> None:
    llm = make_llm(HYBRID, structured_output_mode="function_calling")

    assert await made(llm, way) == ADA

    body = service.requests[0].body
    assert len(service.requests) == 1
    assert body["tool_choice"] == {"type": "function", "function": {"name": "Person"}}
    assert body["enable_thinking"] is False


@each_way
async def test_a_model_that_always_thinks_and_only_streams(
    make_llm: MakeLLM, service: LocalService, way: str
) -> None:
    llm = make_llm(ALWAYS_THINKS)
    asked = {"prompt": PromptTemplate('Note the Person: "Ada", aged 36.')}

    assert await made(llm, way, Person, **asked) == ADA

    body = service.requests[0].body
    assert (body["tool_choice"], body["stream"]) == ("auto", True)


# --- options


NAMED = {"type": "function", "function": {"name": "Person"}}
CHOICES: list[tuple[dict[str, Any], Any]] = [
    ({}, "required"),
    ({"tool_choice": None}, "required"),
    ({"tool_choice": "auto"}, "auto"),
    ({"tool_choice": "Person"}, NAMED),
    ({"tool_required": False}, "required"),
    ({"allow_parallel_tool_calls": True}, "required"),  # one object is promised
]


@pytest.mark.parametrize(("options", "choice"), CHOICES, ids=str)
@each_way
async def test_options_of_the_call(
    llm: ModelScope, service: LocalService, options: dict[str, Any], choice: Any, way: str
) -> None:
    service.next(called(ADA.model_dump(), stream="stream" in way))
    options = {"temperature": 0.5, "max_tokens": 99, **options}
    given = dict(options)

    assert await made(llm, way, Person, llm_kwargs=options, **ASKED) == ADA

    body = service.requests[0].body
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (choice, False)
    assert (body["temperature"], body["max_tokens"]) == (0.5, 99)
    assert options == given, "the caller's own are left alone"


@pytest.mark.parametrize("mode", ["function_calling", "json_schema"])
@pytest.mark.parametrize("strict", [True, False])
def test_strict(make_llm: MakeLLM, service: LocalService, mode: Any, strict: bool) -> None:
    make_llm(structured_output_mode=mode, strict=strict).structured_predict(Person, **ASKED)

    body = service.requests[0].body
    place = (
        body["tools"][0]["function"]
        if mode == "function_calling"
        else body["response_format"]["json_schema"]
    )
    assert place.get("strict") is (True if strict else None)


@pytest.mark.parametrize("mode", MODES)
def test_what_core_gives_its_text_modes_is_no_bother(
    make_llm: MakeLLM, service: LocalService, mode: Any
) -> None:
    """``tool_choice`` and its like come from StructuredLLM's callers, whatever the mode."""
    llm = make_llm(structured_output_mode=mode)
    service.next(
        called(ADA.model_dump()) if mode == "function_calling" else said(ADA.model_dump_json())
    )
    options = {"tool_required": True, "tool_choice": "auto", "allow_parallel_tool_calls": False}

    assert llm.structured_predict(Person, llm_kwargs=options, **ASKED) == ADA

    assert not {"tool_required", "allow_parallel_tool_calls"} & set(service.requests[0].body)


# --- answers that are none

WRONG: list[tuple[str, str]] = [
    ("no JSON", "I would rather not."),
    ("cut", '{"name": "Ada", "a'),
    ("a field missing", '{"name": "Ada"}'),
    ("a wrong type", '{"name": "Ada", "age": "old"}'),
    ("no object", "[1, 2]"),
    ("nested without end", '{"name": ' + "[" * 1100),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "text"), WRONG, ids=[kind for kind, _ in WRONG])
@each_way
async def test_a_wrong_answer_is_the_parsing_error_of_core(
    make_llm: MakeLLM, service: LocalService, kind: str, text: str, mode: Any, way: str
) -> None:
    llm, stream = make_llm(structured_output_mode=mode), "stream" in way
    by_tool = mode == "function_calling"
    service.next(called(text, stream=stream) if by_tool else said(text, stream=stream))

    with pytest.raises(OutputParserException, match="The answer makes no Person: ") as caught:
        await made(llm, way)

    assert isinstance(caught.value, ModelScopeOutputParserError)
    assert isinstance(caught.value, ValueError)  # as core's own programs raise
    assert caught.value.raw_answer == text
    assert repr(text) in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.raw_answer) == (str(caught.value), text)
    assert len(service.requests) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stream", [False, True], ids=["sync", "async"])
async def test_a_stream_gives_what_could_be_read_before_it_fails(
    make_llm: MakeLLM, service: LocalService, stream: bool, mode: Any
) -> None:
    llm, text = make_llm(structured_output_mode=mode), '{"name": "Ada", "age": "old"}'
    pieces = [mixed.call(0, "", id="c1", name="Person"), mixed.call(0, text)]
    chunks = [mixed.chunk(tool_calls=[piece]) for piece in pieces]
    by_tool = mode == "function_calling"
    service.next(
        Stream([*chunks, mixed.chunk("tool_calls"), DONE]) if by_tool else said(text, stream=True)
    )
    seen: list[Any] = []

    async def read() -> None:
        if stream:
            async for one in await llm.astream_structured_predict(Person, **ASKED):
                seen.insert(0, one)
        else:
            for one in llm.stream_structured_predict(Person, **ASKED):
                seen.insert(0, one)

    with pytest.raises(ModelScopeOutputParserError):
        await read()
    assert "Ada" in {getattr(one, "name", None) for one in seen}
    assert not any(isinstance(one, Person) for one in seen)


@pytest.mark.parametrize("mode", MODES)
@each_way
async def test_words_instead_of_an_object(
    make_llm: MakeLLM, service: LocalService, mode: Any, way: str
) -> None:
    service.next(said("Ada is 36.", stream="stream" in way))
    with pytest.raises(ModelScopeOutputParserError, match="no complete JSON value") as caught:
        await made(make_llm(structured_output_mode=mode), way)
    assert caught.value.raw_answer == "Ada is 36."


DRAFTS = {
    "thoughts in tags": '<think>{"name": "Bob", "age": 1}</think>\n{"name": "Ada", "age": 36}',
    "thoughts without their opening": (
        'It is {"name": "Bob", "age": 1}.</think>{"name": "Ada", "age": 36}'
    ),
    "a note in brackets behind": '{"name": "Ada", "age": 36}\n{note: checked}',
    "a draft before": 'Draft: {"name": "Bob"}. Final: {"name": "Ada", "age": 36}.',
    "two that would do": '{"name": "Bob", "age": 1}\nNo: {"name": "Ada", "age": 36}',
    "a fence with a language": 'So:\n```json\n{"name": "Ada",\n "age": 36}\n```\nDone.',
    "a call in words": 'I call {"name": "Person", "arguments": {"name": "Ada", "age": 36}}',
    "a line break in a text": '{"name": "Ada", "age": 36, "note": "a\nb"}',
}


@each_way
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", DRAFTS)
async def test_the_last_whole_object_that_fits(
    make_llm: MakeLLM, service: LocalService, kind: str, mode: Any, way: str
) -> None:
    if kind == "a call in words" and mode != "function_calling":
        kind = "a draft before"  # only where a tool was asked for does a call stand for its object
    service.next(said(DRAFTS[kind], stream="stream" in way))
    assert await made(make_llm(structured_output_mode=mode), way) == ADA


ROOTS: dict[str, tuple[RootModel[Any], tuple[str, ...]]] = {
    "a list": (RootModel[list[int]]([1, 2]), ("[1, 2]", "They are:\n[1, 2]", '{"root": [1, 2]}')),
    "a list of objects": (
        RootModel[list[Person]]([ADA]),
        ('[{"name": "Ada", "age": 36}]', '```json\n{"root": [{"name": "Ada", "age": 36}]}\n```'),
    ),
    "a number": (RootModel[int](7), ("7", "It is:\n7", '{"root": 7}')),
    "a text": (RootModel[str]("Ada"), ('"Ada"', '{"root": "Ada"}')),
    "a choice": (RootModel[Literal["yes", "no"]]("no"), ('"no"', '{"root": "no"}')),
    "a dictionary": (RootModel[dict[str, int]]({"a": 1}), ('{"a": 1}', 'So: {"a": 1}')),
    "an object by its root": (RootModel[Person](ADA), ('{"name": "Ada", "age": 36}',)),
}


@each_way
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ROOTS)
async def test_lists_and_scalars(
    make_llm: MakeLLM, service: LocalService, kind: str, mode: Any, way: str
) -> None:
    wanted, texts = ROOTS[kind]
    for text in texts:
        service.next(said(text, stream="stream" in way))
        llm = make_llm(structured_output_mode=mode)
        found = await made(llm, way, type(wanted), prompt=PromptTemplate("Look."))
        assert found == wanted
        body = service.requests[-1].body
        for tool in body.get("tools", ()):
            assert tool["function"]["parameters"]["type"] == "object"


@each_way
async def test_a_list_as_the_argument_of_a_call(
    make_llm: MakeLLM, service: LocalService, way: str
) -> None:
    numbers = RootModel[list[int]]
    service.next(called({"root": [1, 2]}, "RootModel_list_int__", stream="stream" in way))
    llm = make_llm(structured_output_mode="function_calling")
    assert await made(llm, way, numbers, prompt=PromptTemplate("Look.")) == numbers([1, 2])


@each_way
async def test_a_dictionary_is_asked_for_with_what_it_holds(
    make_llm: MakeLLM, service: LocalService, way: str
) -> None:
    ages = RootModel[dict[str, int]]
    service.next(said('{"Ada": 36}', stream="stream" in way))
    llm = make_llm(structured_output_mode="function_calling")
    assert await made(llm, way, ages, prompt=PromptTemplate("Look.")) == ages({"Ada": 36})
    assert '"additionalProperties": {"type": "integer"}' in json.dumps(service.requests[0].body)


@each_way
async def test_what_is_no_pydantic_class_is_said(llm: ModelScope, way: str) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match=r"RootModel\[list\[int\]\]"):
        await made(llm, way, list[int], prompt=PromptTemplate("Look."))


@pytest.mark.parametrize("mode", MODES)
async def test_no_message_at_all_is_said(make_llm: MakeLLM, mode: Any) -> None:
    llm = make_llm(structured_output_mode=mode).as_structured_llm(Person)
    with pytest.raises(ModelScopeInvalidRequestError, match="no message"):
        llm.chat([])
    with pytest.raises(ModelScopeInvalidRequestError, match="no message"):
        await llm.achat([])


@each_way
async def test_arguments_that_were_cut_make_no_object(
    llm: ModelScope, service: LocalService, way: str
) -> None:
    call = mixed.call(0, '{"name": "Ada", "age": 3', id="c1", name="Person")
    if "stream" in way:
        service.next(Stream([mixed.chunk(tool_calls=[call]), mixed.chunk("length"), DONE]))
    else:
        message = {"content": None, "tool_calls": [call]}
        service.next(Reply(200, {"choices": [{"message": message, "finish_reason": "length"}]}))
    with pytest.raises(ModelScopeOutputParserError, match="not a complete JSON"):
        await made(llm, way)


@each_way
async def test_thoughts_that_took_all_of_the_length_are_told_of(
    llm: ModelScope, service: LocalService, way: str
) -> None:
    words = {"content": "", "reasoning_content": "The user wants a person."}
    if "stream" in way:
        service.next(Stream([mixed.chunk(**words), mixed.chunk("length"), DONE]))
    else:
        service.next(Reply(200, {"choices": [{"message": words, "finish_reason": "length"}]}))
    with pytest.raises(ModelScopeOutputParserError, match=r"longest length.*max_tokens"):
        await made(llm, way)


class Filters(BaseModel):
    """Filters of a search."""

    city: str | None = None


@each_way
@pytest.mark.parametrize(
    ("arguments", "city"),
    [
        ("", None),
        ('```json\n{"city": "杭州"}\n```', "杭州"),
        ('{"city": "杭州"}}', "杭州"),
        ('Sure: {"city": "杭州"}', "杭州"),
        ('{"city": "杭州\\ud83d\\ude00\\ud83d"}', "杭州\U0001f600\ufffd"),
    ],
)
async def test_arguments_are_read_like_a_text(
    make_llm: MakeLLM, service: LocalService, arguments: str, city: str | None, way: str
) -> None:
    call = mixed.call(0, arguments, id="c1", name="Filters")
    if "stream" in way:
        service.next(Stream([mixed.chunk(tool_calls=[call]), mixed.chunk("tool_calls"), DONE]))
    else:
        message = {"content": None, "tool_calls": [call]}
        service.next(Reply(200, {"choices": [{"message": message, "finish_reason": "tool_calls"}]}))
    llm = make_llm(structured_output_mode="function_calling")
    found = await made(llm, way, Filters, prompt=PromptTemplate("Which?"))
    assert found == Filters(city=city)


@each_way
@pytest.mark.parametrize("mode", ["function_calling", "text"])
async def test_cores_own_programs_read_the_same(
    make_llm: MakeLLM, service: LocalService, mode: Any, way: str
) -> None:
    """A user may make core's program of this model by hand; what can be forced there is."""
    llm, stream = make_llm(), "stream" in way
    text = ADA.model_dump_json()
    kind: Any = FunctionCallingProgram if mode == "function_calling" else LLMTextCompletionProgram
    prompt = TEMPLATE.partial_format()  # a copy: core's program puts its parser into what it gets
    program = kind.from_defaults(output_cls=Person, prompt=prompt, llm=llm)
    service.next(called(text, stream=stream) if mode != "text" else said(text, stream=stream))
    asked = {"name": "Ada", "age": 36}
    if way == "plain":
        found = program(**asked)
    elif way == "async":
        found = await program.acall(**asked)
    elif way == "stream":
        found = list(program.stream_call(**asked))[-1]
    else:
        found = [one async for one in await program.astream_call(**asked)][-1]
    assert found == ADA


@pytest.mark.parametrize("way", WAYS[:2])
async def test_a_call_of_a_tool_that_is_not_there(
    llm: ModelScope, service: LocalService, way: str
) -> None:
    service.next(called(ADA.model_dump(), "Human"))
    with pytest.raises(ValueError, match=r"'Human'.*Person"):
        await made(llm, way)


@each_way
@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize(
    "around",
    ["```json\n{}\n```", "Here you are:\n{}", "{}\nIs that all?"],
    ids=["fence", "before", "after"],
)
async def test_words_around_an_object_are_no_part_of_it(
    make_llm: MakeLLM, service: LocalService, around: str, mode: Any, way: str
) -> None:
    llm = make_llm(structured_output_mode=mode)
    service.next(said(around.replace("{}", ADA.model_dump_json()), stream="stream" in way))

    assert await made(llm, way) == ADA


@each_way
@pytest.mark.parametrize("mode", MODES)
async def test_thoughts_are_no_part_of_it(
    make_llm: MakeLLM, service: LocalService, mode: Any, way: str
) -> None:
    thought = mixed.chunk(reasoning_content='{"name": "Bob", "age": 1}')
    text = ADA.model_dump_json()
    stream = called(text, stream=True) if mode == "function_calling" else said(text, stream=True)
    assert isinstance(stream, Stream)
    service.next(Stream([thought, *stream.events]))  # type: ignore[misc]
    llm = make_llm(ALWAYS_THINKS, structured_output_mode=mode)

    assert await made(llm, way) == ADA


async def test_an_llms_system_prompt_comes_first_in_every_way(
    make_llm: MakeLLM, service: LocalService
) -> None:
    llm = make_llm(system_prompt="Be exact.")
    prompt = ChatPromptTemplate(message_templates=[ChatMessage(content="{who}, aged 36")])
    for way in WAYS:
        await made(llm, way, Person, prompt=prompt, who='"Ada"')

    for request in service.requests:
        assert request.body["messages"] == [
            {"role": "system", "content": "Be exact."},
            {"role": "user", "content": '"Ada", aged 36'},
        ]
