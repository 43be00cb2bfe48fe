"""A server that costs its client nothing but the client's own work: replies made beforehand.

It runs in a process of its own, so that the CPU time of the process that measures is the client's
alone. The reply is chosen by the first part of the path, so a client is pointed at one by its base
URL: ``http://127.0.0.1:PORT/text-2000/v1``. The payloads have the service's form as recorded
2026-10: nulls, a dummy usage on every chunk, the true usage at the end.

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
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"  # what is asked for; it answers to any name
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
DIMENSIONS = 1024


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
    vector: Any = [round(0.001 * number, 6) for number in range(DIMENSIONS)]
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

    accepted = 0  # by the whole process

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._read = bytearray()
        _Protocol.accepted += 1

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
        kind, _, pieces = path.split("/")[1].partition("-")
        if path == "/connections":
            self._transport.write(_reply({"accepted": _Protocol.accepted}))
        elif path.endswith("/embeddings"):
            asked = json.loads(body)
            count = 1 if isinstance(asked["input"], str) else len(asked["input"])
            self._transport.write(_vectors(count, asked.get("encoding_format", "float")))
        elif kind == "whole":
            self._transport.write(_whole())
        else:
            for part in _stream(kind, int(pieces)):
                self._transport.write(part)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- starting it ------------------------------------------------------------------------------


class Running:
    """A server that runs.

    Args:
        port: where.
    """

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"
        self._asked = 0

    def url(self, reply: str) -> str:
        """Base URL for a reply: ``"whole"``, ``"text-2000"``, ``"reasoning-20"``, ``"tools-500"``.

        Embeddings are the same under each of them.
        """
        return f"{self._root}/{reply}/v1"

    def connections(self) -> int:
        """How many connections it has accepted so far, those of this question not counted."""
        self._asked += 1
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self._root}/connections") as reply:
            return int(json.load(reply)["accepted"]) - self._asked


@contextmanager
def running() -> Iterator[Running]:
    """A server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        yield Running(int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    # beside this file lies one named like a framework
    sys.path[:] = [place for place in sys.path if place != str(Path(__file__).parent)]
    asyncio.run(_serve())
