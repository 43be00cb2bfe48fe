"""What paid calls of a chat model settle: streams, prices, tool calls, many calls at once."""

from __future__ import annotations

from typing import Any

from live.asking import Seen, Service
from live.facts import (
    CHAT,
    PARALLEL,
    SAMPLES,
    TOOLS,
    Answer,
    Experiment,
    Fact,
    choices,
    pieces,
    said,
)

__all__ = ["CHAT_CALLS"]


# --- a stream


def _stream(service: Service) -> list[Seen]:
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    return [service.ask("chat", CHAT, said("Say hello in five words.", **asked))]


def _usages(seen: list[Seen]) -> Answer:
    chunks = seen[0].chunks
    if not chunks:
        return None, f"status {seen[0].status}, no chunks"
    early = [chunk.get("usage") for chunk in chunks if chunk.get("choices")]
    last = (chunks[-1].get("usage") or {}).get("completion_tokens")
    dummy = all(usage and not usage.get("completion_tokens") for usage in early)
    empty = chunks[-1].get("choices") == []
    counts = [usage and usage.get("completion_tokens") for usage in early]
    return bool(dummy and empty and last), f"on the chunks {counts[:4]}…, at the end {last}"


def _ending(seen: list[Seen]) -> Answer:
    reasons = [choice.get("finish_reason") for choice in choices(seen[0])]
    finished, done = (
        len([reason for reason in reasons if reason]),
        seen[0].events[-1:] == ["[DONE]"],
    )
    return finished == 1 and done, f"{finished} finish reasons, [DONE]: {done}"


def _nulls(seen: list[Seen]) -> Answer:
    deltas = [choice.get("delta") or {} for choice in choices(seen[0])]
    names = {name for delta in deltas for name, value in delta.items() if value is None}
    return bool(deltas) and {"tool_calls"} <= names, f"null in deltas: {sorted(names)}"


def _headers(seen: list[Seen]) -> Answer:
    found = sorted(name for name in seen[0].headers if "ratelimit" in name)
    return not found, f"{found or 'none'}"


# --- what is charged


def _booked(service: Service) -> list[Any]:
    before = service.balance()
    good = service.ask("chat", CHAT, said("Say yes."))
    between = service.balance()
    shell = service.ask("chat", CHAT, {})
    return [before, good, between, shell, service.balance(), service.prices["chat"]]


def _price(seen: list[Any]) -> Answer:
    before, _, between, _, _, price = seen
    if before is None or between is None or before == between:
        return None, f"{before} before and {between} after a call: the books may be late"
    return round(before - between, 1) == price, f"{before} before, {between} after, price {price}"


def _whole(seen: list[Any]) -> Answer:
    body = seen[1].body
    choice = (body.get("choices") or [{}])[0]
    both, late = {"delta", "message"} <= set(choice), (body.get("created") or 0) > 10**11
    return both and late, f"delta and message: {both}, created in milliseconds: {late}"


def _is_shell(seen: list[Any]) -> Answer:
    reply = seen[3]
    shell = reply.status == 200 and reply.body.get("choices", 0) is None
    return shell, f"status {reply.status}: {reply.text[:60]}"


def _shell_is_free(seen: list[Any]) -> Answer:
    before, _, between, reply, after, _ = seen
    if None in (between, after) or before == between or reply.status != 200:
        return None, "the books may be late"
    return between == after, f"{between} before and {after} after"


# --- tool calls


def _two_calls(service: Service) -> list[Seen]:
    return [service.ask("chat", CHAT, said(PARALLEL, tools=TOOLS, stream=True))]


def _indices(seen: list[Seen]) -> Answer:
    found = pieces(seen[0])
    calls = {piece["id"]: piece.get("index") for piece in found if piece.get("id")}
    if len(calls) < 2:
        return None, f"the model made {len(calls)} calls"
    return len(set(calls.values())) == len(calls), f"indices {list(calls.values())}"


def _opening(seen: list[Seen]) -> Answer:
    found = pieces(seen[0])
    if not found:
        return None, "the model called nothing"
    head = found[0]
    name = (head.get("function") or {}).get("name")
    return bool(
        head.get("id") and name
    ), f"the first piece has {sorted(k for k in head if head[k])}"


# --- many calls at once


def _burst(service: Service) -> list[Any]:
    before = service.balance()
    seen = service.ask_at_once("chat", CHAT, [said("Say yes.")] * 3)
    return [before, service.balance(), service.prices["chat"], *seen]


def _refused(seen: list[Any]) -> list[Seen]:
    return [reply for reply in seen[3:] if reply.status == 429]


def _waits(seen: list[Any]) -> Answer:
    waits = [reply.headers.get("retry-after") for reply in _refused(seen)]
    return (not any(waits), f"Retry-After {waits}") if waits else (None, "no 429 among 3 calls")


def _refusal_is_free(seen: list[Any]) -> Answer:
    before, after, price, *replies = seen
    refused = len(_refused(seen))
    if not refused or before is None or after is None or before == after:
        return None, f"{refused} of {len(replies)} refused, {before} before and {after} after"
    paid = round((before - after) / price, 1)
    return paid == len(
        replies
    ) - refused, f"{paid:g} of {len(replies)} calls paid, {refused} refused"


CHAT_CALLS = (
    Experiment(
        "a stream with token usage",
        _stream,
        (
            Fact(
                SAMPLES + "streams/usage.json",
                "Each chunk has a dummy usage; the true one comes last, without choices.",
                _usages,
            ),
            Fact(
                SAMPLES + "streams/no_done.json",
                "A stream ends with one finish reason and [DONE].",
                _ending,
            ),
            Fact(
                SAMPLES + "streams/null_fields.json",
                "Fields of a delta that say nothing are null.",
                _nulls,
            ),
            Fact(
                SAMPLES + "chat/current_headers.json",
                "No header says what is left.",
                _headers,
            ),
        ),
        calls=1,
    ),
    Experiment(
        "what a call and an empty reply cost",
        _booked,
        (
            Fact(
                "modelscope_transport/data/quota.toml#magicubes.cost",
                "The balance falls by the price of the call.",
                _price,
            ),
            Fact(
                SAMPLES + "chat/whole.json",
                "A whole answer has delta and message, and its time in milliseconds.",
                _whole,
            ),
            Fact(
                SAMPLES + "failures/empty_without_messages.json",
                "Without messages the reply is a 200 with nothing in it.",
                _is_shell,
            ),
            Fact(
                "modelscope_transport/data/failures.toml#empty",
                "A 200 with nothing in it costs nothing.",
                _shell_is_free,
            ),
        ),
        calls=2,
    ),
    Experiment(
        "two tool calls in one answer",
        _two_calls,
        (
            Fact(
                SAMPLES + "streams/tool_calls_two.json",
                "Parallel tool calls have indices of their own.",
                _indices,
            ),
            Fact(
                SAMPLES + "streams/tool_call.json",
                "The first piece of a tool call has its id and name.",
                _opening,
            ),
        ),
        calls=1,
    ),
    Experiment(
        "three calls at once",
        _burst,
        (
            Fact(
                "modelscope_transport/calls/retry.py",
                "A 429 does not say how long to wait.",
                _waits,
            ),
            Fact(
                "modelscope_transport/data/failures.toml#too_fast",
                "A 429 costs nothing.",
                _refusal_is_free,
            ),
        ),
        calls=3,
    ),
)
