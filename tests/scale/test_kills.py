"""The command is killed fifty times at work: each time it repeats a call a worker at most."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelscope_transport import read_results
from modelscope_transport.emulator import LocalService
from tests.scale.conftest import ENV

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
ITEMS, KILLS = 3_000, 50

# Forks, so that fifty runs import the command once.
KILLED = """
import os, random, signal, sys, threading, time
from modelscope_transport import Client, cli

Client("ms-warm", ledger="off")
def size():
    return os.path.getsize("out.jsonl") if os.path.exists("out.jsonl") else 0

def kill(seed, before):
    while size() == before:  # until it is at work
        time.sleep(0.001)
    time.sleep(random.Random(seed).uniform(0, 0.05))
    os.kill(os.getpid(), signal.SIGKILL)

killed = 0
for seed in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        threading.Thread(target=kill, args=(seed, size()), daemon=True).start()
        try:
            cli.main(sys.argv[2:])
        finally:
            os._exit(0)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
print(killed)
raise SystemExit(cli.main(sys.argv[2:]))
"""


@pytest.mark.timeout(600)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("workers", [1, 4])
def test_fifty_kills(modelscope_service: LocalService, tmp_path: Path, workers: int) -> None:
    service = modelscope_service
    lines = "\n".join(f"Question {number}." for number in range(ITEMS))
    (tmp_path / "in.txt").write_text(lines)
    words = ["batch", "run", "in.txt", "out.jsonl", "--model", QWEN, "--ledger", "off"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(KILLS), *words, "--workers", str(workers)],
        cwd=tmp_path,
        env={
            **os.environ,
            **ENV,
            "MODELSCOPE_API_KEY": service.token,
            "MODELSCOPE_API_BASE": service.base_url,
            "MODELSCOPE_LANG": "en",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    killed = int(next(line for line in done.stdout.splitlines() if line.isdecimal()))
    assert killed >= KILLS // 2
    assert len(read_results(tmp_path / "out.jsonl")) == ITEMS
    assert ITEMS <= len(service.requests) <= ITEMS + killed * workers
    print(f"{len(service.requests)} requests for {ITEMS} items and {killed} kills")
