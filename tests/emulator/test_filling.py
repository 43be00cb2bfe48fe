"""A schema is filled with what the prompt says, and always fits."""

from __future__ import annotations

import pytest

from modelscope_transport.emulator.scripted.filling import Filler

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def fill(prompt, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return Filler(prompt).fill(schema)


@pytest.mark.parametrize(
    ("prompt", "properties", "filled"),
    [
        ("Add 2 and 3", {"a": WHOLE, "b": WHOLE}, {"a": 2, "b": 3}),
        ("magic(3)", {"input": WHOLE}, {"input": 3}),
        ("Half of -1.5 and 7", {"a": NUMBER, "b": NUMBER}, {"a": -1.5, "b": 7}),
        ("请计算12加30", {"a": WHOLE, "b": WHOLE}, {"a": 12, "b": 30}),
        ("It costs 2.5 for 4", {"count": WHOLE}, {"count": 4}),
        ("Call it 'Blue Moon' or \"Sun\"", {"a": TEXT, "b": TEXT}, {"a": "Blue Moon", "b": "Sun"}),
        ("客户“山田株式会社”", {"customer": TEXT}, {"customer": "山田株式会社"}),
        ("I'm sure it isn't 'quoted twice'", {"a": TEXT}, {"a": "quoted twice"}),
        ("Weather in New York, please", {"city": TEXT}, {"city": "New York"}),
        ("杭州的天气怎么样？", {"city": TEXT}, {"city": "杭州"}),
        ("小明今年8岁，住在上海。", {"name": TEXT, "age": WHOLE}, {"name": "小明", "age": 8}),
        ("name: Ann, city: Rome", {"city": TEXT, "name": TEXT}, {"city": "Rome", "name": "Ann"}),
        ("A joke about cats.", {"setup": TEXT, "end": TEXT}, {"setup": "cats", "end": "cats"}),
        ("find the red shoes", {"query": TEXT}, {"query": "find the red shoes"}),
        ("to ann@example.org", {"to": {**TEXT, "format": "email"}}, {"to": "ann@example.org"}),
        ("on 2026-11-22", {"day": {**TEXT, "format": "date"}}, {"day": "2026-11-22"}),
        ("in blue, please", {"color": {"enum": ["red", "blue"]}}, {"color": "blue"}),
        ("please", {"color": {"enum": ["red", "blue"]}}, {"color": "red"}),
        ("do it", {"sure": {"type": "boolean"}}, {"sure": True}),
        ("do not do it", {"sure": {"type": "boolean"}}, {"sure": False}),
        ("take 1, 2 and 3", {"all": {"type": "array", "items": WHOLE}}, {"all": [1, 2, 3]}),
        ("'a' and 'b'", {"all": {"type": "array", "items": TEXT}}, {"all": ["a", "b"]}),
        ("5 or none", {"a": {"anyOf": [{"type": "null"}, WHOLE]}}, {"a": 5}),
        ("5 or none", {"a": {"type": ["integer", "null"]}}, {"a": 5}),
        ("any", {"kind": {"const": "fixed"}}, {"kind": "fixed"}),
        ("between 1 and 50", {"a": {**WHOLE, "minimum": 10}}, {"a": 50}),
        ("3 and 4", {"pair": {"type": "array", "prefixItems": [WHOLE, WHOLE]}}, {"pair": [3, 4]}),
    ],
)  # fmt: skip
def test_what_the_prompt_says(prompt, properties, filled):
    assert fill(prompt, **properties) == filled


def test_references_and_nested_objects():
    schema = {
        "$defs": {"Person": {"type": "object", "properties": {"name": TEXT, "age": WHOLE}}},
        "type": "object",
        "properties": {
            "head": {"$ref": "#/$defs/Person"},
            "members": {"type": "array", "items": {"$ref": "#/$defs/Person"}},
            "both": {"allOf": [{"$ref": "#/$defs/Person"}]},
        },
    }
    filled = Filler("Alice is 30").fill(schema)
    assert filled["head"] == {"name": "Alice", "age": 30}
    assert filled["members"] == [{"name": "Alice", "age": 30}]
    assert filled["both"]["age"] == 30


def test_a_schema_that_contains_itself_ends():
    node = {"type": "object", "properties": {"text": TEXT, "children": {"type": "array"}}}
    node["properties"]["children"]["items"] = {"$ref": "#/$defs/Node"}
    filled = Filler("grow").fill({"$defs": {"Node": node}, "$ref": "#/$defs/Node"})
    assert filled["children"][0]["text"]


def test_what_has_a_default_is_left_out_unless_it_is_mentioned():
    schema = {
        "type": "object",
        "properties": {"query": TEXT, "limit": {**WHOLE, "default": 10}},
        "required": ["query"],
    }
    assert Filler("find 3 cats").fill(schema) == {"query": "find 3 cats"}
    assert Filler("find cats, limit 3").fill(schema)["limit"] == 3


def test_bounds_hold_without_a_number_in_the_prompt():
    limits = {"minimum": 5}, {"maximum": -5}, {"exclusiveMinimum": 1}, {"default": 7}, {}
    filled = [fill("none", a={**WHOLE, **limit})["a"] for limit in limits]
    assert filled == [5, -5, 2, 7, 1]
    assert fill("ab", a={**TEXT, "maxLength": 1})["a"] == "a"
    assert len(fill("ab", a={**TEXT, "minLength": 5})["a"]) == 5
    assert fill("x", a={"type": "array", "items": TEXT, "minItems": 2})["a"] == ["x", "x"]


def test_no_properties_and_no_words():
    assert Filler("").fill({"type": "object"}) == {}
    assert fill("", word=TEXT)["word"]
