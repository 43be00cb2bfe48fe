"""What paid calls of other models settle: vectors, images, models that think."""

from __future__ import annotations

import time
from typing import Any

from live.asking import Seen, Service
from live.facts import CHAT, PARALLEL, SAMPLES, TOOLS, Answer, Experiment, Fact, pieces, said
from modelscope_transport._wire.failures import judge
from modelscope_transport._wire.outcomes import Reply, read_failure

__all__ = ["OTHER_CALLS"]

# Longest wait for an image, in seconds.
_IMAGE = 60.0
_STATES = {"PENDING", "RUNNING", "PROCESSING", "SUCCEED", "FAILED"}


# --- thoughts


def _thoughts(service: Service) -> list[Seen]:
    question = {"role": "user", "content": "What is the weather in Hangzhou? Use the tool."}
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Hangzhou"}'},
    }
    answer = {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    found = []
    for thoughts in ({}, {"reasoning_content": "The user wants the weather."}):
        messages = [question, {**said, **thoughts}, answer]
        body = {"messages": messages, "tools": TOOLS[:1], "stream": True, "max_tokens": 400}
        found.append(service.ask("thinking", CHAT, body))
    return found


def _accepted(place: int) -> Any:
    def look(seen: list[Seen]) -> Answer:
        reply = seen[place]
        return (
            reply.status == 200,
            f"status {reply.status} {'' if reply.events else reply.text[:80]}",
        )

    return look


def _forced(service: Service) -> list[Seen]:
    asked = {"tools": TOOLS[:1], "tool_choice": "required", "stream": True}
    return [service.ask("thinking", CHAT, said(PARALLEL, **asked))]


def _forced_fails(seen: list[Seen]) -> Answer:
    shell = any(chunk.get("choices", 0) is None for chunk in seen[0].chunks)
    works = bool(pieces(seen[0]))
    return not works, f"status {seen[0].status}, empty: {shell}, calls: {works}"


def _too_long(service: Service) -> list[Seen]:
    return [service.ask("chat", CHAT, said("word " * 300_000))]


def _length_is_named(seen: list[Seen]) -> Answer:
    if seen[0].status == 200:
        return None, "300 000 words were taken"
    verdict = judge(
        Reply(seen[0].status, seen[0].headers, seen[0].text.encode()),
        read_failure(seen[0].text.encode()),
        model="",
    )
    named = verdict.row is not None and verdict.row.name == "context_length"
    return named, f"status {seen[0].status}: {seen[0].text[:90]}"


# --- vectors and images


def _vectors(service: Service) -> list[Seen]:
    texts = [f"text {number}" for number in range(64)]
    many = {"input": texts, "encoding_format": "float"}
    few = {"input": ["text"], "encoding_format": "float", "dimensions": 64}
    return [service.ask("vectors", "/embeddings", body) for body in (many, few)]


def _batch(seen: list[Seen]) -> Answer:
    if seen[0].status == 200:
        return None, "64 texts were taken: the cap is above"
    return "batch" in seen[0].text.lower(), f"status {seen[0].status}: {seen[0].text[:90]}"


def _dimensions(seen: list[Seen]) -> Answer:
    rows = seen[1].body.get("data") or [{}]
    length = len(rows[0].get("embedding") or ())
    return length == 64, f"status {seen[1].status}, length {length}"


def _image(service: Service) -> list[Seen]:
    asked = {"prompt": "A cup.", "size": "512x512"}
    mode = {"x-modelscope-async-mode": "true"}
    seen = [service.ask("image", "/images/generations", asked, **mode)]
    task, until = seen[0].body.get("task_id"), time.monotonic() + _IMAGE
    while task and time.monotonic() < until:
        seen.append(service.look(task))
        if seen[-1].status != 200 or seen[-1].body["task_status"] in ("SUCCEED", "FAILED"):
            break
        time.sleep(service.look_every)
    return seen


def _states(seen: list[Seen]) -> Answer:
    states = [reply.body.get("task_status") for reply in seen]
    if len(states) < 2:
        return None, f"status {seen[0].status}: no task"
    return set(states) <= _STATES, " ".join(map(str, states))


OTHER_CALLS = (
    Experiment(
        "a conversation that is too long",
        _too_long,
        (
            Fact(
                SAMPLES + "failures/context_too_long_vllm.json",
                "A conversation that is too long is refused in words that are known.",
                _length_is_named,
            ),
        ),
        calls=1,
    ),
    Experiment(
        "64 texts to embed, and vectors of a length of one's own",
        _vectors,
        (
            Fact(
                SAMPLES + "failures/batch_too_large.json",
                "A batch that is too large is refused by a sentence about batches.",
                _batch,
            ),
            Fact(
                "modelscope_transport/_wire/embeddings.py",
                "The length of vectors can be chosen.",
                _dimensions,
            ),
        ),
        kind="vectors",
        calls=2,
    ),
    Experiment(
        "an image, and what its task says on the way",
        _image,
        (
            Fact(
                SAMPLES + "images/state_pending.json",
                "A task is PENDING, RUNNING or PROCESSING, then SUCCEED or FAILED.",
                _states,
            ),
        ),
        kind="image",
        calls=1,
    ),
    Experiment(
        "thoughts that are sent back, and that are not",
        _thoughts,
        (
            Fact(
                "modelscope_transport/data/models.toml#send_reasoning",
                "A tool loop goes on without the thoughts.",
                _accepted(0),
            ),
            Fact(
                "modelscope_transport/data/models.toml#send_reasoning",
                "A tool loop goes on with the thoughts.",
                _accepted(1),
            ),
        ),
        kind="thinking",
        calls=2,
    ),
    Experiment(
        "a forced tool while the model thinks",
        _forced,
        (
            Fact(
                SAMPLES + "failures/forced_tool_while_thinking.json",
                "A model that thinks cannot be forced to call a tool.",
                _forced_fails,
            ),
        ),
        kind="thinking",
        calls=1,
    ),
)
