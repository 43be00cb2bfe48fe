"""The scripted engine's answers to prompts that want a text worked on."""

from __future__ import annotations

import json

import pytest
from llama_index.core.evaluation.guideline import DEFAULT_GUIDELINES
from llama_index.core.evaluation.pairwise import DEFAULT_USER_TEMPLATE
from llama_index.core.indices.query.query_transform.prompts import (
    DEFAULT_STEP_DECOMPOSE_QUERY_TRANSFORM_PROMPT,
)
from llama_index.core.memory.memory_blocks.fact import (
    DEFAULT_FACT_CONDENSE_PROMPT,
    DEFAULT_FACT_EXTRACT_PROMPT,
)
from llama_index.core.prompts.default_prompts import DEFAULT_HYDE_PROMPT

from modelscope_transport.emulator.scripted.composing import compose
from modelscope_transport.emulator.scripted.talk import Talk

CAPITAL = "What is the capital of Germany?"


def say(prompt: str, *before: str, system: str = "") -> str:
    messages = [{"role": "user", "content": text} for text in (*before, prompt)]
    return compose(Talk([{"role": "system", "content": system}, *messages]))


@pytest.mark.parametrize(
    ("reasoned", "next_question"),
    [("None", CAPITAL), ("- What is it?\n- Berlin is the capital.\n", "None")],
)
def test_the_next_step_of_a_question(reasoned: str, next_question: str) -> None:
    prompt = DEFAULT_STEP_DECOMPOSE_QUERY_TRANSFORM_PROMPT.format(
        query_str=CAPITAL, context_str="Capitals.", prev_reasoning=reasoned
    )
    assert say(prompt) == next_question


def test_facts_of_a_conversation() -> None:
    asked = DEFAULT_FACT_EXTRACT_PROMPT.format(existing_facts="<fact>I live in Ulm.</fact>")
    told = say(asked, "My cat is called Mimi. I live in Ulm. What is your name?")
    assert told == "<facts><fact>My cat is called Mimi.</fact></facts>"


def test_facts_that_are_too_many() -> None:
    existing = "<fact>My cat is called Mimi.</fact>\n<fact>I live in Ulm.</fact>"
    asked = DEFAULT_FACT_CONDENSE_PROMPT.format(existing_facts=existing, max_facts=9)
    assert say(asked) == (
        "<facts><fact>My cat is called Mimi.</fact><fact>I live in Ulm.</fact></facts>"
    )


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ("Berlin is the capital of Germany.", "Cats eat fish.", "[[A]]"),
        ("Cats eat fish.", "Berlin is the capital of Germany.", "[[B]]"),
        ("Cats eat fish.", "Dogs eat meat.", "[[C]]"),
    ],
)
def test_the_better_of_two_answers(first: str, second: str, verdict: str) -> None:
    asked = DEFAULT_USER_TEMPLATE.format(
        query=CAPITAL, reference="", answer_1=first, answer_2=second
    )
    assert verdict in say(asked)


@pytest.mark.parametrize(("response", "passing"), [("It is Germany.", True), ("Cats.", False)])
def test_whether_a_response_keeps_to_guidelines(response: str, passing: bool) -> None:
    asked = (
        f"Here is the original query:\nQuery: {CAPITAL}\nCritique the following response based on "
        f"the guidelines below:\nResponse: {response}\nGuidelines: {DEFAULT_GUIDELINES}\n"
    )
    assert json.loads(say(asked))["passing"] is passing


def test_a_passage_that_might_answer() -> None:
    asked = DEFAULT_HYDE_PROMPT.format(context_str=CAPITAL)
    assert say(asked) == "This passage is about capital Germany."


SYSTEM = (
    "Wrap Python in <execute>...</execute>.\n"
    'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    ...\n'
)


def test_code_is_written_run_and_told_of() -> None:
    assert say("Please add 3 and 4.", system=SYSTEM) == "<execute>\nprint(add(3, 4))\n</execute>"
    ran = "Result of executing the code given:\n\n7"
    assert say(ran, "Please add 3 and 4.", system=SYSTEM) == "The result is: 7"
    assert "<execute>" not in say("Good morning.", system=SYSTEM)
