"""A reply of the sync engine, as ``http.client`` reads it, and where it must be stricter.

``http.client`` reads the bodies. Its reader of heads is replaced: it goes through the ``email``
package, which took more than half of the processor time of a call, gives out an informational
reply such as 103 as the final one, and takes a head that was cut off for a whole one. So is its
reader of chunk sizes, which takes a negative one and looks at nothing that follows a chunk.

Laws of this file: no sockets, no limits. What is no HTTP is an error of ``http.client``'s, in
words of ours: they may be shown, and a server's own words may hold a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http.client import BadStatusLine, HTTPException, HTTPResponse

from ..language import translated as _
from .outgoing import TOKEN
from .sync_connection import Connection

__all__ = ["Reply", "tokens"]

# Bytes of a line of a head, and how many lines of headers it may have: as in ``http.client``.
_LONGEST_LINE = 1 << 16
_MOST_LINES = 100

_status_line = re.compile(rb"HTTP/1\.([0-9]) +([1-9][0-9]{2})(?: [^\n]*)?\r?\n").fullmatch
_header_line = re.compile(rb"(" + TOKEN + rb"):([^\n]*)\n").fullmatch
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch


class Reply(HTTPResponse):
    """A reply while it is read: its heads, then its body by `read1`.

    Args:
        connection: where it comes.
        method: of the request.

    Attributes:
        status: of the last head.
        fields: its headers, as they came.
        is_final: whether it is the head of the reply, and no informational one before it.
        will_close: whether the connection ends with the reply.
    """

    fp: Connection
    _method: str
    chunk_left: int | None

    def __init__(self, connection: Connection, method: str) -> None:
        super().__init__(connection, method=method)  # type: ignore[arg-type]
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_final = False

    def read_head(self) -> bool:
        """Read a status line and headers.

        Returns:
            Whether they are the final ones.

        Raises:
            HTTPException: they are not valid, or the connection broke within them.
            OSError: it broke before a byte of a reply, or there was no time.
        """
        try:
            return self._read_head()
        except TimeoutError:
            raise
        except OSError as error:
            if not self.fp.raw.heard or isinstance(error, HTTPException):
                raise
            said = _("the connection broke within the head of the reply")
            raise HTTPException(said) from error

    def _read_head(self) -> bool:
        self.fp.raw.may_end = False
        found = _status_line(self.fp.readline(_LONGEST_LINE))
        if found is None:
            raise BadStatusLine(_("the answer does not begin as one of HTTP/1 does"))
        self.status = int(found[2])
        self.fields = _read_headers(self.fp)
        if self.status == 101:
            raise HTTPException(_("the server changes the protocol without being asked to"))
        self.is_final = self.status >= 200
        if self.is_final:
            self._find_end(old=found[1] == b"0")
        return self.is_final

    def _find_end(self, *, old: bool) -> None:
        """Find out where the body ends, and whether the connection does (RFC 9112, 6.3 and 9.3)."""
        options = tokens(self.fields, b"connection")
        codings = tokens(self.fields, b"transfer-encoding")
        lengths = set(tokens(self.fields, b"content-length"))
        self.chunked, self.chunk_left, self.length = False, None, None
        self.will_close = b"close" in options or (old and b"keep-alive" not in options)
        if self._method == "HEAD" or self.status in (204, 304):
            self.length = 0
        elif codings:
            if codings != [b"chunked"]:
                raise HTTPException(_("the body is not encoded in chunks"))
            self.chunked = True
        elif lengths:
            length = lengths.pop()
            if lengths or not _is_length(length):
                raise HTTPException(_("the length of the body is not a number, or is given twice"))
            self.length = int(length)
        else:
            self.fp.raw.may_end = self.will_close = True

    def is_whole(self) -> bool:
        """Whether its body was read to the end."""
        return self.length == 0 or self.fp is None

    def _get_chunk_left(self) -> int | None:
        left = self.chunk_left
        if left:
            return left
        if left == 0 and self.fp.readline(_LONGEST_LINE) not in (b"\r\n", b"\n"):
            raise HTTPException(_("a chunk is longer than its size"))
        line = self.fp.readline(_LONGEST_LINE)
        try:
            left = int(line.partition(b";")[0], 16) if line.endswith(b"\n") else -1
        except ValueError:
            left = -1
        if left < 0:
            raise HTTPException(_("a chunk has no size, or a line without end"))
        if left == 0:
            _read_headers(self.fp)
            self._close_conn()  # type: ignore[attr-defined]
        self.chunk_left = left or None
        return self.chunk_left


def _read_headers(connection: Connection) -> list[tuple[bytes, bytes]]:
    """Read headers up to the empty line behind them."""
    fields: list[tuple[bytes, bytes]] = []
    for _number in range(_MOST_LINES):
        line = connection.readline(_LONGEST_LINE)
        if line in (b"\r\n", b"\n"):
            return fields
        found = _header_line(line)
        if found is not None:
            fields.append((found[1], found[2].strip()))
        elif fields and line[:1] in b" \t" and line.endswith(b"\n"):
            name, value = fields.pop()  # a header in several lines, as it was once allowed
            fields.append((name, value + b" " + line.strip()))
        else:
            raise HTTPException(_("a line among the headers is not one, or is too long"))
    raise HTTPException(_("there are too many headers"))


def tokens(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The values of a header in lower case, from several headers or behind commas in one."""
    values = [value for key, value in fields if key.lower() == name]
    return [part.strip() for part in b",".join(values).lower().split(b",")] if values else []
