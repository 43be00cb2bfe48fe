"""Our messages as LangChain's standard content blocks.

A provider without a translator gets best-effort parsing, which loses tool calls beside text and,
in streams of ``output_version="v1"``, merges blocks of different kinds that share a number. Hence
the indices: text that names the block, so that pieces of one block find each other and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.block_translators import register_translator

__all__ = ["register_blocks"]


def register_blocks(provider: str) -> None:
    """Make LangChain read the content blocks of the provider's messages with this module."""
    register_translator(provider, _of_message, _of_chunk)


def _of_message(message: AIMessage) -> list[Any]:
    calls = [*map(_call, message.tool_calls), *map(_invalid_call, message.invalid_tool_calls)]
    return [*_said(message, indexed=False), *calls]


def _of_chunk(chunk: AIMessageChunk) -> list[Any]:
    if chunk.chunk_position == "last":  # a finished sum of chunks
        return _of_message(chunk)
    calls = [
        {
            "type": "tool_call_chunk",
            "id": call["id"],
            "name": call["name"],
            "args": call["args"],
            "index": f"lc_tc_{call['index']}",
        }
        for call in chunk.tool_call_chunks
    ]
    return [*_said(chunk, indexed=True), *calls]


def _said(message: AIMessage, *, indexed: bool) -> Iterator[dict[str, Any]]:
    """Blocks of thoughts, text and refusal, in this order."""
    additional, content = message.additional_kwargs, message.content
    if not isinstance(content, str):
        raise NotImplementedError  # not a message of ours: LangChain then parses it itself
    said = (
        ("reasoning", additional.get("reasoning_content"), "lc_rs_0"),
        ("text", content, "lc_txt_0"),
        ("refusal", additional.get("refusal"), "lc_rf_0"),
    )
    for kind, text, index in said:
        if text:
            yield {"type": kind, kind: text, **({"index": index} if indexed else {})}


def _call(call: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": call["id"], "name": call["name"], "args": call["args"]}


def _invalid_call(call: Any) -> dict[str, Any]:
    return {
        "type": "invalid_tool_call",
        "id": call["id"],
        "name": call["name"],
        "args": call["args"],
        "error": call["error"],
    }
