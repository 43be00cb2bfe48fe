"""The values that travel between the folders: they stay as they were made, and travel anywhere."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from modelscope_transport import (
    AudioPart,
    ChatChoice,
    ChatDelta,
    ChatRequest,
    ChatResult,
    EmbeddingRequest,
    EmbeddingResult,
    ImagePart,
    ImageRequest,
    Message,
    NamedTool,
    Origin,
    PipelineRequest,
    RerankRequest,
    ResponseFormat,
    TextPart,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
    Usage,
    VideoPart,
    answers,
    types,
)
from modelscope_transport.types import RequestBase

CALL = ToolCall("c", "f", "{}")
USAGE = Usage(1, 2, 3, cached_tokens=0)
ORIGIN = Origin("m", "n", "model_spent", "r", ("joined",), 2, {"account_limit": 5})
VALUES: list[Struct] = [
    TextPart("a"),
    ImagePart("https://example.com", "low"),
    VideoPart("https://example.com"),
    AudioPart("AA==", "wav"),
    CALL,
    Message("user", (TextPart("a"),), "Ann", (CALL,), "c", "hm"),
    ToolSpec("f", "does", {"type": "object"}, strict=True),
    NamedTool("f"),
    ResponseFormat("json_schema", schema={"type": "object"}),
    ChatRequest(model="m", messages=(Message("user", "a"),), extra_body={"a": 1}),
    EmbeddingRequest(model="m", texts=("a",)),
    USAGE,
    ORIGIN,
    ToolCallDelta(0, "c", "f", "{"),
    ChatDelta("a", tool_calls=(ToolCallDelta(0),), usage=USAGE),
    ChatChoice("a", "hm", (CALL,), "stop", {"content": []}, "no"),
    ChatResult((ChatChoice("a"),), USAGE, "r", "m", 1, ORIGIN),
    EmbeddingResult(([0.5],), USAGE, "m", ORIGIN),
]
EACH = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


def test_every_value_is_tried_here() -> None:
    structs = {
        value
        for value in (*vars(types).values(), *vars(answers).values())
        if isinstance(value, type) and issubclass(value, Struct)
    }
    assert {type(value) for value in VALUES} == structs - {Struct, RequestBase}


@EACH
def test_a_value_is_equal_after_every_journey(value: Struct) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value


@EACH
def test_a_value_stays_as_it_was_made(value: Any) -> None:
    name = value.__struct_fields__[0]
    with pytest.raises(AttributeError, match="immutable"):
        setattr(value, name, None)


def test_a_result_reads_as_its_first_answer() -> None:
    answer = ChatResult((ChatChoice("a", "hm", (CALL,)), ChatChoice("b")))
    assert (answer.text, answer.reasoning, answer.tool_calls) == ("a", "hm", (CALL,))
    assert answer.choice is answer.choices[0]


REQUESTS = [
    ChatRequest(model="a/b", messages=(Message("user", "Hi"),)),
    EmbeddingRequest(model="a/b", texts=("Hi",)),
    ImageRequest(model="a/b", prompt="a cat"),
    PipelineRequest(model="a/b", task="nli", input="Hi"),
    RerankRequest(model="a/b", query="a", documents=("b",)),
]


@pytest.mark.parametrize("plain", REQUESTS, ids=lambda it: type(it).__name__)
def test_what_headers_hold_is_not_shown(plain: RequestBase) -> None:
    request = replace(plain, extra_headers={"X-Key": "a-credential"})
    assert repr(request) == repr(plain).replace(
        "extra_headers=None", "extra_headers={'X-Key': '***'}"
    )
    assert ("extra_headers", {"X-Key": "***"}) in request.__rich_repr__()
    assert request.extra_headers == {"X-Key": "a-credential"}
