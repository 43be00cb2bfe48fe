"""What LangChain wants to know of a model before the first call: abilities and sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import ModelProfile
from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately

from modelscope_transport.catalogue import profile_for

__all__ = ["KnownProfile", "count_message_tokens", "count_tokens", "look_up"]


class KnownProfile(dict[str, Any]):
    """A profile that was looked up, not chosen by the user: another model needs another one."""


def look_up(model: str) -> ModelProfile:
    """LangChain's profile of a model; what is not known is left out.

    ``structured_output`` decides whether ``create_agent`` asks for a JSON schema itself or calls
    a tool for it, ``max_input_tokens`` when ``SummarizationMiddleware`` sums up.
    """
    known = profile_for(model)
    profile = KnownProfile(
        tool_calling=known.tool_calling,
        tool_choice=known.tool_calling
        and known.forced_tools != "no"
        and known.thinking != "always",
        structured_output=known.structured_output == "json_schema",
        pdf_inputs=False,
        image_outputs=False,
        audio_outputs=False,
        video_outputs=False,
    )
    if known.context_window is not None:
        profile["max_input_tokens"] = known.context_window
    if known.max_output_tokens is not None:
        profile["max_output_tokens"] = known.max_output_tokens
    if known.thinking is not None:
        profile["reasoning_output"] = known.thinking != "none"
    if known.inputs is not None:
        for kind in ("image", "audio", "video"):
            profile[f"{kind}_inputs"] = kind in known.inputs
        profile["image_url_inputs"] = "image" in known.inputs
    return profile  # type: ignore[return-value]  # a dictionary of these very keys


# --- tokens -----------------------------------------------------------------------------------


def count_tokens(text: str) -> int:
    """About how many tokens a text takes, without a tokenizer.

    Four characters of ASCII make a token, one and a half of any other script; the tokenizers of
    these models are not far from that in English and Chinese, and all of them are downloads.
    """
    plain = len(text.encode("ascii", "ignore"))
    return round(plain / 4 + (len(text) - plain) / 1.5)


def count_message_tokens(
    messages: Sequence[BaseMessage], tools: Any, count: Callable[[str], int]
) -> int:
    """About how many tokens a conversation takes, tool calls, images and tools included.

    Args:
        messages: the conversation.
        tools: schemas of tools, or ``None``.
        count: how many tokens a text takes.
    """
    text = "".join(message.text for message in messages)
    tokens = count(text)
    density = len(text) / tokens if tokens else 4.0
    return count_tokens_approximately(messages, chars_per_token=density, tools=tools)
