"""ChatModelScope beside ChatOpenAI and beside what cannot be avoided, in one run.

    python benchmarks/langchain.py [--repetitions 7] [--only stream]

Every workload is done by all contestants in turn, again and again, against a stub server in a
process of its own (stub.py); what counts is the CPU time of this process, in microseconds, the
median of the repetitions. The contestants' answers are compared, so that nobody is fast by dropping
text. Only the ratios mean anything, and only those within one run.

*Floor* is httpx with the plainest reading of events, plus LangChain around a model that does
nothing but make its chunks by their constructors.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

# this file is named like a framework, and stands first in the way to it
sys.path[0] = str(Path(__file__).parents[1])

from langchain_core.language_models import BaseChatModel  # noqa: E402
from langchain_core.messages import (  # noqa: E402
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402

from benchmarks import stub  # noqa: E402
from benchmarks.measuring import (  # noqa: E402
    Goal,
    Work,
    Workload,
    compare,
    fresh,
    growth,
    head,
    measure,
    repeated,
    report,
    verdict,
)
from benchmarks.raw import Raw  # noqa: E402
from langchain_modelscope import ChatModelScope  # noqa: E402

MODEL = stub.MODEL
HISTORY: list[BaseMessage] = [
    (HumanMessage, AIMessage)[at % 2](f"This is message {at} of a conversation about nothing much.")
    for at in range(199)
]
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
CALLS = 20


# --- the contestants --------------------------------------------------------------------------


class Idle(BaseChatModel):
    """LangChain around a model that makes its chunks and does nothing else.

    Args:
        deltas: what it says, as fields of its chunks.
    """

    deltas: list[dict[str, Any]]

    @property
    def _llm_type(self) -> str:
        return "idle"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Hello there."))])

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for delta in self.deltas:
            yield ChatGenerationChunk(message=AIMessageChunk(**delta))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for delta in self.deltas:
            yield ChatGenerationChunk(message=AIMessageChunk(**delta))


def idle(kind: str, count: int) -> Idle:
    """An idle model that says what the stub says."""
    if kind == "tools":
        pieces = [
            {"name": None, "args": piece, "id": None, "index": 0} for piece in stub.arguments(count)
        ]
        return Idle(deltas=[{"content": "", "tool_call_chunks": [piece]} for piece in pieces])
    return Idle(deltas=[{"content": word} for word in stub.words(count)])


def ours(url: str) -> ChatModelScope:
    """Our model."""
    return ChatModelScope(model=MODEL, api_key="ms-bench", base_url=url)


def theirs(url: str) -> ChatOpenAI:
    """The peer, told to send usage in streams, which ours does by itself."""
    return ChatOpenAI(model=MODEL, api_key="ms-bench", base_url=url, stream_usage=True)  # type: ignore[arg-type]


# --- the workloads ----------------------------------------------------------------------------


def invoke(model: BaseChatModel) -> Any:
    """A short question, a short answer."""
    return model.invoke("Hello")


def converse(model: BaseChatModel) -> Any:
    """A short answer to a long conversation."""
    return model.invoke(HISTORY)


def stream(model: BaseChatModel) -> list[Any]:
    """All chunks of a stream."""
    return list(model.stream("Hello"))


class Contest:
    """Contestants for the replies of one stub.

    Args:
        server: the stub.
        loop: where the async colour runs.
    """

    def __init__(self, server: stub.Running, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop

    def ainvoke(self, model: BaseChatModel) -> Any:
        """`invoke` in the other colour."""
        return self._loop.run_until_complete(model.ainvoke("Hello"))

    def astream(self, model: BaseChatModel) -> list[Any]:
        """`stream` in the other colour."""

        async def collect() -> list[Any]:
            return [chunk async for chunk in model.astream("Hello")]

        return self._loop.run_until_complete(collect())

    def works(
        self, kind: str, count: int, do: Callable[[BaseChatModel], Any], raw: str
    ) -> dict[str, Work]:
        """The same task for each contestant."""
        url = self._server.url(f"{kind}-{count}")
        return {
            "ours": partial(do, ours(url)),
            "peer": partial(do, theirs(url)),
            "raw": getattr(Raw(url, BODY, self._loop), raw),
            "idle": partial(do, idle(kind, count)),
        }

    def workloads(self) -> Iterator[Workload]:
        """All of them."""
        calls = partial(repeated, CALLS)
        works = self.works
        whole = ("whole", 1)
        short = ("text", 20)
        long = ("text", 2000)
        yield Workload("invoke", "call", CALLS, calls(works(*whole, invoke, "call")), Goal(3, 1.1))
        yield Workload(
            "ainvoke", "call", CALLS, calls(works(*whole, self.ainvoke, "acall")), Goal(2.2, 1.1)
        )
        yield Workload(
            "history of 200", "call", CALLS, calls(works(*whole, converse, "call")), Goal(30)
        )
        yield Workload(
            "stream of 20", "call", CALLS, calls(works(*short, stream, "stream")), Goal(5, 1.1)
        )
        yield Workload(
            "astream of 20", "call", CALLS, calls(works(*short, self.astream, "astream")), Goal(5)
        )
        yield Workload("stream", "chunk", 2000, works(*long, stream, "stream"), Goal(6, 0.95))
        yield Workload(
            "astream", "chunk", 2000, works(*long, self.astream, "astream"), Goal(6, 0.95)
        )
        yield Workload(
            "tool call", "chunk", 500, works("tools", 500, stream, "stream"), Goal(5, 0.35)
        )
        yield Workload(
            "long stream", "chunk", 20_000, works("text", 20_000, stream, "stream"), Goal(floor=1)
        )


def said(result: Any) -> tuple[str, str]:
    """Text and arguments in an answer."""
    if not isinstance(result, list):
        return result.text, ""
    pieces = (piece["args"] for chunk in result for piece in chunk.tool_call_chunks)
    return "".join(chunk.text for chunk in result), "".join(piece for piece in pieces if piece)


# --- what is measured once --------------------------------------------------------------------

CORE = """
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
"""
OURS = """
from langchain_modelscope import ChatModelScope
ChatModelScope(model="owner/name", api_key="ms-bench")
"""
THEIRS = """
from langchain_openai import ChatOpenAI
ChatOpenAI(model="owner/name", api_key="ms-bench")
"""


def connections(server: stub.Running, model: BaseChatModel) -> int:
    """New connections in 100 streams one after another, the first stream not counted."""
    stream(model)
    before = server.connections()
    for _ in range(100):
        stream(model)
    return server.connections() - before


def words_kept(model: BaseChatModel) -> float:
    """Share of a thinking model's words that reach the user."""
    chunks = stream(model)
    thoughts = "".join(chunk.additional_kwargs.get("reasoning_content", "") for chunk in chunks)
    return len(thoughts + said(chunks)[0]) / len("".join(stub.words(200)))


