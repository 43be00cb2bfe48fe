"""Objects read from text: every place where models have been seen to put them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from modelscope_transport.answer_text import begun, check_form, escaped, json_values, read_answer


class Person(BaseModel):
    name: str
    age: int


ADA = '{"name": "Ada", "age": 36}'
EVE = '{"name": "Eve", "age": 7}'


@pytest.mark.parametrize(
    "text",
    [
        ADA,
        f"\n  {ADA}\n",
        f"Here it is: {ADA}.",
        f"```json\n{ADA}\n```",
        f"```\n{ADA}\n```\nI hope this helps {{and}} more.",
        f"<think>Perhaps {EVE}?</think>\n\n{ADA}",
        f"Perhaps {EVE}? Yes.\n</think>\n{ADA}",
        f"First {EVE}, no, {ADA}",
        f"{ADA} is the answer, not [1, 2].",
        f"{ADA}\n" + '{"note": "no person"}',
        '<tool_call>\n{"name": "Person", "arguments": {"name": "Ada", "age": 36}}\n</tool_call>',
        '[{"name": "Person", "parameters": {"name": "Ada", "age": 36}}]',
        '{"name":\n "Ada",\n "age": 36\n}',
        f"The set {{a, b}} and the list [x] say nothing. {ADA}",
        f"<think>{EVE}</think><think>{EVE}</think>{ADA}",
        f"\ufeff{ADA}",
        f"No.\n007\n{ADA}",
        f"共\n１２\n{ADA}",
        f'"C:\\Users"\n{ADA}',
    ],
)
def test_the_last_object_that_fits(text: str) -> None:
    assert read_answer(text, Person.model_validate, tool="Person") == Person(name="Ada", age=36)


def test_a_line_break_inside_a_string_is_read() -> None:
    assert read_answer('{"name": "Ada\nL", "age": 36}', Person.model_validate).name == "Ada\nL"


def test_a_whole_json_text_is_never_taken_for_thoughts() -> None:
    said = '{"name": "</think>", "age": 1}'
    assert read_answer(said, Person.model_validate).name == "</think>"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, "The answer:\n42", 42),
        (int, "42", 42),
        (bool, "<think>hm</think>true", True),
        (float, "```\n2.5\n```", 2.5),
        (str, '"Ada"', "Ada"),
        (list[int], "They are [1, 2, 3].", [1, 2, 3]),
        (list[Person], f"[{ADA}]", [Person(name="Ada", age=36)]),
        (dict[str, int], 'first {"a": 1}, then {"b": 2}', {"b": 2}),
    ],
)
def test_lists_and_scalars(kind: Any, text: str, value: Any) -> None:
    assert read_answer(text, TypeAdapter(kind).validate_python) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no complete JSON value"),
        ("I would rather not.", "no complete JSON value"),
        ('{"name": "Ada", "age": 3', "no complete JSON value"),
        ('{"name": "Ada', "no complete JSON value"),
        (f'{{"people": [{ADA}, {{"name": "E', "no complete JSON value"),
        (f"<think>It may be {ADA}", "no complete JSON value"),
        (f"<think>{ADA}</think>", "no complete JSON value"),
        ('{"name": "Ada"}', "fits the schema"),
        ("In 2024 there were 7.", "no complete JSON value"),
        (f"{{people: {ADA[1:]}", "no complete JSON value"),
        ("[" * 9999, "no complete JSON value"),
        ('So: {"name": ' * 9999, "no complete JSON value"),
        ("[" * 9999 + "]" * 9999, "no complete JSON value"),
    ],
)
def test_what_holds_no_answer_says_so(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_answer(text, Person.model_validate, tool="Person")


def test_the_reason_is_that_of_the_last_value() -> None:
    with pytest.raises(ValueError, match="age") as caught:
        read_answer('{"age": 1} {"name": "Ada"}', Person.model_validate)
    assert caught.value.__cause__ is not None


def test_a_value_inside_another_does_not_count() -> None:
    assert list(json_values('x {"a": {"b": 1}} y [[1], 2]')) == [[[1], 2], {"a": {"b": 1}}]


SCHEMA = {"type": "object", "properties": {}, "required": ["name"]}
EITHER = {"anyOf": [{"$ref": "#/$defs/Named"}, {"type": "array"}], "$defs": {"Named": SCHEMA}}


@pytest.mark.parametrize(
    ("value", "schema", "fits"),
    [
        ({"name": 1}, SCHEMA, True),
        ({"nam": 1}, SCHEMA, False),
        ([1], SCHEMA, False),
        ([1], {"type": "array"}, True),
        (True, {"type": "integer"}, False),
        (True, {"type": ["integer", "boolean"]}, True),
        (None, {"type": ["object", "null"]}, True),
        ("a", {"enum": ["a", "b"]}, True),
        ("c", {"enum": ["a", "b"]}, False),
        ("c", {}, True),
        ("c", {"properties": {"name": {}}}, False),
        ([1], {"required": ["name"]}, False),
        ({"name": 1}, {"properties": {"name": {}}}, True),
        ("c", {"type": "of the future"}, True),
        ({"name": 1}, EITHER, True),
        ([1], EITHER, True),
        ({"nam": 1}, EITHER, False),
        ("a", EITHER, False),
        ("a", {"oneOf": [{"type": "string"}, {"type": "null"}]}, True),
        (1, {"oneOf": [{"type": "string"}, {"type": "null"}]}, False),
        ({"nam": 1}, {"allOf": [SCHEMA]}, False),
        ({"nam": 1}, {"$ref": "#/$defs/Named", "$defs": {"Named": SCHEMA}}, False),
        (1, {"$ref": "#/$defs/Gone"}, True),
        (1, {"anyOf": [True]}, True),
    ],
)
def test_the_outer_form_of_a_schema(value: Any, schema: dict[str, Any], fits: bool) -> None:
    if fits:
        assert check_form(value, schema) == value
    else:
        with pytest.raises(ValueError, match=r"missing|wanted|not one of"):
            check_form(value, schema)


@pytest.mark.parametrize(
    ("text", "so_far"),
    [
        ("", ""),
        ("Of {her} and { his }", ""),
        ('Of {her}: {"name": "A', '{"name": "A'),
        (' \n{\n "name', '{\n "name'),
        ("```json\n{", "{"),
        ("```json\n[1, 2", "[1, 2"),
        ("[1, 2", "[1, 2"),
        ('<think>{"name"', ""),
        ('<think>{"name"}</think>{"age', '{"age'),
        ('{"name": "</think>', '{"name": "</think>'),
    ],
)
def test_what_has_come_of_an_object(text: str, so_far: str) -> None:
    assert begun(text) == so_far


def test_line_breaks_are_escaped_inside_strings_alone() -> None:
    text = '{\n\t"a\n": "b\\"\t", "c": [1,\n "half\n'
    assert escaped(text) == '{\n\t"a\\n": "b\\"\\t", "c": [1,\n "half\\n'
