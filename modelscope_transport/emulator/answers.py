"""What the local service can put on the wire: a reply, a stream, or plain bytes.

Everything is rendered to *steps*: bytes to write, a :class:`Pause`, or a :class:`Reset`. The server
plays the steps and knows nothing else, so that a test can ask for any misbehaviour by writing it
down.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

Item = TypeVar("Item")

DONE = "[DONE]"
"""The payload that closes a stream of events."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Stay silent for some seconds; ``float("inf")`` stays silent until the client goes away."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection (the client sees a TCP reset)."""


Step: TypeAlias = bytes | Pause | Reset
Event: TypeAlias = Mapping[str, Any] | str | Step
"""A payload as an object, a payload as text, bytes written as they are, a pause, or a reset."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer.

    Attributes:
        status: HTTP status.
        body: A mapping or list is sent as JSON, text as ``text/plain``, bytes as they are.
        headers: Further headers; they win over the computed ones.
    """

    status: int = 200
    body: Mapping[str, Any] | list[Any] | str | bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """The body as bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else encode_json(self.body)

    def render(self) -> bytes:
        """The whole answer as it goes over the wire."""
        content = self.content()
        computed = {"content-length": str(len(content))}
        if not isinstance(self.body, bytes):
            kind = "text/plain" if isinstance(self.body, str) else "application/json"
            computed["content-type"] = f"{kind}; charset=utf-8"
        return head(self.status, computed | dict(self.headers)) + content


@dataclass(frozen=True, slots=True)
class Stream:
    """A 200 answer of server-sent events, each in an HTTP chunk of its own.

    Attributes:
        events: The events in order. The stream ends where they end: write ``"[DONE]"`` where you
            want it.
        headers: Further headers.
    """

    events: Iterable[Event] | AsyncIterable[Event]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes, pauses and resets exactly as given, HTTP head included.

    Attributes:
        steps: What to play.
        keep: Whether the connection can serve another request afterwards.
    """

    steps: Iterable[Step] | AsyncIterable[Step]
    keep: bool = False


Answer: TypeAlias = Reply | Stream | Raw


def encode_json(value: object) -> bytes:
    """JSON as the service writes it: compact, UTF-8 unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """The status line and the headers."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [
        f"HTTP/1.1 {status} {reason}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def encode_event(event: Event) -> Step:
    """One event in the server-sent form, or the step it already is."""
    if isinstance(event, bytes | Pause | Reset):
        return event
    payload = event.encode() if isinstance(event, str) else encode_json(event)
    return b"data: " + payload + b"\n\n"


async def play(source: Iterable[Item] | AsyncIterable[Item]) -> AsyncGenerator[Item, None]:
    """Iterate over a sync or an async source alike; a generator left early is closed."""
    if isinstance(source, AsyncIterable):
        iterator = source.__aiter__()
        try:
            async for item in iterator:
                yield item
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
    else:
        for item in source:
            yield item


async def wire(answer: Answer) -> AsyncGenerator[Step, None]:
    """Render an answer to the steps that the server plays."""
    if isinstance(answer, Reply):
        yield answer.render()
    elif isinstance(answer, Raw):
        async with aclosing(play(answer.steps)) as steps:
            async for step in steps:
                yield step
    else:
        yield head(
            200,
            {
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-cache",
                "transfer-encoding": "chunked",
                **answer.headers,
            },
        )
        async with aclosing(play(answer.events)) as events:
            async for event in events:
                step = encode_event(event)
                yield b"%x\r\n%b\r\n" % (len(step), step) if isinstance(step, bytes) else step
        yield b"0\r\n\r\n"
