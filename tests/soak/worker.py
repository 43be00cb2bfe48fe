"""One process of many: mixed calls through one adapter, counted in a ledger that all share."""

from __future__ import annotations

import argparse
import asyncio
import collections
import gc
import json
import os
import random
from collections.abc import Callable
from typing import Any

from langchain_modelscope import ChatModelScope
from llamaindex_modelscope import ModelScope
from modelscope_transport import Client, ModelScopeError
from tests.faults.ways import CHAT, WAYS
from tests.soak.looking import descriptors, resident

TOKEN = "SOAK_TOKEN"


def _left_langchain(client: Client) -> None:
    stream = ChatModelScope(model=CHAT, client=client).stream("Hello")
    next(stream)
    stream.close()  # type: ignore[attr-defined]


def _left_llamaindex(client: Client) -> None:
    stream = ModelScope(CHAT, client=client).stream_complete("Hello")
    next(stream)
    stream.close()  # type: ignore[attr-defined]


LEFT: dict[str, Callable[[Client], None]] = {
    "langchain": _left_langchain,
    "llamaindex": _left_llamaindex,
}


def main() -> None:
    """Call, and print what came of it as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("adapter", choices=LEFT)
    parser.add_argument("base_url")
    parser.add_argument("ledger")
    parser.add_argument("calls", type=int)
    parser.add_argument("seed", type=int)
    wanted = parser.parse_args()
    ways = [(form, way) for (adapter, _, form), way in WAYS.items() if adapter == wanted.adapter]
    ways.append(("left", LEFT[wanted.adapter]))
    client = Client(
        os.environ[TOKEN],
        base_url=wanted.base_url,
        ledger=wanted.ledger,
        timeout=60.0,
        proxy="none",
    )
    chance, outcomes = random.Random(wanted.seed), collections.Counter[str]()
    with asyncio.Runner() as runner:

        def call(count: int) -> None:
            for _ in range(count):
                outcomes[outcome(chance.choice(ways)[1], client, runner)] += 1

        def look() -> tuple[int, int]:
            client.close()
            runner.run(client.aio.aclose())
            gc.collect()
            return descriptors(), resident()

        call(max(20, wanted.calls // 10))
        before = look()
        call(wanted.calls)
        after = look()
    growth = {"descriptors": after[0] - before[0], "bytes": after[1] - before[1]}
    print(json.dumps({"outcomes": outcomes, **growth}))


def outcome(way: Any, client: Client, runner: asyncio.Runner) -> str:
    """``answered``, ``typed NAME`` of one of our errors, or ``raw NAME`` of another."""
    try:
        if asyncio.iscoroutinefunction(way):
            runner.run(way(client))
        else:
            way(client)
    except ModelScopeError as error:
        return f"typed {type(error).__name__}"
    except Exception as error:  # noqa: BLE001 -- whatever comes is what is looked for
        return f"raw {type(error).__name__} {error}"
    return "answered"


if __name__ == "__main__":
    main()
