"""Chat on the wire: every recorded answer decoded, whole and streamed, and what garbage gives."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import (
    ChatAccumulator,
    ChatChoice,
    ChatDelta,
    ChatResult,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from modelscope_transport._sse import ErrorEvent
from modelscope_transport._wire.chat import ChatDecoder, decode
from modelscope_transport._wire.outcomes import Failure, read_failure
from tests.streamed_answers import ANSWERS
from tests.transport.recorded import Sample, named, sample, samples

ADD = ToolCall("call_00000000000000000000000000", "add", '{"a": 2, "b": 3}')
WHOLE = {
    "whole": ChatChoice("人工智能是让机器模拟人类智能行为的技术。", finish_reason="stop"),
    "current_headers": ChatChoice("2", finish_reason="stop"),
    "rate_limit_headers": ChatChoice("2", finish_reason="stop"),
    "delta_without_message": ChatChoice("2", finish_reason="stop"),
    "reasoning": ChatChoice("2", "1 and 1 make 2.", finish_reason="stop"),
    "tool_call": ChatChoice("", "", (ADD,), "tool_calls"),
    "tool_call_with_content": ChatChoice("I add the numbers.", "", (ADD,), "tool_calls"),
    "tool_call_leaked_into_content": ChatChoice(
        '<｜｜DSML｜｜invoke name="add">placeholder</｜｜DSML｜｜invoke>', finish_reason="stop"
    ),
}


def whole(**fields: Any) -> Any:
    """What a whole answer with these fields decodes to."""
    return decode(json.dumps(fields).encode())


def message(**fields: Any) -> ChatResult:
    answer = whole(choices=[{"message": fields, "finish_reason": "stop"}])
    assert isinstance(answer, ChatResult)
    return answer


def streamed(events: Iterable[str], answer_tool: str | None = None) -> ChatResult:
    """What a stream of these payloads adds up to."""
    decoder, answer = ChatDecoder(answer_tool), ChatAccumulator()
    for event in events:
        delta = decoder.feed(event.encode())
        assert not isinstance(delta, Failure), delta
        if delta is not None:
            answer.add(delta)
    last = decoder.finish()
    if last is not None:
        answer.add(last)
    return answer.result()


def chunk(finish_reason: str | None = None, **delta: Any) -> str:
    return json.dumps({"choices": [{"delta": delta, "finish_reason": finish_reason}]})


def piece(arguments: Any = "", **fields: Any) -> dict[str, Any]:
    """A piece of a streamed tool call."""
    name = fields.pop("name", None)
    return {**fields, "function": {"name": name, "arguments": arguments}}


# --- the recorded answers


@pytest.mark.parametrize("recorded", samples("chat"), ids=named)
def test_a_recorded_answer(recorded: Sample) -> None:
    answer = decode(recorded.reply.body)
    assert isinstance(answer, ChatResult)
    assert answer.choices == (WHOLE[recorded.name],)
    assert answer.response_id == "chatcmpl-00000000-0000-0000-0000-000000000000"
    assert answer.model == recorded.model
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


def test_the_time_of_an_answer_is_in_seconds() -> None:
    milliseconds = decode(sample("chat/whole").reply.body)
    assert isinstance(milliseconds, ChatResult)
    assert milliseconds.created == 1758968084
    good = [{"message": {"content": "a"}}]
    assert whole(choices=good, created=1758968084, id="x").created == 1758968084


@pytest.mark.parametrize("created", [None, 0, -5, 1e308, 10**400, "nan", "inf"])
def test_a_time_that_is_none_is_left_out(created: Any) -> None:
    answer = whole(choices=[{"message": {"content": "a"}}], created=created)
    assert getattr(answer, "created", None) is None


@pytest.mark.parametrize("recorded", samples("streams"), ids=named)
def test_a_recorded_stream(recorded: Sample) -> None:
    answer, expected = streamed(recorded.events or ()), ANSWERS[recorded.name]
    choice = answer.choice
    assert (choice.text, choice.reasoning) == (expected.text, expected.reasoning)
    assert (choice.finish_reason, answer.usage) == (expected.finish_reason, expected.usage)
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        call[:3] for call in expected.calls
    ]


@pytest.mark.parametrize("recorded", samples("streams"), ids=named)
def test_deltas_are_never_empty_and_usage_comes_once(recorded: Sample) -> None:
    decoder = ChatDecoder()
    fed = [decoder.feed(event.encode()) for event in recorded.events or ()]
    deltas = [delta for delta in [*fed, decoder.finish()] if isinstance(delta, ChatDelta)]
    assert all(delta != ChatDelta() for delta in deltas)
    assert [delta.usage for delta in deltas[:-1] if delta.usage] == []
    assert len([delta for delta in deltas if delta.response_id]) == 1
    assert (decoder.finished or decoder.done) is (recorded.meaning == "good")
    assert decoder.done is (recorded.events is not None and recorded.events[-1] == "[DONE]")


# --- refusals in an answer's place


@pytest.mark.parametrize(
    "body",
    [
        {"code": "Throttling", "message": "Requests rate limit exceeded", "request_id": "r"},
        {"object": "error", "message": "context too long", "type": "BadRequest", "code": 400},
        {"detail": "today's quota for model x is used up"},
        {"Code": 10010205001, "Message": "Please bind your Alibaba Cloud account before use."},
        {"success": False, "message": "insufficient balance", "choices": None},
        {"message": "Request limit exceeded.", "code": 429},
    ],
)
def test_a_refusal_of_any_form_is_read_as_where_its_status_says_so(body: Any) -> None:
    payload = json.dumps(body).encode()
    expected = read_failure(payload)
    assert expected.message
    assert decode(payload) == expected
    decoder = ChatDecoder()
    assert decoder.feed(payload) == expected
    assert isinstance(decoder.feed(chunk(content="a").encode()), ChatDelta)
    assert decoder.feed(payload) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"type": "ping"},
        {"choices": None},
        {"object": "chat.completion.chunk", "created": 0},
        {"usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        {"code": 0, "message": "Success", "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        {"code": "200", "message": "ok"},
    ],
)
def test_what_refuses_nothing_in_a_streams_middle_is_passed_over(body: Any) -> None:
    decoder = ChatDecoder()
    decoder.feed(chunk(content="a").encode())
    assert decoder.feed(json.dumps(body).encode()) is None
    last = decoder.finish()
    assert (last and last.usage) == (Usage(3, 4, 7) if "usage" in body else None)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"code": "Throttling", "message": "too fast"}', "too fast"),
        (b'{"reason": "overload"}', '{"reason": "overload"}'),
        (b"upstream timed out", "upstream timed out"),
        (
            b'{"choices": [{"delta": {"content": "a"}}]}',
            '{"choices": [{"delta": {"content": "a"}}]}',
        ),
        (b"[DONE]", "[DONE]"),
        (b"", ""),
    ],
)
def test_an_event_that_is_named_an_error_is_one_whatever_it_holds(
    payload: bytes, message: str
) -> None:
    decoder = ChatDecoder()
    decoder.feed(chunk(content="a").encode())
    failure = decoder.feed(ErrorEvent(payload))
    assert isinstance(failure, Failure)
    assert (failure.message, failure.unreadable, decoder.done) == (message, False, False)


# --- fields


def test_thoughts_by_either_name() -> None:
    assert message(reasoning="hm", content="a").reasoning == "hm"
    assert message(reasoning_content="hm", reasoning="x").reasoning == "hm"
    assert message(reasoning_content="", reasoning="hm").reasoning == "hm"
    assert streamed([chunk(reasoning="h"), chunk(reasoning_content="m")]).reasoning == "hm"


def test_content_as_a_list_of_parts() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image"},
        {"type": "text", "text": "b"},
        "x",
        {"text": 5},
    ]
    assert message(content=parts).text == "ab"
    assert streamed([chunk(content=parts)]).text == "ab"


def test_arguments_as_an_object() -> None:
    call = piece({"a": [1, "ü"]}, name="f", id="c")
    assert message(tool_calls=[call]).tool_calls == (ToolCall("c", "f", '{"a":[1,"ü"]}'),)
    assert (
        streamed([chunk(tool_calls=[{**call, "index": 0}])]).tool_calls[0].arguments
        == '{"a":[1,"ü"]}'
    )


@pytest.mark.parametrize("odd", [[], "none", {"prompt_tokens": 1.5}, {"prompt_tokens": "many"}])
def test_an_odd_usage_takes_no_answer_away(odd: Any) -> None:
    answer = whole(choices=[{"message": {"content": "Hi"}, "finish_reason": "stop"}], usage=odd)
    assert (answer.text, answer.usage) == ("Hi", None)
    joined = streamed(
        [chunk(content="Hi"), json.dumps({"choices": [], "usage": odd}), chunk("stop")]
    )
    assert (joined.text, joined.choice.finish_reason, joined.usage) == ("Hi", "stop", None)


@pytest.mark.parametrize("odd", [[], "none"])
def test_odd_logprobs_take_no_answer_away(odd: Any) -> None:
    choice = {"message": {"content": "Hi"}, "finish_reason": "stop", "logprobs": odd}
    answer = whole(choices=[choice], usage={"prompt_tokens": 1, "completion_tokens": 2})
    assert (answer.text, answer.choice.logprobs) == ("Hi", None)


def test_a_call_without_anything() -> None:
    assert message(tool_calls=[{}, piece(None)]).tool_calls == (
        ToolCall("call_0", "", ""),
        ToolCall("call_1", "", ""),
    )


def test_a_refusal() -> None:
    assert message(refusal="no").choice.refusal == "no"
    assert streamed([chunk(refusal="n"), chunk(refusal="o")]).choice.refusal == "no"


def test_details_of_usage() -> None:
    usage = whole(
        choices=[{"message": {"content": "a"}}],
        usage={
            "prompt_tokens": 5,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 4},
        },
    ).usage
    assert usage == Usage(5, 7, 12, cached_tokens=3, reasoning_tokens=4)


def test_several_answers() -> None:
    answer = whole(
        choices=[{"message": {"content": text}, "index": place} for place, text in enumerate("ab")]
    )
    assert [choice.text for choice in answer.choices] == ["a", "b"]


def test_log_probabilities() -> None:
    told = {"content": [{"token": "a", "logprob": -0.5}]}
    answer = whole(choices=[{"message": {"content": "a"}, "logprobs": told}])
    assert answer.choice.logprobs == told
    event = json.dumps({"choices": [{"delta": {"content": "a"}, "logprobs": told}]})
    assert streamed([event, event]).choice.logprobs == {"content": told["content"] * 2}


@pytest.mark.parametrize(
    "nonsense", [{}, {"content": None}, {"content": 5}, {"content": {"a": 1}}, {"x": 1}]
)
def test_log_probabilities_of_another_form_are_passed_over(nonsense: Any) -> None:
    event = json.dumps({"choices": [{"delta": {"content": "a"}, "logprobs": nonsense}]})
    assert streamed([event]).choice.logprobs is None


def test_unknown_fields_are_passed_over() -> None:
    assert message(content="a", function_calls=None, audio={"x": 1}, annotations=[]).text == "a"


# --- what is no answer


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": None, "delta": None}]},
        {"choices": [{"message": {"content": ""}, "finish_reason": None}]},
        {"choices": [{"message": {"content": ""}, "finish_reason": ""}]},
    ],
)
def test_a_success_with_nothing_in_it(fields: dict[str, Any]) -> None:
    failure = whole(**fields, request_id="r")
    assert failure == Failure("", request_id="r", empty=True)


def test_an_empty_text_that_was_finished_is_an_answer() -> None:
    # max_tokens that the thoughts have used up.
    answer = whole(choices=[{"message": {"content": ""}, "finish_reason": "length"}])
    assert (answer.text, answer.choice.finish_reason) == ("", "length")


@pytest.mark.parametrize("name", ["error", "errors"])
def test_an_error_in_a_success(name: str) -> None:
    assert whole(**{name: {"message": "no", "code": "c"}}) == Failure("no", code="c")
    assert ChatDecoder().feed(json.dumps({name: {"message": "no"}}).encode()) == Failure("no")


def test_an_error_in_the_middle_of_a_stream() -> None:
    decoder = ChatDecoder()
    decoder.feed(chunk(content="a").encode())
    assert decoder.feed(b'{"error": {"message": "no"}, "choices": null}') == Failure("no")


def test_a_chunk_of_nothing_is_a_failure_at_the_beginning_only() -> None:
    nothing = b'{"choices": null}'
    first = ChatDecoder().feed(nothing)
    assert isinstance(first, Failure)
    assert first.empty
    decoder = ChatDecoder()
    decoder.feed(chunk(content="a").encode())
    assert decoder.feed(nothing) is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"5", b"<html>", b"\xff", b"[" * 200_000]
)
def test_what_is_no_object_cannot_be_read(body: bytes) -> None:
    failure = decode(body)
    assert isinstance(failure, Failure)
    assert failure.unreadable


@pytest.mark.parametrize(
    "body", [b'{"a":' * 200_000, b'{"choices":[{"logprobs":' + b'{"a":' * 3000 + b"1"]
)
def test_depth_without_end_cannot_be_read(body: bytes) -> None:
    for found in (decode(body), ChatDecoder().feed(body)):
        assert isinstance(found, Failure)
        assert found.unreadable


@pytest.mark.parametrize("frame", ['"ping"', "null", "5", "[]", "[1]", "ping", ": x"])
def test_a_frame_that_is_no_object_is_passed_over(frame: str) -> None:
    assert streamed([chunk(content="a"), frame, chunk("stop", content="b")]).text == "ab"


@pytest.mark.parametrize(
    "frame", ['{"choices": [', "{", '{"choices": 5}', '{"choices": [{"delta": 5}]}']
)
def test_an_object_that_cannot_be_read_breaks_the_stream(frame: str) -> None:
    failure = ChatDecoder().feed(frame.encode())
    assert isinstance(failure, Failure)
    assert failure.unreadable


@pytest.mark.parametrize("mark", [b"[DONE]", b"[DONE] ", b" [DONE]", b"[DONE]\n"])
def test_the_last_frame(mark: bytes) -> None:
    decoder = ChatDecoder()
    assert decoder.feed(mark) is None
    assert decoder.done


# --- streamed tool calls


def test_a_delta_carries_the_pieces_of_its_chunk() -> None:
    decoder = ChatDecoder()
    delta = decoder.feed((sample("streams/tool_call").events or ())[0].encode())
    assert isinstance(delta, ChatDelta)
    assert delta.tool_calls == (ToolCallDelta(0, "call_1", "add", '{"a"'),)


def test_id_and_name_that_are_repeated_count_once() -> None:
    parts = [piece(part, index=0, id="c", name="f") for part in ('{"a"', ": 1}")]
    assert streamed([chunk(tool_calls=[part]) for part in parts]).tool_calls == (
        ToolCall("c", "f", '{"a": 1}'),
    )


def test_an_id_that_never_comes_is_made_up() -> None:
    events = [chunk(tool_calls=[piece("{}", index=index, name="f")]) for index in (0, 1)]
    assert [call.id for call in streamed(events).tool_calls] == ["call_0", "call_1"]


A, B = '{"a"', ": 1}"


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([["f", A], [None, B], ["g", A], [None, B]], id="each in a chunk of its own"),
        pytest.param([["f", A, "g", A], [None, B, None, B]], id="side by side"),
        pytest.param([["f", A + B, "g", A + B]], id="all at once"),
    ],
)
@pytest.mark.parametrize("with_ids", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize("numbered", [True, False], ids=["the same index", "no index"])
def test_calls_without_an_index_of_their_own(
    chunks: list[list[str | None]], with_ids: bool, numbered: bool
) -> None:
    events = []
    for flat in chunks:
        calls = []
        for name, arguments in zip(flat[::2], flat[1::2], strict=True):
            own: dict[str, Any] = {"id": f"id of {name}"} if name and with_ids else {}
            own |= {"index": 0} if numbered else {}
            calls.append(piece(arguments, name=name, **own))
        events.append(chunk(tool_calls=calls))
    ids = ("id of f", "id of g") if with_ids else ("call_0", "call_1")
    assert streamed(events).tool_calls == (
        ToolCall(ids[0], "f", '{"a": 1}'),
        ToolCall(ids[1], "g", '{"a": 1}'),
    )


@pytest.mark.parametrize("index", [{}, {"index": 0}], ids=["no index", "index"])
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([("c", "f", A), ("c", "f", B)], [("c", "f", A + B)], id="id repeated"),
        pytest.param([(None, "f", A), (None, "f", B)], [("call_0", "f", A + B)], id="repeated"),
        pytest.param([("c", "f", A), (None, "f", B)], [("c", "f", A + B)], id="name repeated"),
        pytest.param([("c", "", A), ("c", "f", B)], [("c", "f", A + B)], id="name late"),
        pytest.param([("", "f", A), ("c", "", B)], [("c", "f", A + B)], id="id late"),
        pytest.param([("", "f", A), ("", "", B), ("c", "", "")], [("c", "f", A + B)], id="later"),
        pytest.param([("c", "f", ""), ("c", "oo", A + B)], [("c", "foo", A + B)], id="pieces"),
        pytest.param(
            [("c", "f", ""), ("c", "fo", ""), ("c", "foo", A + B)],
            [("c", "foo", A + B)],
            id="growing",
        ),
        pytest.param([("c", "f", ""), ("", "f", "")], [("c", "f", "")], id="no arguments"),
        pytest.param(
            [("", "f", A + B), ("", "f", A + B)],
            [("call_0", "f", A + B), ("call_1", "f", A + B)],
            id="the same tool twice",
        ),
        pytest.param(
            [("a", "f", A), ("b", "f", A), ("a", "", B), ("b", "", B)],
            [("a", "f", A + B), ("b", "f", A + B)],
            id="interleaved by id",
        ),
    ],
)
def test_which_call_a_piece_is_of(
    pieces: list[tuple[str | None, str, str]],
    expected: list[tuple[str, str, str]],
    index: dict[str, int],
) -> None:
    events = [
        chunk(tool_calls=[piece(arguments, id=id_, name=name, **index)])
        for id_, name, arguments in pieces
    ]
    assert streamed(events).tool_calls == tuple(ToolCall(*call) for call in expected)


def test_indices_are_counted_as_the_calls_appear() -> None:
    decoder = ChatDecoder()
    events = [
        chunk(tool_calls=[piece("{}", index=7, id="a", name="f")]),
        chunk(tool_calls=[piece("{}", index=7, id="b", name="f")]),
        chunk(tool_calls=[piece("{}", index=1, id="c", name="f")]),
    ]
    fed = [decoder.feed(event.encode()) for event in events]
    assert [one.tool_calls[0].index for one in fed if isinstance(one, ChatDelta)] == [0, 1, 2]


def test_what_is_given_out_twice_is_given_on_once() -> None:
    decoder = ChatDecoder()
    event = chunk(tool_calls=[piece("", index=0, id="c", name="f")])
    first = decoder.feed(event.encode())
    assert isinstance(first, ChatDelta)
    assert first.tool_calls == (ToolCallDelta(0, "c", "f"),)
    assert decoder.feed(event.encode()) is None


@pytest.mark.parametrize(
    ("arguments", "finish_reason", "usable"),
    [
        ('{"a": 1}', "length", True),
        ('{"a": 1', "length", False),
        ("", "length", False),
        ("", "tool_calls", True),
        ("{}", "tool_calls", True),
        ('{"a": "x\ny"}', "tool_calls", True),
        ('{"a": 1', "tool_calls", False),
        ("[1]", "tool_calls", False),
        ('"null"', "stop", False),
        ('{"a": 1}{"a": 1}', "stop", False),
        ("[" * 100_000, "stop", False),
    ],
)
def test_arguments_of_no_use_are_invalid_in_every_form(
    arguments: str, finish_reason: str, usable: bool
) -> None:
    call = piece(arguments, index=0, id="c", name="f")
    body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": finish_reason}]}
    whole = decode(json.dumps(body).encode())
    parts = streamed([chunk(tool_calls=[call]), chunk(finish_reason)])
    assert isinstance(whole, ChatResult)
    assert whole.tool_calls == parts.tool_calls
    problem = whole.tool_calls[0].invalid
    assert (problem is None) is usable
    assert ("max_tokens" in (problem or "")) is (finish_reason == "length" and not usable)


def test_null_for_no_arguments_is_no_arguments_in_every_form() -> None:
    call = piece("null", index=0, id="c", name="f")
    body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "stop"}]}
    name_first = [piece("", index=0, id="c", name="f"), piece("null", index=0)]
    answers = [
        decode(json.dumps(body).encode()),
        streamed([chunk(tool_calls=[call]), chunk("stop")]),
        streamed([*(chunk(tool_calls=[each]) for each in name_first), chunk("stop")]),
    ]
    for answer in answers:
        assert isinstance(answer, ChatResult)
        assert answer.tool_calls == (ToolCall("c", "f", ""),)


def test_null_inside_of_arguments_stays() -> None:
    pieces = [piece('{"a":', index=0, id="c", name="f"), piece("null", index=0), piece("}")]
    answer = streamed([*(chunk(tool_calls=[each]) for each in pieces), chunk("stop")])
    assert answer.tool_calls == (ToolCall("c", "f", '{"a":null}'),)


def test_only_the_last_call_can_have_been_cut_before_its_arguments() -> None:
    calls = [piece("", index=index, id=f"c{index}", name="f") for index in (0, 1)]
    body = {"choices": [{"message": {"tool_calls": calls}, "finish_reason": "length"}]}
    answer = decode(json.dumps(body).encode())
    assert isinstance(answer, ChatResult)
    parts = streamed([chunk(tool_calls=calls[:1]), chunk("length", tool_calls=calls[1:])])
    assert answer.tool_calls == parts.tool_calls
    assert [call.invalid is None for call in answer.tool_calls] == [True, False]


# --- characters that are cut in two


HALVES = "\ud83d", "\ude00"


@pytest.mark.parametrize("field", ["content", "reasoning_content", "refusal"])
def test_halves_of_a_character_are_joined_over_chunks(field: str) -> None:
    parts = [f"a{HALVES[0]}", f"{HALVES[1]}b", HALVES[0], f"c{HALVES[0]}"]
    answer = streamed([chunk(**{field: part}) for part in parts])
    choice = answer.choice
    text = choice.refusal if field == "refusal" else choice.text + choice.reasoning
    assert text == "a😀b\ufffdc\ufffd"


def test_halves_of_a_character_are_joined_in_arguments() -> None:
    parts = ['{"a": "' + HALVES[0], HALVES[1] + '"}']
    events = [chunk(tool_calls=[piece(part, index=0, id="c", name="f")]) for part in parts]
    assert streamed(events).tool_calls == (ToolCall("c", "f", '{"a": "😀"}'),)


def test_a_whole_answer_is_read_as_json_loads_reads_it() -> None:
    body = b'\xef\xbb\xbf{"choices": [{"message": {"content": "a\\ud83d"}, '
    body += b'"logprobs": {"content": [{"logprob": -Infinity}]}}]}'
    answer = decode(body)
    assert isinstance(answer, ChatResult)
    assert answer.text == "a\ufffd"
    assert answer.choice.logprobs == {"content": [{"logprob": -math.inf}]}


def test_a_choice_without_a_delta_may_finish() -> None:
    finish = {"choices": [{"delta": None, "finish_reason": "stop"}]}
    answer = streamed([chunk(content="a"), '{"choices": [{}]}', json.dumps(finish)])
    assert (answer.text, answer.choice.finish_reason) == ("a", "stop")


def test_text_and_a_call_in_one_chunk() -> None:
    answer = streamed(
        [
            chunk(
                "tool_calls",
                content="Let me see.",
                tool_calls=[piece("{}", index=0, id="c", name="f")],
            )
        ]
    )
    assert (answer.text, answer.tool_calls) == ("Let me see.", (ToolCall("c", "f", "{}"),))


# --- an answer that comes as a tool call


ANSWER = piece('{"a"', index=0, id="c", name="answer")


def test_the_arguments_of_the_answers_tool_are_the_text() -> None:
    body = json.dumps(
        {
            "choices": [
                {
                    "message": {"content": "", "tool_calls": [piece("{}", name="answer")]},
                    "finish_reason": "tool_calls",
                }
            ]
        }
    )
    answer = decode(body.encode(), "answer")
    assert isinstance(answer, ChatResult)
    assert answer.choice == ChatChoice("{}", finish_reason="stop")
    events = [
        chunk(tool_calls=[ANSWER]),
        chunk(tool_calls=[piece(": 1}", index=0)]),
        chunk("tool_calls"),
    ]
    assert streamed(events, "answer").choice == ChatChoice('{"a": 1}', finish_reason="stop")


def test_an_answer_that_was_cut_says_so() -> None:
    body = json.dumps(
        {"choices": [{"message": {"tool_calls": [ANSWER]}, "finish_reason": "length"}]}
    )
    answer = decode(body.encode(), "answer")
    assert isinstance(answer, ChatResult)
    assert answer.choice == ChatChoice('{"a"', finish_reason="length")
    assert streamed([chunk("length", tool_calls=[ANSWER])], "answer").choice == answer.choice


def test_a_second_call_of_the_answers_tool_is_no_part_of_the_text() -> None:
    calls = [piece("{}", index=0, name="answer"), piece("[]", index=1, name="answer")]
    body = json.dumps({"choices": [{"message": {"tool_calls": calls}}]})
    answer = decode(body.encode(), "answer")
    assert isinstance(answer, ChatResult)
    assert answer.text == "{}"
    assert streamed([chunk("tool_calls", tool_calls=calls)], "answer").text == "{}"


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "not numbered"])
def test_the_answers_tool_beside_others(numbered: bool) -> None:
    def at(index: int) -> dict[str, int]:
        return {"index": index} if numbered else {}

    add = {"id": "a", "name": "add", **at(0)}
    answer = {"id": "b", "name": "answer", **at(1)}
    only = [
        chunk(tool_calls=[piece('{"x"', **answer | at(0))]),
        chunk(tool_calls=[piece(": 1}", **at(0))]),
        chunk("tool_calls"),
    ]
    assert streamed(only, "answer").choice == ChatChoice('{"x": 1}', finish_reason="stop")

    both = [
        chunk(content="First "),
        chunk(tool_calls=[piece('{"y"', **add)]),
        chunk(tool_calls=[piece(": 2}", **at(0))]),
        chunk(tool_calls=[piece("{", **answer)]),
        chunk(tool_calls=[piece("}", **at(1))]),
        chunk("tool_calls"),
    ]
    calls = (ToolCall("a", "add", '{"y": 2}'),)
    expected = ChatChoice("First {}", tool_calls=calls, finish_reason="tool_calls")
    assert streamed(both, "answer").choice == expected
    assert streamed(both[:3] + both[-1:], "answer").choice.tool_calls == calls

    message = {"tool_calls": [piece('{"y": 2}', **add), piece("{}", **answer)]}
    whole = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    decoded = decode(json.dumps(whole).encode(), "answer")
    assert isinstance(decoded, ChatResult)
    assert decoded.choice == ChatChoice("{}", tool_calls=calls, finish_reason="tool_calls")


def test_a_model_that_answers_in_text_all_the_same_is_heard() -> None:
    assert message(content="{}").text == "{}"
    assert streamed([chunk(content="{"), chunk("stop", content="}")], "answer").text == "{}"


# --- anything at all

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def fields(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects whose known fields are mostly right and sometimes anything."""
    return st.fixed_dictionaries({}, optional={name: known[name] | VALUES for name in known})


