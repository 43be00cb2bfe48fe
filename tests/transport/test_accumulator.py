"""Deltas in, the answer so far out."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import (
    ChatAccumulator,
    ChatChoice,
    ChatDelta,
    ChatResult,
    Origin,
    ToolCall,
    ToolCallDelta,
    Usage,
)


def joined(*deltas: ChatDelta) -> ChatResult:
    answer = ChatAccumulator()
    for delta in deltas:
        answer.add(delta)
    return answer.result()


def test_nothing_is_an_empty_answer() -> None:
    assert joined() == ChatResult((ChatChoice(),))


def test_texts_thoughts_and_refusals_are_joined_apart() -> None:
    answer = joined(
        ChatDelta(reasoning="h"),
        ChatDelta(text="a", reasoning="m"),
        ChatDelta(text="b", refusal="n"),
        ChatDelta(refusal="o"),
    )
    assert answer.choice == ChatChoice("ab", "hm", refusal="no")


def test_the_last_word_counts_for_what_comes_once() -> None:
    answer = joined(
        ChatDelta(response_id="r", model="m", finish_reason="stop", usage=Usage(1)),
        ChatDelta(usage=Usage(2)),
        ChatDelta(text="a"),
    )
    assert (answer.response_id, answer.model, answer.usage) == ("r", "m", Usage(2))
    assert answer.choice.finish_reason == "stop"


def test_interleaved_calls_come_out_whole_and_in_order() -> None:
    answer = joined(
        ChatDelta(tool_calls=(ToolCallDelta(1, "b", "g", "["),)),
        ChatDelta(tool_calls=(ToolCallDelta(0, "a", "f", "{"), ToolCallDelta(1, arguments="]"))),
        ChatDelta(tool_calls=(ToolCallDelta(0, None, "oo", "}"),)),
    )
    assert answer.tool_calls == (ToolCall("a", "foo", "{}"), ToolCall("b", "g", "[]"))


def test_an_id_or_name_may_come_late_or_never() -> None:
    answer = joined(
        ChatDelta(tool_calls=(ToolCallDelta(3, arguments="{}"),)),
        ChatDelta(tool_calls=(ToolCallDelta(3, name="f"),)),
    )
    assert answer.tool_calls == (ToolCall("call_3", "f", "{}"),)


def test_log_probabilities_are_put_one_after_the_other() -> None:
    answer = joined(
        ChatDelta(logprobs={"content": [1]}),
        ChatDelta(logprobs={"content": None}),
        ChatDelta(logprobs={"content": [2]}),
    )
    assert answer.choice.logprobs == {"content": [1, 2]}


def test_the_result_can_be_asked_for_again_and_again() -> None:
    answer = ChatAccumulator()
    answer.add(ChatDelta(text="a"))
    before = answer.result()
    answer.add(ChatDelta(text="b"))
    assert (before.text, answer.result().text) == ("a", "ab")
    origin = Origin("m", "m")
    assert answer.result(origin).origin is origin


@given(st.text(max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_however_a_text_is_cut_it_comes_out_whole(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert joined(*(ChatDelta(text=piece) for piece in pieces)).text == text
    calls = joined(
        *(ChatDelta(tool_calls=(ToolCallDelta(0, "c", None, piece),)) for piece in pieces)
    )
    assert calls.tool_calls[0].arguments == text
