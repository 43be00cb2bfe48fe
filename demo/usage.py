"""What the steps used, as the frameworks themselves report it to anybody who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index_instrumentation import get_dispatcher
from pydantic import Field


@dataclass(slots=True)
class Tally:
    """Chat calls that ended well, with their tokens; and texts embedded.

    Attributes:
        calls: Chat calls.
        prompt_tokens: Tokens read in them.
        completion_tokens: Tokens written in them.
        texts: Texts that were turned into vectors.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    texts: int = 0

    def add(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count one chat call."""
        self.calls += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens


@dataclass(frozen=True, slots=True)
class Usage:
    """One tally for each framework."""

    langchain: Tally = field(default_factory=Tally)
    llamaindex: Tally = field(default_factory=Tally)


@contextmanager
def counted() -> Iterator[Usage]:
    """Count what both frameworks do inside a ``with`` block."""
    usage = Usage()
    listening = _LANGCHAIN.set(_LangChainListener(usage.langchain))
    dispatcher = get_dispatcher()
    listener = _LlamaIndexListener(tally=usage.llamaindex)
    dispatcher.add_event_handler(listener)
    try:
        yield usage
    finally:
        _LANGCHAIN.reset(listening)
        dispatcher.event_handlers.remove(listener)


class _LangChainListener(BaseCallbackHandler):
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        generation = response.generations[0][0]
        message = generation.message if isinstance(generation, ChatGeneration) else None
        if isinstance(message, AIMessage):
            used = message.usage_metadata
            self._tally.add(*(used["input_tokens"], used["output_tokens"]) if used else (0, 0))


class _LlamaIndexListener(BaseEventHandler):
    tally: Tally = Field(exclude=True)

    @classmethod
    def class_name(cls) -> str:
        return "DemoUsageListener"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        if isinstance(event, EmbeddingEndEvent):
            self.tally.texts += len(event.chunks)
        elif isinstance(event, LLMChatEndEvent) and event.response is not None:
            used = (event.response.raw or {}).get("usage") or {}
            self.tally.add(used.get("prompt_tokens", 0), used.get("completion_tokens", 0))


_LANGCHAIN: ContextVar[_LangChainListener | None] = ContextVar("demo_usage", default=None)
register_configure_hook(_LANGCHAIN, inheritable=True)
