"""Bodies that are compressed, broken or without end."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport.http.decompression import LONGEST_BODY, Inflater, UnreadableBodyError

MEBIBYTE = 1 << 20


def _raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


@pytest.mark.parametrize("encoding", ["", "identity", "IDENTITY", "none", "UTF-8"])
def test_plain_bytes_pass_through(encoding: str) -> None:
    assert Inflater(encoding).feed(b"abc") == b"abc"


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZip", gzip.compress),
        (" x-gzip ", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", gzip.compress),
        ("deflate", _raw_deflate),
    ],
)
def test_compressed_bytes_come_out_plain_however_they_are_cut(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    # Compressed here and not above: gzip writes the time into its bytes, and a test's name must
    # be the same in every process.
    packed = compress(b"abc" * 1000)
    inflater = Inflater(encoding)
    assert (
        b"".join(inflater.feed(packed[at : at + 1]) for at in range(len(packed))) == b"abc" * 1000
    )


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "nonsense"])
def test_what_was_not_asked_for_is_refused_by_name(encoding: str) -> None:
    with pytest.raises(UnreadableBodyError, match=f"compressed as '{encoding}'"):
        Inflater(encoding)


def test_broken_compression_is_refused() -> None:
    with pytest.raises(UnreadableBodyError, match="broken compression"):
        Inflater("gzip").feed(b"plain text")


def test_a_plain_body_is_bounded() -> None:
    inflater = Inflater("")
    _feed_all(inflater, [bytes(MEBIBYTE)] * 32)
    with pytest.raises(UnreadableBodyError, match="more than 32 MiB"):
        inflater.feed(b"a")


def _bomb(megabytes: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [squeeze.compress(bytes(1_000_000)) for _ in range(megabytes)]
    return b"".join([*parts, squeeze.flush()])


@pytest.mark.parametrize("size", [1 << 16, 1 << 30], ids=["in reads", "at once"])
def test_a_bomb_is_refused_without_being_unpacked(size: int) -> None:
    bomb = _bomb(100)
    pieces = [bomb[at : at + size] for at in range(0, len(bomb), size)]
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableBodyError):
            _feed_all(Inflater("gzip"), pieces)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < LONGEST_BODY


def _feed_all(inflater: Inflater, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        inflater.feed(piece)


def test_bytes_after_the_end_of_compression_are_bounded_too() -> None:
    inflater = Inflater("gzip")
    assert inflater.feed(gzip.compress(b"abc") + b"rest") == b"abc"
    assert inflater.feed(b"more") == b""
    with pytest.raises(UnreadableBodyError):
        _feed_all(inflater, [bytes(MEBIBYTE)] * 33)


def test_a_stream_may_be_longer_than_a_body_but_not_a_piece_of_it() -> None:
    _feed_all(Inflater("", LONGEST_BODY * 4), [bytes(MEBIBYTE)] * 33)
    with pytest.raises(UnreadableBodyError):
        Inflater("gzip", LONGEST_BODY * 4).feed(_bomb(100))


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate"]))
def test_any_bytes_are_plain_or_refused(data: bytes, encoding: str) -> None:
    inflater = Inflater(encoding)
    with contextlib.suppress(UnreadableBodyError):
        inflater.feed(data)
