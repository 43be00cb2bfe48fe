"""Embeddings on the wire: what is asked, in which forms vectors come, and what spoils an index."""

from __future__ import annotations

import array
import base64
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import EmbeddingRequest, EmbeddingResult, InvalidRequestError, Usage
from modelscope_transport._wire.embeddings import decode, prepare
from modelscope_transport._wire.outcomes import Failure
from modelscope_transport.catalogue.models import ModelProfile
from tests.transport.recorded import sample

MODEL = "Qwen/Qwen3-Embedding-0.6B"


def body_of(**fields: Any) -> dict[str, Any]:
    asked = {"model": MODEL, "texts": ("a", "b"), **fields}
    request = EmbeddingRequest(**asked)
    body: dict[str, Any] = json.loads(prepare(request, ModelProfile(id=MODEL), stream=False).body)
    return body


def vectors(*data: Any, count: int | None = None, **fields: Any) -> Any:
    body = json.dumps({"data": list(data), **fields}).encode()
    return decode(body, count=len(data) if count is None else count)


def vector(numbers: Any, index: Any = None) -> dict[str, Any]:
    return {"embedding": numbers, "index": index}


def packed(*numbers: float) -> str:
    floats = array.array("f", numbers)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats).decode()


# --- what is asked


def test_the_format_is_always_said() -> None:
    # Without it this service answers 400.
    assert body_of() == {"model": MODEL, "input": ["a", "b"], "encoding_format": "base64"}


def test_a_length_is_said_when_asked_for() -> None:
    assert body_of(dimensions=256)["dimensions"] == 256


def test_further_fields_win() -> None:
    body = body_of(extra_body={"encoding_format": "float", "user": "u"})
    assert (body["encoding_format"], body["user"]) == ("float", "u")


@pytest.mark.parametrize("dimensions", [0, -1, float("nan")])
def test_a_length_of_nothing_is_refused(dimensions: Any) -> None:
    with pytest.raises(InvalidRequestError, match="dimensions must be at least 1"):
        body_of(dimensions=dimensions)


@pytest.mark.parametrize("wrong", [{"texts": ("a", "\ud800")}, {"extra_body": {"x": object()}}])
def test_what_cannot_be_written_as_json_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        body_of(**wrong)


# --- what comes back


def test_the_recorded_answers() -> None:
    one = decode(sample("embeddings/one_text").reply.body, count=1)
    assert one == EmbeddingResult(([0.0125, -0.0034, 0.5, -0.25],), Usage(3, 0, 3), MODEL)
    two = decode(sample("embeddings/two_texts").reply.body, count=2)
    assert isinstance(two, EmbeddingResult)
    # The recorded order is not that of the texts.
    assert two.vectors == ([-0.0417, 0.0321, 0.125, 0.75], [0.0125, -0.0034, 0.5, -0.25])


def test_both_forms_of_a_vector() -> None:
    answer = vectors(vector([0.5, -1]), vector(packed(0.25, 2)))
    assert answer.vectors == ([0.5, -1.0], [0.25, 2.0])


def test_without_an_index_the_order_is_that_of_the_reply() -> None:
    assert vectors({"embedding": [1]}, {"embedding": [2]}).vectors == ([1.0], [2.0])


def test_usage_by_either_name() -> None:
    assert vectors(vector([1]), usage={"total_tokens": 4}).usage == Usage(4, 0, 4)
    assert vectors(vector([1]), usage={"prompt_tokens": 4}).usage == Usage(4, 0, 4)
    assert vectors(vector([1]), usage={}).usage is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([vector([1])], id="one too few"),
        pytest.param([vector([1], 0), vector([1], 1), vector([1], 2)], id="one too many"),
        pytest.param([vector([1], 0), vector([1], 0)], id="one twice"),
        pytest.param([vector([1], 0), vector([1], -1)], id="index below"),
        pytest.param([vector([1], 0), vector([1, 2], 1)], id="of two lengths"),
        pytest.param([vector([1], 0), vector([], 1)], id="of no length"),
        pytest.param([vector([1], 0), vector(packed(float("nan")), 1)], id="packed NaN"),
        pytest.param([vector([1], 0), vector(packed(float("inf")), 1)], id="packed infinity"),
        pytest.param([vector([1], 0), vector(["nan"], 1)], id="NaN as text"),
        pytest.param([vector([1], 0), vector("???", 1)], id="not base64"),
        pytest.param([vector([1], 0), vector("AAA=", 1)], id="half a number"),
        pytest.param([vector([1], 0), vector(None, 1)], id="null"),
        pytest.param([vector([1], 0), vector([None], 1)], id="null inside"),
        pytest.param([vector([1], 0), vector([10**400], 1)], id="huge"),
        pytest.param([vector([1], 0), vector({"a": 1}, 1)], id="an object"),
        pytest.param([vector([1], 0), 5], id="a number"),
    ],
)
def test_what_would_spoil_an_index_is_a_failure(data: list[Any]) -> None:
    failure = vectors(*data, count=2)
    assert isinstance(failure, Failure)
    assert failure.unreadable


def test_nan_as_json_has_it_is_a_failure() -> None:
    assert isinstance(decode(b'{"data": [{"embedding": [NaN], "index": 0}]}', count=1), Failure)


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"data": null}', b'{"data": []}'])
def test_a_success_with_nothing_in_it(body: bytes) -> None:
    assert decode(body, count=1) == Failure("", empty=True)


@pytest.mark.parametrize("name", ["error", "errors"])
def test_an_error_in_a_success(name: str) -> None:
    body = json.dumps({name: {"message": "no"}, "request_id": "r"}).encode()
    assert decode(body, count=1) == Failure("no", request_id="r")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_failure(body: bytes) -> None:
    assert isinstance(decode(body, count=1), Failure)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
ANYTHING = LEAVES | st.lists(LEAVES, max_size=3)
ITEM = st.fixed_dictionaries(
    {}, optional={"embedding": ANYTHING, "index": st.integers(-1, 3) | LEAVES}
)


@given(st.lists(ITEM, max_size=3) | ANYTHING, ANYTHING, st.integers(0, 3))
def test_any_answer_is_vectors_or_a_failure(data: Any, usage: Any, count: int) -> None:
    body = json.dumps({"data": data, "usage": usage}).encode("utf-8", "replace")
    found = decode(body, count=count)
    assert isinstance(found, EmbeddingResult | Failure)
    if isinstance(found, EmbeddingResult):
        assert len(found.vectors) == count


@given(
    st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=4,
    ),
    st.randoms(),
)
def test_vectors_come_back_in_the_order_of_the_texts(
    wanted: list[list[float]], chance: Any
) -> None:
    data = [vector(packed(*numbers), index) for index, numbers in enumerate(wanted)]
    chance.shuffle(data)
    found = vectors(*data)
    overflows = any(abs(sum(numbers)) > 1e308 for numbers in wanted)
    assert overflows or list(found.vectors) == wanted
