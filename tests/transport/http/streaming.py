"""A server that answers by streams, and counts how many are on their way at once."""

from __future__ import annotations

import threading

from tests.transport.http.raw_server import Wire

__all__ = ["FIRST", "HEAD", "LAST", "REST", "Streaming", "chunk"]


def chunk(data: bytes) -> bytes:
    """A chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
FIRST = HEAD + chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
REST = chunk(LAST) + b"0\r\n\r\n"


class Streaming:
    """Answers every request by a stream that takes a while, or until enough are on their way.

    Args:
        seconds: how long a stream takes.
        enough: how many at once let all of them go on.

    Attributes:
        are_enough: is set when there were so many.
        peak: the most at once.
    """

    def __init__(self, seconds: float, enough: int = 0) -> None:
        self.seconds = seconds
        self.enough, self.are_enough = enough, threading.Event()
        self.inside, self.peak = 0, 0
        self._lock = threading.Lock()

    def __call__(self, wire: Wire) -> None:
        """Serve a connection."""
        while wire.request():
            with self._lock:
                self.inside += 1
                self.peak = max(self.peak, self.inside)
                if self.inside == self.enough:
                    self.are_enough.set()
            wire.send(FIRST)
            (self.are_enough.wait if self.enough else wire.pause)(self.seconds)
            with self._lock:
                self.inside -= 1
            wire.send(REST)
