"""Server-sent events: however the bytes are cut and framed, the payloads are the same."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelscope_transport._sse import (
    LONGEST_EVENT,
    ErrorEvent,
    EventDecoder,
    EventTooLongError,
)
from tests.transport.recorded import Sample, named, samples

STREAMS = pytest.mark.parametrize("recorded", samples("streams"), ids=named)
BOM = b"\xef\xbb\xbf"


def decode(pieces: Iterable[bytes]) -> list[bytes]:
    decoder = EventDecoder()
    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]
    return payloads + decoder.close()


def by_the_standard(data: bytes) -> list[bytes]:
    """A second decoder, line by line as the HTML standard tells it, for whole inputs only.

    Of our own is one thing: a JSON object in the place of an event's lines.
    """
    payloads: list[bytes] = []
    lines: list[bytes] = []
    whole: list[bytes] = []
    for line in [*re.split(rb"\r\n|\r|\n", data.removeprefix(BOM)), b""]:
        name, _, value = line.partition(b":")
        if not line:
            is_json = not lines and whole and whole[0].startswith(b"{")
            payloads.append(b"\n".join(whole if is_json else lines))
            lines, whole = [], []
            continue
        whole.append(line)
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return [payload for payload in payloads if payload]


# --- cuts


@STREAMS
def test_every_cut_into_two(recorded: Sample) -> None:
    wire, events = recorded.wire, [event.encode() for event in recorded.events or ()]
    for at in range(len(wire) + 1):
        assert decode([wire[:at], wire[at:]]) == events


@STREAMS
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_byte_by_byte_with_each_line_ending(recorded: Sample, ending: bytes) -> None:
    wire = recorded.wire.replace(b"\n", ending)
    events = [event.encode() for event in recorded.events or ()]
    assert decode(wire[at : at + 1] for at in range(len(wire))) == events


@pytest.mark.parametrize(
    ("event", "is_error"),
    [
        (b"event: error\ndata: a\n\n", True),
        (b"data: a\nevent:error\n\n", True),
        (b"event: error\n: a comment alone\n\n", True),
        (b"event: error\ndata: a", True),
        (b"event: errors\ndata: a\n\n", False),
        (b"event: message\ndata: error\n\n", False),
        (b"data: error\n\n", False),
    ],
)
def test_an_event_that_is_named_an_error_is_told_apart(event: bytes, is_error: bool) -> None:
    assert [type(payload) for payload in decode([event])] == [ErrorEvent if is_error else bytes]


def test_a_crlf_cut_in_its_middle_ends_one_line() -> None:
    assert decode([b"data: a\r", b"\ndata: b\r", b"\n\r", b"\ndata: c\r\n\r\n"]) == [b"a\nb", b"c"]


def test_an_empty_piece_after_a_lone_cr_changes_nothing() -> None:
    assert decode([b"data: a\r", b"", b"\n\r\n"]) == [b"a"]


def test_line_endings_may_be_mixed() -> None:
    assert decode([b"data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\n\n"]) == [b"a", b"b", b"c", b"d"]


SIGNS = [BOM, *(sign.encode() for sign in ("…", "\u2028", "\x85", "{}", "event: x\n", "\x00"))]
BREAKS = [b"\n", b"\r", b"\r\n", b"\n\n"]
FRAMES = st.lists(
    st.sampled_from([b"data", b"data:", b"data: ", b":", b" ", b"\xff", *BREAKS, *SIGNS]),
    max_size=25,
)


@given(FRAMES, st.lists(st.integers(0, 120), max_size=6))
@example([BOM, b"data: ", b"{}", b"\n", b"\n"], [1])
@example([b"\n", b"{}", b"\n"], [1])
@example([b"\r", b"\r\n", b"{}", b"\r\n", b"data: ", b"\xff", b"\n\n", b"{}", b"\n"], [1])
def test_any_bytes_in_any_pieces_are_read_as_the_standard_says(
    frames: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(frames)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert decode(pieces) == by_the_standard(data)


# --- framing


@pytest.mark.parametrize(
    ("wire", "payloads"),
    [
        pytest.param(b"data:{}\n\n", [b"{}"], id="no space"),
        pytest.param(b"data:  {}\n\n", [b" {}"], id="only one space goes"),
        pytest.param(b"data: {\ndata: }\n\n", [b"{\n}"], id="several lines"),
        pytest.param(b": keep-alive\n\ndata: {}\n\n", [b"{}"], id="comment before"),
        pytest.param(b"data: {}\n: bye\n\n", [b"{}"], id="comment inside"),
        pytest.param(b"event: m\nid: 1\nretry: 9\ndata: {}\n\n", [b"{}"], id="other fields"),
        pytest.param(BOM + b"data: {}\n\n", [b"{}"], id="byte order mark"),
        pytest.param(BOM + b"data: {}", [b"{}"], id="byte order mark, never ended"),
        pytest.param(b"data\n\ndata:\n\ndata: \n\n", [], id="nothing in them"),
        pytest.param(b"\n\n\n\ndata: {}\n\n\n\n", [b"{}"], id="empty lines"),
        pytest.param(b"database: 1\n\n data: 2\n\n", [], id="other names"),
        pytest.param(b"data: {}", [b"{}"], id="never ended"),
        pytest.param(b"data: {}\n", [b"{}"], id="ended by half"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_framing(wire: bytes, payloads: list[bytes]) -> None:
    assert decode([wire]) == payloads


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e"])
def test_what_only_unicode_calls_a_line_end_is_content(separator: str) -> None:
    payload = f"a{separator}b".encode()
    assert decode([b"data: " + payload + b"\n\n"]) == [payload]


def test_a_character_cut_in_its_middle_comes_out_whole() -> None:
    wire = "data: 智能🤖\n\n".encode()
    for at in range(len(wire)):
        assert decode([wire[:at], wire[at:]]) == ["智能🤖".encode()]


def test_payloads_are_given_as_soon_as_they_are_whole() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\n\ndata: b") == [b"a"]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == [b"b"]
    assert decoder.close() == []


# --- bounds


@pytest.mark.parametrize("size", [1, 65_536, LONGEST_EVENT * 2], ids=["bytes", "reads", "at once"])
def test_an_event_without_end_is_refused_at_a_mebibyte(size: int) -> None:
    decoder = EventDecoder()
    fed = decoder.feed(b"data: " + b"a" * (LONGEST_EVENT - 6))
    assert fed == []
    with pytest.raises(EventTooLongError):
        decoder.feed(b"a" * size)


def test_a_stream_of_many_events_may_be_longer_than_one() -> None:
    event = b"data: " + b"a" * 1000 + b"\n\n"
    decoder = EventDecoder()
    assert sum(len(decoder.feed(event * 8)) for _ in range(300)) == 2400


def test_bytes_that_come_one_by_one_cost_the_same_each() -> None:
    def cost(length: int) -> float:
        decoder, begin = EventDecoder(), time.process_time()
        decoder.feed(b"data: ")
        for _ in range(length):
            decoder.feed(b"a")
        return time.process_time() - begin

    # Eight times the bytes: eight times the work, where copying all of it each time makes 64.
    assert min(cost(160_000) for _ in range(2)) < 30 * max(
        min(cost(20_000) for _ in range(3)), 1e-4
    )
