"""Ranking on the wire, as it would be asked the day the service has such an endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport._wire.outcomes import Failure, Reply
from modelscope_transport._wire.rerank import prepare
from modelscope_transport.catalogue.models import ModelProfile
from modelscope_transport.task_types import RerankRequest, RerankResult

MODEL = "some/ranker"


def prepared(**asked: Any) -> Any:
    request = RerankRequest(**{"model": MODEL, "query": "q", "documents": ("a", "b", "c"), **asked})
    return prepare(request, ModelProfile(id=MODEL), stream=False)


def read(body: Any, **asked: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "replace")
    return prepared(**asked).read(Reply(200, {}, content))


def score(index: Any, value: Any) -> dict[str, Any]:
    return {"index": index, "relevance_score": value}


def test_what_is_asked() -> None:
    assert json.loads(prepared().body) == {
        "model": MODEL,
        "query": "q",
        "documents": ["a", "b", "c"],
    }
    asked = json.loads(
        prepared(top_n=2, extra_body={"x": 1}, max_documents=2, max_characters=1).body
    )
    assert asked == {"model": MODEL, "query": "q", "documents": ["a", "b"], "top_n": 2, "x": 1}


def test_the_best_comes_first() -> None:
    found = read({"results": [score(0, 0.1), score(2, 0.9), score(1, 0.5)]})
    assert isinstance(found, RerankResult)
    assert [entry.index for entry in found.ranks] == [2, 1, 0]


@pytest.mark.parametrize(
    "results",
    [
        [score(3, 1)],
        [score(-1, 1)],
        [score(0, 1), score(0, 2)],
        [score(0, 1e999)],
        [score("x", 1)],
        [{}],
        5,
    ],
)
def test_what_would_rank_wrongly_is_a_failure(results: Any) -> None:
    failure = read({"results": results})
    assert isinstance(failure, Failure)
    assert failure.unreadable


@pytest.mark.parametrize("body", [{}, {"results": None}, {"results": []}])
def test_a_success_with_nothing_in_it(body: Any) -> None:
    failure = read(body)
    assert isinstance(failure, Failure)
    assert failure.empty


@pytest.mark.parametrize("name", ["error", "errors"])
def test_an_error_in_a_success(name: str) -> None:
    assert read({name: {"message": "no"}, "request_id": "r"}) == Failure("no", request_id="r")


LEAVES = st.none() | st.integers() | st.floats() | st.text(max_size=3)
ENTRY = st.fixed_dictionaries(
    {}, optional={"index": st.integers(-1, 3) | LEAVES, "relevance_score": LEAVES}
)


@given(st.lists(ENTRY, max_size=4) | LEAVES | st.binary(max_size=30))
def test_any_reply_is_a_ranking_or_a_failure(results: Any) -> None:
    body = results if isinstance(results, bytes) else {"results": results}
    assert isinstance(read(body), RerankResult | Failure)
