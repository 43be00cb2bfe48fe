"""Core's decorators, which announce each call to callbacks and traces, with the types they keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

__all__ = ["chat_events", "completion_events"]

_Call = TypeVar("_Call", bound=Callable[..., Any])

if TYPE_CHECKING:
    # Core's decorators are typed to return a bare Callable, so that the type of every decorated
    # call would be Any.
    def chat_events(call: _Call, /) -> _Call:
        """Announce a chat."""

    def completion_events(call: _Call, /) -> _Call:
        """Announce a completion."""

else:
    chat_events = llm_chat_callback()
    completion_events = llm_completion_callback()
