"""A whole body, bounded, also where it arrives compressed.

A reply is asked for uncompressed, but a server may do as it likes, and a few kilobytes of gzip
can stand for gigabytes: both ends of the decompressor are bounded here.
"""

from __future__ import annotations

import zlib

__all__ = ["LONGEST_BODY", "Inflater", "UnreadableBodyError"]

LONGEST_BODY = 32 << 20


class UnreadableBodyError(Exception):
    """A body passes `LONGEST_BODY` bytes, or its compression cannot be read."""


class Inflater:
    """Compressed bytes in, plain bytes out; plain bytes pass through.

    Args:
        encoding: the reply's ``content-encoding``.
    """

    __slots__ = ("_inflate", "_total")

    def __init__(self, encoding: str) -> None:
        self._total = 0
        self._inflate = None
        if encoding in ("gzip", "deflate"):
            self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        elif encoding not in ("", "identity"):
            raise UnreadableBodyError(f"compressed as {encoding!r}, which was not asked for")

    def feed(self, data: bytes) -> bytes:
        """The plain bytes of ``data``.

        Raises:
            UnreadableBodyError: the body is too large or is not what its header says.
        """
        if self._inflate is not None:
            room = LONGEST_BODY - self._total
            try:
                data = self._inflate.decompress(data, room + 1)
            except zlib.error as error:
                raise UnreadableBodyError(f"broken compression: {error}") from None
        self._total += len(data)
        if self._total > LONGEST_BODY:
            raise UnreadableBodyError(f"more than {LONGEST_BODY >> 20} MiB")
        return data
