"""JSON read as leniently as json.loads reads it."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport._wire.lenient_json import MendedTexts, read_json


class Body(msgspec.Struct):
    """A form to read."""

    content: str | None = None
    id: str | None = None
    extra: dict[str, Any] | None = None


BODY = msgspec.json.Decoder(Body, strict=False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"content": "a"}', Body("a")),
        (b'\xef\xbb\xbf{"content": "a"}', Body("a")),
        ('{"content": "ü"}'.encode("utf-16"), Body("ü")),
        (b'{"content": "\\ud83d\\ude00"}', Body("😀")),
        (b'{"content": "a\\ud83d"}', Body("a\ufffd")),
        (b'{"id": "\\ude00a"}', Body(id="\ufffda")),
        (b'{"content": "\xed\xa0\xbda"}', Body("\ufffda")),
        (b'{"content": 5, "content": "a"}', Body("a")),
        (b'{"extra": {"x": -Infinity}}', Body(extra={"x": -math.inf})),
        (b'{"extra": {"\\ud83d": ["\\ud83d"]}}', Body(extra={"\ufffd": ["\ufffd"]})),
    ],
)
def test_what_json_loads_reads_is_read(body: bytes, expected: Body) -> None:
    assert read_json(BODY, body) == expected


def test_what_is_no_number_stays_none() -> None:
    read = read_json(BODY, b'{"extra": {"x": NaN}}')
    assert read.extra is not None
    assert math.isnan(read.extra["x"])


@pytest.mark.parametrize("body", [b"", b"{", b'{"content": 5}', b"[]", b"\xff", b'{"content": "'])
def test_what_json_loads_refuses_is_refused(body: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        read_json(BODY, body)


def test_halves_are_left_in_the_texts_of_a_stream_only() -> None:
    read = read_json(BODY, b'{"content": "a\\ud83d", "id": "b\\ud83d"}', streamed=True)
    assert (read.content, read.id) == ("a\ud83d", "b\ufffd")


@given(st.text(st.characters(categories=("L", "S", "N"))), st.lists(st.integers(0, 40), max_size=6))
def test_a_text_cut_between_any_two_utf16_units_is_the_same_text(
    text: str, cuts: list[int]
) -> None:
    units = text.encode("utf-16-le")
    edges = sorted({0, len(units), *(min(cut * 2, len(units)) for cut in cuts)})
    mended = MendedTexts()
    given_out = ""
    for start, end in itertools.pairwise(edges):
        piece = units[start:end].decode("utf-16-le", "surrogatepass")
        given_out += mended.add("key", json.loads(json.dumps(piece)))
    assert given_out + mended.close("key") == text


def test_texts_are_kept_apart_and_a_half_without_its_other_half_is_replaced() -> None:
    mended = MendedTexts()
    assert mended.add("a", "x\ud83d") == "x"
    assert mended.add("b", "\ude00y") == "\ufffdy"
    assert mended.add("a", "") == ""
    assert mended.add("a", "\ude00") == "😀"
    assert mended.add("a", "\ud83d") == ""
    assert mended.close("a") == "\ufffd"
    assert mended.close("a") == ""