CALL = fields(
    index=st.integers(-1, 3),
    id=st.sampled_from(["", "a", "b", None]),
    function=fields(name=st.sampled_from(["f", None]), arguments=st.text(max_size=3)),
)
BODY = fields(
    content=st.text(max_size=5), reasoning_content=st.none(), tool_calls=st.lists(CALL, max_size=3)
)
CHOICE = fields(
    delta=BODY,
    message=BODY,
    finish_reason=st.sampled_from(["stop", None]),
    logprobs=fields(content=VALUES),
)
ENVELOPE = fields(
    choices=st.lists(CHOICE, max_size=2),
    usage=fields(prompt_tokens=st.integers(), completion_tokens=st.integers(), total_tokens=VALUES),
    id=st.text(max_size=3),
    created=VALUES,
    error=VALUES,
    errors=VALUES,
    request_id=VALUES,
)


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


@given(ENVELOPE, st.sampled_from([None, "answer"]))
def test_any_answer_is_a_result_or_a_failure(envelope: Any, answer_tool: str | None) -> None:
    assert isinstance(decode(as_json(envelope), answer_tool), ChatResult | Failure)


@given(st.lists(ENVELOPE, max_size=4), st.sampled_from([None, "answer"]))
def test_any_chunks_add_up(envelopes: list[Any], answer_tool: str | None) -> None:
    decoder, answer = ChatDecoder(answer_tool), ChatAccumulator()
    for envelope in envelopes:
        delta = decoder.feed(as_json(envelope))
        assert delta is None or isinstance(delta, ChatDelta | Failure)
        if isinstance(delta, ChatDelta):
            answer.add(delta)
    assert isinstance(answer.result(), ChatResult)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_failure_or_nothing(body: bytes) -> None:
    assert isinstance(decode(body), Failure)
    delta = ChatDecoder().feed(body)
    assert delta is None or isinstance(delta, Failure)
