"""Tool calls in every shape that servers of this kind are known to send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from modelscope_transport.emulator.answers import Answer, Event, Reply
from modelscope_transport.emulator.scenarios.kinds import (
    Choice,
    Delta,
    Events,
    Honest,
    Scenario,
    Situation,
    on_choices,
    on_deltas,
    on_events,
)

Source = AsyncIterator[Event]
Call = dict[str, Any]


def _calls(event: Event) -> list[Call]:
    """The tool calls of a chunk's first choice."""
    choices = event.get("choices") if isinstance(event, dict) else None
    return (choices[0]["delta"].get("tool_calls") or []) if choices else []


def _with_calls(event: Event, calls: list[Call]) -> Event:
    """The chunk with other tool calls."""
    assert isinstance(event, dict)
    choice = event["choices"][0]
    return {**event, "choices": [{**choice, "delta": {**choice["delta"], "tool_calls": calls}}]}


def _each(change: Callable[[Call], None]) -> Callable[[Delta], None]:
    def spoil(delta: Delta) -> None:
        for call in delta.get("tool_calls") or []:
            change(call)

    return spoil


def _without(field: str) -> Callable[[Delta], None]:
    return _each(lambda call: call.pop(field, None))


async def _repeated_head(situation: Situation, events: Source) -> Events:
    """Id and name on every part of a call."""
    heads: dict[int, tuple[str, str]] = {}
    async for event in events:
        for call in _calls(event):
            if call["id"]:
                heads[call["index"]] = call["id"], call["function"]["name"]
            call["id"], call["function"]["name"] = heads[call["index"]]
        yield event


async def _bare_head(situation: Situation, events: Source) -> Events:
    """The first part of a call without arguments, as most servers send it."""
    async for event in events:
        calls = _calls(event)
        if calls and calls[0]["id"]:
            call = calls[0]
            function = call["function"]
            yield _with_calls(event, [{**call, "function": {**function, "arguments": ""}}])
            rest = {"index": call["index"], "function": {"arguments": function["arguments"]}}
            yield _with_calls(event, [rest])
        else:
            yield event


async def _gathered(events: Source) -> tuple[list[Event], list[Call], list[Event]]:
    """What comes before the tool calls, the calls in one piece each, and what comes after."""
    before: list[Event] = []
    whole: dict[int, Call] = {}
    after: list[Event] = []
    last: Event = {}
    async for event in events:
        for call in _calls(event):
            last = event
            begun = whole.setdefault(
                call["index"], {**call, "function": {**call["function"], "arguments": ""}}
            )
            begun["function"]["arguments"] += call["function"]["arguments"]
        if not _calls(event):
            (after if whole else before).append(event)
    before.append(last)  # the frame for the calls to come
    return before, list(whole.values()), after


def _redealt(deal: Callable[[list[Call]], list[list[Call]]]) -> Any:
    """Send the same calls in other chunks."""

    async def spoil(situation: Situation, events: Source) -> Events:
        before, calls, after = await _gathered(events)
        frame = before.pop()
        for event in before:
            yield event
        for chunk in deal(calls) if calls else []:
            yield _with_calls(frame, chunk)
        for event in after:
            yield event

    return on_events(spoil)


def _interleaved(calls: list[Call]) -> list[list[Call]]:
    """The heads first, then the arguments of all calls in turns."""
    chunks = [[{**call, "function": {**call["function"], "arguments": ""}}] for call in calls]
    texts = [call["function"]["arguments"] for call in calls]
    for at in range(0, max(map(len, texts)), 5):
        for call, text in zip(calls, texts, strict=True):
            if part := text[at : at + 5]:
                chunks.append([{"index": call["index"], "function": {"arguments": part}}])
    return chunks


def _arguments(value: Any) -> Any:
    """Send each call in one piece with other arguments; a function makes them of its own."""

    def deal(calls: list[Call]) -> list[list[Call]]:
        for call in calls:
            own = call["function"]["arguments"]
            call["function"]["arguments"] = value(own) if callable(value) else value
        return [[call] for call in calls]

    def of_message(delta: Delta) -> None:
        deal(delta.get("tool_calls") or [])

    streamed, whole = _redealt(deal), on_deltas(of_message)

    async def act(situation: Situation, honest: Any) -> Any:
        return await (streamed if situation.stream else whole)(situation, honest)

    return act


def _beside_text(delta: Delta) -> None:
    if delta.get("tool_calls") and not delta.get("content"):
        delta["content"] = "Let me see. "


def _leaked(choice: Choice, delta: Delta) -> None:
    """Tool calls as the text that the model wrote, which its server has not read as calls."""
    for call in delta.get("tool_calls") or []:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        opening = f'<｜｜DSML｜｜invoke name="{name}">' if name else ""
        delta["content"] = (delta["content"] or "") + opening + arguments
    delta["tool_calls"] = None
    if choice["finish_reason"] == "tool_calls":
        choice["finish_reason"] = "stop"


async def _wants_thoughts(situation: Situation, honest: Honest) -> Answer:
    """As DeepSeek's own API refuses (QwenLM/qwen-code#3619)."""
    turns = situation.body.get("messages") or []
    calling = [turn for turn in turns if isinstance(turn, dict) and turn.get("tool_calls")]
    if all(turn.get("reasoning_content") for turn in calling):
        return await honest()
    said = "The reasoning_content in the thinking mode must be passed back to the API."
    error = {"message": said, "type": "invalid_request_error", "param": None}
    return Reply(400, {"error": {**error, "code": "invalid_request_error"}})


ROWS: tuple[Scenario, ...] = (
    Scenario(
        "wants_thoughts",
        "400 where a turn that called tools comes back without its thoughts",
        _wants_thoughts,
    ),
    Scenario(
        "repeated_tool_head", "id and name on every part of a tool call", on_events(_repeated_head)
    ),
    Scenario(
        "bare_tool_head", "the first part of a tool call without arguments", on_events(_bare_head)
    ),
    Scenario(
        "tools_in_one_chunk", "all tool calls whole, in one chunk", _redealt(lambda calls: [calls])
    ),
    Scenario(
        "interleaved_tools", "the parts of several tool calls in turns", _redealt(_interleaved)
    ),
    Scenario("no_tool_index", "tool calls without an index", on_deltas(_without("index"))),
    Scenario("no_tool_id", "tool calls without an id", on_deltas(_without("id"))),
    Scenario("no_tool_type", "tool calls without a type", on_deltas(_without("type"))),
    Scenario("leaked_tools", "tool calls inside the text, as XML", on_choices(_leaked)),
    Scenario("text_beside_tools", "text in the delta of a tool call", on_deltas(_beside_text)),
    Scenario(
        "empty_tool_arguments", "tool calls whose arguments are an empty string", _arguments("")
    ),
    Scenario("null_tool_arguments", "tool calls whose arguments are null", _arguments(None)),
    Scenario(
        "object_tool_arguments", "tool calls whose arguments are an object", _arguments(json.loads)
    ),
    Scenario(
        "bad_tool_arguments",
        "tool calls whose arguments are not JSON",
        _arguments(lambda own: own[:-1]),
    ),
)
