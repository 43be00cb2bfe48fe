"""Items a second of a long job, and what the shared ledger takes: ``python benchmarks/scale.py``.

    python benchmarks/scale.py [--items 2000] [--ray] [--redis redis://127.0.0.1:6379/0]

The server answers 20 ms after the question and has no limit, so that what is measured is the
client's side: a job with 1, 2, 4 and 8 workers, beside LangChain's ``batch`` and LlamaIndex's
``run_jobs`` over the adapters' own models. ``--ray`` adds the stages on a local Ray, and
``ray.data.llm``'s processor for HTTP, which has neither ledger nor results that outlive it.
``--redis`` counts in that Redis, and measures how many reservations a second it takes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)

from benchmarks import stub  # noqa: E402
from modelscope_transport import Batch, ChatRequest, Client, Message  # noqa: E402
from modelscope_transport.quota import Closing, open_ledger  # noqa: E402

TOKEN = "ms-bench"
TEXT = "Question {number}."


def of_batch(url: str, ledger: str, items: int, workers: int) -> float:
    """Seconds of a `Batch`."""
    client = Client(TOKEN, base_url=url, ledger=ledger, concurrency=None)
    requests = (
        (
            str(number),
            ChatRequest(model=stub.MODEL, messages=(Message("user", TEXT.format(number=number)),)),
        )
        for number in range(items)
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        report = Batch(client, Path(folder) / "out.jsonl", workers=workers).run(requests)
        seconds = time.perf_counter() - began
    assert report.answered == items, report
    return seconds


def of_langchain(url: str, ledger: str, items: int, workers: int) -> float:
    """Seconds of LangChain's own ``batch``."""
    from langchain_modelscope import ChatModelScope

    client = Client(TOKEN, base_url=url, ledger=ledger, concurrency=None)
    model = ChatModelScope(model=stub.MODEL, client=client)
    texts = [TEXT.format(number=number) for number in range(items)]
    began = time.perf_counter()
    model.batch(list(texts), config={"max_concurrency": workers})
    return time.perf_counter() - began


def of_llamaindex(url: str, ledger: str, items: int, workers: int) -> float:
    """Seconds of LlamaIndex's ``run_jobs``."""
    from llama_index.core.async_utils import run_jobs

    from llamaindex_modelscope import ModelScope

    client = Client(TOKEN, base_url=url, ledger=ledger, concurrency=None)
    llm = ModelScope(stub.MODEL, client=client)

    async def work() -> None:
        jobs = [llm.acomplete(TEXT.format(number=number)) for number in range(items)]
        await run_jobs(jobs, workers=workers)

    began = time.perf_counter()
    asyncio.run(work())
    return time.perf_counter() - began


def _on_ray(items: int, change: Callable[[Any], Any]) -> float:
    import ray

    ray.init(
        num_cpus=2,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "MODELSCOPE_API_KEY": TOKEN}},
    )
    try:
        began = time.perf_counter()
        count = change(ray.data.range(items, override_num_blocks=8)).count()
        seconds = time.perf_counter() - began
    finally:
        ray.shutdown()
    assert count == items, count
    return seconds


def of_stage(url: str, ledger: str, items: int, workers: int) -> float:
    """Seconds of `ChatStage` on Ray, two actors."""
    import ray

    from modelscope_transport.jobs.ray import ChatStage

    stage = {
        "model": stub.MODEL,
        "prompt": "Question {id}.",
        "workers": workers,
        "client": {"base_url": url, "ledger": ledger, "concurrency": None},
    }
    return _on_ray(
        items,
        lambda ds: ds.map_batches(
            ChatStage,
            fn_constructor_kwargs=stage,
            num_cpus=0,
            compute=ray.data.ActorPoolStrategy(size=2),
            batch_size=250,
        ),
    )


def of_processor(url: str, ledger: str, items: int, workers: int) -> float:
    """Seconds of ``ray.data.llm``'s own processor for HTTP, two actors."""
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    config = HttpRequestProcessorConfig(
        url=f"{url}/chat/completions",
        headers={"Authorization": f"Bearer {TOKEN}"},
        qps=None,
        concurrency=2,
        batch_size=250,
    )
    processor = build_processor(
        config,
        preprocess=lambda row: {
            "payload": {
                "model": stub.MODEL,
                "messages": [{"role": "user", "content": f"Question {row['id']}."}],
            }
        },
        postprocess=lambda row: {
            "answer": row["http_response"]["choices"][0]["message"]["content"]
        },
    )
    return _on_ray(items, processor)


def reservations_a_second(ledger: str, count: int = 2000) -> float:
    """Reservations, each accepted and settled, of one process that asks one after another."""
    books = open_ledger(ledger)
    if books is None:
        return float("inf")
    began = time.perf_counter()
    for _ in range(count):
        held: Any = books.reserve("bench", stub.MODEL)
        books.settle(held, Closing(charged=True))
    return count / (time.perf_counter() - began)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--redis", default="memory", metavar="URL")
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ways: dict[str, Callable[[str, str, int, int], float]] = {
        "Batch": of_batch,
        "LangChain's batch": of_langchain,
        "LlamaIndex's run_jobs": of_llamaindex,
    }
    if arguments.ray:
        ways |= {"ChatStage on Ray": of_stage, "ray.data.llm's HTTP processor": of_processor}
    print(f"{'items a second':32}" + "".join(f"{workers:>9}" for workers in (1, 2, 4, 8)))
    with stub.running() as server:
        url = server.url("whole-1-after-20")
        for name, work in ways.items():
            on_ray = "ay" in name
            cells = []
            for workers in (8,) if on_ray else (1, 2, 4, 8):
                items = arguments.items if workers > 1 else arguments.items // 4
                cells.append(items / work(url, arguments.redis, items, workers))
            shown = "".join(f"{cell:>9.0f}" for cell in cells)
            print(f"{name:32}{shown:>36}", flush=True)
    rate = reservations_a_second(arguments.redis)
    print(f"reservations a second, {arguments.redis.partition('?')[0]}: {rate:.0f}")


if __name__ == "__main__":
    main()
