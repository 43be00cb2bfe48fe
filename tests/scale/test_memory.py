"""A job of a hundred thousand lines takes little memory, by the command as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelscope_transport import Batch, ChatRequest, Client, Message
from modelscope_transport.client.response_cache import key_of
from modelscope_transport.emulator import LocalService
from modelscope_transport.jobs.results import ResultsFile
from tests.scale.conftest import ENV

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
LINES, OPEN = 100_000, 2_000
MEGABYTES = 150

RUN = """
import resource, sys
from modelscope_transport import cli
code = cli.main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
raise SystemExit(code)
"""


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux alone")
def test_a_hundred_thousand_lines(modelscope_service: LocalService, tmp_path: Path) -> None:
    service = modelscope_service
    texts = [
        f"Question {number} of many, which is as long as questions are." for number in range(LINES)
    ]
    (tmp_path / "in.txt").write_text("\n".join(texts))
    client = Client(service.token, base_url=service.base_url, ledger="memory")

    def ask(text: str) -> ChatRequest:
        return ChatRequest(model=QWEN, messages=(Message("user", text),))

    # What an earlier run had answered: all but the last of them, each row as a real one is.
    out = tmp_path / "out.jsonl"
    Batch(client, out).run({"1": ask(texts[0])})
    (row,) = Batch(client, out).results()
    with ResultsFile(out) as file:
        for number, text in enumerate(texts[1:-OPEN], 2):
            name = key_of(ask(text), client.base_url)
            assert name is not None
            file.add(replace(row, key=str(number), fingerprint=name.hex()))

    words = ["batch", "run", "in.txt", "out.jsonl", "--model", QWEN, "--workers", "8"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        cwd=tmp_path,
        env={
            **os.environ,
            **ENV,
            "MODELSCOPE_API_KEY": service.token,
            "MODELSCOPE_API_BASE": service.base_url,
            "MODELSCOPE_LEDGER": str(tmp_path / "ledger.sqlite3"),
            "MODELSCOPE_LANG": "en",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=500,
    )
    *said, kilobytes = done.stdout.splitlines()
    assert f"{LINES} items: {OPEN} answered now, {LINES - OPEN} before, 0 failed" in said[0]
    assert len(service.requests) == OPEN + 1
    print(f"{int(kilobytes) / 1024:.0f} MB")
    assert int(kilobytes) / 1024 <= MEGABYTES
