"""An engine with a real model behind it: any server that speaks OpenAI's protocol.

The request is passed on to llama.cpp, Ollama, vLLM or the like, under the name of the model that
they have; their answer comes back piece by piece and is encoded by ``protocol``, so that the words
are a model's and the protocol is ModelScope's. Each call runs in a thread with a connection of its
own, which is closed as soon as the client has gone.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.engine import (
    ChatCall,
    Engine,
    Piece,
    Pieces,
    Refused,
    ToolPiece,
    Usage,
)
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.language import translated as _
from modelscope_transport.emulator.scripted.engine import ScriptedEngine
from modelscope_transport.emulator.scripted.rules import prompt_tokens

CALLS_AT_ONCE = 64
OWN_FIELDS = ("enable_thinking", "thinking_budget", "chat_template_kwargs", "stream_options")
"""Fields that the service understands and another server may not."""


class UpstreamEngine:
    """Ask another server for the words.

    Args:
        url: The chat server's base URL, with its ``/v1``. None lets the engine of rules chat.
        embeddings_url: The base URL of a server of vectors. None lets the engine of rules make
            them.
        model: The name that the chat server knows its model by; None takes the first that it lists.
        key: The other server's key, where it asks for one.
        timeout: Seconds of silence from the other server that end a call.

    Raises:
        ValueError: A URL is not one of http or https.
    """

    def __init__(
        self,
        url: str | None = None,
        embeddings_url: str | None = None,
        model: str | None = None,
        key: str | None = None,
        timeout: float = 600,
    ) -> None:
        self._rules: Engine = ScriptedEngine()
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, "modelscope-upstream")
        self._chat = _Server(url, model, key, timeout) if url else None
        self._vectors = _Server(embeddings_url, None, key, timeout) if embeddings_url else None

    async def chat(self, call: ChatCall) -> Pieces:
        """Yield the answer's pieces, then its usage."""
        if self._chat is None:
            async with aclosing(self._rules.chat(call)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        usage, thought = Usage(prompt_tokens(call.body), 0), 0
        async with aclosing(self._chunks(self._chat, call)) as chunks:
            async for chunk in chunks:
                if told := chunk.get("usage"):
                    usage = Usage(
                        told.get("prompt_tokens") or 0, told.get("completion_tokens") or 0
                    )
                for choice in chunk.get("choices") or []:
                    for piece in _pieces(choice):
                        thought += bool(piece.reasoning)
                        yield piece
        yield Usage(usage.prompt, usage.completion, min(thought, usage.completion))

    async def _chunks(
        self, server: _Server, call: ChatCall
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of the other server, read in a thread."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[dict[str, Any] | Exception | None] = asyncio.Queue()

        def put(item: dict[str, Any] | Exception | None) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(arrived.put_nowait, item)

        line = _Line(server)
        work = loop.run_in_executor(
            self._threads, line.read_chunks, _forwarded(call), call.model, put
        )
        try:
            while (item := await arrived.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            line.cut()
            work.cancel()

    async def embed(
        self, model: Model, texts: Sequence[str], dimensions: int
    ) -> tuple[list[list[float]], int]:
        """Return one vector for each text, of the other server's length, and the tokens read."""
        if self._vectors is None:
            return await self._rules.embed(model, texts, dimensions)
        loop = asyncio.get_running_loop()
        line = _Line(self._vectors)
        return await loop.run_in_executor(self._threads, line.read_vectors, model, list(texts))


class _Server:
    """Where a server listens, what it calls its model, and the key that it asks for."""

    def __init__(self, url: str, model: str | None, key: str | None, timeout: float) -> None:
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname:
            example = "http://127.0.0.1:8080/v1"
            raise ValueError(
                _("an upstream server needs a URL such as {example}, not {url!r}").format(
                    example=example, url=url
                )
            )
        self._place, self._path = place, place.path.rstrip("/")
        self._model, self._timeout = model, timeout
        self._headers = {"content-type": "application/json"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection, without Nagle's delay."""
        kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
        if self._place.scheme == "https":
            kind = http.client.HTTPSConnection
        connection = kind(self._place.hostname or "", self._place.port, timeout=self._timeout)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(
        self, connection: http.client.HTTPConnection, path: str, body: dict[str, Any] | None
    ) -> http.client.HTTPResponse:
        """Send a request and return the reply's beginning."""
        method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(method, self._path + path, content, self._headers)
        return connection.getresponse()

    def model(self) -> str:
        """The name of the model: the given one, or the first that the server lists."""
        if self._model is None:
            with (
                closing(self.connect()) as connection,
                self.ask(connection, "/models", None) as reply,
            ):
                self._model = str(json.loads(reply.read())["data"][0]["id"])
        return self._model


class _Line:
    """One call to a server, made in a thread; another thread can cut it."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._socket: socket.socket | None = None
        self._wanted = True

    def cut(self) -> None:
        """Break the connection, or prevent the one that is being opened."""
        self._wanted = False
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def read_chunks(self, body: dict[str, Any], model: Model, put: Callable[[Any], None]) -> None:
        """Send a chat request; hand over each chunk, then None, or what went wrong."""
        try:
            with self._reply("/chat/completions", body, model) as reply:
                for payload in _payloads(reply):
                    if "error" in payload:
                        raise _translated(500, payload, model)
                    put(payload)
            put(None)
        except Refused as refusal:
            put(refusal)

    def read_vectors(self, model: Model, texts: list[str]) -> tuple[list[list[float]], int]:
        """Send texts; return their vectors in order and the tokens read."""
        body = {"input": texts, "encoding_format": "float"}
        with self._reply("/embeddings", body, model) as reply:
            answer = json.loads(reply.read())
            data = sorted(answer["data"], key=lambda entry: entry.get("index", 0))
            told = answer.get("usage") or {}
            return [entry["embedding"] for entry in data], told.get("prompt_tokens") or 0

    @contextmanager
    def _reply(
        self, path: str, body: dict[str, Any], model: Model
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; whatever goes wrong while its reply is read becomes a refusal."""
        try:
            body = {**body, "model": self._server.model()}
            with closing(self._server.connect()) as connection:
                self._socket = connection.sock
                if not self._wanted:
                    raise ConnectionAbortedError
                with self._server.ask(connection, path, body) as reply:
                    if reply.status != 200:
                        raise _translated(reply.status, _object(reply.read()), model)
                    yield reply
        except (OSError, ValueError, KeyError, IndexError, http.client.HTTPException):
            raise Refused(refuse("unavailable")) from None


def _forwarded(call: ChatCall) -> dict[str, Any]:
    """The request as the other server takes it: always a stream, with its usage."""
    body = {name: value for name, value in call.body.items() if name not in OWN_FIELDS}
    if call.model.thinking != "none":
        body["chat_template_kwargs"] = {"enable_thinking": call.thinking}
    if isinstance(choice := body.get("tool_choice"), dict):  # llama.cpp ignores a tool's name
        named = choice["function"]["name"]
        body["tools"] = [each for each in body["tools"] if each["function"]["name"] == named]
        body["tool_choice"] = "required"
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


def _payloads(reply: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The objects of a stream of events."""
    for line in reply:
        payload = line.removeprefix(b"data:").strip()
        if payload == b"[DONE]":
            return
        if payload and line.startswith(b"data:"):
            yield json.loads(payload)


def _pieces(choice: dict[str, Any]) -> Iterator[Piece]:
    """What a chunk of the other server says about one choice."""
    delta, at = choice.get("delta") or {}, choice.get("index") or 0
    if thought := delta.get("reasoning_content") or delta.get("reasoning"):
        yield Piece(reasoning=thought, choice=at)
    if text := delta.get("content"):
        yield Piece(text, choice=at, logprobs=choice.get("logprobs"))
    for call in delta.get("tool_calls") or []:
        function = call.get("function") or {}
        arguments = function.get("arguments") or ""
        tool = ToolPiece(call.get("index") or 0, arguments, call.get("id"), function.get("name"))
        yield Piece(tool=tool, choice=at)
    if finish := choice.get("finish_reason"):
        yield Piece(finish=finish, choice=at)


def _object(content: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        value = json.loads(content)
        if isinstance(value, dict):
            return value
    return {}


def _translated(status: int, body: dict[str, Any], model: Model) -> Refused:
    """The refusal in ModelScope's words for another server's failure."""
    error = body.get("error")
    told: dict[str, Any] = error if isinstance(error, dict) else body
    message = str(told.get("message") or error or f"the upstream server answered {status}")
    if "context" in f"{message} {told.get('type')}" and status in (400, 413, 500):
        return Refused(refuse("context_length", window=told.get("n_ctx") or model.window))
    if status in (400, 422):
        return Refused(refuse("invalid_parameter", detail=message))
    name = {404: "no_provider", 429: "throttled", 503: "unavailable"}.get(status, "server_error")
    return Refused(refuse(name, model=model.id))