def several(make: Callable[[str], BaseChatModel], url: str) -> list[BaseChatModel]:
    """Fifty objects."""
    return [make(url) for _ in range(50)]


def once(server: stub.Running, repetitions: int) -> None:
    """Print what needs no turns."""
    short, long = (partial(stream, ours(server.url(f"text-{count}"))) for count in (2000, 20_000))
    times = growth(short, long, repetitions)
    print(f"20,000 chunks cost {times:.1f} x 2,000, without GC: <= 10.5: {verdict(times <= 10.5)}")
    mine = growth(short, long, repetitions, collecting=True)
    few, many = (partial(stream, idle("text", count)) for count in (2000, 20_000))
    bare = growth(few, many, repetitions, collecting=True)
    print(
        f"and {mine:.1f} x with it; LangChain, which keeps a stream's chunks to its end, costs "
        f"{bare:.1f} x around a model that does nothing"
    )

    url = server.url("text-20")
    mine, peer = connections(server, ours(url)), connections(server, theirs(url))
    print(f"new connections in 100 streams: ChatOpenAI {peer}, ours {mine}: 0: {verdict(not mine)}")

    url = server.url("reasoning-200")
    kept, peers = words_kept(ours(url)), words_kept(theirs(url))
    print(f"words of a thinking model kept: ChatOpenAI {peers:.0%}, ours {kept:.0%}", end=": ")
    print(verdict(kept == 1))

    made = [
        statistics.median(measure(partial(several, make, url), 50) for _ in range(9))
        for make in (theirs, ours)
    ]
    print(f"second object, CPU us: ChatOpenAI {made[0]:.0f}, ours {made[1]:.0f}")

    found = fresh({"core": CORE, "ours": CORE + OURS, "peer": CORE + THEIRS}, repetitions)
    (core_cpu, core), (our_cpu, our), (peer_cpu, peer_memory) = found.values()
    share, peers, above = our_cpu / core_cpu, peer_cpu / core_cpu, our - core
    print(
        f"import and first object, CPU over langchain_core's: ChatOpenAI {peers:.2f} x, "
        f"ours {share:.2f} x: <= 1.12: {verdict(share <= 1.12)}"
    )
    print(
        f"and MiB above it: ChatOpenAI {peer_memory - core:.1f}, ours {above:.1f}: <= 6: "
        f"{verdict(above <= 6)}"
    )


def main() -> None:
    """Run all, or what is named, and print the ratios."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--only", help="workloads whose name contains this", default="")
    options = parser.parse_args()
    loop = asyncio.new_event_loop()
    with stub.running() as server:
        head("ChatOpenAI")
        for workload in Contest(server, loop).workloads():
            if options.only in workload.name:
                report(workload, compare(workload, options.repetitions, said))
        if not options.only:
            once(server, options.repetitions)


if __name__ == "__main__":
    main()
