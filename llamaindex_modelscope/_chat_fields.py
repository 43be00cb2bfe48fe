"""The fields of the chat model: what is an option of every call, and what is known of the model."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from ._connected import ConnectedComponent

__all__ = ["CHAT_OPTIONS", "MERGED_OPTIONS", "ChatFields"]

# Fields that are options of every call.
CHAT_OPTIONS: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "max_tokens",
    "seed",
    "stop",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "reasoning_effort",
    "enable_thinking",
    "thinking_budget",
    "send_reasoning",
    "think_tags",
    "promote_reasoning_only",
    "fallback_models",
    "extra_body",
    "timeout",
)
# Those of them that are mappings, which a call adds to.
MERGED_OPTIONS: Final = ("extra_body", "extra_headers")


class ChatFields(ConnectedComponent, defer_build=True):  # only its subclasses are made
    """The part of `ModelScope` that is set at construction."""

    model: str = Field(description="Model ID, owner/name.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Randomness, 0 to 2; unset by default."
    )
    top_p: float | None = Field(
        default=None, ge=0, le=1, description="Nucleus sampling, above 0 up to 1."
    )
    top_k: int | None = Field(
        default=None, description="Among how many of the likeliest tokens to choose."
    )
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="Least probability, as a part of the likeliest's."
    )
    repetition_penalty: float | None = Field(
        default=None, gt=0, description="Above 1 repeats less; 1 is neutral."
    )
    frequency_penalty: float | None = Field(
        default=None,
        ge=-2,
        le=2,
        description="Above 0 makes tokens less likely the more often they have occurred; -2 to 2.",
    )
    presence_penalty: float | None = Field(
        default=None,
        ge=-2,
        le=2,
        description="Above 0 makes tokens that have occurred less likely; -2 to 2.",
    )
    max_tokens: int | None = Field(
        default=None, gt=0, description="Longest answer in tokens, thoughts included."
    )
    seed: int | None = Field(default=None, description="Seed of the sampling.")
    stop: str | list[str] | None = Field(default=None, description="Texts that end the answer.")
    logprobs: bool | None = Field(
        default=None, description="Whether to give the tokens' log probabilities."
    )
    top_logprobs: int | None = Field(
        default=None, ge=0, le=20, description="Alternatives of each token, with logprobs."
    )
    logit_bias: dict[int | str, float] | None = Field(
        default=None, description="Token IDs to what is added to their likelihood, -100 to 100."
    )
    reasoning_effort: str | None = Field(
        default=None, description='How much to think, where a model takes it: "low", "high", ….'
    )
    context_window: int | None = Field(
        default=None, description="Longest conversation in tokens, where the catalogue is wrong."
    )
    is_function_calling_model: bool | None = Field(
        default=None, description="Whether the model calls tools, where the catalogue is wrong."
    )
    enable_thinking: bool | None = Field(
        default=None, description="Switches the thoughts of a model that can do both."
    )
    thinking_budget: int | None = Field(default=None, description="Longest thoughts in tokens.")
    think_tags: bool = Field(
        default=False,
        description="Whether a text that begins with <think> is read as thoughts up to </think>.",
    )
    promote_reasoning_only: bool = Field(
        default=False,
        description="Whether the thoughts become the text of an answer that has no other text.",
    )
    send_reasoning: bool | None = Field(
        default=None,
        description="Whether earlier thoughts are sent back; by default as the profile says.",
    )
    fallback_models: list[str] = Field(
        default_factory=list,
        description="Models to ask when this one's allowance is spent or it was withdrawn.",
    )
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Further options of every call."
    )
    extra_body: dict[str, Any] | None = Field(
        default=None, description="Further fields of every request's body."
    )

    def __init__(self, **arguments: Any) -> None:
        """Make the object; see `ModelScope`."""
        super().__init__(**arguments)
