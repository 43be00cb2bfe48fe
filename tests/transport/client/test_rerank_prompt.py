"""Ranking by a chat model: the question, and what an answer is worth."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import ChatChoice, ChatResult, InvalidRequestError
from modelscope_transport._wire.outcomes import Failure, Reply
from modelscope_transport._wire.wires import prepare
from modelscope_transport.catalogue.models import profile_for
from modelscope_transport.catalogue.tasks import TASKS
from modelscope_transport.client.rerank_prompt import check_ranking, ranking_request, read_ranking
from modelscope_transport.task_types import Rank, RerankRequest, RerankResult

MODEL = "some/model"


def asked(count: int = 3, **fields: Any) -> RerankRequest:
    texts = tuple(f"text {number}" for number in range(count))
    return RerankRequest(**{"model": MODEL, "query": "why?", "documents": texts, **fields})


def order(answer: str, count: int = 3, **fields: Any) -> list[int]:
    result = read_ranking(asked(count, **fields), ChatResult((ChatChoice(answer),)))
    return [rank.index for rank in result.ranks]


def test_all_documents_are_shown_in_one_question() -> None:
    chat = ranking_request(asked(3))
    question = chat.messages[-1].content
    assert isinstance(question, str)
    assert question.startswith("Query: why?")
    for number in (1, 2, 3):
        assert f"[{number}] text {number - 1}" in question
    assert chat.temperature == 0
    assert chat.enable_thinking is False


def test_long_and_many_documents_are_cut() -> None:
    question = (
        ranking_request(asked(documents=("x" * 50, "y", "z"), max_characters=10, max_documents=2))
        .messages[-1]
        .content
    )
    assert "[1] xxxxxxxxxx\n" in question
    assert "z" not in question


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("[3, 1, 2]", [2, 0, 1]),
        ("```json\n[2,3,1]\n```", [1, 2, 0]),
        ("The order is [2], since it answers best.", [1, 0, 2]),
        ("Documents [1, 2, 3] give [3, 2, 1]", [2, 1, 0]),
        ("[3, 1]", [2, 0, 1]),
        ("[03, 01, 02]", [2, 0, 1]),
    ],
)
def test_an_answer_gives_the_order_and_the_rest_follows(answer: str, expected: list[int]) -> None:
    assert order(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<think>[3]</think>[9]",
        "no idea",
        "[]",
        "[0]",
        "[4]",
        "[1, 1]",
        "[-1]",
        "[1.5]",
        '["2"]',
        "[9999999999]",
    ],
)
def test_an_answer_without_sense_leaves_the_order(answer: str) -> None:
    result = read_ranking(asked(), ChatResult((ChatChoice(answer),)))
    assert [rank.index for rank in result.ranks] == [0, 1, 2]
    assert not result.ordered


def test_scores_fall_from_one_place_to_the_next() -> None:
    result = read_ranking(asked(4), ChatResult((ChatChoice("[4, 3, 2, 1]"),)))
    assert [rank.score for rank in result.ranks] == [1.0, 0.75, 0.5, 0.25]


def test_only_the_best_are_given_back() -> None:
    assert order("[3, 1, 2]", top_n=2) == [2, 0]


def test_what_was_not_shown_stays_behind() -> None:
    assert order("[2, 1]", 4, max_documents=2) == [1, 0, 2, 3]


@given(st.text(max_size=80) | st.lists(st.integers(-3, 12)).map(str), st.integers(2, 9))
def test_any_answer_gives_every_document_once(answer: str, count: int) -> None:
    assert sorted(order(answer, count)) == list(range(count))


@pytest.mark.parametrize(
    "fields", [{"query": " "}, {"top_n": 0}, {"max_documents": 0}, {"max_characters": -1}]
)
def test_what_cannot_be_ranked_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        check_ranking(asked(**fields))


# --- the address that the service does not have yet


def endpoint(body: Any, count: int = 3) -> RerankResult | Failure:
    encoded = prepare(TASKS["rerank"], asked(count, top_n=2), profile_for(MODEL))
    assert json.loads(encoded.body) == {
        "model": MODEL,
        "query": "why?",
        "documents": [f"text {number}" for number in range(count)],
        "top_n": 2,
    }
    result: RerankResult | Failure = encoded.read(Reply(200, {}, json.dumps(body).encode()))
    return result


def test_the_addresss_answer_reads_best_first() -> None:
    found = [{"index": 0, "relevance_score": 0.1}, {"index": 2, "relevance_score": 0.8}]
    assert endpoint({"results": found}) == RerankResult((Rank(2, 0.8), Rank(0, 0.1)))


@pytest.mark.parametrize(
    "results",
    [
        [],
        [{"index": 3, "relevance_score": 1}],
        [{"index": -1, "relevance_score": 1}],
        [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 1}],
    ],
)
def test_places_without_sense_are_a_failure(results: list[Any]) -> None:
    assert isinstance(endpoint({"results": results}), Failure)
