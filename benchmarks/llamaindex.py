"""ModelScope and ModelScopeEmbedding beside OpenAILike and its embedding, in one run.

    python benchmarks/llamaindex.py [--repetitions 7] [--only stream]

Every workload is done by all contestants in turn (measuring.py) against a stub server in a process
of its own (stub.py). *Floor* is httpx with the plainest reading of events, plus LlamaIndex around a
model that does nothing but make the responses by their constructors. Responses are read and let go,
as by a program that prints them.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

# this file is named like a framework, and stands first in the way to it
sys.path[0] = str(Path(__file__).parents[1])
# what the adapter costs; the ledger that all processes share by default is the transport's matter
os.environ["MODELSCOPE_LEDGER"] = "memory"

from llama_index.core.agent.workflow import FunctionAgent  # noqa: E402
from llama_index.core.base.embeddings.base import BaseEmbedding  # noqa: E402
from llama_index.core.base.llms.types import (  # noqa: E402
    ChatMessage,
    ToolCallBlock,
)
from llama_index.core.tools import FunctionTool  # noqa: E402
from llama_index.embeddings.openai_like import OpenAILikeEmbedding  # noqa: E402
from llama_index.llms.openai_like import OpenAILike  # noqa: E402

from benchmarks import stub  # noqa: E402
from benchmarks.idle_llamaindex import IdleEmbedding, idle  # noqa: E402
from benchmarks.measuring import (  # noqa: E402
    Goal,
    Work,
    Workload,
    compare,
    fresh,
    head,
    measure,
    repeated,
    report,
    verdict,
)
from benchmarks.raw import Raw  # noqa: E402
from llamaindex_modelscope import ModelScope, ModelScopeEmbedding  # noqa: E402

MODEL = stub.MODEL
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
QUESTION = [ChatMessage("Hello")]
HISTORY = [
    ChatMessage(
        f"This is message {at} of a conversation about nothing much.",
        role="assistant" if at % 2 else "user",
    )
    for at in range(199)
]
CALLS = 100  # in a turn: before each one the garbage collector runs, and leaves the caches cold
BATCH: dict[str, Any] = {"embed_batch_size": 256}
TEXTS = [f"This is text {at} of two thousand and forty-eight." for at in range(2048)]


# --- the contestants --------------------------------------------------------------------------


def ours(url: str) -> ModelScope:
    """The adapter."""
    return ModelScope(model=MODEL, api_key="ms-bench", base_url=url)


def theirs(url: str) -> OpenAILike:
    """The peer. Usage in streams is off there unless it is asked for; ours has it."""
    return OpenAILike(
        model=MODEL,
        api_key="ms-bench",
        api_base=url,
        is_chat_model=True,
        is_function_calling_model=True,
        additional_kwargs={"stream_options": {"include_usage": True}},
    )


# --- the workloads ----------------------------------------------------------------------------


def note(text: str) -> str:
    """Write a note."""
    return "written"


def ask(llm: Any) -> Any:
    """One answer."""
    return llm.chat(QUESTION)


async def aask(llm: Any) -> Any:
    """`ask` in the other colour."""
    return await llm.achat(QUESTION)


def converse(llm: Any) -> Any:
    """One answer to a long conversation."""
    return llm.chat(HISTORY)


def read(llm: Any) -> Any:
    """The last response of a stream."""
    return deque(llm.stream_chat(QUESTION), maxlen=1)[0]


async def aread(llm: Any) -> Any:
    """`read` in the other colour."""
    last = None
    async for response in await llm.astream_chat(QUESTION):
        last = response
    return last


def workloads(server: stub.Running, loop: asyncio.AbstractEventLoop) -> Iterator[Workload]:
    """All of them."""

    def of(
        reply: str, do: Callable[[Any], Any], raw: str, messages: list[ChatMessage] = QUESTION
    ) -> dict[str, Work]:
        url = server.url(reply)
        if inspect.iscoroutinefunction(do):
            do = partial(lambda run, llm: loop.run_until_complete(run(llm)), do)
        contestants = {"ours": ours(url), "peer": theirs(url), "idle": idle(reply)}
        works: dict[str, Work] = {name: partial(do, llm) for name, llm in contestants.items()}
        sent = [{"role": each.role.value, "content": each.content} for each in messages]
        plain = Raw(url, {"model": MODEL, "messages": sent}, loop)
        return works | {"raw": getattr(plain, raw)}

    calls: list[tuple[str, dict[str, Work], Goal]] = [
        ("chat", of("whole-1", ask, "call"), Goal(3)),
        ("achat", of("whole-1", aask, "acall"), Goal(2.2)),
        ("history of 200", of("whole-1", converse, "call", HISTORY), Goal(30)),
        ("stream of 20", of("text-20", read, "stream"), Goal(4)),
        ("astream of 20", of("text-20", aread, "astream"), Goal(4)),
    ]
    for name, works, goal in calls:
        yield Workload(name, "call", CALLS, repeated(CALLS, works), goal)
    yield Workload("stream", "chunk", 2000, of("text-2000", read, "stream"), Goal(5, 1.1))
    yield Workload("astream", "chunk", 2000, of("text-2000", aread, "astream"), Goal(5, 1.1))
    yield Workload("tool call", "chunk", 2000, of("tools-2000", read, "stream"), Goal(5))
    yield Workload("long stream", "chunk", 20_000, of("text-20000", read, "stream"), Goal())
    yield Workload(
        "embeddings", "text", len(TEXTS), embedding(server.url("whole-1"), loop), Goal(1.7)
    )


def embedding(url: str, loop: asyncio.AbstractEventLoop) -> dict[str, Work]:
    """All texts into vectors, by each."""
    models: dict[str, BaseEmbedding] = {
        "ours": ModelScopeEmbedding(EMBEDDING, api_key="ms-bench", base_url=url, **BATCH),
        "peer": OpenAILikeEmbedding(EMBEDDING, api_key="ms-bench", api_base=url, **BATCH),
        "idle": IdleEmbedding(**BATCH),
    }
    works: dict[str, Work] = {
        name: partial(model.get_text_embedding_batch, TEXTS) for name, model in models.items()
    }
    return works | {"raw": partial(Raw(url, {}, loop).embed, EMBEDDING, TEXTS, 256)}


def said(result: Any) -> Any:
    """What is in an answer, so that the contestants' can be compared."""
    if isinstance(result, list):
        return len(result), tuple(round(number, 4) for number in result[-1])
    calls = [block for block in result.message.blocks if isinstance(block, ToolCallBlock)]
    return result.message.content or "", tuple(call.tool_kwargs for call in calls)


