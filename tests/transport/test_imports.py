"""What an import and a first client bring along."""

from __future__ import annotations

import subprocess
import sys

HTTP = {"aiohttp", "httpcore", "httpx", "httpx2"}


def test_http_libraries_wait_for_the_first_call() -> None:
    program = (
        "import sys, modelscope_transport\n"
        "client = modelscope_transport.Client('ms-test')\n"
        "client.aio\n"
        f"print(sorted({HTTP!r} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stderr
