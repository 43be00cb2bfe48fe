"""HTTP engines, each with the same two things to do: a whole reply, and a stream to its end.

Nothing is decoded and nothing is kept; both give the number of bytes of the body. Sync engines have
plain functions, the others coroutines. Every engine keeps its connections.
"""

from __future__ import annotations

import http.client
import importlib
import json
import ssl
import time
import urllib.parse
from contextlib import aclosing, closing

import aiohttp
import httpx

from benchmarks import stub

__all__ = ["Aiohttp", "AsyncHttpxClient", "HttpClient", "HttpxClient", "OurAsync", "OurSync"]

HEADERS = {"content-type": "application/json", "authorization": "Bearer ms-bench"}
# What the transport allows a call by default; an engine has to keep to it.
LIMITS = {"connect": 10.0, "read": 120.0, "write": 120.0, "pool": 10.0}
TOTAL = 600.0


def _body(streamed: bool) -> bytes:
    messages = [{"role": "user", "content": "Hello"}]
    return json.dumps({"model": stub.MODEL, "messages": messages, "stream": streamed}).encode()


_WHOLE, _STREAMED = _body(False), _body(True)


def _request(url: str, body: bytes) -> httpx.Request:
    limits = {"timeout": LIMITS, "deadline": time.monotonic() + TOTAL}
    return httpx.Request("POST", url, headers=HEADERS, content=body, extensions=limits)


class HttpClient:
    """``http.client`` of the standard library, with one connection."""

    def __init__(self, url: str) -> None:
        place = urllib.parse.urlsplit(url)
        self._path = f"{place.path}/chat/completions"
        self._connection = http.client.HTTPConnection(place.netloc)

    def _ask(self, body: bytes) -> http.client.HTTPResponse:
        self._connection.request("POST", self._path, body, HEADERS)
        return self._connection.getresponse()

    def call(self) -> int:
        """A whole reply."""
        return len(self._ask(_WHOLE).read())

    def stream(self) -> int:
        """A stream, as it comes."""
        reply, size = self._ask(_STREAMED), 0
        while data := reply.read1(65536):
            size += len(data)
        return size


class HttpxClient:
    """``httpx.Client``, or that of httpx2."""

    def __init__(self, url: str, module: str = "httpx") -> None:
        self._url = f"{url}/chat/completions"
        self._client = importlib.import_module(module).Client(trust_env=False)

    def call(self) -> int:
        """A whole reply."""
        return len(self._client.post(self._url, headers=HEADERS, content=_WHOLE).content)

    def stream(self) -> int:
        """A stream, as it comes."""
        with self._client.stream("POST", self._url, headers=HEADERS, content=_STREAMED) as reply:
            return sum(len(data) for data in reply.iter_bytes())


class OurSync:
    """The transport's sync engine, as the transport uses it."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        module = importlib.import_module("modelscope_transport.http.sync_engine")
        self._engine: httpx.BaseTransport = module.SyncEngine(ssl.create_default_context)

    def _ask(self, body: bytes) -> int:
        with closing(self._engine.handle_request(_request(self._url, body))) as reply:
            assert isinstance(reply.stream, httpx.SyncByteStream)
            return sum(len(data) for data in reply.stream)

    def call(self) -> int:
        """A whole reply."""
        return self._ask(_WHOLE)

    def stream(self) -> int:
        """A stream, as it comes."""
        return self._ask(_STREAMED)


class Aiohttp:
    """``aiohttp``, with one session and no limit of connections."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    async def _ask(self, body: bytes) -> aiohttp.ClientResponse:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return await self._session.post(self._url, data=body, headers=HEADERS)

    async def call(self) -> int:
        """A whole reply."""
        async with await self._ask(_WHOLE) as reply:
            return len(await reply.read())

    async def stream(self) -> int:
        """A stream, as it comes."""
        size = 0
        async with await self._ask(_STREAMED) as reply:
            async for data in reply.content.iter_any():
                size += len(data)
        return size

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()


class AsyncHttpxClient:
    """``httpx.AsyncClient``, or that of httpx2, with no limit of connections."""

    def __init__(self, url: str, module: str = "httpx") -> None:
        self._url = f"{url}/chat/completions"
        library = importlib.import_module(module)
        limits = library.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = library.AsyncClient(trust_env=False, limits=limits, timeout=TOTAL)

    async def call(self) -> int:
        """A whole reply."""
        reply = await self._client.post(self._url, headers=HEADERS, content=_WHOLE)
        return len(reply.content)

    async def stream(self) -> int:
        """A stream, as it comes."""
        size = 0
        async with self._client.stream(
            "POST", self._url, headers=HEADERS, content=_STREAMED
        ) as reply:
            async for data in reply.aiter_bytes():
                size += len(data)
        return size

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


class OurAsync:
    """The transport's async engine, as the transport uses it."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        module = importlib.import_module("modelscope_transport.http.async_engine")
        self._engine: httpx.AsyncBaseTransport = module.AsyncEngine(ssl.create_default_context)

    async def _ask(self, body: bytes) -> int:
        size = 0
        request = _request(self._url, body)
        async with aclosing(await self._engine.handle_async_request(request)) as reply:
            assert isinstance(reply.stream, httpx.AsyncByteStream)
            async for data in reply.stream:
                size += len(data)
        return size

    async def call(self) -> int:
        """A whole reply."""
        return await self._ask(_WHOLE)

    async def stream(self) -> int:
        """A stream, as it comes."""
        return await self._ask(_STREAMED)

    async def close(self) -> None:
        """Close its connections."""
        await self._engine.aclose()
