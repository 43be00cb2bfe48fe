"""One client in many loops, threads and processes, and on its way between them."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from msgspec.structs import replace

from modelscope_transport import Client, ConfigurationError
from modelscope_transport.emulator import LocalService
from tests.transport.callers import chat_request, embedding_request, settled


@pytest.fixture
def alone() -> Iterator[LocalService]:
    """A local service that nobody else is connected to."""
    with LocalService() as service:
        yield service


@pytest.fixture
def client(alone: LocalService) -> Iterator[Client]:
    """A client that takes no turns, so that calls truly meet."""
    with Client(alone.token, base_url=alone.base_url, concurrency=None) as client:
        yield client


# --- an interrupt


@pytest.mark.skipif(sys.platform == "win32", reason="its signals do not wake a thread that waits")
def test_ctrl_c_begins_no_further_batch(alone: LocalService, client: Client) -> None:
    once = threading.Lock()

    def interrupt(done: int, of: int) -> None:
        if once.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request = replace(embedding_request(*map(str, range(40))), batch_size=1)
    try:
        with pytest.raises(KeyboardInterrupt):
            client.embed(request, concurrency=2, on_progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(alone.requests) < 10


# --- loops


def test_ten_loops_one_after_the_other(alone: LocalService, client: Client) -> None:
    async def work() -> int:
        await client.aio.chat(chat_request())
        async for _ in await client.aio.stream_chat(chat_request()):
            pass
        return len((await client.aio.embed(embedding_request("a", dimensions=8))).vectors)

    assert [asyncio.run(work()) for _ in range(10)] == [1] * 10
    assert asyncio.run(settled(lambda: alone.connections == 0)), "they went with their loops"


def test_a_loop_that_is_closed_carelessly_is_survived(client: Client) -> None:
    for _ in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(client.aio.chat(chat_request())).text
        loop.run_until_complete(client.aio.aclose())
        loop.close()


def test_loops_in_many_threads(client: Client) -> None:
    async def work() -> list[str]:
        answers = await asyncio.gather(*(client.aio.chat(chat_request()) for _ in range(5)))
        return [answer.text for answer in answers]

    texts: list[str] = []
    _in_threads(8, lambda: texts.extend(asyncio.run(work())))
    assert len(texts) == 40
    assert len(set(texts)) == 1


async def test_many_calls_in_one_loop(alone: LocalService, client: Client) -> None:
    async def read() -> str:
        stream = await client.aio.stream_chat(chat_request())
        return "".join([delta.text async for delta in stream])

    texts = await asyncio.gather(*(read() for _ in range(150)))
    assert len(set(texts)) == 1
    await client.aio.aclose()
    assert await settled(lambda: alone.connections == 0)


# --- threads


def test_sixty_four_threads(alone: LocalService, client: Client) -> None:
    asked = [f"What is {number} plus {number}?" for number in range(64)]
    wrong: list[str] = []

    def work() -> None:
        mine = asked.pop()
        for turn in range(20):
            request = chat_request(messages=(chat_request().messages[0].__class__("user", mine),))
            if turn % 2:
                text = client.chat(request).text
            else:
                text = "".join(delta.text for delta in client.stream_chat(request))
            if mine.removesuffix("?") not in text:
                wrong.append(f"{mine} {text}")

    before = _descriptors()
    _in_threads(64, work)
    assert not wrong
    assert len(alone.requests) == 64 * 20
    assert alone.connections <= 64
    client.close()
    assert asyncio.run(settled(lambda: alone.connections == 0))
    assert _descriptors() <= before


def test_many_calls_leave_nothing_behind(alone: LocalService, client: Client) -> None:
    client.chat(chat_request())
    before = _descriptors()
    for _ in range(300):
        client.chat(chat_request())
        list(client.stream_chat(chat_request()))
    assert _descriptors() == before
    assert alone.connections == 1


def _in_threads(count: int, work: Any) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told to the test, whatever it is
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def _descriptors() -> int:
    """Open files and sockets of this process; 0 where the system does not tell."""
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.exists() else 0


# --- processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_after_use(alone: LocalService, client: Client) -> None:
    client.chat(chat_request())
    stream = client.stream_chat(chat_request())
    next(iter(stream))
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                answers = [client.chat(chat_request()).text for _ in range(3)]
                answers.append("".join(delta.text for delta in client.stream_chat(chat_request())))
                answers.append(asyncio.run(client.aio.chat(chat_request())).text)
                status = 0 if len(set(answers)) == 1 else 2
            finally:
                os._exit(status)
        children.append(child)
    # The parent goes on where it was.
    for _ in stream:
        pass
    assert stream.result().text == client.chat(chat_request()).text
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3
    assert len(alone.requests) == 3 + 3 * 5


def test_a_pickle_into_a_new_process(alone: LocalService, client: Client) -> None:
    program = (
        "import pickle, sys; from modelscope_transport import ChatRequest, Message;"
        "client, request = pickle.load(sys.stdin.buffer); print(client.chat(request).text)"
    )
    environment = {**os.environ, "MODELSCOPE_API_KEY": alone.token}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((client, chat_request())),
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip() == client.chat(chat_request()).text


# --- journeys


def dump(client: Client) -> bytes:
    return pickle.dumps(client)


@pytest.mark.parametrize("spread", [dump, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize("used", [False, True])
def test_a_pickled_client_holds_no_token(
    canary: str, spread: Any, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(canary, base_url="http://127.0.0.1:9/v1", timeout=7, max_retries=5, ledger=None)
    if used:
        assert client._core.driver is not None
        assert client.aio is not None
    data = spread(client)
    assert canary.encode() not in data
    assert canary[3:11].encode() not in data
    assert len(data) < 2048
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-other")
    twin = pickle.loads(data)
    assert twin.base_url == client.base_url
    assert (twin._core.options.timeout, twin._core.options.max_retries) == (7, 5)
    assert twin.ledger is None
    assert twin._core.settings.token.reveal() == "ms-other"


def test_a_client_without_a_token_in_its_new_place_says_so(client: Client) -> None:
    twin = pickle.loads(pickle.dumps(client))
    with pytest.raises(ConfigurationError, match="There is no ModelScope token"):
        twin.chat(chat_request())


def test_a_copy_is_the_client_itself(alone: LocalService, client: Client) -> None:
    for twin in (copy.copy(client), copy.deepcopy(client), copy.deepcopy({"a": [client]})["a"][0]):
        assert twin is client
    assert copy.deepcopy(client.aio) is client.aio
    assert client.chat(chat_request()).text
    assert len(alone.requests) == 1
