"""Calls that need not be made: an equal one is on its way already, or was answered before.

Laws of this file: both are done only where the user asks for it. A caller that waits for another's
call waits no longer than its own deadline, and makes the call itself when the other gives up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from msgspec.structs import replace

from .._forks import begin_anew_in_child
from .._wire.failures import no_answer
from .._wire.stream_decoder import StreamDecoder
from ..answers import ChatDelta, ChatResult
from ..errors import ModelScopeError
from ..language import marked as _N
from ..language import translated as _
from ..types import ChatRequest
from .options import checked_timeout
from .response_cache import ResponseCache, key_of

__all__ = ["Reuse", "ReuseRules", "Singleflight", "late", "raised_anew"]


# What comes of a call; ``None`` where its caller gave it up. An error is a value here: of one that
# is raised when nobody waits any more, asyncio logs that it was never retrieved.
_Outcome = ChatResult | ModelScopeError | None


class Singleflight:
    """The calls on their way, by their keys."""

    def __init__(self) -> None:
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """In a forked child no one will ever answer what the parent has asked."""
        self._lock = threading.Lock()
        self._calls: dict[bytes, Future[_Outcome]] = {}

    def join(self, key: bytes) -> tuple[Future[_Outcome], bool]:
        """The call of that key, and whether the caller is the one who has to make it."""
        with self._lock:
            there = self._calls.get(key)
            if there is not None:
                return there, False
            mine: Future[_Outcome] = Future()
            self._calls[key] = mine
            return mine, True

    def finish(
        self,
        key: bytes,
        call: Future[_Outcome],
        answer: ChatResult | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Give the callers that wait what came of it."""
        with self._lock:
            self._calls.pop(key, None)
        call.set_result(error if isinstance(error, ModelScopeError) else answer)


class ReuseRules:
    """What is reused and for how long; sync and async share it.

    Args:
        singleflight: where identical calls meet; ``None`` where they do not.
        cache: where answers are kept; ``None`` for nowhere.
        around: what decides an answer beside the request, such as the address.
        terms: what else has to be equal before one call serves two callers, such as the number of
            retries: they then share its error, or the answer of a model that it fell back to.
        timeout: deadline of a call that names none, in seconds.
    """

    def __init__(
        self,
        singleflight: Singleflight | None,
        cache: ResponseCache | None,
        around: tuple[Any, ...],
        terms: tuple[Any, ...],
        timeout: float,
    ) -> None:
        self._singleflight = singleflight
        self._cache = cache
        self._around = around
        self._terms = terms
        self._timeout = timeout

    def _key(self, request: ChatRequest) -> bytes | None:
        return key_of(request, *self._around)

    def _call_key(self, request: ChatRequest) -> bytes | None:
        """The name of a call: that of its request, and of the terms on which it is made."""
        terms = self._terms, self._seconds(request), request.fallback_models
        return key_of(request, *self._around, terms)

    def _found(self, request: ChatRequest) -> ChatResult | None:
        if self._cache is None or (key := self._key(request)) is None:
            return None
        found = self._cache.find(key)
        if found is None or found.origin is None:
            return None
        return replace(found, origin=replace(found.origin, attempts=0, adjustments=(_(_KEPT),)))

    def _keep(self, request: ChatRequest, answer: ChatResult) -> ChatResult:
        """Keep an answer, if it is whole and that of the model asked."""
        if self._cache is None or (key := self._key(request)) is None:
            return answer
        whole = all(choice.finish_reason for choice in answer.choices)
        own = answer.origin is not None and answer.origin.model == request.model
        if whole and own:
            self._cache.keep(key, answer)
        return answer

    def _seconds(self, request: ChatRequest) -> float:
        return self._timeout if request.timeout is None else checked_timeout(request.timeout)

    def _deadline(self, request: ChatRequest) -> float:
        return time.monotonic() + self._seconds(request)


class Reuse(ReuseRules):
    """What one client reuses, sync."""

    def chat(self, request: ChatRequest, ask: Callable[[ChatRequest], ChatResult]) -> ChatResult:
        """Answer a request, by asking only where that is needed."""
        found = self.find(request)
        if found is not None:
            return found
        key = self._call_key(request)
        if self._singleflight is None or key is None or _runs_loop():
            return self.keep(request, ask(request))
        deadline = self._deadline(request)
        while True:
            call, is_mine = self._singleflight.join(key)
            if is_mine:
                try:
                    answer = self.keep(request, ask(request))
                except BaseException as error:
                    self._singleflight.finish(key, call, error=error)
                    raise
                self._singleflight.finish(key, call, answer)
                return answer
            try:
                shared = call.result(max(0.0, deadline - time.monotonic()))
            except FutureTimeoutError:
                raise late(request) from None
            if isinstance(shared, ModelScopeError):
                raise raised_anew(shared)
            if shared is not None:
                return shared

    def find(self, request: ChatRequest) -> ChatResult | None:
        """An answer that was kept for a request."""
        return self._found(request)

    def keep(self, request: ChatRequest, answer: ChatResult) -> ChatResult:
        """Keep an answer, and return it."""
        return self._keep(request, answer)

    def keeping(
        self, request: ChatRequest, deltas: Iterator[ChatDelta], decoder: StreamDecoder
    ) -> Iterator[ChatDelta]:
        """The deltas of a stream, which is kept when it has been read to its end."""
        yield from deltas
        self.keep(request, decoder.result())


_KEPT = _N("The answer was kept from an earlier call.")


def _runs_loop() -> bool:
    """Whether this thread runs an event loop, which may itself be making the call."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def late(request: ChatRequest) -> ModelScopeError:
    """The error for a caller whose deadline passed while another made the same call."""
    cause = _("the same call was on its way")
    return no_answer("timed_out", request.model, cause).error(attempts=0)


def raised_anew(error: ModelScopeError) -> ModelScopeError:
    """A copy of an error: one that several callers raise would collect all their tracebacks."""
    return type(error)(*error.args, details=error.details)
