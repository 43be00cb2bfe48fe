"""What the fault server says: honest answers, and the pieces of the others, as bytes of HTTP."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

__all__ = [
    "DONE",
    "EVENTS",
    "HONEST",
    "VECTORS",
    "bomb",
    "chunk",
    "chunked",
    "delta",
    "encoded",
    "event",
    "head",
    "message",
    "packed",
    "reply",
    "stream",
    "surplus",
    "until_closed",
]

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
JSON = "content-type: application/json"
DONE = b"[DONE]"


def head(status: str, *headers: str) -> bytes:
    """The head of a reply."""
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, "", "")).encode("latin-1")


def _bytes(content: Any) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def reply(status: str, content: Any, *headers: str, kind: str = "application/json") -> bytes:
    """A whole reply: bytes as they are, anything else as JSON."""
    body = _bytes(content)
    lines = (f"content-type: {kind}", f"content-length: {len(body)}", *headers)
    return head(status, *lines) + body


def event(content: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + _bytes(content) + b"\n\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n" % len(data) + data + b"\r\n"


EVENTS = head("200 OK", "content-type: text/event-stream", "transfer-encoding: chunked")


def stream(*contents: Any) -> bytes:
    """The head of a stream and these events, but not its end."""
    return EVENTS + b"".join(chunk(event(content)) for content in contents)


def chunked(*contents: Any) -> bytes:
    """A whole stream of these events."""
    return stream(*contents) + b"0\r\n\r\n"


def message(text: str | None, **more: Any) -> dict[str, Any]:
    """A whole answer."""
    said = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    return {"id": "1", "model": "m", "choices": [choice], "usage": USAGE, **more}


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """One chunk of a streamed answer."""
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return {"id": "1", "model": "m", "choices": [choice]}


STREAM = (delta(role="assistant", content="Hel"), delta(content="lo"), delta("stop"), DONE)
VECTORS: list[dict[str, Any]] = [
    {"index": 0, "embedding": [1.0, 0.0]},
    {"index": 1, "embedding": [0.0, 1.0]},
]
_WHOLE = {"whole": message("Hello"), "vectors": {"data": VECTORS, "usage": USAGE}}
HONEST = {form: reply("200 OK", content) for form, content in _WHOLE.items()}
HONEST["stream"] = chunked(*STREAM)


def until_closed(form: str) -> bytes:
    """The honest answer without a length: it ends with its connection."""
    if form == "stream":
        kind, body = "content-type: text/event-stream", b"".join(map(event, STREAM))
    else:
        kind, body = JSON, _bytes(_WHOLE[form])
    return head("200 OK", kind, "connection: close") + body


def packed(form: str) -> bytes:
    """The honest answer, compressed."""
    first, _, rest = until_closed(form).partition(b"\r\n\r\n")
    body = gzip.compress(rest)
    first = first.replace(b"connection: close", b"content-length: %d" % len(body))
    return first + b"\r\ncontent-encoding: gzip\r\n\r\n" + body


def bomb(form: str) -> bytes:
    """A reply of 64 MiB of spaces in some 64 KiB of gzip."""
    packer = zlib.compressobj(9, wbits=31)
    spaces = b" " * (1 << 20)
    body = b"".join(packer.compress(spaces) for _ in range(64)) + packer.flush()
    kind = "text/event-stream" if form == "stream" else "application/json"
    return reply("200 OK", body, "content-encoding: gzip", kind=kind)


def encoded(way: str) -> bytes:
    """A body that claims a compression."""
    return reply("200 OK", b"no such thing", f"content-encoding: {way}")


def surplus(form: str) -> bytes:
    """The honest answer, and the beginning of one that no request has asked for."""
    return HONEST[form] + head("200 OK", "content-length: 0")
