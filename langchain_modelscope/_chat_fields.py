"""The fields of the chat model: what a request may say, and how its answer is given.

All of them are arguments of the constructor; those that are fields of a `ChatRequest` are arguments
of a call as well, where they win.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from modelscope_transport.types import ChatRequest

from ._argument_table import CHAT, Argument
from ._arguments import read_call
from ._connection import Connection
from .errors import native_errors

__all__ = ["OPTIONS", "ChatFields"]


class ChatFields(Connection, defer_build=True):  # only its subclasses are made
    """What can be set of a chat model, beside what LangChain adds."""

    _words: ClassVar[Mapping[str, Argument]] = CHAT

    temperature: float | None = None
    """Randomness of the answer, 0 to 2."""

    top_p: float | None = None
    """Nucleus sampling, above 0 up to 1."""

    top_k: int | None = None
    """How many of the likeliest tokens are sampled from; at least 1, -1 for all."""

    min_p: float | None = None
    """Least probability of a token, relative to the likeliest one's; 0 to 1."""

    max_tokens: int | None = None
    """Longest answer, in tokens, thoughts included; also accepted as ``max_completion_tokens``."""

    stop: list[str] | str | None = None
    """Texts that end the answer; also accepted as ``stop_sequences``."""

    seed: int | None = None
    """Seed of the sampling."""

    n: int | None = None
    """How many answers; more than one are not streamed, and ``stream`` gives the first, whole."""

    presence_penalty: float | None = None
    """Above 0 makes tokens that have occurred less likely; -2 to 2."""

    frequency_penalty: float | None = None
    """Above 0 makes tokens less likely the more often they have occurred; -2 to 2."""

    repetition_penalty: float | None = None
    """Above 0; above 1 makes repetition less likely."""

    logit_bias: dict[int | str, float] | None = None
    """What is added to the score of a token, by its id; -100 to 100."""

    logprobs: bool | None = None
    """Whether to send log probabilities, in ``response_metadata["logprobs"]``."""

    top_logprobs: int | None = None
    """Alternatives per token, 0 to 20."""

    reasoning_effort: str | None = None
    """How long to think: ``"low"``, ``"medium"``, ``"high"`` or another word that the model knows.
    """

    enable_thinking: bool | None = None
    """Switches the thoughts of a model that can do both."""

    thinking_budget: int | None = None
    """Longest thoughts, in tokens."""

    send_reasoning: bool | None = None
    """Whether the thoughts of earlier answers go back to the model: ``True`` all, ``False`` none,
    ``None`` what its profile asks for (those of answers that call tools, or none)."""

    think_tags: bool = False
    """Whether a text that begins with ``<think>`` is read as thoughts up to ``</think>``."""

    promote_reasoning_only: bool = False
    """Whether the thoughts become the text of an answer that has no other text."""

    streaming: bool | None = None
    """Whether ``invoke`` streams too, so that callbacks see every token; ``False`` streams never.
    """

    stream_usage: bool = True
    """Whether a stream ends with its token usage."""

    include_response_headers: bool = False
    """Whether ``response_metadata["headers"]`` holds the reply's headers of limits, waits, ids."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Defaults of call arguments. A field of the request that has no argument here goes into
    ``extra_body``."""

    @model_validator(mode="after")
    def _read_model_kwargs(self) -> Self:
        with native_errors():
            self.__dict__["model_kwargs"] = dict(read_call(self.model_kwargs, "model_kwargs"))
        return self


# Fields of the same name as in a ChatRequest.
OPTIONS = tuple(
    name
    for name in ChatFields.model_fields
    if name in ChatRequest.__struct_fields__ and name != "model"
)
