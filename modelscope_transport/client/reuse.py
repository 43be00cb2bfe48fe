"""Calls that need not be made: the same is on its way already, or was answered before.

Laws of this file: both are done on request only. Whoever waits for another's call waits no longer
than his own deadline, and takes over when the other gives up.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from msgspec.structs import replace

from .._wire.failure_table import Kind, shape_rows
from .._wire.failures import Verdict
from .._wire.stream_decoder import StreamDecoder
from ..errors import ErrorDetails, ModelScopeError
from ..types import ChatDelta, ChatRequest, ChatResult
from .response_cache import ResponseCache, key_of

__all__ = ["Saving", "Singleflight"]

T = TypeVar("T")

_singleflight: weakref.WeakSet[Singleflight] = weakref.WeakSet()


def _after_fork() -> None:
    for singleflight in list(_singleflight):
        singleflight.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Singleflight:
    """The calls on their way, by their names. A call that its caller gave up ends in ``None``."""

    def __init__(self) -> None:
        self.begin_anew()
        _singleflight.add(self)

    def begin_anew(self) -> None:
        """In a forked child nobody will ever answer what the parent has asked."""
        self._lock = threading.Lock()
        self._on_their_way: dict[bytes, Future[ChatResult | None]] = {}

    def join(self, key: bytes) -> tuple[Future[ChatResult | None], bool]:
        """The call of that name, and whether the caller is the one who has to make it."""
        with self._lock:
            there = self._on_their_way.get(key)
            if there is not None:
                return there, False
            mine: Future[ChatResult | None] = Future()
            self._on_their_way[key] = mine
            return mine, True

    def finish(
        self,
        key: bytes,
        call: Future[ChatResult | None],
        answer: ChatResult | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Tell those who wait what came of it."""
        with self._lock:
            self._on_their_way.pop(key, None)
        if isinstance(error, ModelScopeError):
            call.set_exception(error)
        else:
            call.set_result(answer)


class Saving:
    """What one client saves.

    Args:
        singleflight: where identical calls meet; ``None`` where they do not.
        cache: where answers are kept; ``None`` for nowhere.
        around: what decides an answer beside the request.
        timeout: deadline of a call that names none, in seconds.
    """

    def __init__(
        self,
        singleflight: Singleflight | None,
        cache: ResponseCache | None,
        around: tuple[Any, ...],
        timeout: float,
    ) -> None:
        self._singleflight = singleflight
        self._cache = cache
        self._around = around
        self._timeout = timeout

    # --- sync -----------------------------------------------------------------------------

    def chat(self, request: ChatRequest, ask: Callable[[ChatRequest], ChatResult]) -> ChatResult:
        """Answer a request, by asking only where that is needed."""
        key = key_of(request, *self._around)
        found = self.find(key)
        if found is not None:
            return found
        if self._singleflight is None or key is None or _runs_loop():
            return self.keep(key, request, ask(request))
        deadline = self._deadline(request)
        while True:
            call, is_mine = self._singleflight.join(key)
            if is_mine:
                try:
                    answer = self.keep(key, request, ask(request))
                except BaseException as error:
                    self._singleflight.finish(key, call, error=error)
                    raise
                self._singleflight.finish(key, call, answer)
                return answer
            try:
                shared = call.result(max(0.0, deadline - time.monotonic()))
            except FutureTimeoutError:
                raise _too_late(request) from None
            except ModelScopeError as error:
                raise _again(error) from None
            if shared is not None:
                return shared

    def find(self, key: bytes | None) -> ChatResult | None:
        """An answer that was kept."""
        if self._cache is None or key is None:
            return None
        found = self._cache.find(key)
        if found is None or found.origin is None:
            return None
        return replace(found, origin=replace(found.origin, attempts=0, adjustments=(_KEPT,)))

    def find_for(self, request: ChatRequest) -> ChatResult | None:
        """An answer that was kept for a request."""
        return self.find(key_of(request, *self._around))

    def keep(self, key: bytes | None, request: ChatRequest, answer: ChatResult) -> ChatResult:
        """Keep an answer, if it is whole and that of the model asked."""
        whole = all(choice.finish_reason for choice in answer.choices)
        own = answer.origin is not None and answer.origin.model == request.model
        if self._cache is not None and key is not None and whole and own:
            self._cache.keep(key, answer)
        return answer

    def keeping(
        self, request: ChatRequest, deltas: Iterator[ChatDelta], reader: StreamDecoder
    ) -> Iterator[ChatDelta]:
        """The deltas of a stream, which is kept when it has been read to its end."""
        yield from deltas
        self.keep(key_of(request, *self._around), request, reader.result())

    # --- async: the same, with await ------------------------------------------------------

    async def achat(
        self, request: ChatRequest, ask: Callable[[ChatRequest], Awaitable[ChatResult]]
    ) -> ChatResult:
        """`chat`, for an event loop."""
        key = key_of(request, *self._around)
        found = await self._off_loop(self.find, key)
        if found is not None:
            return found
        if self._singleflight is None or key is None:
            return await self._off_loop(self.keep, key, request, await ask(request))
        deadline = self._deadline(request)
        while True:
            call, is_mine = self._singleflight.join(key)
            if is_mine:
                try:
                    answer = await self._off_loop(self.keep, key, request, await ask(request))
                except BaseException as error:
                    self._singleflight.finish(key, call, error=error)
                    raise
                self._singleflight.finish(key, call, answer)
                return answer
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    # Shielded: whoever stops waiting must not end the call for the others.
                    shared = await asyncio.shield(asyncio.wrap_future(call))
            except TimeoutError:
                raise _too_late(request) from None
            except ModelScopeError as error:
                raise _again(error) from None
            if shared is not None:
                return shared

    async def afind_for(self, request: ChatRequest) -> ChatResult | None:
        """`find_for`, for an event loop."""
        return await self._off_loop(self.find_for, request)

    async def akeeping(
        self, request: ChatRequest, deltas: AsyncIterator[ChatDelta], reader: StreamDecoder
    ) -> AsyncIterator[ChatDelta]:
        """`keeping`, for an event loop."""
        async for delta in deltas:
            yield delta
        key = key_of(request, *self._around)
        await self._off_loop(self.keep, key, request, reader.result())

    # --- underneath -----------------------------------------------------------------------

    async def _off_loop(self, work: Callable[..., T], *given: Any) -> T:
        if self._cache is not None and self._cache.blocking:
            return await asyncio.to_thread(work, *given)
        return work(*given)

    def _deadline(self, request: ChatRequest) -> float:
        timeout = self._timeout if request.timeout is None else request.timeout
        return time.monotonic() + min(timeout, 7 * 86400.0)


_KEPT = "The answer was kept from an earlier call."


def _runs_loop() -> bool:
    """Whether this thread runs an event loop, which may itself be making the call."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _too_late(request: ChatRequest) -> ModelScopeError:
    row = shape_rows()["timed_out"]
    details = ErrorDetails(
        reason=row.name, model=request.model, server_message="the same call was on its way"
    )
    return Verdict(kind=Kind.FINAL, row=row, details=details).error(attempts=0)


def _again(error: ModelScopeError) -> ModelScopeError:
    """The same error anew: one that several raise would collect all their tracebacks."""
    return type(error)(str(error), details=error.details)
