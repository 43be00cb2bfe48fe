"""Processes that make calls: ``python calling.py BASE_URL TOKEN LEDGER CALLS THREADS [PROCESSES]``.

They begin when a line comes. Each prints how many calls succeeded, and what the others raised.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from modelscope_transport import Client, ModelScopeError
from tests.transport.callers import chat_request

base_url, token, ledger, calls, threads, processes = [*sys.argv[1:], "1"][:6]

go_on, begin = os.pipe()
# Forked: to import what a call needs takes a process longer than its calls.
for name in ("httpx", "redis", "modelscope_transport.quota.sqlite"):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
is_parent = all(os.fork() for _ in range(int(processes) - 1))
if is_parent:
    print("ready", flush=True)
    sys.stdin.readline()
    os.write(begin, b"." * int(processes))
os.read(go_on, 1)

client = Client(token, base_url=base_url, ledger=ledger, timeout=120)


def call(_: int) -> str:
    try:
        client.chat(chat_request())
    except ModelScopeError as error:
        return repr(error)
    return ""


with ThreadPoolExecutor(int(threads)) as pool:
    failures = [failure for failure in pool.map(call, range(int(calls))) if failure]
line = json.dumps([int(calls) - len(failures), failures])
os.write(1, f"{line}\n".encode())  # one write, so that lines stay whole
if is_parent:
    for _ in range(int(processes) - 1):
        os.wait()
