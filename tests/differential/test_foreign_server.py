"""The tests' own server plays what it was given, and nothing else."""

from __future__ import annotations

import httpx

from .foreign_server import DONE, ForeignServer, Shape, event


def call(index: int, id: str | None, name: str | None, arguments: str) -> dict[str, object]:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


TWO = Shape(
    "x/two-calls",
    "written here",
    stream=(
        event({"role": "assistant", "content": "Hé"}),
        event({"tool_calls": [call(0, "a", "add", "")]}),
        event({"tool_calls": [call(0, None, None, "{}")]}),
        event({"tool_calls": [call(0, "b", "add", "{}")]}),
        event({}, "tool_calls"),
        DONE,
    ),
    piece=7,
)


def test_a_stream_byte_for_byte_and_the_same_as_a_whole() -> None:
    with ForeignServer([TWO]) as server:
        url = f"{server.base_url}/chat/completions"
        stream = httpx.post(url, json={"model": TWO.name, "stream": True})
        whole = httpx.post(url, json={"model": TWO.name})
        lost = httpx.post(url, json={"model": "x/none"})

    assert stream.content == TWO.written()
    assert stream.headers["content-type"] == "text/event-stream"
    message = whole.json()["choices"][0]["message"]
    assert message["content"] == "Hé"
    assert [call["id"] for call in message["tool_calls"]] == ["a", "b"]
    assert lost.status_code == 404
    assert [request.body["model"] for request in server.requests] == [TWO.name] * 2 + ["x/none"]
