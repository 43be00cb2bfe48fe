"""Whole calls against a server of raw bytes: connections, certificates, descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport import APIConnectionError, APITimeoutError, Client, ImageRequest
from modelscope_transport.errors import UnexpectedReplyError
from modelscope_transport.http import sync_engine
from modelscope_transport.http.sync_connection import Connection
from tests.transport.callers import chat_request
from tests.transport.http.conftest import Tls
from tests.transport.http.raw_server import RawServer, Wire, answering, serving
from tests.transport.http.streaming import Streaming

# Two shared cores: how much later than on an idle machine something may be.
SLACK = 1.5
PNG = b"\x89PNG\r\n\x1a\nrest"


def answer(text: str) -> bytes:
    """A whole reply of HTTP with an answer in it."""
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return whole(json.dumps({"choices": [choice]}).encode())


def whole(body: bytes, kind: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


class Sync:
    """Calls of one client, sync; several at once in threads."""

    def __init__(self, server: RawServer | str, **options: Any) -> None:
        url = server if isinstance(server, str) else server.url("/v1")
        self.client = Client(
            **{"api_key": "ms-1", "base_url": url, "ledger": None, "timeout": 20.0, **options}
        )

    def chat(self, **asked: Any) -> str:
        return self.client.chat(chat_request(**asked)).text

    def image(self) -> Any:
        return self.client.draw(ImageRequest(model="some/painter", prompt="a cat"))

    def chats(self, count: int) -> list[str]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self.chat(), range(count)))

    def streams(self, count: int) -> list[str]:
        def read(_: int) -> str:
            stream = self.client.stream_chat(chat_request())
            return "".join(delta.text for delta in stream)

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(read, range(count)))

    def end(self) -> None:
        self.client.close()


class Async(Sync):
    """The same in one event loop."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.loop = asyncio.new_event_loop()

    def chat(self, **asked: Any) -> str:
        return self.loop.run_until_complete(self.client.aio.chat(chat_request(**asked))).text

    def image(self) -> Any:
        request = ImageRequest(model="some/painter", prompt="a cat")
        return self.loop.run_until_complete(self.client.aio.draw(request))

    def chats(self, count: int) -> list[str]:
        async def all_of_them() -> list[str]:
            calls = [self.client.aio.chat(chat_request()) for _ in range(count)]
            return [answer.text for answer in await asyncio.gather(*calls)]

        return self.loop.run_until_complete(all_of_them())

    def streams(self, count: int) -> list[str]:
        async def read() -> str:
            stream = await self.client.aio.stream_chat(chat_request())
            return "".join([delta.text async for delta in stream])

        async def all_of_them() -> list[str]:
            return list(await asyncio.gather(*[read() for _ in range(count)]))

        return self.loop.run_until_complete(all_of_them())

    def end(self) -> None:
        self.loop.run_until_complete(self.client.aio.aclose())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def user(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(*args: Any, **options: Any) -> Any:
        made.append(request.param(*args, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()


# --- how many at once


def test_streams_find_out_how_many_the_service_takes(user: Any) -> None:
    script = Streaming(5, enough=15)
    with serving(script) as server:
        made = user(server, api_key="ms-streams")
        assert made.streams(30) == ["ab"] * 30
    assert script.are_enough.is_set()
    assert script.peak >= 15


def test_chats_that_are_answered_by_streams_find_it_out_as_well(user: Any) -> None:
    # One after another they would take ten seconds and so wait in vain for their turn.
    with serving(Streaming(0.05)) as server:
        made = user(server, api_key="ms-chats", timeout=8.0)
        assert made.chats(200) == ["ab"] * 200


# --- whose answer it is


def test_surplus_bytes_behind_a_reply_are_no_other_calls_answer(user: Any) -> None:
    turn = iter(range(100))

    def script(wire: Wire) -> None:
        while wire.request():
            number = next(turn)
            wire.send(answer(f"own {number}") + answer("another's"))

    with serving(script) as server:
        made = user(server)
        assert [made.chat() for _ in range(3)] == ["own 0", "own 1", "own 2"]
        assert len(server.connections) == 3, "what has more to say serves no further call"


def test_two_tokens_never_share_a_connection(user: Any) -> None:
    seen: list[tuple[int, str]] = []

    def script(wire: Wire) -> None:
        while request := wire.request():
            token = request.lower().partition(b"authorization: bearer ")[2].partition(b"\r\n")[0]
            seen.append((id(wire), token.decode()))
            wire.send(answer("ok"))

    with serving(script) as server:
        users = [user(server, api_key="ms-one"), user(server, api_key="ms-two")]
        for _ in range(3):
            for each in users:
                assert each.chat() == "ok"
    assert len(seen) == 6
    assert len(set(seen)) == 2
    assert len({wire for wire, _ in seen}) == 2, "one each, and kept"


# --- what is sent once


def test_a_connection_that_is_closed_while_the_server_worked_is_no_reason_to_ask_again(
    user: Any,
) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.pause(0.1)

    with serving(script) as server:
        with pytest.raises(APIConnectionError) as caught:
            user(server).chat()
        assert len(server.requests) == 1
    assert caught.value.reason == "broken_connection"
    assert caught.value.details.attempts == 1


# --- waits


def test_a_byte_that_does_not_come_in_time_is_waited_for_as_long_as_was_said(user: Any) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.stall()

    with serving(script) as server:
        made = user(server, idle_timeout=0.3)
        begun = time.monotonic()
        with pytest.raises(APIConnectionError) as caught:
            made.chat()
        assert 0.3 <= time.monotonic() - begun < 0.3 + SLACK
    assert caught.value.reason == "timed_out"
    assert "idle_timeout" in str(caught.value)  # a larger timeout would change nothing


def test_a_connection_that_does_not_come_up_is_waited_for_as_long_as_was_said(user: Any) -> None:
    # A server that has as many connections waiting as it takes lets no other come up.
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        made = user(
            f"http://127.0.0.1:{full.getsockname()[1]}/v1", connect_timeout=0.3, max_retries=0
        )
        begun = time.monotonic()
        with pytest.raises(APIConnectionError):
            made.chat()
        assert 0.2 <= time.monotonic() - begun < 0.3 + SLACK


# --- what the ledger keeps of a call that is given up


@pytest.mark.parametrize("way", ["engine", "proxy"])
@pytest.mark.parametrize("calls", [0, 1], ids=["connecting", "sent"])
async def test_a_cancelled_call_is_counted_if_anything_of_it_was_sent(
    tmp_path: Path, way: str, calls: int
) -> None:
    def silence(wire: Wire) -> None:
        wire.head() if calls or way == "proxy" else wire.sock.recv(1)
        reached.set()
        wire.is_left()

    reached = threading.Event()
    with serving(silence) as server:
        through: dict[str, Any] = {"proxy": server.url()} if way == "proxy" else {}
        url = server.url("/v1") if calls else f"https://127.0.0.1:{server.port}/v1"
        client = Client("ms-1", base_url=url, ledger=str(tmp_path / "ledger.db"), **through)
        task = asyncio.create_task(client.aio.chat(chat_request()))
        assert await asyncio.to_thread(reached.wait, 10)
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        assert sum(day.calls for day in client.history(1)) == calls


@pytest.mark.parametrize("calls", [0, 1], ids=["connecting", "sent"])
def test_an_interrupted_call_is_counted_if_anything_of_it_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    if calls:
        monkeypatch.setattr(Connection, "send", interrupt)
    else:
        monkeypatch.setattr(sync_engine, "connect", interrupt)
    with serving(answering(answer("ok"))) as server:
        client = Client("ms-1", base_url=server.url("/v1"), ledger=str(tmp_path / "ledger.db"))
        with pytest.raises(KeyboardInterrupt):
            client.chat(chat_request())
        assert sum(day.calls for day in client.history(1)) == calls


# --- certificates


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environments_certificates_are_trusted(
    user: Any, tls: Tls, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, tls.certificate)
    with serving(answering(answer("ok")), tls.server) as server:
        assert user(server).chat() == "ok"


def test_a_certificate_that_is_not_trusted_is_named_and_asked_once(
    user: Any, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with serving(answering(answer("ok")), tls.server) as server:
        with pytest.raises(APIConnectionError) as caught:
            user(server).chat()
        assert server.requests == []
        assert len(server.connections) == 1
    assert caught.value.reason == "bad_certificate"
    assert caught.value.details.attempts == 1
    assert "REQUESTS_CA_BUNDLE" in str(caught.value)


def test_a_proxy_that_does_not_answer_is_named(user: Any) -> None:
    nowhere = {
        "base_url": "https://api-inference.modelscope.cn/v1",
        "proxy": "http://user:hidden-word@127.0.0.1:1",
    }
    with serving(answering(b"")) as server, pytest.raises(APIConnectionError) as caught:
        user(server, max_retries=0, **nowhere).chat()
    assert caught.value.reason == "no_proxy"
    assert "127.0.0.1:1: " in str(caught.value)
    assert "HTTPS_PROXY" in str(caught.value)
    assert "hidden-word" not in str(caught.value)


def test_a_proxy_that_opens_no_tunnel_is_named(user: Any) -> None:
    refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(refused)) as server:
        through = {"base_url": "https://api-inference.modelscope.cn/v1", "proxy": server.url()}
        with pytest.raises(APIConnectionError, match="407") as caught:
            user(server, max_retries=0, **through).chat()
    assert caught.value.reason == "no_proxy"


# --- an address in a reply


def images_naming(address: str) -> Callable[[Wire], None]:
    """A service whose image task is done at once, and names this address."""
    accepted = whole(b'{"task_id": "7", "task_status": "SUCCEED"}')
    done = whole(json.dumps({"task_status": "SUCCEED", "output_images": [address]}).encode())

    def script(wire: Wire) -> None:
        while request := wire.request():
            wire.send(accepted if request.startswith(b"POST") else done)

    return script


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}/admin", "http://localhost:{}/admin"])
def test_nothing_of_this_machine_is_fetched_because_a_reply_names_it(user: Any, form: str) -> None:
    with serving(answering(whole(b"the admin's page", b"text/html"))) as other:
        with serving(images_naming(form.format(other.port))) as server:
            made = user(server, max_retries=0)
            with pytest.raises(UnexpectedReplyError) as caught:
                made.image()
        assert other.requests == []
        assert other.connections == []
    assert caught.value.reason == "forbidden_address"
    assert "admin" not in f"{caught.value} {caught.value.details}"


def test_the_name_of_an_images_host_is_looked_up_in_the_time_to_connect(
    user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, look_up = threading.Event(), socket.getaddrinfo

    def stall(host: str, *rest: Any, **named: Any) -> Any:
        if host == "images.example":
            go_on.wait(20)
        return look_up("127.0.0.1", *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", stall)
    with serving(images_naming("https://images.example/a.png")) as server:
        painter = user(server, connect_timeout=0.3, max_retries=0)
        begun = time.monotonic()
        with pytest.raises(APITimeoutError, match="not resolved in time"):
            painter.image()
        assert time.monotonic() - begun < 1 + 0.3 + SLACK  # the first look comes after a second
        go_on.set()


def test_an_image_of_the_service_itself_is_fetched(user: Any) -> None:
    replies: dict[bytes, bytes] = {}

    def script(wire: Wire) -> None:
        while request := wire.request():
            wire.send(next(replies[path] for path in replies if path in request.split(b"\r\n")[0]))

    with serving(script) as server:
        done = {"task_status": "SUCCEED", "output_images": [server.url("/x.png")]}
        replies[b"/x.png"] = whole(PNG, b"image/png")
        replies[b"/tasks/"] = whole(json.dumps(done).encode())
        replies[b"/images/"] = whole(b'{"task_id": "7", "task_status": "PENDING"}')
        assert user(server).image().image.data == PNG
        assert b"authorization" in server.requests[-1].lower(), "it is the service's own"


def test_a_body_that_is_no_image_is_not_repeated_in_the_error(user: Any) -> None:
    replies: dict[bytes, bytes] = {}

    def script(wire: Wire) -> None:
        while request := wire.request():
            wire.send(next(replies[path] for path in replies if path in request.split(b"\r\n")[0]))

    with serving(script) as server:
        done = {"task_status": "SUCCEED", "output_images": [server.url("/x.png")]}
        replies[b"/x.png"] = whole(b"<html>root:x:0:0</html>", b"text/html")
        replies[b"/tasks/"] = whole(json.dumps(done).encode())
        replies[b"/images/"] = whole(b'{"task_id": "7", "task_status": "PENDING"}')
        with pytest.raises(UnexpectedReplyError) as caught:
            user(server, max_retries=0).image()
    assert "root:x" not in f"{caught.value} {caught.value.details}"


# --- no descriptor left

EXHAUSTED = """
import asyncio, resource, socket, sys
from modelscope_transport import ChatRequest, Client, Message, ModelScopeError

request = ChatRequest(model="a/b", messages=(Message("user", "Hi"),))
client = Client("ms-1", base_url=sys.argv[1], ledger=None, max_retries=0)
loop = asyncio.new_event_loop()
calls = (
    lambda: client.chat(request),
    lambda: client.stream_chat(request),
    lambda: loop.run_until_complete(client.aio.chat(request)),
)
if sys.argv[2] == "after the first calls":
    for call in calls:
        call()
    client.close()
    loop.run_until_complete(client.aio.aclose())
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held, said = [], []
try:
    while True:
        held.append(socket.socket())
except OSError:
    pass
for call in calls:
    try:
        call()
    except ModelScopeError as error:
        said.append(f"{type(error).__name__} {error.reason}")
    except BaseException as error:
        said.append(f"raw {type(error).__name__} {error}")
del held
print(*said, sep="\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits its descriptors as POSIX does")
@pytest.mark.parametrize("when", ["at the first calls", "after the first calls"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_descriptors_an_error_is_ours_though_no_file_can_be_opened(
    when: str, language: str
) -> None:
    with serving(answering(answer("ok"))) as server:
        done = subprocess.run(
            [sys.executable, "-c", EXHAUSTED, server.url("/v1"), when],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.getcwd(), "MODELSCOPE_LANG": language},
        )
    assert done.stdout.splitlines() == ["APIConnectionError no_connection"] * 3, done.stderr
    assert done.returncode == 0, f"with descriptors again, calls go on failing: {done.stderr}"
