"""Vectors that rank by shared words."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from modelscope_transport.emulator.embedding import embed

TEXTS = [
    "The allowance comes back at midnight.",
    "A token is made on the settings page.",
    "Paris is the capital of France.",
    "西湖位于杭州。",
    "长城在北京。",
]


def likeness(one, two):
    return sum(a * b for a, b in zip(embed(one, 1024), embed(two, 1024), strict=True))


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("When is my allowance back?", 0),
        ("Where are tokens made?", 1),
        ("What is France's capital?", 2),
        ("西湖在哪里？", 3),
        ("北京有什么？", 4),
        ("Instruct: Retrieve passages of the capital\nQuery: allowance at midnight", 0),
        ("Instruct: Given a web search query, retrieve relevant passages\nQuery:西湖", 3),
    ],
)  # fmt: skip
def test_the_text_that_shares_most_comes_first(question, best):
    scores = [likeness(question, text) for text in TEXTS]
    assert scores.index(max(scores)) == best


def test_texts_without_a_shared_word_are_far_apart():
    assert abs(likeness("river bank", "midnight sun")) < 0.1


@pytest.mark.parametrize("text", ["Hello", "", "the of and", "…", "x" * 10_000])
@pytest.mark.parametrize("dimensions", [1, 32, 1024])
def test_every_vector_has_length_one(text, dimensions):
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-3)


def test_the_same_text_has_the_same_vector_in_every_process():
    program = (
        "from modelscope_transport.emulator.embedding import embed; print(embed('Hello 世界', 8))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(embed("Hello 世界", 8))
