"""What can go wrong in a stream of events, and what is unusual there but right."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from modelscope_transport.emulator.answers import DONE, Event, Pause, encode_event
from modelscope_transport.emulator.failures import gateway, refuse
from modelscope_transport.emulator.scenarios.kinds import (
    Delta,
    Events,
    Scenario,
    Situation,
    on_chunks,
    on_deltas,
    on_events,
)

FOREVER = float("inf")
Source = AsyncIterator[Event]


# --- endings


async def _first(situation: Situation, events: Source, default: int = 3) -> Events:
    """The first chunks, never the one that finishes."""
    left = int(situation.number(default))
    async for event in events:
        if left <= 0 or _finishes(event):
            return
        left -= 1
        yield event


def _finishes(event: Event) -> bool:
    if not isinstance(event, dict):
        return event == DONE
    return any(choice.get("finish_reason") for choice in event.get("choices") or [])


async def _cut(situation: Situation, events: Source) -> Events:
    async for event in _first(situation, events):
        yield event


async def _cut_then_done(situation: Situation, events: Source) -> Events:
    async for event in _first(situation, events):
        yield event
    yield DONE


async def _stall(situation: Situation, events: Source) -> Events:
    """Stay silent after the first chunks: for good, or for the seconds of the argument."""
    seen = 0
    async for event in events:
        yield event
        seen += 1
        if seen == 3:
            yield Pause(situation.number(FOREVER))


async def _error_later(situation: Situation, events: Source) -> Events:
    async for event in _first(situation, events):
        yield event
    yield gateway("Internal server error")


async def _throttled_later(situation: Situation, events: Source) -> Events:
    async for event in _first(situation, events):
        yield event
    body = refuse("throttled", model=situation.model).body
    assert isinstance(body, dict)
    yield body


async def _no_done(situation: Situation, events: Source) -> Events:
    async for event in events:
        if event != DONE:
            yield event


async def _two_finishes(situation: Situation, events: Source) -> Events:
    async for event in events:
        yield event
        if isinstance(event, dict) and _finishes(event):
            yield event


# --- the form of the events


def _as_bytes(change: Any) -> Any:
    """Write each event as bytes that have been changed."""

    async def spoil(situation: Situation, events: Source) -> Events:
        async for event in events:
            step = encode_event(event)
            yield change(step) if isinstance(step, bytes) else step

    return on_events(spoil)


async def _byte_order_mark(situation: Situation, events: Source) -> Events:
    yield b"\xef\xbb\xbf"
    async for event in events:
        yield event


async def _bad_json(situation: Situation, events: Source) -> Events:
    seen = 0
    async for event in events:
        seen += 1
        yield '{"choices": [{"delta": {"content": "' if seen == 3 else event


async def _not_an_object(situation: Situation, events: Source) -> Events:
    seen = 0
    async for event in events:
        seen += 1
        if seen == 3:
            yield '"ping"'
        yield event


async def _null_choices(situation: Situation, events: Source) -> Events:
    seen = 0
    async for event in events:
        seen += 1
        if seen == 3 and isinstance(event, dict):
            yield {**event, "choices": None}
        yield event


def _many_lines(step: bytes) -> bytes:
    """A payload over several ``data:`` lines, parted where JSON takes white space."""
    payload = step.removeprefix(b"data: ")
    if not payload.startswith(b"{"):
        return step
    # a comma before a name: one at the end of a text stands before a quote too
    return b"data: " + re.sub(rb',(?="\w)', b",\ndata: ", payload, count=3)


def _separator(delta: Delta) -> None:
    if delta.get("content"):
        delta["content"] += "\u2028"


# --- the contents of the chunks


async def _usage_everywhere(situation: Situation, events: Source) -> Events:
    """Real numbers on every chunk, as vLLM sends them with ``continuous_usage_stats``."""
    written = 0
    async for event in events:
        if isinstance(event, dict):
            written += 1
            event["usage"] = {
                "prompt_tokens": 10,
                "completion_tokens": written,
                "total_tokens": 10 + written,
            }
        yield event


def _null_usage(chunk: dict[str, Any]) -> Event:
    return {**chunk, "usage": None}


async def _no_usage(situation: Situation, events: Source) -> Events:
    async for event in events:
        if isinstance(event, dict):
            if not event.get("choices"):
                continue
            event = {key: value for key, value in event.items() if key != "usage"}
        yield event


def _renamed_reasoning(delta: Delta) -> None:
    delta["reasoning"] = delta.pop("reasoning_content", None)


async def _mixed(situation: Situation, events: Source) -> Events:
    """The last piece of reasoning and the first piece of text in one delta."""
    held: dict[str, Any] | None = None
    async for event in events:
        if not isinstance(event, dict) or not event.get("choices"):
            if held is not None:
                yield held
                held = None
            yield event
            continue
        delta = event["choices"][0]["delta"]
        if held is not None:
            before = held["choices"][0]["delta"]
            if delta.get("content"):
                delta["reasoning_content"] = before["reasoning_content"]
            else:
                yield held
        held = event if delta.get("reasoning_content") and not delta.get("content") else None
        if held is None:
            yield event


def _think_tags() -> Any:
    """Reasoning inside the text, between the tags that the models themselves write."""

    async def spoil(situation: Situation, events: Source) -> Events:
        inside = False
        async for event in events:
            for choice in event.get("choices") or [] if isinstance(event, dict) else []:
                delta = choice["delta"]
                thought, text = delta["reasoning_content"], delta["content"]
                delta["reasoning_content"] = None
                if thought:
                    delta["content"] = ("" if inside else "<think>") + thought + (text or "")
                    inside = True
                elif inside and (text or delta["tool_calls"] or choice["finish_reason"]):
                    delta["content"] = "</think>" + (text or "")
                    inside = False
            yield event

    return on_events(spoil)


ROWS: tuple[Scenario, ...] = (
    Scenario(
        "cut",
        "the stream ends early and cleanly, without a finish_reason",
        on_events(_cut),
        "chunks",
    ),
    Scenario("cut_then_done", "the same, with [DONE]", on_events(_cut_then_done), "chunks"),
    Scenario("stall", "silence after three chunks", on_events(_stall), "seconds"),
    Scenario(
        "error_later",
        "an error event after three chunks, then the end",
        on_events(_error_later),
        "chunks",
    ),
    Scenario(
        "throttled_later",
        "the words of a 429 after three chunks",
        on_events(_throttled_later),
        "chunks",
    ),
    Scenario("no_done", "a finish_reason, but no [DONE]", on_events(_no_done)),
    Scenario("two_finishes", "the finish_reason twice", on_events(_two_finishes)),
    Scenario("bad_json", "an event that is not JSON", on_events(_bad_json)),
    Scenario("not_an_object", "an event that is JSON, but no object", on_events(_not_an_object)),
    Scenario(
        "null_choices",
        "a chunk whose choices are null among the good ones",
        on_events(_null_choices),
    ),
    Scenario("crlf", "lines end in CR LF", _as_bytes(lambda step: step.replace(b"\n", b"\r\n"))),
    Scenario("cr", "lines end in CR", _as_bytes(lambda step: step.replace(b"\n", b"\r"))),
    Scenario(
        "no_space",
        "no space after `data:`",
        _as_bytes(lambda step: step.replace(b"data: ", b"data:", 1)),
    ),
    Scenario(
        "comments",
        "a comment before every event",
        _as_bytes(lambda step: b": keep-alive\n\n" + step),
    ),
    Scenario(
        "named_events",
        "event, id and retry lines",
        _as_bytes(lambda step: b"event: message\nid: 1\nretry: 9\n" + step),
    ),
    Scenario("many_lines", "a payload over several data lines", _as_bytes(_many_lines)),
    Scenario("byte_order_mark", "a BOM at the start", on_events(_byte_order_mark)),
    Scenario("line_separator", "U+2028 inside the texts", on_deltas(_separator)),
    Scenario("usage_everywhere", "running numbers on every chunk", on_events(_usage_everywhere)),
    Scenario("null_usage", "usage is null throughout", on_chunks(_null_usage)),
    Scenario("no_usage", "no usage anywhere", on_events(_no_usage)),
    Scenario(
        "renamed_reasoning",
        "`reasoning` in the place of `reasoning_content`",
        on_deltas(_renamed_reasoning),
    ),
    Scenario("mixed_delta", "reasoning and text in one delta", on_events(_mixed)),
    Scenario("think_tags", "reasoning inside the text, between <think> tags", _think_tags()),
)
