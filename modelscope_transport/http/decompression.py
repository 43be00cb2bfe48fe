"""A whole body, bounded, also where it arrives compressed.

A reply is asked for uncompressed, but a server may do as it likes, and a few kilobytes of gzip
can stand for gigabytes: both ends of the decompressor are bounded here.
"""

from __future__ import annotations

import zlib
from typing import Any

from ..language import translated as _

__all__ = ["LONGEST_BODY", "LONGEST_STREAM", "Inflater", "UnreadableBodyError"]

LONGEST_BODY = 32 << 20
# A streamed token is some 350 bytes on this wire, and answers of 131 072 tokens are on record.
LONGEST_STREAM = 512 << 20
# What one read, 64 KiB of gzip at most, may stand for: two hundred times what text is packed by.
_LONGEST_PIECE = 8 << 20

_WITH_HEADER = zlib.MAX_WBITS | 32  # of zlib or of gzip, whichever it has
_WITHOUT_HEADER = -zlib.MAX_WBITS
_LONGEST_MARK = 2  # bytes that tell a header from none
# The last two are no encodings: "none" is how servers tell a proxy not to compress a stream.
_PLAIN = ("", "identity", "none", "utf-8")


class UnreadableBodyError(Exception):
    """A body is too long, or its compression cannot be read."""


class Inflater:
    """Compressed bytes in, plain bytes out; plain bytes pass through.

    Args:
        encoding: the reply's ``content-encoding``.
        most: how many plain bytes the body may have.
    """

    __slots__ = ("_head", "_inflate", "_most", "_room")

    def __init__(self, encoding: str, most: int = LONGEST_BODY) -> None:
        self._most = self._room = most
        self._inflate = None
        self._head: bytes | None = None
        name = encoding.strip().lower().removeprefix("x-")
        if name == "gzip":
            self._inflate = zlib.decompressobj(wbits=_WITH_HEADER)
        elif name == "deflate":
            self._head = b""
        elif name not in _PLAIN:
            raise UnreadableBodyError(
                _("compressed as {encoding!r}, which was not asked for").format(encoding=encoding)
            )

    def feed(self, data: bytes) -> bytes:
        """The plain bytes of ``data``.

        Raises:
            UnreadableBodyError: the body is too long or is not what its header says.
        """
        if self._head is not None:
            data = self._head + data
            if len(data) < _LONGEST_MARK:
                self._head = data
                return b""
            self._head = None
            self._inflate = zlib.decompressobj(wbits=_window(data))
        if self._inflate is not None:
            data = self._unpacked(self._inflate, data)
        self._room -= len(data)
        if self._room < 0:
            raise UnreadableBodyError(_("more than {most} MiB").format(most=self._most >> 20))
        return data

    def _unpacked(self, inflate: Any, data: bytes) -> bytes:
        if inflate.eof:  # nothing should follow; what does is bounded
            self._room -= len(data)
            return b""
        try:
            plain: bytes = inflate.decompress(data, _LONGEST_PIECE)
        except zlib.error as error:
            raise UnreadableBodyError(
                _("broken compression: {error}").format(error=error)
            ) from None
        if inflate.unconsumed_tail:
            raise UnreadableBodyError(
                _("more than {most} MiB in one piece").format(most=_LONGEST_PIECE >> 20)
            )
        return plain


def _window(data: bytes) -> int:
    """How to read a body said to be ``deflate``.

    The standard means zlib's format (RFC 9110, 8.4.1.2), and some servers leave its header out.
    """
    is_zlib = data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
    return _WITH_HEADER if is_zlib or data[:2] == b"\x1f\x8b" else _WITHOUT_HEADER
