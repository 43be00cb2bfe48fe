"""The server of the benchmarks sends what a reply's name says, when it says."""

from __future__ import annotations

import json
import socket
import time
import urllib.request

import pytest

from benchmarks import stub


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("whole", stub.Reply("whole", 1, 0.0, 0.0)),
        ("text-2000", stub.Reply("text", 2000, 0.0, 0.0)),
        ("text-200-every-2", stub.Reply("text", 200, 0.002, 0.0)),
        ("whole-1-after-200", stub.Reply("whole", 1, 0.0, 0.2)),
    ],
)
def test_a_name_is_taken_apart(name: str, reply: stub.Reply) -> None:
    assert stub.Reply.named(name) == reply


def test_a_paced_stream_comes_event_by_event() -> None:
    reply = stub.Reply.named("text-20-every-10")
    with stub.running() as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"POST /text-20-every-10/v1/chat/completions HTTP/1.1\r\n\r\n")
        begun, received, reads = time.perf_counter(), b"", 0
        while not received.endswith(b"0\r\n\r\n"):
            received += sock.recv(65536)
            reads += 1
    assert time.perf_counter() - begun >= reply.seconds * 0.9
    assert reads > 10
    assert received.count(b"data: ") == 24  # role, 20 words, end, usage, [DONE]
    assert "".join(stub.words(20)).split()[-1].encode() in received


def test_a_late_reply_is_whole_and_late() -> None:
    with stub.running() as server:
        url = f"{server.url('whole-1-after-100')}/chat/completions"
        begun = time.perf_counter()
        with urllib.request.urlopen(url, b"{}") as answer:
            body = json.load(answer)
    assert time.perf_counter() - begun >= 0.09
    assert body["choices"][0]["message"]["content"] == "Hello there."
