"""What the adapters hold: `Client` and `AsyncClient` over one base.

Making one does no I/O and builds no TLS context. Clients of the same token and address share what
is known of the account: spent pools, lessons about models, the retry budget.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Self

from msgspec.structs import replace

from .._wire.chat import Opening
from ..errors import InvalidRequestError
from ..types import (
    ChatRequest,
    ChatResult,
    EmbeddingRequest,
    EmbeddingResult,
)
from ._allowance_calls import AllowanceCalls, AsyncAllowanceCalls
from ._front import ClientFront
from ._task_calls import AsyncTaskCalls, TaskCalls
from .embedding_batches import Batches
from .streams import (
    AsyncChatStream,
    ChatStream,
    adeltas,
    deltas,
)

__all__ = ["AsyncClient", "Client"]

Progress = Callable[[int, int], None]


class Client(ClientFront, TaskCalls, AllowanceCalls):
    """A client of ModelScope API-Inference. Threads may share it.

    Args:
        api_key: the access token; else the first set variable of ``MODELSCOPE_API_KEY``,
            ``MODELSCOPE_SDK_TOKEN``, ``MODELSCOPE_API_TOKEN``, ``MODELSCOPE_ACCESS_TOKEN``.
        base_url: address of the service; else ``MODELSCOPE_API_BASE``, ``MODELSCOPE_BASE_URL``,
            else ``https://api-inference.modelscope.cn/v1``.
        timeout: total deadline of a call in seconds: waits, retries and the stream included.
        max_retries: further attempts after the first, for what a moment may heal.
        proxy: address of a proxy, ``"none"`` for none; by default what the environment says.
        default_headers: further headers of every request.
        image_tasks: images in the making at once; the service has been seen to refuse a second
            (piexian/astrbot_plugin_gemini_image_generation#99).
        ledger: where is counted what is spent, by its name: ``"memory"``, ``"off"``, a file, the
            address of a Redis; or a `Ledger`; ``None`` is ``"off"``. By default
            ``MODELSCOPE_LEDGER``, else a file that all processes of a user share.
        budget: limits of your own, beyond which calls are refused without a request.
        concurrency: calls to one model at once, of all clients of this account in this process: a
            number, ``None`` for any, ``"adaptive"`` to find out how many the service takes.
        platforms: services to turn to, at your own cost, when the allowance is spent.
        account: a name for the account, where several of its tokens are in use, so that they are
            counted as one.
        merge: whether identical calls that are on their way at the same time are made once.
            Streams are not: who reads one sets its pace and may leave it in the middle, so others
            cannot hang on it. With a cache, a stream that was read to its end serves the next one.
        cache: where answers are kept, streamed ones included, for the next time the same is asked.
        http_client: an ``httpx.Client`` to send through instead of the shared connections.
        http_async_client: an ``httpx.AsyncClient``, likewise, for `aio`.

    Raises:
        ConfigurationError: no token, or something that cannot be sent.
    """

    @functools.cached_property
    def aio(self) -> AsyncClient:
        """The same client for event loops."""
        client = AsyncClient.__new__(AsyncClient)
        client._core = self._core
        return client

    def chat(self, request: ChatRequest) -> ChatResult:
        """Ask, and wait for the whole answer.

        A model that only answers streamed calls is asked for a stream, which is joined here.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        saving = self._core.saving
        return self._chat(request) if saving is None else saving.chat(request, self._chat)

    def _chat(self, request: ChatRequest) -> ChatResult:
        core = self._core
        flow, deadline = core.begin(request, "chat", stream=False)
        handover, exchange = core.driver.drive(flow, deadline, request.extra_headers)
        value = handover.value
        if isinstance(value, Opening) and exchange is not None:
            reader = core.reader(handover, exchange)
            for _ in deltas(exchange, reader):
                pass
            return reader.result()
        answer: ChatResult = replace(value, origin=handover.origin)
        return answer

    def stream_chat(self, request: ChatRequest) -> ChatStream:
        """Ask, and get the answer as it comes. Returns once the stream has begun well.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        core, saving = self._core, self._core.saving
        kept = None if saving is None else saving.find_for(request)
        if kept is not None:
            return ChatStream.of_whole(kept)
        flow, deadline = core.begin(request, "chat", stream=True)
        handover, exchange = core.driver.drive(flow, deadline, request.extra_headers)
        value = handover.value
        if isinstance(value, Opening) and exchange is not None:
            reader = core.reader(handover, exchange)
            pieces = deltas(exchange, reader)
            if saving is not None:
                pieces = saving.keeping(request, pieces, reader)
            return ChatStream(pieces, exchange.close, reader)
        return ChatStream.of_whole(replace(value, origin=handover.origin))

    def embed(
        self,
        request: EmbeddingRequest,
        *,
        concurrency: int = 1,
        on_progress: Progress | None = None,
    ) -> EmbeddingResult:
        """Embed texts, in as few requests as the service takes.

        Args:
            request: the texts.
            concurrency: requests in flight at once; the service promises one
                (official documentation, limits page as of 2026-08-22).
            on_progress: called with distinct texts done and distinct texts in all.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`; no vectors are
                returned unless all are.
        """
        batches = self._core.batches(request)
        total = len(set(request.texts))

        def work() -> None:
            try:
                while (batch := batches.take()) is not None:
                    self._embed_batch(request, batch, batches)
                    if on_progress is not None:
                        on_progress(batches.done, total)
            except BaseException:
                batches.drop()  # after a failure nobody begins another one
                raise

        workers = min(concurrency, len(batches))
        if workers <= 1:
            work()
        else:
            with ThreadPoolExecutor(workers, thread_name_prefix="modelscope-embed") as pool:
                futures = [pool.submit(work) for _ in range(workers)]
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()
        return batches.result()

    def _embed_batch(
        self, request: EmbeddingRequest, batch: tuple[str, ...], batches: Batches
    ) -> None:
        core = self._core
        flow, deadline = core.begin(replace(request, texts=batch), "embedding", stream=False)
        try:
            handover, _ = core.driver.drive(flow, deadline, request.extra_headers)
        except InvalidRequestError as error:
            if not core.too_large(error, request, batch):
                raise
            core.account.book.learn(request.model, embedding_batch=batches.split(batch))
            return
        batches.add(batch, replace(handover.value, origin=handover.origin))

    def close(self) -> None:
        """Close the idle connections to this address; a later call opens new ones."""
        self._core.driver.close()

    def __enter__(self) -> Self:
        """Use the client in a ``with`` block."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the idle connections."""
        self.close()


class AsyncClient(ClientFront, AsyncTaskCalls, AsyncAllowanceCalls):
    """`Client` for event loops: the same arguments, errors and shared state.

    One object serves any number of event loops, one after another or in several threads.
    """

    async def chat(self, request: ChatRequest) -> ChatResult:
        """As `Client.chat`."""
        saving = self._core.saving
        if saving is None:
            return await self._chat(request)
        return await saving.achat(request, self._chat)

    async def _chat(self, request: ChatRequest) -> ChatResult:
        core = self._core
        flow, deadline = core.begin(request, "chat", stream=False)
        handover, exchange = await core.driver.adrive(flow, deadline, request.extra_headers)
        value = handover.value
        if isinstance(value, Opening) and exchange is not None:
            reader = core.reader(handover, exchange)
            async for _ in await adeltas(exchange, reader):
                pass
            return reader.result()
        answer: ChatResult = replace(value, origin=handover.origin)
        return answer

    async def stream_chat(self, request: ChatRequest) -> AsyncChatStream:
        """As `Client.stream_chat`."""
        core, saving = self._core, self._core.saving
        kept = None if saving is None else await saving.afind_for(request)
        if kept is not None:
            return AsyncChatStream.of_whole(kept)
        flow, deadline = core.begin(request, "chat", stream=True)
        handover, exchange = await core.driver.adrive(flow, deadline, request.extra_headers)
        value = handover.value
        if isinstance(value, Opening) and exchange is not None:
            reader = core.reader(handover, exchange)
            pieces = await adeltas(exchange, reader)
            if saving is not None:
                pieces = saving.akeeping(request, pieces, reader)
            return AsyncChatStream(pieces, exchange.aclose, reader)
        return AsyncChatStream.of_whole(replace(value, origin=handover.origin))

    async def embed(
        self,
        request: EmbeddingRequest,
        *,
        concurrency: int = 1,
        on_progress: Progress | None = None,
    ) -> EmbeddingResult:
        """As `Client.embed`. The first failure stops the other requests."""
        batches = self._core.batches(request)
        total = len(set(request.texts))

        async def work() -> None:
            while (batch := batches.take()) is not None:
                await self._embed_batch(request, batch, batches)
                if on_progress is not None:
                    on_progress(batches.done, total)

        workers = min(concurrency, len(batches))
        if workers <= 1:
            await work()
        else:
            tasks = [asyncio.create_task(work()) for _ in range(workers)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return batches.result()

    async def _embed_batch(
        self, request: EmbeddingRequest, batch: tuple[str, ...], batches: Batches
    ) -> None:
        core = self._core
        flow, deadline = core.begin(replace(request, texts=batch), "embedding", stream=False)
        try:
            handover, _ = await core.driver.adrive(flow, deadline, request.extra_headers)
        except InvalidRequestError as error:
            if not core.too_large(error, request, batch):
                raise
            core.account.book.learn(request.model, embedding_batch=batches.split(batch))
            return
        batches.add(batch, replace(handover.value, origin=handover.origin))

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        await self._core.driver.aclose()

    async def __aenter__(self) -> Self:
        """Use the client in an ``async with`` block."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the idle connections of this event loop."""
        await self.aclose()
