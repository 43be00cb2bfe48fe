"""The rest of a stream: wherever it is cut, the answer is whole or what had arrived is kept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import (
    ChatChoice,
    ChatDelta,
    ChatRequest,
    ChatResult,
    EmptyReplyError,
    Message,
    ModelScopeError,
    Origin,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
    UnexpectedReplyError,
)
from modelscope_transport._wire.chat_request import prepare
from modelscope_transport._wire.failures import judge
from modelscope_transport._wire.outcomes import Failure, Reply
from modelscope_transport._wire.stream_decoder import StreamDecoder
from modelscope_transport.catalogue import profile_for
from modelscope_transport.client.streams import deltas
from modelscope_transport.http.reply import OpenReply
from tests.transport.recorded import Sample, named, sample, samples

GOOD = [recorded for recorded in samples("streams") if recorded.meaning == "good"]
MODEL = "some/model"


NOTHING = ChatResult((ChatChoice(),), origin=Origin(MODEL, MODEL))


class FakeBody(httpx.SyncByteStream):
    """The body of a reply as an engine gives it: pieces of bytes, perhaps broken off."""

    def __init__(self, pieces: list[bytes], *, broken: bool = False) -> None:
        self._pieces, self._broken = pieces, broken

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._broken:
            raise httpx.ReadError("connection reset")

    def drain(self, seconds: float) -> None:
        """Nothing is left to read."""


class FakeExchange:
    """What owns a reply, as far as the reading of its stream goes."""

    late = None

    def __init__(self, reply: OpenReply) -> None:
        self.reply = reply
        self.closed = 0
        self.recorded: list[QuotaExceededError] = []

    def record_quota_error(self, error: QuotaExceededError) -> None:
        assert self.closed, "what it waits for may be held by the exchange"
        self.recorded.append(error)

    def close(self) -> None:
        self.closed = 1


def open_stream(pieces: list[bytes], *, broken: bool = False) -> tuple[Any, StreamDecoder]:
    """What the driver does with a reply until it is handed over."""
    headers = {"content-type": "text/event-stream"}
    body = FakeBody(pieces, broken=broken)
    reply = OpenReply(httpx.Response(200, headers=headers, stream=body))
    opening = begin(reply.first())
    origin = Origin(MODEL, MODEL)
    return FakeExchange(reply), StreamDecoder(opening, reply.events, reply.pending, origin)


def begin(body: bytes, *, stream: bool = True) -> Any:
    """What a call makes of a first payload, or of a whole body.

    Raises:
        ModelScopeError: it is no answer.
    """
    request = ChatRequest(model=MODEL, messages=(Message("user", "1+1?"),))
    reply = Reply(200, {}, body, streaming=stream)
    found = prepare(request, profile_for(MODEL), stream=stream).read(reply)
    if isinstance(found, Failure):
        raise judge(reply, found, model=MODEL).error(attempts=1)
    return found


def read(pieces: list[bytes], *, broken: bool = False) -> ChatResult:
    exchange, reader = open_stream(pieces, broken=broken)
    for _ in deltas(exchange, reader):
        pass
    return reader.result()


def whole(recorded: Sample) -> ChatResult:
    return read([recorded.wire])


def chunk(finish_reason: str | None = None, **delta: Any) -> bytes:
    body = {"id": "r", "choices": [{"delta": delta, "finish_reason": finish_reason}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


# --- cuts


def _finish(recorded: Sample) -> int:
    """Where the payload ends that has the finish reason, or is ``[DONE]``."""
    end = 0
    for event in recorded.events or ():
        end += len(b"data: ") + len(event.encode())
        if '"finish_reason":"' in event or event == "[DONE]":
            return end
        end += 2
    raise AssertionError("a good stream has a finish mark")


def _first(recorded: Sample) -> int:
    """Where the first payload ends."""
    return len(b"data: ") + len((recorded.events or ("",))[0].encode())


@pytest.mark.parametrize("recorded", GOOD, ids=named)
@pytest.mark.parametrize("broken", [False, True], ids=["ends", "breaks"])
def test_a_stream_cut_at_any_byte(recorded: Sample, broken: bool) -> None:
    wire, answer = recorded.wire, whole(recorded)
    # A last line without its end counts where the stream ends in good order.
    first, finish = _first(recorded) + 2 * broken, _finish(recorded) + 2 * broken
    for at in range(len(wire)):
        if at < first and broken:
            with pytest.raises(httpx.ReadError):  # no reply at all: the flow tries again
                read([wire[:at]], broken=True)
        elif at < first:
            with pytest.raises((EmptyReplyError, StreamInterruptedError)) as early:
                read([wire[:at]])
            assert early.value.details.partial in (None, NOTHING)
        elif at < finish:
            # With nothing in it yet, an end in good order is an empty answer.
            with pytest.raises((EmptyReplyError, StreamInterruptedError)) as caught:
                read([wire[:at]], broken=broken)
            if isinstance(caught.value, EmptyReplyError):
                assert not broken
                complete = wire[: wire.rfind(b"\n\n", 0, at) + 1]
                assert b'"content":"' not in complete.replace(b'"content":""', b"")
            else:
                _is_a_part(caught.value, answer)
        else:
            assert read([wire[:at]], broken=broken).choices == answer.choices


def _is_a_part(error: StreamInterruptedError, answer: ChatResult) -> None:
    assert error.partial is not None
    part, full = error.partial.choice, answer.choice
    assert part.finish_reason is None
    assert full.text.startswith(part.text.rstrip("\ufffd")), "a character may be cut in two"
    assert full.reasoning.startswith(part.reasoning)
    for begun, done in zip(part.tool_calls, full.tool_calls, strict=False):
        assert begun.id == done.id or begun.id.startswith("call_"), "the id may come late"
        assert done.name.startswith(begun.name)
        assert done.arguments.startswith(begun.arguments.rstrip("\ufffd"))


@pytest.mark.parametrize("recorded", GOOD, ids=named)
def test_byte_by_byte_is_the_same_answer(recorded: Sample) -> None:
    wire = recorded.wire
    assert read([wire[at : at + 1] for at in range(len(wire))]) == whole(recorded)


@given(st.sampled_from(GOOD), st.lists(st.integers(1, 3000), max_size=8))
def test_any_pieces_are_the_same_answer(recorded: Sample, cuts: list[int]) -> None:
    wire = recorded.wire
    edges = sorted({0, len(wire), *(cut % len(wire) for cut in cuts)})
    pieces = [wire[start:end] for start, end in itertools.pairwise(edges)]
    assert read(pieces) == whole(recorded)


def test_what_had_arrived_is_all_that_had() -> None:
    wire = (
        chunk(reasoning_content="hm") + chunk(content="Hel") + chunk(content="lo") + chunk("stop")
    )
    with pytest.raises(StreamInterruptedError) as caught:
        read([wire[: wire.index(b"stop")]], broken=True)
    error = caught.value
    assert error.partial is not None
    assert (error.partial.text, error.partial.reasoning) == ("Hello", "hm")
    assert error.partial.response_id == "r"
    assert error.partial.origin is not None
    assert error.reason == "stream_interrupted"
    assert (error.model, error.details.attempts) == (MODEL, 1)
    assert "connection reset" in str(error)
    assert "(5 characters)" in str(error)
    assert ".partial" in str(error)


# --- endings


def test_an_end_without_a_finish_mark_is_no_end() -> None:
    recorded = sample("streams/no_finish_no_done")
    with pytest.raises(StreamInterruptedError, match="without a finish reason"):
        read([recorded.wire])


def test_done_is_an_end_without_a_finish_reason() -> None:
    answer = read([chunk(content="a") + b"data: [DONE]\n\n"])
    assert (answer.text, answer.choice.finish_reason) == ("a", None)
    assert read([chunk(content="a") + b"data: [DONE]\n\n"], broken=True).text == "a"


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"], ids=["no end", "done"])
@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param(chunk(content="", role="assistant"), id="empty text"),
        pytest.param(b'data: {"choices": [], "id": "r"}\n\n', id="no choices"),
    ],
)
def test_a_stream_with_nothing_in_it_is_an_empty_answer(nothing: bytes, end: bytes) -> None:
    with pytest.raises(EmptyReplyError) as twin:
        begin(b'{"choices": []}', stream=False)
    whole = twin.value
    with pytest.raises(EmptyReplyError) as caught:
        read([nothing + end])
    assert caught.value.reason == whole.reason
    assert str(caught.value) == str(whole)
    with pytest.raises(StreamInterruptedError) if not end else pytest.raises(EmptyReplyError):
        read([nothing + end], broken=True)


def test_a_finish_mark_is_an_end_without_done() -> None:
    assert read([chunk(content="a") + chunk("stop")]).text == "a"


def test_after_the_finish_mark_a_break_costs_nothing() -> None:
    assert read([chunk(content="a") + chunk("stop")], broken=True).text == "a"


def test_two_finish_marks_are_as_good_as_one() -> None:
    answer = read([chunk(content="a") + chunk("stop") + chunk("stop")])
    assert (answer.text, answer.choice.finish_reason) == ("a", "stop")


def test_what_comes_after_done_is_not_waited_for() -> None:
    exchange, reader = open_stream(
        [chunk("stop", content="a"), b"data: [DONE]\n\n", chunk(content="b")]
    )
    assert [delta.text for delta in deltas(exchange, reader)] == ["a"]


@pytest.mark.parametrize(
    "behind", [chunk(content="b"), b'data: {"error": "x"}\n\n', b"data: {\n\n"]
)
@pytest.mark.parametrize("together", [1, 2, 3])
def test_what_stands_behind_done_counts_in_no_packet(behind: bytes, together: int) -> None:
    events = [chunk(content="a"), b"data: [DONE]\n\n", behind]
    pieces = [*events[:-together], b"".join(events[-together:])]
    assert read(pieces).text == "a"


# --- an error in the middle


@pytest.mark.parametrize(
    ("event", "kind", "reason"),
    [
        ({"error": {"message": "Internal server error"}}, ModelScopeError, "unexplained"),
        ({"error": {"message": "rate limit you"}}, RateLimitError, "too_fast"),
        ({"errors": {"code": 422, "message": "x"}}, ModelScopeError, "bad_request"),
        ({"errors": {"message": "inappropriate content"}}, ModelScopeError, "content_refused"),
        ({"code": "Throttling", "message": "rate limit you"}, RateLimitError, "too_fast"),
        ({"detail": "inappropriate content"}, ModelScopeError, "content_refused"),
        pytest.param(
            {
                "id": "r",
                "error": {"code": 502, "message": "rate limit you"},
                "choices": [{"delta": {"content": ""}, "finish_reason": "error"}],
            },
            RateLimitError,
            "too_fast",
            id="beside choices",
        ),
    ],
)
def test_an_error_in_the_middle_interrupts_and_keeps_what_had_arrived(
    event: Any, kind: type[ModelScopeError], reason: str
) -> None:
    error_event = b"data: " + json.dumps(event).encode() + b"\n\n"
    for wire in (
        [chunk(content="a") + error_event],
        [chunk(content="a"), error_event, chunk("stop")],
        [chunk(content="a"), b"event: error\n" + error_event + b"data: [DONE]\n\n"],
    ):
        with pytest.raises(StreamInterruptedError) as caught:
            read(wire)
        assert isinstance(caught.value.__cause__, kind)
        assert str(caught.value.__cause__) in str(caught.value)
        assert caught.value.reason == caught.value.__cause__.reason == reason
        assert caught.value.partial is not None
        assert caught.value.partial.text == "a"


def test_an_allowance_that_is_spent_in_the_middle_is_recorded() -> None:
    told = {"message": "You have exceeded today's quota for model some/model."}
    event = b"data: " + json.dumps({"error": told}).encode() + b"\n\n"
    exchange, reader = open_stream([chunk(content="a"), event])
    with pytest.raises(StreamInterruptedError) as caught:
        list(deltas(exchange, reader))
    assert exchange.recorded == [caught.value.__cause__]
    details = caught.value.details
    assert (details.scope, details.reason) == ("model", "model_spent")
    assert details.resets_at is not None
    assert caught.value.partial is not None


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b'data: {"choices": [{\n\n', id="half a payload"),
        pytest.param(b"data: " + b"a" * (1 << 20), id="an event without end"),
    ],
)
def test_what_cannot_be_read_in_the_middle(event: bytes) -> None:
    with pytest.raises(StreamInterruptedError) as caught:
        read([chunk(content="a"), event, b"a" * 10])
    assert isinstance(caught.value.__cause__, UnexpectedReplyError)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a"


def test_half_a_call_in_the_part_of_a_broken_stream_is_invalid() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": '}}
    for broken in (False, True):
        with pytest.raises(StreamInterruptedError) as caught:
            read([chunk(tool_calls=[call])], broken=broken)
        assert caught.value.partial is not None
        assert caught.value.partial.tool_calls[0].invalid


def test_a_token_that_is_repeated_in_the_middle_is_masked(canary: str) -> None:
    event = b"data: " + json.dumps({"error": {"message": f"bad {canary}"}}).encode() + b"\n\n"
    exchange, first = open_stream([chunk(content="a"), event])
    reader = StreamDecoder(
        begin(chunk(content="a")[6:]),
        exchange.reply.events,
        exchange.reply.pending,
        first.origin,
        redact=lambda text: text.replace(canary, "***"),
    )
    with pytest.raises(ModelScopeError) as caught:
        list(deltas(exchange, reader))
    assert "bad ***" in str(caught.value)
    assert caught.value.details.server_message == "bad ***"


# --- in the user's hands


def test_deltas_are_given_as_they_come_and_usage_last() -> None:
    exchange, reader = open_stream([sample("streams/usage").wire])
    given_out = list(deltas(exchange, reader))
    assert [delta.text for delta in given_out if delta.text] == ["2"]
    assert given_out[-1].usage is not None
    assert all(delta != ChatDelta() for delta in given_out)


def test_the_answer_so_far_can_be_asked_for_at_any_time() -> None:
    exchange, reader = open_stream([chunk(content="a"), chunk(content="b"), chunk("stop")])
    assert reader.result().text == "a"
    stream = deltas(exchange, reader)
    next(stream)
    next(stream)
    assert reader.result().text == "ab"


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_stream_that_is_dropped_closes_its_reply(steps: int) -> None:
    exchange, reader = open_stream([chunk(content="a"), chunk(content="b"), chunk("stop")])
    stream = deltas(exchange, reader)
    for _ in range(steps):
        next(stream)
    assert exchange.closed == 0
    del stream
    assert exchange.closed == 1


def test_a_stream_that_is_read_to_its_end_closes_its_reply() -> None:
    exchange, reader = open_stream([chunk("stop", content="a")])
    list(deltas(exchange, reader))
    assert exchange.closed == 1


@given(
    st.lists(
        st.binary(max_size=40)
        | st.sampled_from([chunk(content="a"), chunk("stop"), b"data: [DONE]\n\n"]),
        max_size=6,
    )
)
def test_any_bytes_are_an_answer_or_an_error_of_ours(pieces: list[bytes]) -> None:
    try:
        answer = read(pieces)
    except ModelScopeError:
        return
    assert answer.choice.finish_reason == "stop" or answer.text
