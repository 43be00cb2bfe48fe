"""A client of nothing but the standard library, so that what is on the wire is what is tested."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from modelscope_transport.emulator import LocalService

MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"


@dataclass(frozen=True)
class Answered:
    """A reply, read to its end."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def message(self) -> dict[str, Any]:
        return self.json["choices"][0]["message"]

    @property
    def events(self) -> list[Any]:
        """The payloads of a stream: objects, and ``[DONE]``."""
        lines = self.content.decode().split("\n\n")
        payloads = [line.removeprefix("data: ") for line in lines if line]
        return [each if each == "[DONE]" else json.loads(each) for each in payloads]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        chunks = [event for event in self.events if isinstance(event, dict)]
        return [choice["delta"] for chunk in chunks for choice in chunk["choices"] or []]

    @property
    def text(self) -> str:
        return "".join(delta["content"] or "" for delta in self.deltas)

    @property
    def error(self) -> str:
        """The message of a failure, in either envelope."""
        body = self.json
        return str((body.get("error") or body.get("errors"))["message"])


class Caller:
    """Calls one service."""

    def __init__(self, service: LocalService) -> None:
        self.service = service

    @property
    def address(self) -> tuple[str, int]:
        place = urlsplit(self.service.root_url)
        return str(place.hostname), int(place.port or 0)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str | None = "its own",
    ) -> Answered:
        headers = {"content-type": "application/json"}
        if token is not None:
            given = self.service.token if token == "its own" else token
            headers["authorization"] = f"Bearer {given}"
        content = body if isinstance(body, bytes | None) else json.dumps(body)
        with closing(http.client.HTTPConnection(*self.address, timeout=20)) as connection:
            connection.request(method, path, content, headers)
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Answered(reply.status, found, reply.read())

    def chat(self, prompt: str | list[dict[str, Any]] = "Hello", **fields: Any) -> Answered:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        body = {"model": MODEL, "messages": messages, **fields}
        return self.request("POST", "/v1/chat/completions", body)

    def stream(self, prompt: str | list[dict[str, Any]] = "Hello", **fields: Any) -> Answered:
        return self.chat(prompt, stream=True, **fields)

    def embed(self, *texts: str, **fields: Any) -> Answered:
        body = {
            "model": "Qwen/Qwen3-Embedding-0.6B",
            "input": list(texts),
            "encoding_format": "float",
            **fields,
        }
        return self.request("POST", "/v1/embeddings", body)

    def open(self, **fields: Any) -> socket.socket:
        """Send a chat request and return the socket, nothing read yet."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **fields}
        content = json.dumps(body).encode()
        wire = socket.create_connection(self.address, timeout=20)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: local\r\n"
            f"authorization: Bearer {self.service.token}\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        wire.sendall(head.encode() + content)
        return wire


@pytest.fixture
def service(modelscope_service: LocalService) -> LocalService:
    return modelscope_service


@pytest.fixture
def caller(service: LocalService) -> Caller:
    return Caller(service)


@pytest.fixture
def call() -> Iterator[Any]:
    """Make a caller of a service of one's own, which ends with the test."""
    started: list[LocalService] = []

    def start(**options: Any) -> Caller:
        service = LocalService(**options)
        service.start()
        started.append(service)
        return Caller(service)

    yield start
    for service in started:
        service.stop()


def function(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    """A tool as a request offers it; every property is required."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    told = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": told}


@pytest.fixture
def tool() -> Any:
    return function
