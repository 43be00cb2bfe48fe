"""A process that makes calls: ``python calling.py BASE_URL TOKEN LEDGER CALLS THREADS``.

It begins when a line comes and prints how many calls succeeded, and what the others raised.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from modelscope_transport import Client, ModelScopeError
from tests.transport.callers import chat_request

base_url, token, ledger, calls, threads = sys.argv[1:]
client = Client(token, base_url=base_url, ledger=ledger, timeout=120)


def call(_: int) -> str:
    try:
        client.chat(chat_request())
    except ModelScopeError as error:
        return repr(error)
    return ""


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(int(threads)) as pool:
    failures = [failure for failure in pool.map(call, range(int(calls))) if failure]
print(json.dumps([int(calls) - len(failures), failures]), flush=True)
