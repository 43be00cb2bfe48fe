"""Takes down whatever core announces of a call: spans, events, callbacks, the rate limiter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.callbacks import CBEventType
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.rate_limiter import BaseRateLimiter
from pydantic import PrivateAttr


@dataclass
class Seen:
    """What was announced of the calls of one test."""

    spans: dict[str, list[str]] = field(default_factory=dict)  # id -> enter, then exit or drop
    events: list[BaseEvent] = field(default_factory=list)
    callbacks: dict[str, list[Any]] = field(default_factory=dict)  # id -> start, then payload
    acquired: int = 0

    def spans_of(self, *methods: str) -> list[list[str]]:
        """Lives of these methods' spans: ``["enter", "exit"]``, or drop in its place."""
        return [life for id_, life in self.spans.items() if method_of(id_) in methods]

    def kinds_of(self, method: str) -> list[str]:
        """Names of the events of a method's spans, but for those of each piece of a stream."""
        names = [
            type(event).__name__ for event in self.events if method_of(event.span_id) == method
        ]
        return [name for name in names if not name.endswith("InProgressEvent")]


def method_of(span_id: str | None) -> str:
    """``"ModelScope.chat"``."""
    return (span_id or "").partition("-")[0]


class SpanWitness(BaseSpanHandler[Any]):
    _seen: Seen = PrivateAttr()

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def new_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self._seen.spans[id_] = ["enter"]

    def prepare_to_exit_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self._seen.spans[id_].append("exit")

    def prepare_to_drop_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self._seen.spans[id_].append("drop")


class EventWitness(BaseEventHandler):
    _seen: Seen = PrivateAttr()

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self._seen.events.append(event)


class CallbackWitness(BaseCallbackHandler):
    def __init__(self, seen: Seen) -> None:
        super().__init__([], [])
        self.seen = seen

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        if event_type in (CBEventType.LLM, CBEventType.EMBEDDING):
            self.seen.callbacks[event_id] = ["start"]
        return event_id

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        **kwargs: Any,
    ) -> None:
        if event_type in (CBEventType.LLM, CBEventType.EMBEDDING):
            self.seen.callbacks[event_id].append(payload or {})

    def start_trace(self, trace_id: str | None = None) -> None: ...

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None: ...


class LimiterWitness(BaseRateLimiter):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def acquire(self, num_tokens: int = 0) -> None:
        self.seen.acquired += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.seen.acquired += 1


@contextmanager
def watching() -> Iterator[Seen]:
    """Take down what is announced meanwhile."""
    seen = Seen()
    root = get_dispatcher()
    span_handlers, event_handlers = root.span_handlers, root.event_handlers
    root.span_handlers = [*span_handlers, SpanWitness(seen)]
    root.event_handlers = [*event_handlers, EventWitness(seen)]
    try:
        yield seen
    finally:
        root.span_handlers, root.event_handlers = span_handlers, event_handlers
