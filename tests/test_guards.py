"""The guards of conftest.py and of pyproject.toml's pytest section, seen at work."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

CONFTEST = (Path(__file__).parent / "conftest.py").read_text(encoding="utf-8")
ELSEWHERE = ("192.0.2.1", 80)  # RFC 5737: an address for examples, nobody's

blocked = pytest.mark.filterwarnings("ignore:A test tried to use socket:UserWarning")


LEAKS = """
import logging, sys

def test_printed(canary): print(canary)
def test_printed_as_error(canary): print(canary, file=sys.stderr)
def test_logged(canary): logging.getLogger("x").debug("headers: %s", canary)
def test_written(canary, tmp_path): (tmp_path / "ledger.db").write_bytes(b"." + canary.encode())
def test_kept(canary, tmp_path): (tmp_path / "ledger.db").write_text(str(len(canary)))
"""


@pytest.mark.slow
def test_a_test_that_lets_the_token_out_fails(pytester: pytest.Pytester) -> None:
    plugins = CONFTEST[CONFTEST.index("pytest_plugins") : CONFTEST.index("CANARY =")]
    pytester.makeconftest(CONFTEST.replace(plugins, ""))
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\nlog_level = "DEBUG"')
    pytester.makepyfile(LEAKS)

    result = pytester.runpytest_subprocess()

    # a file is looked for when its test is over: that test has passed, then its teardown fails
    result.assert_outcomes(failed=3, passed=2, errors=1)
    for place in ("stdout call", "stderr call", "log call"):
        result.stdout.fnmatch_lines(f"The token got out. It stands in: Captured {place}.")
    result.stdout.fnmatch_lines("The token got out. It stands in: the file *ledger.db.")


def test_settings_of_the_developer_are_unseen() -> None:
    ours = {name for name in os.environ if name.startswith("MODELSCOPE_")}
    assert ours <= {"MODELSCOPE_LEDGER", "MODELSCOPE_LANG"}


@blocked
def test_no_connection_leaves_this_machine() -> None:
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection(ELSEWHERE, timeout=1)


@blocked
async def test_no_asynchronous_connection_leaves_this_machine() -> None:
    with pytest.raises(SocketConnectBlockedError):
        await asyncio.open_connection(*ELSEWHERE)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_connection_to_this_machine_works(host: str) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), host) as server:
        port = server.sockets[0].getsockname()[1]
        with socket.create_connection(server.sockets[0].getsockname()[:2], timeout=5):
            pass
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
