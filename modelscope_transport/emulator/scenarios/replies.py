"""Answers that say no, and answers that say nothing: instead of the honest one, or made of it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from modelscope_transport.emulator.answers import (
    DONE,
    Answer,
    Event,
    Reply,
    Stream,
    encode_event,
    play,
)
from modelscope_transport.emulator.failures import FAILURES, gateway, refuse
from modelscope_transport.emulator.protocol import shell
from modelscope_transport.emulator.scenarios.kinds import (
    Honest,
    Scenario,
    Situation,
    instead,
    on_reply,
)

_WORDS = {"window": 32_768, "tokens": 40_000, "limit": 10, "got": "", "detail": "invalid parameter"}
_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


def failing(name: str) -> Scenario:
    """A row of the table of failures as a scenario; its argument becomes ``Retry-After``."""
    row = next(row for row in FAILURES if row.name == name)

    def answer(situation: Situation) -> Answer:
        headers = {"retry-after": situation.argument} if situation.argument else None
        reply = refuse(name, headers, model=situation.model, **_WORDS)
        if reply.status == 200 and situation.stream and isinstance(reply.body, dict):
            return Stream([reply.body, DONE])
        return reply

    prefix = f"{row.status}: "
    return Scenario(name, row.says, instead(answer), "retry_after", prefix=prefix)


def _html(status: int, title: str) -> Answer:
    return Reply(status, _HTML.format(title).encode(), {"content-type": "text/html; charset=utf-8"})


def _echo_token(situation: Situation) -> Answer:
    token = situation.request.headers.get("authorization", "")
    return Reply(401, gateway(f"Authentication failed for {token}"))


def _redirect(situation: Situation) -> Answer:
    there = situation.argument or "http://elsewhere.invalid"
    return Reply(307, b"", {"location": there + situation.request.path})


def _refuses(situation: Situation) -> str | None:
    """The refused field, where the request has it: ``stream`` or ``tool_choice=required``."""
    field, _, value = situation.argument.partition("=")
    given = situation.body.get(field)
    return field if given is not None and value in ("", str(given).lower()) else None


async def _refuse(situation: Situation, honest: Honest) -> Answer:
    field = _refuses(situation)
    if field is None:
        return await honest()
    return refuse("invalid_parameter", detail=f"{field} is not supported by this model")


def _deep(situation: Situation) -> Answer:
    depth = int(situation.number(100_000))
    return Reply(200, b"[" * depth + b"]" * depth, {"content-type": "application/json"})


def _bomb(situation: Situation) -> Answer:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    million = b" " * 1_000_000
    parts = [squeeze.compress(million) for _ in range(int(situation.number(100)))]
    packed = b"".join([*parts, squeeze.compress(b"{}"), squeeze.flush()])
    return Reply(200, packed, {"content-type": "application/json", "content-encoding": "gzip"})


async def _gzip(situation: Situation, honest: Honest) -> Answer:
    answer = await honest()
    headers = {"content-encoding": "gzip"}
    if isinstance(answer, Reply):
        kind = {"content-type": "application/json; charset=utf-8"}
        return Reply(
            answer.status, gzip.compress(answer.content()), kind | dict(answer.headers) | headers
        )
    if isinstance(answer, Stream):
        return Stream(_squeezed(play(answer.events)), {**answer.headers, **headers})
    return answer


async def _squeezed(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    squeeze = zlib.compressobj(wbits=31)
    async for event in events:
        step = encode_event(event)
        if isinstance(step, bytes):
            yield squeeze.compress(step) + squeeze.flush(zlib.Z_SYNC_FLUSH)
        else:
            yield step
    yield squeeze.flush()


def _with_headers(count: int, size: int) -> dict[str, str]:
    return {f"x-filler-{number}": "x" * size for number in range(count)}


async def _headed(situation: Situation, honest: Honest, count: int, size: int) -> Answer:
    answer = await honest()
    if isinstance(answer, Reply | Stream):
        return replace(answer, headers={**answer.headers, **_with_headers(count, size)})
    return answer


async def _huge_header(situation: Situation, honest: Honest) -> Answer:
    return await _headed(situation, honest, 1, int(situation.number(1_000_000)))


async def _many_headers(situation: Situation, honest: Honest) -> Answer:
    return await _headed(situation, honest, int(situation.number(10_000)), 1)


def _changed(reply: Reply, **fields: Any) -> Reply:
    return replace(reply, body={**reply.body, **fields}) if isinstance(reply.body, dict) else reply


def _delta_only(situation: Situation, reply: Reply) -> Answer:
    if not isinstance(reply.body, dict) or not reply.body.get("choices"):
        return reply
    choices = [
        {"delta": choice["message"], **{key: choice[key] for key in ("finish_reason", "index")}}
        for choice in reply.body["choices"]
    ]
    return _changed(reply, choices=choices)


def _empty_text(situation: Situation, reply: Reply) -> Answer:
    if not isinstance(reply.body, dict):
        return reply
    choices = [
        {**choice, "finish_reason": "length", "message": {**choice["message"], "content": ""}}
        for choice in reply.body.get("choices") or []
    ]
    return _changed(reply, choices=choices)


def _no_choices(situation: Situation) -> Answer:
    nothing = {"id": "", "object": "", "created": 0, "model": situation.model, "choices": []}
    return Stream([nothing, DONE]) if situation.stream else Reply(200, nothing)


async def _honest(situation: Situation, honest: Honest) -> Answer:
    return await honest()


ROWS: tuple[Scenario, ...] = (
    Scenario("honest", "no misbehaviour", _honest),
    *(failing(row.name) for row in FAILURES),
    Scenario("throttled_silently", "429: no body", instead(lambda _: Reply(429))),
    Scenario("shell", "200: choices null, all numbers 0", instead(lambda s: shell(s.stream))),
    Scenario("no_choices", "200: an empty list of choices", instead(_no_choices)),
    Scenario("empty_body", "200: no body", instead(lambda _: Reply(200))),
    Scenario("empty_object", "200: {}", instead(lambda _: Reply(200, {}))),
    Scenario("html", "200: an HTML page", instead(lambda _: _html(200, "Welcome"))),
    Scenario("html_502", "502: an HTML page", instead(lambda _: _html(502, "502 Bad Gateway"))),
    Scenario(
        "truncated_json",
        "200: half a JSON object",
        instead(lambda _: Reply(200, b'{"choices": [{')),
    ),
    Scenario("deep_json", "200: lists in lists, 100000 deep", instead(_deep), "depth"),
    Scenario("gzip_bomb", "200: a small body that unpacks to 100 MB", instead(_bomb), "megabytes"),
    Scenario("echo_token", "401: the message repeats the token", instead(_echo_token)),
    Scenario("redirect", "307: to another host", instead(_redirect), "origin"),
    Scenario("refuses", "400: when the request has this field", _refuse, "field[=value]"),
    Scenario("gzip", "the answer, compressed", _gzip),
    Scenario("huge_header", "the answer, with a header of a megabyte", _huge_header, "bytes"),
    Scenario("many_headers", "the answer, with ten thousand headers", _many_headers, "count"),
    Scenario(
        "delta_only",
        "the answer in one piece, with `delta` but no `message`",
        on_reply(_delta_only),
    ),
    Scenario(
        "empty_text",
        "the answer in one piece, its text empty, cut off by its length",
        on_reply(_empty_text),
    ),
)
