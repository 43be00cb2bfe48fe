"""What is believed, where it stands, and how a reply settles it.

A fact stands where ``concerns`` says: in a row of data, or in a sample whose confidence is not
``seen``. Its ``look`` gets the replies of its experiment, and says whether they confirm it
(``True``), contradict it (``False``) or leave it open (``None``), and what was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from live.asking import Seen, Service

__all__ = [
    "CHAT",
    "PARALLEL",
    "SAMPLES",
    "TOOLS",
    "Answer",
    "Experiment",
    "Fact",
    "choices",
    "pieces",
    "said",
]

Answer = tuple[bool | None, str]


@dataclass(frozen=True)
class Fact:
    """One belief.

    Attributes:
        concerns: file, and the row in it after ``#``.
        believed: the belief, in a sentence.
        look: how replies settle it.
    """

    concerns: str
    believed: str
    look: Callable[[list[Any]], Answer]


@dataclass(frozen=True)
class Experiment:
    """Some requests, and the facts that they settle.

    Attributes:
        title: what is asked.
        run: sends the requests; gives what ``look`` wants, mostly a list of `Seen`.
        facts: what is looked for.
        kind: which of the service's models is asked.
        calls: how many paid requests it takes at most.
    """

    title: str
    run: Callable[[Service], list[Any]]
    facts: tuple[Fact, ...]
    kind: str = "chat"
    calls: int = 0


# --- what experiments share

CHAT = "/chat/completions"
SAMPLES = "tests/samples/"
PARALLEL = "Call both tools, in one turn: what are the weather and the time in Hangzhou?"


def said(text: str, **more: Any) -> dict[str, Any]:
    """The body of a short question."""
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 400, **more}


def _tool(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    about = {"name": name, "description": f"Tells the {name} of a city.", "parameters": schema}
    return {"type": "function", "function": about}


TOOLS = [_tool("weather"), _tool("time")]


def choices(seen: Seen) -> list[dict[str, Any]]:
    """The choices of all chunks of a stream."""
    return [choice for chunk in seen.chunks for choice in chunk.get("choices") or ()]


def pieces(seen: Seen) -> list[dict[str, Any]]:
    """The pieces of tool calls in a stream."""
    calls = [(choice.get("delta") or {}).get("tool_calls") for choice in choices(seen)]
    return [piece for call in calls for piece in call or ()]
