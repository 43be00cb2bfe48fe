"""Many texts in few requests, and their vectors back in order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import (
    EmbeddingResult,
    InvalidRequestError,
    Origin,
    UnexpectedReplyError,
    Usage,
)
from modelscope_transport.client.embedding_batches import Batches


def answer(batch: tuple[str, ...], **fields: Any) -> EmbeddingResult:
    """Vectors that tell which text they are of."""
    return EmbeddingResult(
        tuple([float(len(text)), float(ord(text[0]))] for text in batch), **fields
    )


def served(texts: list[str], size: int, limit: int = 10**9) -> tuple[EmbeddingResult, list[int]]:
    """The result, and how many texts each request had, of a service that takes so many."""
    batches, asked = Batches(texts, size), []
    while (batch := batches.take()) is not None:
        asked.append(len(batch))
        if len(batch) > limit:
            batches.split(batch)
        else:
            batches.add(batch, answer(batch))
    return batches.result(), asked


def test_batches_are_filled() -> None:
    assert served([str(number) for number in range(45)], 20)[1] == [20, 20, 5]


def test_ten_thousand_chunks_at_a_cap_of_64_are_157_requests() -> None:
    assert len(served([f"chunk {number}" for number in range(10_000)], 64)[1]) == 157


def test_a_text_that_comes_twice_is_sent_once() -> None:
    result, asked = served(["a", "b", "a", "a"], 20)
    assert asked == [2]
    assert result.vectors == ([1, 97], [1, 98], [1, 97], [1, 97])
    assert len(set(map(id, result.vectors))) == 4  # what is done to one is done to no other


def test_long_texts_share_no_request() -> None:
    assert served(["a" * 300_000, "b" * 300_000, "c" * 100, "d" * 900_000], 20)[1] == [1, 2, 1]


def test_no_texts_are_no_request() -> None:
    assert served([], 20) == (EmbeddingResult(()), [])


@pytest.mark.parametrize("texts", [[""], ["a", ""]])
def test_an_empty_text_is_refused_by_its_place(texts: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match=f"Text {len(texts) - 1} is empty"):
        Batches(texts, 20)


@pytest.mark.parametrize("stranger", [None, 5, b"a", ["a"]])
def test_what_is_no_text_is_refused_by_its_place(stranger: Any) -> None:
    with pytest.raises(InvalidRequestError, match="Text 1 is "):
        Batches(["a", stranger], 20)


def test_one_text_is_not_taken_for_its_letters() -> None:
    with pytest.raises(InvalidRequestError, match="is one text"):
        Batches("abc", 20)


def test_a_limit_is_learnt_with_one_wasted_request() -> None:
    assert served([str(number) for number in range(40)], 20, limit=10)[1] == [20, 10, 10, 10, 10]
    assert served([str(number) for number in range(5)], 5, limit=1)[1] == [5, 2, 1, 1, 1, 1, 1]


def test_the_limit_that_was_learnt_is_told() -> None:
    batches = Batches([str(number) for number in range(9)], 9)
    batch = batches.take()
    assert batch is not None
    assert batches.split(batch) == 4
    assert len(batches) == 3


def test_what_waits_can_be_dropped() -> None:
    batches = Batches(["a", "b"], 1)
    batches.take()
    batches.drop()
    assert batches.take() is None


def test_what_was_dropped_stays_so_when_a_batch_comes_back_too_large() -> None:
    batches = Batches(["a", "b", "c"], 2)
    batch = batches.take()
    assert batch is not None
    batches.drop()
    batches.split(batch)
    assert batches.take() is None


def test_progress_counts_texts() -> None:
    batches = Batches(["a", "b", "a"], 1)
    assert batches.done == 0
    batches.add(("a",), answer(("a",)))
    assert batches.done == 1


def test_vectors_of_different_lengths_are_refused() -> None:
    batches = Batches(["a", "b"], 1)
    batches.add(("a",), EmbeddingResult(([1.0],)))
    batches.add(("b",), EmbeddingResult(([1.0, 2.0],)))
    with pytest.raises(UnexpectedReplyError, match=r"vectors of \[1, 2\] numbers"):
        batches.result()


def test_usage_and_attempts_are_those_of_all_requests() -> None:
    batches = Batches(["a", "b"], 1)
    first, second = Origin("m", "m", attempts=1), Origin("m", "m", None, "r", (), 2, {"x": 1})
    batches.add(("a",), answer(("a",), usage=Usage(3, 0, 3), origin=first))
    batches.add(("b",), answer(("b",), usage=Usage(4, 0, 4), origin=second, model="m"))
    result = batches.result()
    assert result.usage == Usage(7, 0, 7)
    assert result.model == "m"
    assert result.origin == Origin("m", "m", None, "r", (), 3, {"x": 1})


@given(st.lists(st.text(min_size=1, max_size=4), max_size=30), st.integers(1, 8), st.integers(1, 8))
def test_whatever_the_limit_each_text_gets_its_vector(
    texts: list[str], size: int, limit: int
) -> None:
    result, asked = served(texts, size, limit)
    assert result.vectors == answer(tuple(texts)).vectors
    assert max(asked, default=0) <= size
