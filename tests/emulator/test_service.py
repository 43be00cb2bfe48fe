"""The life of a local service, and what a test can ask it."""

from __future__ import annotations

import ast
import socket
import sys
import time
from pathlib import Path

import pytest

import modelscope_transport.emulator
from modelscope_transport.emulator import LocalService, Model

PACKAGE = Path(modelscope_transport.emulator.__file__).parent


def test_requests_are_recorded_in_order(caller):
    before = time.time()
    caller.chat("Hello", temperature=0.5)
    caller.request("GET", "/v1/models?task=chat", token=None)
    chat, models = caller.service.requests
    assert (chat.method, chat.path) == ("POST", "/v1/chat/completions")
    assert chat.body["temperature"] == 0.5
    assert chat.headers["authorization"] == f"Bearer {caller.service.token}"
    assert before <= chat.time <= time.time()
    assert (models.method, models.path, models.body) == ("GET", "/v1/models", None)
    assert models.query == {"task": "chat"}


def test_reset_forgets_requests_and_scenarios(caller):
    caller.service.next("server_error")
    caller.chat()
    caller.service.next("server_error")
    caller.service.reset()
    assert caller.service.requests == []
    assert caller.chat().status == 200


def test_each_service_has_a_token_of_its_own():
    one, two = LocalService().token, LocalService().token
    assert one != two
    assert len(one) == 39


def test_it_listens_from_start_to_stop():
    service = LocalService()
    with pytest.raises(RuntimeError, match="not running"):
        _ = service.base_url
    service.start()
    service.start()
    assert service.base_url.startswith("http://127.0.0.1:")
    assert service.base_url.endswith("/v1")
    port = int(service.root_url.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port)).close()
    service.stop()
    service.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_it_can_be_started_again_and_at_a_given_port(call):
    first = LocalService()
    with first:
        port = int(first.root_url.rpartition(":")[2])
    with LocalService(port=port) as second:
        assert second.root_url == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError, match="in use"):
            LocalService(port=port).start()
    with first:
        assert first.base_url


def test_stop_ends_calls_that_run(call):
    caller = call(scenario="silence")
    with caller.open() as wire:
        while not caller.service.requests:
            time.sleep(0)  # the other thread's turn
        caller.service.stop()
        assert wire.recv(1) == b""


def test_every_reply_tells_the_time_of_the_services_clock(call):
    caller = call(clock=lambda: 1_795_312_800.0)
    caller.service.next("throttled", "honest")
    answers = [caller.chat(), caller.stream(), caller.request("GET", "/v1/models")]
    answers.append(caller.request("GET", "/nowhere"))
    assert {answered.headers["date"] for answered in answers} == {"Sun, 22 Nov 2026 02:00:00 GMT"}


def test_models_can_be_added_and_replaced(call):
    caller = call(models=[Model("own/model"), Model("Qwen/Qwen3-8B")])
    assert caller.chat(model="own/model").status == 200
    assert caller.chat(model="Qwen/Qwen3-8B").status == 200
    listed = {entry["id"] for entry in caller.request("GET", "/v1/models").json["data"]}
    assert "own/model" in listed


def test_wrong_options_are_told_at_once():
    with pytest.raises(ValueError, match="allowance"):
        LocalService(allowance="dollars=5")
    with pytest.raises(ValueError, match="scenario"):
        LocalService(scenario="earthquake")


@pytest.mark.slow
def test_the_fixture_forgets_between_tests(pytester):
    pytester.makeini("[pytest]\n")
    pytester.makeconftest('pytest_plugins = ["modelscope_transport.emulator.fixtures"]')
    pytester.makepyfile(
        """
        import urllib.request

        def test_one(modelscope_service):
            urllib.request.urlopen(modelscope_service.base_url + "/models").close()
            assert len(modelscope_service.requests) == 1

        def test_two(modelscope_service):
            assert modelscope_service.requests == []
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_it_is_an_island(path):
    for name in imports(path):
        own = name.startswith("modelscope_transport.emulator")
        plugin = path.name == "fixtures.py" and name == "pytest"
        assert own or plugin or name.partition(".")[0] in sys.stdlib_module_names
