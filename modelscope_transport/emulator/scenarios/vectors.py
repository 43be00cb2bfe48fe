"""Embeddings that arrive in another order, in another number, or not at all."""

from __future__ import annotations

import json
from typing import Any

from modelscope_transport.emulator.answers import Answer, Reply
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.scenarios.kinds import Honest, Scenario, Situation, on_reply


def _on_data(change: Any) -> Any:
    def spoil(situation: Situation, reply: Reply) -> Answer:
        body = json.loads(reply.content())
        if isinstance(body, dict) and isinstance(body.get("data"), list):
            body["data"] = change(body["data"])
        return Reply(reply.status, body, reply.headers)

    return on_reply(spoil)


def _not_a_number(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    data[0]["embedding"] = [float("nan")] * len(data[0]["embedding"])
    return data


def _short(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    data[-1]["embedding"] = data[-1]["embedding"][:-1]
    return data


def _limited(failure: str) -> Any:
    """Refuse more texts than the limit (10) in one call."""

    async def act(situation: Situation, honest: Honest) -> Answer:
        limit = int(situation.number(10))
        texts = situation.body.get("input")
        if isinstance(texts, list) and len(texts) > limit:
            return refuse(failure, limit=limit)
        return await honest()

    return act


ROWS: tuple[Scenario, ...] = (
    Scenario(
        "shuffled_vectors",
        "vectors out of order, each with its index",
        _on_data(lambda data: data[::-1]),
    ),
    Scenario("missing_vector", "one vector fewer than texts", _on_data(lambda data: data[:-1])),
    Scenario(
        "repeated_vector", "one vector more than texts", _on_data(lambda data: [*data, data[-1]])
    ),
    Scenario("nan_vector", "NaN in the first vector", _on_data(_not_a_number)),
    Scenario("short_vector", "the last vector is one number short", _on_data(_short)),
    Scenario(
        "batch_limit", "400: more than ten texts in one call", _limited("batch_too_large"), "texts"
    ),
    Scenario(
        "batch_limit_413", "413: more than ten texts in one call", _limited("too_large"), "texts"
    ),
)
