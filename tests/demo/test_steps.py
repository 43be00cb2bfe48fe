"""A step counts only when its example did its job; each check can say no."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.base.response.schema import Response
from llama_index.core.schema import NodeWithScore, TextNode

from demo.steps import (
    StepFailedError,
    check_answers,
    check_messages,
    check_output,
    check_pieces,
    check_refusal,
)

QUESTION, ANSWER = HumanMessage("How many?"), AIMessage("125 calls.")


def result(text: str, status: str = "success") -> ToolMessage:
    return ToolMessage(text, tool_call_id="1", status=status)


def output(*calls: SimpleNamespace, text: str = "125 calls.") -> SimpleNamespace:
    return SimpleNamespace(tool_calls=list(calls), response=SimpleNamespace(content=text))


def call(*, is_error: bool) -> SimpleNamespace:
    return SimpleNamespace(tool_output=SimpleNamespace(is_error=is_error))


def answer(text: str, passage: str) -> Response:
    return Response(text, source_nodes=[NodeWithScore(node=TextNode(text=passage), score=1.0)])


def test_each_check_takes_what_is_right() -> None:
    check_pieces(["Hel", "lo."])
    check_messages([QUESTION, result("125"), ANSWER])
    check_output(output(call(is_error=False)))
    check_answers([answer("At midnight.", "back at 00:00 UTC+8"), answer("二百", "送 200 个魔粒")])
    check_refusal((SimpleNamespace(resets_at=datetime.now(UTC)), 0))


@pytest.mark.parametrize("pieces", [[], ["", " "], ["Hello."]], ids=["none", "blank", "one"])
def test_a_stream_needs_words_in_several_pieces(pieces: list[str]) -> None:
    with pytest.raises(StepFailedError):
        check_pieces(pieces)


@pytest.mark.parametrize(
    ("messages", "missing"),
    [
        ([QUESTION, ANSWER], "no tool"),
        ([QUESTION, result("ZeroDivisionError", "error"), ANSWER], "tool failed"),
        ([QUESTION, result("125"), AIMessage("")], "no answer"),
        ([QUESTION, result("125")], "no answer"),
    ],
)
def test_a_langchain_agent_has_to_call_and_to_answer(
    messages: list[HumanMessage | AIMessage | ToolMessage], missing: str
) -> None:
    with pytest.raises(StepFailedError, match=missing):
        check_messages(messages)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (output(), "no tool"),
        (output(call(is_error=True)), "tool failed"),
        (output(call(is_error=False), text=""), "no answer"),
    ],
)
def test_a_llamaindex_agent_has_to_call_and_to_answer(given: SimpleNamespace, missing: str) -> None:
    with pytest.raises(StepFailedError, match=missing):
        check_output(given)


@pytest.mark.parametrize(
    ("first", "missing"),
    [
        (answer("Empty Response", "back at 00:00 UTC+8"), "empty"),
        (answer("At midnight.", "nothing of the kind"), "00:00"),
        (Response("At midnight.", source_nodes=[]), "00:00"),
    ],
)
def test_an_answer_needs_the_passage_with_the_fact(first: Response, missing: str) -> None:
    with pytest.raises(StepFailedError, match=missing):
        check_answers([first, answer("二百", "送 200 个魔粒")])


@pytest.mark.parametrize(
    ("resets_at", "sent"), [(None, 0), (datetime.now(UTC), 1)], ids=["no time", "asked again"]
)
def test_a_refusal_names_the_time_and_stops_the_requests(
    resets_at: datetime | None, sent: int
) -> None:
    with pytest.raises(StepFailedError):
        check_refusal((SimpleNamespace(resets_at=resets_at), sent))
