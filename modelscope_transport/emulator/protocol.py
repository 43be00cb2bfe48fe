"""The shapes of good answers, as recorded on the wire of ModelScope API-Inference.

Where the shapes come from:

- a reply in one piece: recorded 2025-09-27 with Qwen3-Coder-480B (``delta`` and ``message`` in one
  choice, nulls for everything unused, ``created`` in milliseconds);
- a stream: recorded 2026-09 and 2026-10 (a dummy ``usage`` on every chunk, the real one in a
  trailing chunk without choices and only when asked for; the first chunk of a tool call holds its
  id and the start of its arguments);
- the empty shell: ``modelscope/modelscope#1801`` (2026-09-18), also seen without ``messages``
  (2026-10-04);
- ``GET /v1/models``: recorded 2026-10-04 (``object`` of an entry is an empty string).
"""

from __future__ import annotations

import base64
import struct
import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from modelscope_transport.emulator.answers import DONE, Event, Reply, Stream
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.engine import Piece, Pieces, ToolPiece, Usage

JSON = dict[str, Any]


def usage_json(usage: Usage) -> JSON:
    """Token usage; the details are null unless the model has thought."""
    details = {"reasoning_tokens": usage.reasoning} if usage.reasoning else None
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": None,
        "completion_tokens_details": details,
    }


# --- a reply in one piece


@dataclass(slots=True)
class _Choice:
    """What the pieces of one choice add up to."""

    text: str = ""
    reasoning: str = ""
    tools: dict[int, ToolPiece] = field(default_factory=dict)
    finish: str = "stop"
    logprobs: list[Any] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        self.text += piece.text
        self.reasoning += piece.reasoning
        self.finish = piece.finish or self.finish
        if piece.logprobs:
            self.logprobs += piece.logprobs["content"]
        if (tool := piece.tool) is not None:
            begun = self.tools.get(tool.index)
            self.tools[tool.index] = (
                replace(begun, arguments=begun.arguments + tool.arguments) if begun else tool
            )

    def json(self, index: int) -> JSON:
        return {
            "delta": {
                "content": "",
                "function_calls": None,
                "reasoning_content": "",
                "role": None,
                "tool_calls": None,
            },
            "finish_reason": self.finish,
            "index": index,
            "logprobs": {"content": self.logprobs} if self.logprobs else None,
            "message": {
                "annotations": None,
                "audio": None,
                "content": self.text,
                "function_call": None,
                "function_calls": None,
                "reasoning_content": self.reasoning,
                "refusal": None,
                "role": "assistant",
                "tool_calls": [tool_json(tool) for tool in self.tools.values()] or None,
            },
        }


async def completion(model: str, pieces: Pieces, now: float) -> Reply:
    """Put an answer's pieces together to one reply."""
    choices: dict[int, _Choice] = {}
    usage = Usage(0, 0)
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Usage):
                usage = piece
            else:
                choices.setdefault(piece.choice, _Choice()).add(piece)
    body = {
        "choices": [choice.json(index) for index, choice in sorted(choices.items())],
        "created": int(now * 1000),
        "id": f"chatcmpl-{uuid.uuid4()}",
        "model": model,
        "object": "chat.completion",
        "service_tier": None,
        "system_fingerprint": "",
        "usage": usage_json(usage),
    }
    return Reply(200, body)


def tool_json(tool: ToolPiece) -> JSON:
    """A tool call, or a part of one; the later parts have an empty id and a null name."""
    return {
        "function": {"arguments": tool.arguments, "name": tool.name},
        "id": tool.id or "",
        "index": tool.index,
        "type": "function",
    }


# --- a stream


async def chunks(
    model: str, pieces: Pieces, now: float, include_usage: bool
) -> AsyncGenerator[Event, None]:
    """Encode an answer's pieces as the chunks of a stream, ``[DONE]`` included."""
    frame = {
        "created": int(now * 1000),
        "id": f"chatcmpl-{uuid.uuid4()}",
        "model": model,
        "object": "chat.completion.chunk",
        "service_tier": None,
        "system_fingerprint": "",
    }
    begun: set[int] = set()
    ends: list[Piece] = []
    usage = Usage(0, 0)
    dummy = usage_json(usage)
    async with aclosing(_joined(pieces)) as joined:
        async for piece in joined:
            if isinstance(piece, Usage):
                usage = piece
                continue
            if piece.finish:
                ends.append(piece)  # its dummy usage holds the prompt's tokens, known at the end
                continue
            if piece.choice not in begun:
                begun.add(piece.choice)
                opening = _chunk_choice(Piece(choice=piece.choice), "assistant")
                yield {"choices": [opening], **frame, "usage": dummy}
            yield {"choices": [_chunk_choice(piece, None)], **frame, "usage": dummy}
    dummy = usage_json(Usage(usage.prompt, 0))
    for piece in ends:
        yield {"choices": [_chunk_choice(piece, None)], **frame, "usage": dummy}
    if include_usage:
        yield {"choices": [], **frame, "usage": usage_json(usage)}
    yield DONE


def _chunk_choice(piece: Piece, role: str | None) -> JSON:
    return {
        "delta": {
            "content": piece.text,
            "function_calls": None,
            "reasoning_content": piece.reasoning or None,
            "role": role,
            "tool_calls": [tool_json(piece.tool)] if piece.tool else None,
        },
        "finish_reason": piece.finish,
        "index": piece.choice,
        "logprobs": piece.logprobs,
    }


async def _joined(pieces: Pieces) -> Pieces:
    """Hold the first part of a tool call back until its arguments begin, as the service does."""
    head: ToolPiece | None = None
    choice = 0
    async with aclosing(pieces):
        async for piece in pieces:
            tool = piece.tool if isinstance(piece, Piece) else None
            if head is not None:
                if tool is not None and tool.index == head.index:
                    tool = replace(head, arguments=tool.arguments)
                    piece = Piece(tool=tool, choice=choice)
                else:
                    yield Piece(tool=head, choice=choice)
                head = None
            if isinstance(piece, Piece) and tool is not None and tool.id and not tool.arguments:
                head, choice = tool, piece.choice
            else:
                yield piece
    if head is not None:
        yield Piece(tool=head, choice=choice)


# --- nothing at all


def shell(stream: bool) -> Reply | Stream:
    """The 200 with nothing in it, which the service sends for many failures."""
    nothing = {
        "choices": None,
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "usage": {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0},
    }
    return Stream([nothing, DONE]) if stream else Reply(200, nothing)


# --- the other endpoints


def embeddings(model: str, vectors: Sequence[Sequence[float]], prompt: int, packed: bool) -> Reply:
    """Vectors as lists of numbers, or (``packed``) as base64 of little-endian 32-bit floats."""

    def written(vector: Sequence[float]) -> list[float] | str:
        if not packed:
            return list(vector)
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")

    data = [
        {"embedding": written(vector), "index": index, "object": "embedding"}
        for index, vector in enumerate(vectors)
    ]
    usage = {"completion_tokens": 0, "prompt_tokens": prompt, "total_tokens": prompt}
    body = {"created": 0, "data": data, "id": "", "model": model, "object": "list", "usage": usage}
    return Reply(200, body)


def model_list(models: Iterable[Model], now: float) -> Reply:
    """The list of models; it names no task, no price and no context window."""
    data = [
        {"created": int(now), "id": model.id, "object": "", "owned_by": "system"}
        for model in models
        if model.listed
    ]
    return Reply(200, {"data": data, "object": "list"})
