"""What a job on Ray makes of a bad day: ``python benchmarks/ray_faults.py [--json] [ADDRESS]``.

Six questions go to a local service that misbehaves at the third: through ``ChatStage``, and through
Ray's own ``build_processor(HttpRequestProcessorConfig(url, qps, max_retries))``, written as its
documentation shows it. One actor each, one call after another. Printed are the rows that came out
with an answer, the requests that the service got, and how the job ended. No time is measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)

from modelscope_transport.emulator import LocalService  # noqa: E402

ROWS = 6
MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
RETRIES = 2
# The allowance of the service, and what it does with the calls one by one.
FAULTS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "a spent day": ("calls=2,headers", ()),
    "a reply without choices": (None, ("honest", "honest", "shell")),
    "a stream cut off": (None, ("honest", "honest", "cut:1")),
}

Change = Callable[[Any], Any]


def of_stage(service: LocalService, stream: bool) -> Change:
    """Our stage. It ends with what it has, so that the two can be compared."""
    import ray

    from modelscope_transport.jobs.ray import ChatStage

    client = {"base_url": service.base_url, "ledger": "memory", "max_retries": RETRIES}
    stage = {"model": MODEL, "prompt": "Question {id}.", "wait": False, "workers": 1}
    if stream:  # a model that streams only: the stage joins the pieces
        stage["model"] = STREAMS_ONLY
    return lambda rows: rows.map_batches(
        ChatStage,
        fn_constructor_kwargs=stage | {"client": client},
        num_cpus=0,
        compute=ray.data.ActorPoolStrategy(size=1),
        batch_size=ROWS,
    )


def of_processor(service: LocalService, stream: bool) -> Change:
    """Ray's own processor for HTTP."""
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    config = HttpRequestProcessorConfig(
        url=f"{service.base_url}/chat/completions",
        headers={"Authorization": f"Bearer {service.token}"},
        qps=10,
        max_retries=RETRIES,
        base_retry_wait_time_in_s=0.1,
        concurrency=1,
        batch_size=ROWS,
    )

    def ask(row: dict[str, Any]) -> dict[str, Any]:
        question = {"role": "user", "content": f"Question {row['id']}."}
        body = {"model": MODEL, "messages": [question]}
        return {"payload": body | {"stream": True} if stream else body}

    def read(row: dict[str, Any]) -> dict[str, Any]:
        return {"answer": row["http_response"]["choices"][0]["message"]["content"]}

    return build_processor(config, preprocess=ask, postprocess=read)


def outcome(fault: str, way: Callable[[LocalService, bool], Change]) -> dict[str, Any]:
    """What came of one fault in one way."""
    import ray

    allowance, scenarios = FAULTS[fault]
    with LocalService(allowance=allowance, token=TOKEN) as service:
        service.next(*scenarios)
        rows = ray.data.range(ROWS, override_num_blocks=1)
        ended = "done"
        found: list[dict[str, Any]] = []
        try:
            found = way(service, "stream" in fault)(rows).take_all()
        except Exception as error:  # noqa: BLE001 - whatever ends the job is what is shown
            ended = _said(error)
        answered = sum(bool(row["answer"]) for row in found)
        return {"answered": answered, "requests": len(service.requests), "ended": ended}


def _said(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "Error" in line]
    return lines[-1][:100] if lines else type(error).__name__


TOKEN = "ms-00000000-0000-4000-8000-000000000013"
STREAMS_ONLY = "Qwen/QwQ-32B"
WAYS = {"ChatStage": of_stage, "Ray's HTTP processor": of_processor}


def main() -> None:
    """Run all faults in both ways, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("address", nargs="?", default="local")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "MODELSCOPE_API_KEY": TOKEN}
    import ray

    env = {"PYTHONPATH": str(ROOT), "MODELSCOPE_API_KEY": TOKEN, "MODELSCOPE_LEDGER": "memory"}
    ray.init(
        arguments.address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": env},
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    found = {fault: {name: outcome(fault, way) for name, way in WAYS.items()} for fault in FAULTS}
    ray.shutdown()
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{'':26}{'':24}{'answers':>8}{'requests':>10}  end")
    for fault, ways in found.items():
        for name, cell in ways.items():
            shown = f"{cell['answered']:>8}{cell['requests']:>10}  {cell['ended']}"
            print(f"{fault:26}{name:24}{shown}")


if __name__ == "__main__":
    main()
