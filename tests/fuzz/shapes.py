"""What a server might send: values of the service's own form, of wrong types, and mere bytes."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["bodies", "events", "headers", "pieces_of", "vector_bodies"]

_odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def _or_odd(likely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return likely | _odd


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these fields, each likely of the right type."""
    return st.fixed_dictionaries({}, optional={name: _or_odd(f) for name, f in fields.items()})


_words = st.text(max_size=12)
_usage = _some(
    prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9), total_tokens=_odd
)
_call = _some(
    index=st.integers(0, 2),
    id=st.sampled_from(["", "a", "b"]),
    type=st.just("function"),
    function=_some(
        name=st.sampled_from(["", "add"]), arguments=st.sampled_from(["", '{"a"', "{}"])
    ),
)
_said = _some(
    role=st.just("assistant"),
    content=_words,
    reasoning_content=_words,
    refusal=_words,
    tool_calls=st.lists(_call, max_size=2),
)
_choice = _some(
    index=st.integers(0, 1),
    message=_said,
    delta=_said,
    finish_reason=st.sampled_from(["stop", "length", "tool_calls", ""]),
)
_error = _some(message=_words, code=_words, type=_words)
_answer = _some(
    id=_words,
    model=_words,
    choices=st.lists(_or_odd(_choice), max_size=2),
    usage=_usage,
    error=_error,
    errors=_error,
    request_id=_words,
    detail=_words,
    message=_words,
    code=_words,
)
_vectors = _some(
    data=st.lists(
        _some(
            index=st.integers(0, 2),
            embedding=st.lists(st.floats(width=32), max_size=2) | st.sampled_from(["", "AACAPw=="]),
        ),
        max_size=3,
    ),
    usage=_usage,
    error=_error,
)


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


def _cut(written: bytes, at: int) -> bytes:
    return written[: at % (len(written) + 1)]


def _broken(written: bytes, at: int, byte: int) -> bytes:
    at %= len(written)
    return written[:at] + bytes([byte]) + written[at + 1 :]


def _bytes(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    written = values.map(_written)
    return st.one_of(
        written,
        st.builds(_cut, written, st.integers(0, 1 << 16)),
        st.builds(_broken, written, st.integers(0, 1 << 16), st.integers(0, 255)),
        st.binary(max_size=40),
        st.integers(1, 4_000).map(lambda depth: b'{"choices":' * depth),
    )


bodies = _bytes(_answer)
vector_bodies = _bytes(_vectors)
_payload = bodies | st.sampled_from([b"[DONE]", b"", b" [DONE] ", b"ping"])
_frame = st.builds(
    bytes.__add__,
    st.sampled_from([b"data: ", b"data:", b": ", b"event: x\ndata: ", b"", b"\xef\xbb\xbfdata: "]),
    st.builds(bytes.__add__, _payload, st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n"])),
)
events = st.lists(_frame, max_size=5).map(b"".join)

headers = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "date",
            "x-request-id",
            "modelscope-ratelimit-requests-limit",
            "modelscope-ratelimit-requests-remaining",
            "modelscope-ratelimit-model-requests-limit",
            "modelscope-ratelimit-model-requests-remaining",
            "location",
            "content-type",
        ]
    ),
    st.one_of(
        st.integers(-1, 10**40).map(str),
        st.text(st.characters(max_codepoint=255), max_size=20),
        st.sampled_from(["Sat, 28 Nov 2026 12:00:00 GMT", "inf", "nan", "http://[", "1e999"]),
    ),
    max_size=5,
)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)] or [data]
