"""A small OpenAI-shaped HTTP server of the tests' own: it plays scripted answers, byte for byte.

It shares no code with the local service, so that an adapter and the server cannot make the same
mistake. The model's name in a request chooses the shape that is played:

    with ForeignServer([Shape("plain", "…", stream=(text_event("Hi"), "[DONE]"))]) as server:
        ChatOpenAI(base_url=server.base_url, model="plain", api_key="none").invoke("Hello")
        print(server.requests[-1].body)

Laws of this file: the standard library alone; it judges nothing and answers whatever is asked.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["DONE", "ForeignServer", "Request", "Shape", "event", "from_sample", "whole_of"]

DONE = "[DONE]"


@dataclass(frozen=True)
class Shape:
    """What is answered to one model name.

    Attributes:
        name: the model name that plays it; by convention ``engine/what-it-shows``.
        source: where the form was read: a file or an issue of the engine.
        stream: what stands after each ``data: ``, in order; bytes are written as they are.
        whole: the reply to a call that is not streamed; ``None`` joins it from the stream.
        status: HTTP status of either.
        headers: further headers.
        newline: what ends a line of the stream.
        piece: bytes in one write of the stream; 0 writes each event at once.
        data: what stands before a payload; the space after the colon is optional.
    """

    name: str
    source: str
    stream: tuple[str | bytes | Mapping[str, Any], ...] = ()
    whole: Mapping[str, Any] | str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    newline: str = "\n"
    piece: int = 0
    data: str = "data: "

    def written(self) -> bytes:
        """The stream's body."""
        ending = self.newline * 2
        parts = [
            it if isinstance(it, bytes) else f"{self.data}{_text(it)}{ending}".encode()
            for it in self.stream
        ]
        return b"".join(parts)


@dataclass(frozen=True)
class Request:
    """What came in."""

    path: str
    headers: Mapping[str, str]
    body: Any


def event(
    delta: Mapping[str, Any] | None = None, finish_reason: str | None = None, **further: Any
) -> dict[str, Any]:
    """One ``chat.completion.chunk`` with one choice; without ``delta`` it has none."""
    choices = [] if delta is None else [{"index": 0, "delta": delta}]
    if delta is not None:
        choices[0]["finish_reason"] = finish_reason
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "served",
        "choices": choices,
        **further,
    }


def from_sample(path: Path) -> Shape:
    """The shape of a recorded stream in ``tests/samples/streams``."""
    sample = json.loads(path.read_text(encoding="utf-8"))
    return Shape(f"sample/{path.stem}", sample["source"], stream=tuple(sample["events"]))


def whole_of(shape: Shape) -> dict[str, Any]:
    """The reply that says in one piece what a shape's stream says.

    Pieces of tool calls belong together by their index, and a new id there begins a new call.
    """
    message: dict[str, Any] = {"role": "assistant", "content": None}
    reply: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1}
    reply["model"] = "served"
    finish_reason, calls = "stop", list[dict[str, Any]]()
    for payload in shape.stream:
        if isinstance(payload, bytes) or payload == DONE:
            continue
        said = json.loads(payload) if isinstance(payload, str) else payload
        reply |= {name: said[name] for name in ("id", "model", "usage") if said.get(name)}
        for choice in said.get("choices") or ():
            finish_reason = choice.get("finish_reason") or finish_reason
            reply |= {"usage": choice["usage"]} if choice.get("usage") else {}
            _join(message, calls, choice.get("delta") or {})
    if calls:
        message["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"} for call in calls
        ]
    reply["choices"] = [{"index": 0, "message": message, "finish_reason": finish_reason}]
    return reply


def _join(message: dict[str, Any], calls: list[dict[str, Any]], delta: Mapping[str, Any]) -> None:
    for name in ("content", "reasoning_content", "reasoning", "refusal"):
        if isinstance(delta.get(name), str) and delta[name]:
            message[name] = (message.get(name) or "") + delta[name]
    for piece in delta.get("tool_calls") or ():
        function, index = piece.get("function") or {}, piece.get("index", 0)
        call = next((it for it in reversed(calls) if it["index"] == index), None)
        if call is None or (piece.get("id") and call["id"] and piece["id"] != call["id"]):
            call = {"index": index, "id": None, "type": "function"}
            call["function"] = {"name": "", "arguments": ""}
            calls.append(call)
        call["id"] = call["id"] or piece.get("id")
        name = function.get("name") or ""
        call["function"]["name"] += "" if name == call["function"]["name"] else name
        arguments = function.get("arguments") or ""
        call["function"]["arguments"] += (
            arguments if isinstance(arguments, str) else json.dumps(arguments)
        )


def _text(payload: str | Mapping[str, Any]) -> str:
    return payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no trouble; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ForeignServer:
    """Plays shapes on a free port of the loopback interface while its ``with`` block lasts.

    Attributes:
        requests: what came in, oldest first.
    """

    def __init__(self, shapes: Iterable[Shape] = ()) -> None:
        self.requests: list[Request] = []
        self._shapes = {shape.name: shape for shape in shapes}
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def base_url(self) -> str:
        """Address of the service, with ``/v1``."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def add(self, shape: Shape) -> Shape:
        """Play one more shape, or another one under the same name."""
        self._shapes[shape.name] = shape
        return shape

    def shape(self, name: str) -> Shape | None:
        """The shape of a model name."""
        return self._shapes.get(name)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _handler(server: ForeignServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every second write waits for an acknowledgement

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or b"null")
            server.requests.append(Request(self.path, dict(self.headers.items()), body))
            shape = server.shape(body.get("model", ""))
            if shape is None:
                self._send({"error": {"message": "no such shape", "code": "none"}}, 404, {})
            elif body.get("stream") and shape.stream:
                self._play(shape)
            else:
                whole = whole_of(shape) if shape.whole is None else shape.whole
                self._send(whole, shape.status, shape.headers)

        def _send(self, reply: Any, status: int, headers: Mapping[str, str]) -> None:
            body = _text(reply).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _play(self, shape: Shape) -> None:
            self.send_response(shape.status)
            for name, value in {"content-type": "text/event-stream", **shape.headers}.items():
                self.send_header(name, value)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            body = shape.written()
            size = shape.piece or len(body) or 1
            for start in range(0, len(body), size):
                part = body[start : start + size]
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
