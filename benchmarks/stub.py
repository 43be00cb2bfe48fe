"""A server that costs its client nothing but the client's own work: replies made beforehand.

It runs in a process of its own, so that the CPU time of the process that measures is the client's
alone. The reply is chosen by the first part of the path, so a client is pointed at one by its base
URL: ``http://127.0.0.1:PORT/text-2000/v1``. The payloads have the service's form as recorded
2026-10: nulls, a dummy usage on every chunk, the true usage at the end.

A reply comes at once, or later: ``text-200-every-2`` sends an event each 2 ms, each in a packet of
its own; ``whole-1-after-200`` is sent 200 ms after the question.

    with stub.running() as server:
        client = OpenAI(base_url=server.url("text-2000"))
"""

from __future__ import annotations

import array
import asyncio
import base64
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"  # what is asked for; it answers to any name
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
VECTOR = [round(0.001 * number, 6) for number in range(1024)]


class Reply(NamedTuple):
    """A reply's name, taken apart.

    It is ``kind-pieces``, and then perhaps ``-every-ms`` or ``-after-ms``.

    Attributes:
        kind: ``"whole"``, ``"text"``, ``"reasoning"`` or ``"tools"``.
        pieces: of a stream.
        every: seconds between two events of a stream; 0: all at once.
        after: seconds before anything is sent.
    """

    kind: str
    pieces: int
    every: float
    after: float

    @classmethod
    def named(cls, name: str) -> Reply:
        """The reply of a name."""
        kind, *rest = name.split("-")
        waits = {
            word: int(number) / 1000 for word, number in zip(rest[1::2], rest[2::2], strict=True)
        }
        pieces = int(rest[0]) if rest else 1
        return cls(kind, pieces, waits.get("every", 0.0), waits.get("after", 0.0))

    @property
    def seconds(self) -> float:
        """How long the server takes to send it."""
        packets = len(_packets(self.kind, self.pieces)) if self.every else 1
        return self.after + self.every * (packets - 1)


# --- what it says -----------------------------------------------------------------------------


def words(count: int) -> list[str]:
    """The pieces of a text stream."""
    return [f"word{number % 1000:03} " for number in range(count)]


def arguments(count: int) -> list[str]:
    """The pieces of one tool call's arguments: a JSON object of some 20 characters a piece."""
    inner = [f"entry number {number:06}, " for number in range(count - 2)]
    return ['{"text": "', *inner, '"}']


def _chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    nulls = dict.fromkeys(("role", "content", "reasoning_content", "tool_calls", "function_calls"))
    return {
        "id": "chatcmpl-11111111-2222-3333-4444-555555555555",
        "object": "chat.completion.chunk",
        "created": 1758968053760,
        "model": "Qwen/Qwen3-8B",
        "choices": [{"index": 0, "delta": nulls | delta, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 20},
    }


def _chunks(kind: str, count: int) -> Iterator[dict[str, Any]]:
    yield _chunk(role="assistant", content="")
    if kind == "tools":
        for number, piece in enumerate(arguments(count)):
            head = {"id": "call_1", "type": "function"} if number == 0 else {}
            function = {"name": "note" if number == 0 else None, "arguments": piece}
            yield _chunk(tool_calls=[{"index": 0, **head, "function": function}])
        yield _chunk("tool_calls")
    else:
        for number, piece in enumerate(words(count)):
            if kind == "reasoning" and number < count // 2:
                yield _chunk(reasoning_content=piece)
            else:
                yield _chunk(content=piece)
        yield _chunk("stop")
    yield _chunk() | {"choices": [], "usage": USAGE}


@functools.cache
def _stream(kind: str, count: int) -> list[bytes]:
    """The HTTP chunks of a stream, an event each."""
    events = [json.dumps(chunk, ensure_ascii=False) for chunk in _chunks(kind, count)]
    payloads = [f"data: {event}\n\n".encode() for event in [*events, "[DONE]"]]
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return [head, *(b"%x\r\n%b\r\n" % (len(it), it) for it in payloads), b"0\r\n\r\n"]


@functools.cache
def _packets(kind: str, count: int) -> list[bytes]:
    """The same stream, one event a packet: the head with the first, the end with the last."""
    head, first, *parts, last, end = _stream(kind, count)
    return [head + first, *parts, last + end]


@functools.cache
def _whole() -> bytes:
    message = {"role": "assistant", "content": "Hello there.", "reasoning_content": ""}
    body = _chunk() | {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    return _reply(body)


@functools.cache
def _vectors(count: int, form: str) -> bytes:
    vector: Any = VECTOR
    if form == "base64":
        vector = base64.b64encode(array.array("f", vector)).decode()
    data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(count)]
    return _reply({"object": "list", "data": data, "model": "stub", "usage": USAGE})


def _reply(body: Any) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content


# --- the server -------------------------------------------------------------------------------


class _Protocol(asyncio.Protocol):
    """One connection: reads a request, writes the reply of its path."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head_end = self._read.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._read[:head_end]).decode("latin-1").lower()
        _, _, rest = head.partition("content-length:")
        length = int(rest.split("\r\n")[0]) if rest else 0
        if len(self._read) < head_end + 4 + length:
            return
        body = bytes(self._read[head_end + 4 : head_end + 4 + length])
        del self._read[: head_end + 4 + length]
        self._answer(head.split(" ", 2)[1], body)

    def _answer(self, path: str, body: bytes) -> None:
        reply = Reply.named(path.split("/")[1])
        if path.endswith("/embeddings"):
            asked = json.loads(body)
            count = 1 if isinstance(asked["input"], str) else len(asked["input"])
            parts = [_vectors(count, asked.get("encoding_format", "float"))]
        elif reply.kind == "whole":
            parts = [_whole()]
        elif reply.every:
            parts = _packets(reply.kind, reply.pieces)
        else:
            parts = _stream(reply.kind, reply.pieces)
        if reply.after or reply.every:
            begin = self._loop.time() + reply.after
            self._loop.call_at(begin, self._send, parts, 0, begin, reply.every)
        else:
            for part in parts:
                self._transport.write(part)

    def _send(self, parts: list[bytes], at: int, begun: float, every: float) -> None:
        """Send one packet and have the next one sent at its time, never two together."""
        if self._transport.is_closing():
            return
        self._transport.write(parts[at])
        at += 1
        if at < len(parts):
            due = max(begun + at * every, self._loop.time() + every / 2)
            self._loop.call_at(due, self._send, parts, at, begun, every)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    # a thousand clients may come at once
    server = await loop.create_server(_Protocol, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- starting it ------------------------------------------------------------------------------


class Running(NamedTuple):
    """A server that runs.

    Attributes:
        port: where.
        process: its process.
    """

    port: int
    process: int

    def url(self, reply: str) -> str:
        """Base URL for a reply, by its name (see `Reply`).

        Embeddings are the same under each of them.
        """
        return f"http://127.0.0.1:{self.port}/{reply}/v1"


@contextmanager
def running() -> Iterator[Running]:
    """A server in a process of its own."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Running(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve())
