"""What counts as a JSON schema."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from modelscope_transport.emulator.schemas import is_schema
from modelscope_transport.emulator.scripted.filling import Filler


class Leaf(BaseModel):
    name: str | None = None
    sizes: tuple[int, int]


class Tree(BaseModel):
    """A class whose schema uses references, branches and nesting."""

    leaf: Leaf
    leaves: list[Leaf]
    children: list[Tree]


def test_what_pydantic_writes_is_a_schema_and_what_is_filled_fits_it():
    schema = Tree.model_json_schema()
    assert is_schema(schema)
    assert Tree.model_validate(Filler("Oak is 3 by 4").fill(schema)).leaf.sizes == (3, 4)


@pytest.mark.parametrize("value", [True, {}, {"type": ["string", "null"]}, {"x-own": 1}])
def test_schemas(value):
    assert is_schema(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "string",
        {"type": 1},
        {"type": []},
        {"enum": []},
        {"enum": "a"},
        {"anyOf": []},
        {"anyOf": {"type": "string"}},
        {"properties": []},
        {"properties": {"a": {"items": {"$ref": 1}}}},
        {"minimum": "one"},
        {"minItems": -1},
        {"required": "a"},
    ],
)
def test_no_schemas(value):
    assert not is_schema(value)
