"""The command, in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from modelscope_transport.emulator import SCENARIOS, LocalService
from modelscope_transport.emulator.serving import serve

CODER = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
BODY = json.dumps({"model": CODER, "messages": [{"role": "user", "content": "Hi"}]}).encode()
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


def test_the_lines_that_it_prints_point_a_program_at_it():
    with subprocess.Popen(
        [*COMMAND, "--token", "ms-mine"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        lines = [process.stdout.readline() for _ in range(5)]
        exported = dict(re.findall(r"(MODELSCOPE_\w+) ?= ?\"?([^\s\"]+)", "".join(lines)))
        assert exported["MODELSCOPE_API_KEY"] == "ms-mine"
        url = f"{exported['MODELSCOPE_API_BASE']}/chat/completions"
        for token, status in (("ms-mine", 200), ("ms-other", 401)):
            asked = urllib.request.Request(url, BODY, {"Authorization": f"Bearer {token}"})
            try:
                found = urllib.request.urlopen(asked).status
            except urllib.error.HTTPError as error:
                found = error.code
            assert found == status
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        first, second = process.stderr.read().splitlines()
    _, told = first.split("  ", 1)
    assert told == f"POST  /v1/chat/completions  {CODER}  200  1 Magicube"
    assert second.endswith("401  free")
    assert "ms-" not in first + second


def test_a_browser_gets_a_page_and_the_calls_as_they_come():
    with LocalService(allowance="magicubes=3") as service:
        asked = urllib.request.Request(
            service.root_url + "/", headers={"Accept": "text/html", "Accept-Language": "zh-CN"}
        )
        page = urllib.request.urlopen(asked).read().decode()
        assert "本地服务" in page
        assert service.base_url in page
        assert service.token not in page
        url = service.root_url + "/local/calls?after=1"
        assert json.load(urllib.request.urlopen(url)) == {"calls": [], "left": 3}
        headers = {"Authorization": f"Bearer {service.token}"}
        urllib.request.urlopen(
            urllib.request.Request(service.base_url + "/chat/completions", BODY, headers)
        ).read()
        told = json.load(urllib.request.urlopen(url))
    (call,) = told["calls"]
    assert told["left"] == 2
    assert (call["model"], call["status"], call["price"]) == (CODER, 200, 1)


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_a_port_that_is_none_is_wrong_usage(capsys, port):
    with pytest.raises(SystemExit) as ended:
        serve(["--port", port])
    assert ended.value.code == 2
    assert "from 0 to 65535" in capsys.readouterr().err


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
    said = capsys.readouterr().err
    assert said.startswith("127.0.0.1:")
    assert said.endswith("Choose another with --host and --port.\n")
    assert "in use" in said
    assert "Errno" not in said


def test_programs_get_the_address_and_each_request_as_json():
    with subprocess.Popen(
        [*COMMAND, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        place = json.loads(process.stdout.readline())
        given = {"Authorization": f"Bearer {place['token']}"}
        asked = urllib.request.Request(f"{place['base_url']}/chat/completions", BODY, given)
        assert urllib.request.urlopen(asked).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        call = json.loads(process.stderr.read())
    assert (call["model"], call["status"], call["price"]) == (CODER, 200, 1)
    assert place["token"] not in str(call)