# --- what is measured once --------------------------------------------------------------------


def agents(server: stub.Running, repetitions: int) -> dict[int, dict[str, float]]:
    """CPU microseconds a chunk of a FunctionAgent that streams one tool argument, by its length.

    Core's own part grows with the argument, since its events hold the answer so far; the idle
    model shows it alone.
    """
    tool = FunctionTool.from_defaults(note, return_direct=True)

    def run(llm: Any) -> Any:
        async def step() -> Any:
            return await FunctionAgent(tools=[tool], llm=llm).run("Hello")

        return asyncio.run(step())

    found = {}
    for count in (500, 1000, 2000):
        url = server.url(f"tools-{count}")
        contestants = {"ours": ours(url), "peer": theirs(url), "idle": idle(f"tools-{count}")}
        works: dict[str, Work] = {name: partial(run, llm) for name, llm in contestants.items()}
        for name, work in works.items():
            output = work()
            if name != "idle" and len(output.tool_calls[0].tool_kwargs["text"]) < 20 * count:
                raise SystemExit(f"agent: {name} lost a part of the argument")
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(repetitions):
            for name, work in works.items():
                times[name].append(measure(work, count))
        found[count] = {name: statistics.median(turns) for name, turns in times.items()}
    return found


def connections(server: stub.Running) -> dict[str, int]:
    """New connections in 100 streams one after another, the first stream not counted."""
    found = {}
    url = server.url("text-20")
    for name, llm in (("ours", ours(url)), ("peer", theirs(url))):
        list(llm.stream_chat(QUESTION))
        before = server.connections()
        for _ in range(100):
            list(llm.stream_chat(QUESTION))
        found[name] = server.connections() - before
    return found


CORE = (
    "from llama_index.core.llms import ChatMessage\n"
    "from llama_index.core.llms.function_calling import FunctionCallingLLM\n"
)
IMPORTS = {
    "core": CORE,
    "ours": CORE + "from llamaindex_modelscope import ModelScope\n"
    "ModelScope('a/b', api_key='ms-bench')",
    "peer": CORE + "from llama_index.llms.openai_like import OpenAILike\n"
    "OpenAILike('a/b', api_key='ms-bench', api_base='http://127.0.0.1:1/v1')",
}


# --- the report -------------------------------------------------------------------------------


def once(server: stub.Running, repetitions: int) -> None:
    """What is no workload: agents, connections, imports."""
    grown = agents(server, repetitions)
    for count, cpu in grown.items():
        print(
            f"agent, argument of {20 * count:,} characters, a chunk: OpenAILike {cpu['peer']:.0f}, "
            f"core alone {cpu['idle']:.0f}, ours {cpu['ours']:.0f}"
        )
    short, long = (grown[count]["ours"] - grown[count]["idle"] for count in (500, 2000))
    print(
        f"our part of it, a chunk: {short:.1f} at 10,000 characters, {long:.1f} at 40,000: "
        f"<= 1.5 x: {verdict(long <= 1.5 * short)}"
    )
    opened = connections(server)
    print(
        f"new connections in 100 streams: OpenAILike {opened['peer']}, ours {opened['ours']}: "
        f"0: {verdict(opened['ours'] == 0)}"
    )
    found = fresh(IMPORTS, repetitions)
    core, mine, peer = found["core"], found["ours"], found["peer"]
    share = mine[0] / core[0]
    print(
        f"import and first object, CPU of llama_index.core.llms alone: OpenAILike "
        f"{peer[0] / core[0]:.2f} x, ours {share:.2f} x: <= 1.12: {verdict(share <= 1.12)}"
    )
    print(
        f"memory above llama_index.core.llms alone, MiB: OpenAILike {peer[1] - core[1]:.1f}, "
        f"ours {mine[1] - core[1]:.1f}"
    )


def main() -> None:
    """Run all, or what is named, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--only", help="workloads whose name contains this")
    options = parser.parse_args()
    loop = asyncio.new_event_loop()
    found: dict[str, float] = {}
    with stub.running() as server:
        head("OpenAILike")
        for workload in workloads(server, loop):
            if options.only and options.only not in workload.name:
                continue
            cpu = compare(workload, options.repetitions, said)
            found[workload.name] = cpu["ours"]
            report(workload, cpu)
        if not options.only or options.only == "once":
            once(server, options.repetitions)
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    main()
