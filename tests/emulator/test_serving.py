"""The command, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

import pytest

from modelscope_transport.emulator import SCENARIOS, LocalService
from modelscope_transport.emulator.serving import serve

COMMAND = [sys.executable, "-m", "modelscope_transport.emulator"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_address_serves_and_ends_cleanly(number):
    with subprocess.Popen(
        [*COMMAND, "--allowance", "calls=1"], stdout=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline()
        url = line.split()[-1]
        with urllib.request.urlopen(f"{url}/models") as reply:
            assert reply.status == 200
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stdout.read() == ""


def test_the_scenarios_are_listed(capsys):
    assert serve(["--scenario", "help"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(SCENARIOS)
    assert any(line.startswith("throttled[:retry_after] ") for line in listed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scenario", "earthquake"], "earthquake"),
        (["--allowance", "calls=many"], "calls needs a number"),
        (["--upstream", "127.0.0.1:8080"], "http://127.0.0.1:8080/v1"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(capsys, options, words):
    assert serve(options) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_a_port_that_is_taken_is_told(capsys):
    with LocalService() as service:
        assert serve(["--port", service.root_url.rpartition(":")[2]]) == 2
    assert "in use" in capsys.readouterr().err
