"""What happens to the bytes, seen from a socket; and clients that go away."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import threading
import time

import pytest

from modelscope_transport.emulator import Pause, Raw, ScriptedEngine, Stream


def read_to_end(wire):
    content = b""
    while part := wire.recv(65_536):
        content += part
    return content


@pytest.mark.parametrize("stream", [True, False])
def test_a_reset_in_the_middle(caller, stream):
    caller.service.next("reset")
    with caller.open(stream=stream) as wire:
        assert b"200 OK" in wire.recv(60)
        with pytest.raises(ConnectionResetError):
            read_to_end(wire)


def test_a_reset_and_a_close_before_the_reply(caller):
    caller.service.next("reset_before_reply", "close_before_reply")
    with caller.open() as wire, pytest.raises(ConnectionResetError):
        read_to_end(wire)
    with caller.open() as wire:
        assert read_to_end(wire) == b""


def test_a_body_shorter_than_promised(caller):
    caller.service.next("short_body", "drop")
    with pytest.raises(http.client.IncompleteRead):
        caller.chat()
    with caller.open(stream=True) as wire:
        assert not read_to_end(wire).endswith(b"0\r\n\r\n")


def test_bytes_that_are_not_http(caller):
    caller.service.next("garbage")
    with pytest.raises(http.client.BadStatusLine):
        caller.chat()


@pytest.mark.parametrize("scenario", ["one_byte", "fragments:7"])
@pytest.mark.parametrize("stream", [True, False])
def test_torn_answers_are_whole_and_the_connection_lives_on(caller, scenario, stream):
    body = {"model": "nex-agi/Nex-N2.5-mini", "messages": [{"role": "user", "content": "你好"}]}
    headers = {"authorization": f"Bearer {caller.service.token}"}
    caller.service.next("honest", scenario)
    texts = []
    with contextlib.closing(http.client.HTTPConnection(*caller.address)) as connection:
        for _ in range(3):
            content = json.dumps({**body, "stream": stream})
            connection.request("POST", "/v1/chat/completions", content, headers)
            texts.append(connection.getresponse().read().decode())
    own = r'"created":\d+|"(?:chatcmpl-)?id":"[^"]*"'
    whole, torn, after = [re.sub(own, "", text) for text in texts]
    assert torn == whole == after


@pytest.mark.parametrize("scenario", ["endless_line", "endless_body"])
def test_answers_without_an_end(caller, scenario):
    caller.service.next(scenario)
    with caller.open() as wire:
        read = 0
        while read < 3_000_000:
            read += len(wire.recv(65_536))


@pytest.mark.parametrize("scenario", ["silence", "slow_first_byte:60"])
def test_no_answer_for_now(caller, scenario):
    caller.service.next(scenario)
    with caller.open() as wire:
        wire.settimeout(0.05)
        with pytest.raises(TimeoutError):
            wire.recv(1)


def test_silence_after_the_first_chunks(caller):
    caller.service.next("stall")
    with caller.open(stream=True) as wire:
        content = b""
        while content.count(b"\n\n") < 3:
            content += wire.recv(65_536)
        wire.settimeout(0.05)
        with pytest.raises(TimeoutError):
            wire.recv(1)
    assert content.count(b"data: ") == 3


def wait_until(true):
    """Wait for the server's thread to notice; the limit is never reached when all is well."""
    limit = time.monotonic() + 10
    while not true():
        assert time.monotonic() < limit
        threading.Event().wait(0.005)


def test_a_client_that_goes_away_ends_the_engine(call):
    ended = threading.Event()

    class Endless(ScriptedEngine):
        async def chat(self, call):
            try:
                async for piece in super().chat(call):
                    yield piece
                    await asyncio.sleep(3600)
            finally:
                ended.set()

    caller = call(engine=Endless())
    with caller.open(stream=True) as wire:
        assert b"200 OK" in wire.recv(4096)
        assert not ended.is_set()
    assert ended.wait(10)
    wait_until(lambda: caller.service.connections == 0)


def test_a_client_that_goes_away_in_an_endless_answer_leaves_nothing_behind(call):
    caller = call(scenario="endless_line")
    for _ in range(20):
        with caller.open(stream=True) as wire:
            wire.recv(1000)
    wait_until(lambda: caller.service.connections == 0)


def test_the_connection_is_kept_for_the_next_request(caller):
    body = json.dumps({"model": "nex-agi/Nex-N2.5-mini", "messages": []})
    with contextlib.closing(http.client.HTTPConnection(*caller.address)) as connection:
        connection.connect()
        port = connection.sock.getsockname()[1]
        for _ in range(5):
            headers = {"authorization": f"Bearer {caller.service.token}"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            connection.getresponse().read()
        assert connection.sock.getsockname()[1] == port


def test_a_body_in_chunks_is_read(caller):
    with contextlib.closing(http.client.HTTPConnection(*caller.address)) as connection:
        connection.request(
            "POST",
            "/v1/chat/completions",
            iter([b'{"model": "nex-agi/Nex-N2.5-mini",', b'"messages": []}']),
            {"authorization": f"Bearer {caller.service.token}"},
            encode_chunked=True,
        )
        assert connection.getresponse().status == 400
    assert caller.service.requests[-1].body["messages"] == []


def test_a_request_that_is_not_http_is_told(caller):
    with socket.create_connection(caller.address) as wire:
        wire.sendall(b"hello\r\n\r\n")
        assert read_to_end(wire).startswith(b"HTTP/1.1 400 ")


def test_five_hundred_streams_at_once(call):
    caller = call(engine=ScriptedEngine(pace=0.001))
    wires = [caller.open(stream=True) for _ in range(500)]
    assert caller.service.connections <= 500
    for wire in wires:
        with wire:
            content = b""
            while not content.endswith(b"0\r\n\r\n"):
                content += wire.recv(65_536)
            assert content.count(b"[DONE]") == 1


def test_steps_are_played_as_they_are_written(caller):
    caller.service.next(
        Raw([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh", Pause(0.01), b"i"]),
        Stream([b": note\n", {"choices": []}, "[DONE]"]),
    )
    assert caller.chat().content == b"hi"
    assert caller.stream().content == b': note\ndata: {"choices":[]}\n\ndata: [DONE]\n\n'
