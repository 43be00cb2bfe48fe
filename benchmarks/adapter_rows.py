"""The rows of an adapter: the same for both, beside a peer and beside what cannot be avoided.

*Floor* is httpx with the plainest reading of events (raw.py), plus the framework around a model
that does nothing but make its answer by the framework's constructors. *Peer* is the class that
users point at such a service today. All models are made by their defaults; ours counts in a SQLite
ledger and limits its concurrency.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import stub
from benchmarks.adapter import BATCH, CONVERSATION, TEXTS, Adapter, message
from benchmarks.crowds import calls_at_once, calls_beside_httpx, streams_at_once
from benchmarks.imports import imported
from benchmarks.measuring import Measured, OnLoop, Times, Work, growth, in_turn, medians, ratio
from benchmarks.raw import Raw
from benchmarks.row import Row

__all__ = ["rows"]

CALLS = 30  # in a turn
LATER = "whole-1-after-200"
PACED, SLOW = "text-200-every-2", "text-50-every-20"


def _compared(times: Times) -> Measured:
    return Measured(
        medians(times),
        {
            "of_floor": ratio(times, "ours", "raw", "idle"),
            "less_than_peer": ratio(times, "peer", "ours"),
        },
    )


def _turns(
    works: dict[str, Work], said: Callable[[Any], object], turns: int, units: int, rounds: int
) -> Measured:
    """The contestants in turn, so many times in a turn, after their answers were compared."""
    works["raw"]()
    answers = {name: said(work()) for name, work in works.items() if name != "raw"}
    if len(set(answers.values())) > 1:
        raise RuntimeError("the contestants do not say the same")

    def again(work: Work) -> None:
        for _ in range(turns):
            work()

    repeated = {name: partial(again, work) for name, work in works.items()}
    return _compared(in_turn(repeated, turns * units, rounds))


class _Rows:
    """Makes the rows of an adapter, whose framework is imported when a row is measured.

    Args:
        module: where the adapter stands, as ``ADAPTER``.
    """

    def __init__(self, module: str) -> None:
        self._module = f"benchmarks.{module}"

    @property
    def _adapter(self) -> Adapter:
        adapter: Adapter = importlib.import_module(self._module).ADAPTER
        return adapter

    def contest(
        self, reply: str, method: str, raw: str, turns: int = 1
    ) -> Callable[[stub.Running, int], Measured]:
        """A row of one workload: a method of the adapter, for each contestant."""
        taken = stub.Reply.named(reply)
        units = 1 if turns > 1 else taken.pieces

        def measured(server: stub.Running, rounds: int) -> Measured:
            adapter, url, runs = self._adapter, server.url(reply), OnLoop()
            models = {"ours": adapter.ours(url), "peer": adapter.peer(url)}
            models["idle"] = adapter.idle(taken)
            do: Callable[[Any], Any] = getattr(adapter, method)
            works: dict[str, Work] = {name: partial(do, it) for name, it in models.items()}
            if raw.startswith("a"):
                works = {name: runs(work) for name, work in works.items()}
            works["raw"] = getattr(Raw(url, _body(method == "converse"), runs.loop), raw)
            return _turns(works, adapter.said, turns, units, rounds)

        return measured

    def embed(self, server: stub.Running, rounds: int) -> Measured:
        """Texts into vectors."""
        url = server.url("whole-1")
        works = self._adapter.embeddings(url)
        plain = Raw(url, {}, OnLoop().loop)
        works["raw"] = partial(plain.embed, "Qwen/Qwen3-Embedding-0.6B", TEXTS, BATCH)
        return _turns(works, _vectors, 1, len(TEXTS), rounds)

    def grow(self, kind: str, short: int) -> Callable[[stub.Running, int], Measured]:
        """A stream ten times as long, through our own code alone."""

        def measured(server: stub.Running, rounds: int) -> Measured:
            adapter = self._adapter
            one, ten = (
                partial(adapter.own, adapter.ours(server.url(f"{kind}-{count}")))
                for count in (short, 10 * short)
            )
            return growth(one, ten, rounds)

        return measured

    def many_calls(self, server: stub.Running, rounds: int) -> Measured:
        """Calls at once, beside aiohttp."""
        url = server.url(LATER)
        return calls_at_once(self._adapter.ours(url), self._adapter.aask, url, rounds)

    def many_calls_beside_httpx(self, server: stub.Running, rounds: int) -> Measured:
        """Calls at once, beside httpx and beside the ideal."""
        url, ideal = server.url(LATER), stub.Reply.named(LATER).seconds
        return calls_beside_httpx(self._adapter.ours(url), self._adapter.aask, url, ideal, rounds)

    def many_streams(self, server: stub.Running, rounds: int) -> Measured:
        """Streams at once, beside the ideal."""
        model, reply = self._adapter.ours(server.url(SLOW)), stub.Reply.named(SLOW)
        return streams_at_once(model, self._adapter.aread, reply, rounds)

    def imports(self, server: stub.Running, rounds: int) -> Measured:
        """Import and first object."""
        return imported(*self._adapter.imports, rounds)


def _body(long: bool) -> dict[str, Any]:
    said = [message(at) for at in range(CONVERSATION)] if long else ["Hello"]
    messages = [
        {"role": ("user", "assistant")[at % 2], "content": it} for at, it in enumerate(said)
    ]
    return {"model": stub.MODEL, "messages": messages}


def _vectors(vectors: list[list[float]]) -> object:
    return len(vectors), tuple(round(number, 4) for number in vectors[-1])


def rows() -> Iterator[Row]:
    """All rows of both adapters."""
    yield from _of("LangChain", "langchain_models", "invoke", "ainvoke")
    yield from _of("LlamaIndex", "llamaindex_models", "chat", "achat")


def _of(framework: str, module: str, call: str, acall: str) -> Iterator[Row]:
    """The rows of one adapter; ``call`` and ``acall`` are its two ways of a whole answer."""
    made = _Rows(module)
    contest = made.contest

    def row(name: str, unit: str, measured: Any, smoke: bool = False) -> Row:
        return Row(f"{framework}: {name}", unit, measured, smoke)

    yield row(call, "call", contest("whole-1", "ask", "call", CALLS), True)
    yield row(acall, "call", contest("whole-1", "aask", "acall", CALLS), True)
    yield row("20-chunk stream", "call", contest("text-20", "read", "stream", CALLS), True)
    yield row("20-chunk astream", "call", contest("text-20", "aread", "astream", CALLS))
    yield row("stream", "chunk", contest("text-2000", "read", "stream"), True)
    yield row("astream", "chunk", contest("text-2000", "aread", "astream"), True)
    yield row("tool call", "chunk", contest("tools-500", "read", "stream"))
    yield row("200 messages", "call", contest("whole-1", "converse", "call", 10))
    yield row("stream, paced 2 ms", "chunk", contest(PACED, "read", "stream"))
    yield row("astream, paced 2 ms", "chunk", contest(PACED, "aread", "astream"))
    yield row("embeddings", "text", made.embed)
    yield row("own code, 20,000 chunks over 2,000", "stream", made.grow("text", 2000))
    yield row("own code, 5,000 pieces of a tool call over 500", "stream", made.grow("tools", 500))
    yield row("1000 at once", "call", made.many_calls)
    yield row("1000 at once, beside httpx", "call", made.many_calls_beside_httpx)
    yield row("500 streams at once, paced 20 ms", "chunk", made.many_streams)
    yield row("import and first object", "process", made.imports)
