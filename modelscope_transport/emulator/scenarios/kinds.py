"""What a scenario is, and how to make one: instead of the answer, or on parts of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from modelscope_transport.emulator.answers import (
    Answer,
    Event,
    Raw,
    Reply,
    Step,
    Stream,
    play,
    wire,
)
from modelscope_transport.emulator.server import Request

Honest: TypeAlias = Callable[[], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a scenario knows about the request it spoils."""

    request: Request
    argument: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON object, or an empty one."""
        return self.request.body if isinstance(self.request.body, dict) else {}

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body.get("stream"))

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.body.get("model", ""))

    def number(self, default: float) -> float:
        """The argument as a number."""
        return float(self.argument) if self.argument else default


Act: TypeAlias = Callable[[Situation, Honest], Awaitable[Answer]]
Events: TypeAlias = AsyncGenerator[Event, None]
Choice: TypeAlias = dict[str, Any]
Delta: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of misbehaviour.

    Attributes:
        name: What ``LocalService.next`` and ``--scenario`` take.
        says: What the client sees, in a line.
        act: The misbehaviour itself.
        takes: What may come after a colon; empty where nothing may.
        argument: What came after the colon.
        prefix: What the list of all scenarios shows before ``says``: a status.
    """

    name: str
    says: str
    act: Act
    takes: str = ""
    argument: str = ""
    prefix: str = ""

    async def play(self, request: Request, honest: Honest) -> Answer:
        """Answer a request; ``honest`` gives the answer that the service would give."""
        return await self.act(Situation(request, self.argument), honest)


def instead(answer: Callable[[Situation], Answer]) -> Act:
    """Answer without asking the service."""

    async def act(situation: Situation, honest: Honest) -> Answer:
        return answer(situation)

    return act


def on_reply(spoil: Callable[[Situation, Reply], Answer]) -> Act:
    """Spoil a reply in one piece."""

    async def act(situation: Situation, honest: Honest) -> Answer:
        answer = await honest()
        return spoil(situation, answer) if isinstance(answer, Reply) else answer

    return act


def on_events(spoil: Callable[[Situation, AsyncIterator[Event]], Events]) -> Act:
    """Spoil the events of a stream."""

    async def act(situation: Situation, honest: Honest) -> Answer:
        answer = await honest()
        if not isinstance(answer, Stream):
            return answer
        source = play(answer.events)

        async def closing() -> Events:
            async with aclosing(source), aclosing(spoil(situation, source)) as spoilt:
                async for event in spoilt:
                    yield event

        return replace(answer, events=closing())

    return act


def on_chunks(spoil: Callable[[dict[str, Any]], Event]) -> Act:
    """Spoil each chunk of a stream by itself."""

    async def each(situation: Situation, events: AsyncIterator[Event]) -> Events:
        async for event in events:
            yield spoil(event) if isinstance(event, dict) else event

    return on_events(each)


def on_choices(spoil: Callable[[Choice, Delta], None]) -> Act:
    """Spoil each choice of a stream's chunks, or of a reply in one piece: in place.

    Args:
        spoil: Takes the choice, and the delta or the message in it.
    """

    async def act(situation: Situation, honest: Honest) -> Answer:
        answer = await honest()
        if isinstance(answer, Reply) and isinstance(answer.body, dict):
            body = json.loads(answer.content())
            for choice in body.get("choices") or []:
                spoil(choice, choice["message"])
            return replace(answer, body=body)

        def chunk(event: dict[str, Any]) -> Event:
            for choice in event.get("choices") or []:
                spoil(choice, choice["delta"])
            return event

        async def ready() -> Answer:
            return answer

        return await on_chunks(chunk)(situation, ready)

    return act


def on_deltas(spoil: Callable[[Delta], None]) -> Act:
    """Spoil each delta of a stream, or the message of a reply in one piece: in place."""
    return on_choices(lambda _, delta: spoil(delta))


def on_wire(
    spoil: Callable[[Situation, AsyncIterator[Step]], AsyncGenerator[Step, None]],
    close: bool = False,
) -> Act:
    """Spoil the bytes of the whole answer, HTTP head included; ``close`` ends the connection."""

    async def act(situation: Situation, honest: Honest) -> Answer:
        answer = await honest()
        keep = not close and (not isinstance(answer, Raw) or answer.keep)

        async def closing() -> AsyncGenerator[Step, None]:
            source = wire(answer)
            async with aclosing(source), aclosing(spoil(situation, source)) as spoilt:
                async for step in spoilt:
                    yield step

        return Raw(closing(), keep)

    return act
