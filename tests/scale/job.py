"""The driver of a job on Ray: ``job.py SPEC``, SPEC a file of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ray

from modelscope_transport.jobs.ray import ChatStage, checkpoint
from tests.scale.worlds import MODEL, FileClock, MakeClient, look_often


def number_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its question. Ray filters by the ids as they were read, so they stay."""
    return {"id": row["id"], "text": f"Question {row['id']}."}


def main(spec: dict[str, Any]) -> None:
    """Run the job that a mapping describes."""
    ray.init(spec["address"], runtime_env={"env_vars": spec["env"]})
    checkpoint(spec["checkpoint"], "id")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    make = MakeClient(spec["url"], spec["redis"], spec["clock"], spec["paid"], spec["cap"])
    stage = {
        "model": MODEL,
        "prompt": "{text}",
        "client": make,
        "workers": spec["workers"],
        "wait": spec["wait"],
        "pace": {"clock": FileClock(spec["clock"]), "sleep": look_often},
    }
    (
        ray.data.range(spec["rows"], override_num_blocks=spec["blocks"])
        .map(number_of, num_cpus=0)
        .map_batches(
            ChatStage,
            fn_constructor_kwargs=stage,
            num_cpus=0,
            compute=ray.data.ActorPoolStrategy(size=spec["actors"]),
            batch_size=spec["batch"],
        )
        .write_parquet(spec["out"])
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
