"""Every fault as data: what a server does, and what a caller then gets.

``docs/faults.md`` is written from this file (``python -m tests.faults.page``), and test_faults.py
tries each case, sync and async, through both adapters.

The rule of repeats: only what was surely not accepted is sent again: a connection reset before a
byte of a reply, an answer of 429 or 5xx, a success with nothing in it. A connection that was closed
without a reply, garbage, or a reply cut short may hide an accepted call: it is asked once, and
stays counted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.replies import (
    DONE,
    EVENTS,
    JSON,
    STREAM,
    VECTORS,
    bomb,
    chunk,
    chunked,
    delta,
    encoded,
    event,
    head,
    message,
    packed,
    reply,
    stream,
    surplus,
    until_closed,
)
from tests.faults.rows import (
    Case,
    Fault,
    body,
    broken,
    good,
    healed,
    of_chat,
    of_stream,
    of_vectors,
    refused,
)
from tests.faults.server import END, RESET, STALL, Drip

__all__ = ["DEADLINE", "IDLE", "SECTIONS"]

# Seconds of silence, and of a call: the limits of a client where a fault is one of time.
IDLE, DEADLINE = 0.3, 0.6

BEGUN = delta(role="assistant", content="Hel")
CHUNKS = head("200 OK", JSON, "transfer-encoding: chunked")
PAGE = b"<html><body>Bad Gateway</body></html>"
LATE: dict[str, Any] = {"error": "APITimeoutError", "least": DEADLINE, "hasty": True}
RESETS: dict[str, Any] = {"counted": 3, "kept": False}
COMMENT = chunk(b": still here\n\n")
NAN = {"prompt_tokens": float("nan")}
FLOOD = b"x" * 65_536


def _error(words: str) -> dict[str, Any]:
    return {"error": {"message": words, "type": "error"}}


BUSY = reply("503 Service Unavailable", _error("busy"))


def _throttled(seconds: str) -> bytes:
    return reply("429 Too Many Requests", _error("Too many requests"), f"retry-after: {seconds}")


CONNECTION = (
    refused("reset before a byte of a reply", "APIConnectionError", 3, RESET, **RESETS),
    healed("reset before a byte of a reply, once", RESET, counted=2),
    broken("closed without a reply", END),
    broken("closed within the head", b"HTTP/1.1 200 OK\r\ncontent-ty", END),
    broken("reset within the head", b"HTTP/1.1 20", RESET),
    broken("garbage instead of a reply", b"\x00\xff\x16\x03 no HTTP at all\r\n\r\n", END),
    broken("a body shorter than its length", head("200 OK", JSON, "content-length: 9"), b"{", END),
    broken("a chunked body cut short", CHUNKS, END),
    broken("a chunk without a size", CHUNKS, b"x\r\n"),
    broken("a length that is not a number", head("200 OK", JSON, "content-length: many"), END),
    broken("a header of 1 MiB", b"HTTP/1.1 200 OK\r\nx: " + b"x" * (1 << 20) + b"\r\n\r\n", END),
    broken("10 000 headers", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000 + b"\r\n", END),
    good("100 and 103 before the reply", head("100 Continue"), head("103 Early Hints"), ...),
    good("surplus bytes behind the reply", surplus, kept=False),
    good("a reply that ends with its connection", until_closed, END, kept=False),
)

TIME = (
    broken("no byte of a reply", STALL, error="APITimeoutError", least=IDLE, hasty=True),
    broken("a head that drips", b"HTTP/1.1 200 OK\r\nx: ", Drip(b"x"), **LATE),
    broken("a body that drips", head("200 OK", JSON, "content-length: 99999"), Drip(b" "), **LATE),
    broken("chunks that drip", CHUNKS, Drip(b"1\r\n \r\n"), **LATE),
    broken("comments instead of events", EVENTS, Drip(COMMENT), **LATE),
    of_stream("a stream that falls silent", stream(BEGUN), STALL, least=IDLE, hasty=True),
    of_stream(
        "a stream that goes on with comments",
        stream(BEGUN),
        Drip(COMMENT),
        least=DEADLINE,
        hasty=True,
    ),
)

# Texts to embed are sent again in halves.
TOO_LARGE = Case(
    [reply("413 Content Too Large", _error("too large"), "connection: close"), END],
    "InvalidRequestError",
)

STATUS = (
    refused("400", "InvalidRequestError", 1, reply("400 Bad Request", _error("bad"))),
    refused("401", "AuthenticationError", 1, reply("401 Unauthorized", _error("no"))),
    refused("403", "AuthenticationError", 1, reply("403 Forbidden", _error("no"))),
    refused("404", "ModelNotServedError", 1, reply("404 Not Found", _error("no such model"))),
    refused("422", "InvalidRequestError", 1, reply("422 Unprocessable Entity", _error("bad"))),
    refused("500", "ServerError", 3, reply("500 Internal Server Error", _error("oops"))),
    refused("502 with a page", "ServerError", 3, reply("502 Bad Gateway", PAGE, kind="text/html")),
    refused("503", "ServerError", 3, BUSY),
    refused("504 without a body", "ServerError", 3, reply("504 Gateway Timeout", b"")),
    healed("503, once", BUSY),
    healed("429 that asks for a wait of 1 s, once", _throttled("1"), least=1.0),
    refused("429 that asks for a wait past the deadline", "RateLimitError", 1, _throttled("9999")),
    refused(
        "429: the model's day is spent",
        "QuotaExceededError",
        1,
        reply("429 Too Many Requests", _error("We have exceeded today's quota for model m")),
    ),
    refused(
        "401 that repeats the token",
        "AuthenticationError",
        1,
        head("401 Unauthorized", JSON, "connection: close"),
        b'{"error": {"message": "wrong token {token}"}}',
        END,
        kept=False,
    ),
    Fault("413, and closed", TOO_LARGE, TOO_LARGE, replace(TOO_LARGE, requests=2, attempts=1)),
    *(
        refused(
            f"{status} to another host",
            "UnexpectedReplyError",
            1,
            head(status, "location: http://{elsewhere}/v1?secret=1", "content-length: 0"),
        )
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent")
    ),
)

# What is no object is passed over among events, as other clients of this service do; a stream with
# nothing else in it was accepted all the same.
NOTHING = Case([], "EmptyReplyError", counted=1, kept=True)
# A stream whose first event is cut short has given nothing yet.
CUT = Case([], "EmptyReplyError", requests=3, kept=True)
DEEP = b'{"choices":' * 50_000

BODY = (
    body("an error in a 200", _error("Too many requests"), "RateLimitError", 3),
    body("`errors` in a 200", {"errors": {"message": "server is busy"}}, "ServerError", 3),
    body("an empty object", {}, "EmptyReplyError", 3),
    body("a list", [1], "UnexpectedReplyError", streamed=NOTHING),
    body("bytes that are no text", b"\xff\xfe\xfd", "UnexpectedReplyError", streamed=NOTHING),
    body("deep JSON", DEEP, "UnexpectedReplyError"),
    body("JSON cut short", b'{"choices": [', "UnexpectedReplyError", streamed=CUT),
    refused("an empty body", "EmptyReplyError", 3, reply("200 OK", b"")),
    refused("a page", "UnexpectedReplyError", 1, reply("200 OK", PAGE, kind="text/html")),
    of_chat(
        "`choices` is null", {"choices": None}, [{"choices": None}], "EmptyReplyError", requests=3
    ),
    body("`choices` is empty", {"choices": []}, "EmptyReplyError", 3, streamed=NOTHING),
    of_chat(
        "an answer of no words",
        message(""),
        [delta(role="assistant", content=""), delta("stop"), DONE],
        None,
        text="",
    ),
    of_chat(
        "a lone surrogate",
        message("Hello\ud83d"),
        [delta(content="Hello\ud83d"), delta("stop"), DONE],
        None,
        text="Hello\ufffd",
    ),
    Fault(
        "NaN in the usage",
        Case([reply("200 OK", message("Hello", usage=NAN))], counted=1, kept=True, text="Hello"),
        Case(
            [chunked(*STREAM[:-1], {"choices": [], "usage": NAN}, DONE)],
            counted=1,
            kept=True,
            text="Hello",
        ),
        Case(
            [reply("200 OK", {"data": VECTORS, "usage": NAN})], counted=1, kept=True, text="Hello"
        ),
    ),
    of_vectors("vectors in another order", {"data": VECTORS[::-1]}, None, text="Hello"),
    of_vectors("a vector too few", {"data": VECTORS[:1]}, "UnexpectedReplyError"),
    of_vectors("no vectors", {"data": []}, "EmptyReplyError", requests=3),
    of_vectors(
        "NaN in a vector",
        {"data": [VECTORS[0], {"index": 1, "embedding": [float("nan"), 1.0]}]},
        "UnexpectedReplyError",
    ),
)

SIZE = (
    good("gzip that was not asked for", packed),
    refused("64 MiB in 64 KiB of gzip", "UnexpectedReplyError", 1, bomb),
    refused("gzip that is none", "UnexpectedReplyError", 1, encoded("gzip")),
    refused("brotli that was not asked for", "UnexpectedReplyError", 1, encoded("br")),
    refused(
        "a body without an end",
        "UnexpectedReplyError",
        1,
        head("200 OK", JSON, "connection: close"),
        Drip(FLOOD, 0),
        kept=False,
    ),
    refused(
        "an event without an end",
        "UnexpectedReplyError",
        1,
        EVENTS,
        Drip(chunk(FLOOD), 0),
        kept=False,
    ),
    of_stream("a later event without an end", stream(BEGUN), Drip(chunk(FLOOD), 0)),
)

STREAM_ENDS = (
    of_stream("an end without a finish reason and [DONE]", chunked(BEGUN), kept=True),
    of_stream("a break after the first text", stream(BEGUN), END),
    of_stream("a reset after the first text", stream(BEGUN), RESET),
    of_stream(
        "an error among the events", chunked(BEGUN, _error("server is busy"), DONE), kept=True
    ),
    of_stream(
        "an error beside the choices of an event",
        chunked(BEGUN, {**delta("error", content=""), **_error("server is busy")}, DONE),
        kept=True,
    ),
    of_stream("JSON cut short among the events", chunked(BEGUN, b'{"choices": [', DONE), kept=True),
    of_stream("deep JSON among the events", chunked(BEGUN, DEEP, DONE), kept=True),
    of_stream(
        "no event", chunked(), error="EmptyReplyError", requests=3, counted=0, kept=True, text=None
    ),
    of_stream(
        "nothing but [DONE]",
        chunked(DONE),
        error="EmptyReplyError",
        requests=3,
        counted=0,
        kept=True,
        text=None,
    ),
    of_stream("[DONE] missing", chunked(*STREAM[:-1]), error=None, kept=True, text="Hello"),
    of_stream(
        "a break behind the finish reason", stream(*STREAM[:-1]), END, error=None, text="Hello"
    ),
    of_stream(
        "chunks with nothing in them",
        chunked({"choices": []}, STREAM[0], {"choices": None}, {}, *STREAM[1:]),
        error=None,
        kept=True,
        text="Hello",
    ),
    of_stream(
        "CRLF, a BOM, comments, no space behind data:",
        EVENTS
        + chunk(
            b"\xef\xbb\xbf: hello\r\n\r\n"
            + b"".join(map(event, STREAM)).replace(b"data: ", b"data:").replace(b"\n", b"\r\n")
        )
        + chunk(b""),
        error=None,
        kept=True,
        text="Hello",
    ),
    of_stream(
        "a whole answer where a stream was asked",
        reply("200 OK", message("Hello")),
        error=None,
        kept=True,
        text="Hello",
    ),
)

SECTIONS: dict[str, tuple[Fault, ...]] = {
    "Connections": CONNECTION,
    "Time": TIME,
    "Refusals and redirects": STATUS,
    "Bodies": BODY,
    "Sizes and compression": SIZE,
    "Streams": STREAM_ENDS,
}
