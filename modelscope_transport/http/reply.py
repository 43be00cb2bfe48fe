"""An open reply: its head, its bytes as they come, plain and bounded.

Laws of this file: no policy. An engine sees to the deadline and to the connection; what is opened
is closed by its holder, and closing twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from .._sse import EventDecoder, EventTooLongError
from ..language import translated as _
from .decompression import LONGEST_BODY, LONGEST_STREAM, Inflater, UnreadableBodyError

__all__ = ["BROKEN", "DRAIN", "OpenReply", "ReplyHead"]

# What the bytes of a reply raise where they break off or cannot be read.
BROKEN = (httpx.TransportError, httpx.StreamError, UnreadableBodyError)
# Seconds that the end of a stream may take after its last word, for the connection's sake alone.
DRAIN = 0.5


class ReplyHead:
    """What is known of a reply before its body is read, sync or async.

    Args:
        response: the reply as its engine gives it, its stream unread.

    Attributes:
        broken: what its bytes raise where they break off or cannot be read.
        status: of HTTP.
        headers: names in lower case.
        events: splits the stream, once it has begun.
        pending: payloads that came together with the first.
    """

    broken = BROKEN

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers.raw
        }
        self.events = EventDecoder()
        self.pending: list[bytes] = []

    @property
    def is_good(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def is_stream(self) -> bool:
        """Whether the reply is a stream of events."""
        kind = self.headers.get("content-type", "")
        return self.is_good and kind.lower().startswith("text/event-stream")

    def inflater(self) -> Inflater:
        """What makes the bytes plain, and bounds them.

        Raises:
            UnreadableBodyError: they are compressed in a way that was not asked for.
        """
        most = LONGEST_STREAM if self.is_stream else LONGEST_BODY
        return Inflater(self.headers.get("content-encoding", ""), most)

    def take(self, data: bytes) -> bytes | None:
        """The first payload, once ``data`` completes it; the others wait in ``pending``."""
        try:
            self.pending = self.events.feed(data)
        except EventTooLongError:
            raise UnreadableBodyError(_("an event of more than one MiB")) from None
        return self.pending.pop(0) if self.pending else None

    def last(self) -> bytes:
        """The first payload of a stream that has ended without completing one."""
        self.pending = self.events.close()
        return self.pending.pop(0) if self.pending else b""


class OpenReply(ReplyHead):
    """An open reply of a sync engine.

    Attributes:
        chunks: the bytes still to come, plain.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response)
        self._stream: Any = response.stream  # of an engine, which can be drained, too
        self.chunks: Iterator[bytes] = self._plain()

    def _plain(self) -> Iterator[bytes]:
        inflater = self.inflater()
        for data in self._stream:
            yield inflater.feed(data)

    def first(self) -> bytes:
        """The first payload of a stream; empty where it has none.

        Raises:
            UnreadableBodyError: it is too long, or its compression cannot be read.
        """
        for data in self.chunks:
            payload = self.take(data)
            if payload is not None:
                return payload
        return self.last()

    def read(self) -> bytes:
        """The whole body.

        Raises:
            UnreadableBodyError: it is too long, or its compression cannot be read.
        """
        return b"".join(self.chunks)

    def drain(self) -> None:
        """Read a stream to its very end, so that its connection can serve again."""
        self._stream.drain(DRAIN)

    def close(self) -> None:
        """Let go of the reply. A connection that was not read to its end is closed."""
        self._stream.close()
