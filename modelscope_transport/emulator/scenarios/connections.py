"""What can happen to the bytes: torn apart, late, cut off, without an end."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from modelscope_transport.emulator.answers import Pause, Raw, Reply, Reset, Step, Stream, head
from modelscope_transport.emulator.scenarios.kinds import (
    Scenario,
    Situation,
    instead,
    on_reply,
    on_wire,
)

FOREVER = float("inf")
Steps = AsyncGenerator[Step, None]


async def _one_byte(situation: Situation, steps: AsyncIterator[Step]) -> Steps:
    pause = situation.number(0)
    async for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        for at in range(len(step)):
            yield step[at : at + 1]
            yield Pause(pause)


async def _fragments(situation: Situation, steps: AsyncIterator[Step]) -> Steps:
    """Cut at places that a seed decides, so that a failure can be had again."""
    dice = random.Random(situation.argument)
    async for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        at = 0
        while at < len(step):
            size = dice.choice((1, 2, 3, 5, 8, 13, 40, 200))
            yield step[at : at + size]
            yield Pause(0)
            at += size


async def _slow_first_byte(situation: Situation, steps: AsyncIterator[Step]) -> Steps:
    yield Pause(situation.number(1))
    async for step in steps:
        yield step


async def _slow(situation: Situation, steps: AsyncIterator[Step]) -> Steps:
    async for step in steps:
        yield step
        yield Pause(situation.number(0.05))


async def _reset(situation: Situation, steps: AsyncIterator[Step]) -> Steps:
    """Break a stream after some chunks, and a reply in one piece in its middle."""
    left = int(situation.number(3))
    async for step in steps:
        if isinstance(step, bytes) and b"content-length" in step.partition(b"\r\n\r\n")[0]:
            yield step[: -(len(step.partition(b"\r\n\r\n")[2]) // 2) or None]
            break
        yield step
        left -= 1
        if left < 0:
            break
    yield Pause(0.02)  # what was written is on its way; a reset throws away what is not
    yield Reset()


async def _cut_off(situation: Situation, steps: AsyncIterator[Step]) -> Steps:
    """Close the connection early: no last chunk, or fewer bytes than were promised."""
    async for step in _reset(situation, steps):
        if isinstance(step, bytes):
            yield step


def _endless_line(situation: Situation) -> Stream:
    def line() -> Iterator[bytes]:
        yield b"data: "
        while True:
            yield b"a" * 65_536

    return Stream(line())


def _endless_body(situation: Situation) -> Raw:
    def body() -> Iterator[bytes]:
        yield (
            head(200, {"content-type": "application/json", "connection": "close"})
            + b'{"choices": "'
        )
        while True:
            yield b"a" * 65_536

    return Raw(body())


def _short_length(situation: Situation, reply: Reply) -> Raw:
    """Promise more bytes than come."""
    whole = reply.render()
    return Raw([whole[: -len(reply.content()) // 2]])


ROWS: tuple[Scenario, ...] = (
    Scenario(
        "reset_before_reply", "a TCP reset instead of an answer", instead(lambda _: Raw([Reset()]))
    ),
    Scenario(
        "close_before_reply",
        "the connection closes instead of an answer",
        instead(lambda _: Raw([])),
    ),
    Scenario("silence", "no answer at all", instead(lambda _: Raw([Pause(FOREVER)]))),
    Scenario(
        "garbage",
        "bytes that are not HTTP",
        instead(lambda _: Raw([b"\x16\x03\x01\x02\x00\r\n\r\n"])),
    ),
    Scenario(
        "slow_first_byte",
        "a second of silence, then the answer",
        on_wire(_slow_first_byte),
        "seconds",
    ),
    Scenario("slow", "a pause after every piece", on_wire(_slow), "seconds"),
    Scenario("one_byte", "the answer byte by byte", on_wire(_one_byte), "pause"),
    Scenario("fragments", "the answer in pieces of any size", on_wire(_fragments), "seed"),
    Scenario(
        "reset",
        "a TCP reset after three chunks, or in the middle of the body",
        on_wire(_reset),
        "chunks",
    ),
    Scenario(
        "drop",
        "the connection closes after three chunks, the answer unfinished",
        on_wire(_cut_off, close=True),
        "chunks",
    ),
    Scenario("short_body", "the body ends before its promised length", on_reply(_short_length)),
    Scenario("endless_line", "200: one event that never ends", instead(_endless_line)),
    Scenario("endless_body", "200: a body that never ends", instead(_endless_body)),
)
