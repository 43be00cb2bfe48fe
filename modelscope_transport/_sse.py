"""Bytes in, complete payloads out.

Laws of this file: lines end at CR, LF or CRLF and nowhere else (U+2028 inside a payload is
content); nothing is decoded to text, since a payload is parsed as bytes; an event is bounded, so
that a line without end cannot fill the memory. It does not know what a payload means, and of an
event's name only whether it says ``error``.
"""

from __future__ import annotations

__all__ = ["ErrorEvent", "EventDecoder", "EventTooLongError"]

LONGEST_EVENT = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLongError(Exception):
    """An event is longer than `LONGEST_EVENT` bytes."""


class ErrorEvent(bytes):
    """The payload of an event that is named ``error``; it may be empty."""


class EventDecoder:
    """Splits a stream of server-sent events: ``feed`` bytes as they come, get payloads."""

    __slots__ = ("_after_cr", "_begun", "_tail")

    def __init__(self) -> None:
        """Start before the first byte."""
        self._tail = bytearray()
        self._after_cr = False
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that ``data`` completes, in order, each without its framing.

        Raises:
            EventTooLongError: an event passes one MiB without an end.
        """
        if b"\r" in data or self._after_cr:
            data = self._with_line_feeds(data)
        tail = self._tail
        if tail:
            if b"\n\n" not in tail[-1:] + data:
                # Kept apart from the joining below: bytes that come one by one stay linear.
                tail += data
                if len(tail) > LONGEST_EVENT:
                    raise EventTooLongError
                return []
            data = bytes(tail) + data
        events = data.split(b"\n\n")
        rest = events.pop()
        if rest or tail:
            if len(rest) > LONGEST_EVENT:
                raise EventTooLongError
            self._tail = bytearray(rest)
        if not self._begun and events:
            self._begun = True
            events[0] = events[0].removeprefix(BYTE_ORDER_MARK)
        payloads = []
        for event in events:
            plain = event.startswith(b"data: ") and b"\n" not in event
            payload = event[6:] if plain else _payload(event)
            if payload or type(payload) is ErrorEvent:
                payloads.append(payload)
        return payloads

    def close(self) -> list[bytes]:
        """The payload of a last event that lacks its empty line.

        The standard would drop it; a server that ends right after its last line means it.
        """
        event = bytes(self._tail)
        payload = _payload(event if self._begun else event.removeprefix(BYTE_ORDER_MARK))
        self._tail = bytearray()
        return [payload] if payload or type(payload) is ErrorEvent else []

    def _with_line_feeds(self, data: bytes) -> bytes:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the second half of a CRLF that was cut in two
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _payload(event: bytes) -> bytes:
    """The joined ``data`` lines of one event; empty where it has none.

    A JSON object in an event's place is a payload as it stands: a gateway that fails when it has
    announced a stream writes its refusal so, without the framing. The standard would drop it.
    """
    lines, kind = [], bytes
    for line in event.split(b"\n"):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
        elif line == b"data":
            lines.append(b"")
        elif line.startswith(b"event:"):
            kind = ErrorEvent if line[6:].strip() == b"error" else bytes
    whole = event.strip(b"\n")
    if not lines and whole.startswith(b"{"):
        return whole
    return kind(b"\n".join(lines))
