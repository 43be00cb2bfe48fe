"""One half of the floor: httpx, and the plainest reading of what it brings. Nothing is kept."""

from __future__ import annotations

import array
import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import orjson


class Raw:
    """Calls as short as they can be written.

    Args:
        url: base URL.
        body: what a chat call posts.
        loop: where the async calls run.
    """

    def __init__(self, url: str, body: Mapping[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._chat, self._embeddings = f"{url}/chat/completions", f"{url}/embeddings"
        self._body, self._streamed = body, {**body, "stream": True}
        self._loop = loop
        self._client = httpx.Client(trust_env=False)
        self._aclient = httpx.AsyncClient(trust_env=False)

    def call(self) -> Any:
        """One reply, read."""
        return orjson.loads(self._client.post(self._chat, json=self._body).content)

    def acall(self) -> Any:
        """`call`, async."""
        return self._loop.run_until_complete(self._acall())

    async def _acall(self) -> Any:
        return orjson.loads((await self._aclient.post(self._chat, json=self._body)).content)

    def stream(self) -> None:
        """All events of a stream, read."""
        rest = b""
        with self._client.stream("POST", self._chat, json=self._streamed) as reply:
            for data in reply.iter_bytes():
                *events, rest = (rest + data).split(b"\n\n")
                _read(events)

    def astream(self) -> None:
        """`stream`, async."""
        self._loop.run_until_complete(self._astream())

    async def _astream(self) -> None:
        rest = b""
        async with self._aclient.stream("POST", self._chat, json=self._streamed) as reply:
            async for data in reply.aiter_bytes():
                *events, rest = (rest + data).split(b"\n\n")
                _read(events)

    def embed(self, model: str, texts: Sequence[str], batch: int) -> None:
        """All texts, so many a request, as lists of numbers."""
        body: dict[str, Any] = {"model": model, "encoding_format": "base64"}
        for at in range(0, len(texts), batch):
            body["input"] = texts[at : at + batch]
            reply = orjson.loads(self._client.post(self._embeddings, json=body).content)
            for item in reply["data"]:
                array.array("f", base64.b64decode(item["embedding"])).tolist()


def _read(events: list[bytes]) -> None:
    for event in events:
        if event != b"data: [DONE]":
            orjson.loads(event[6:])
