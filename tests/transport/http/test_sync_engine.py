"""What only the sync engine has: threads, forks, its idle list, the end of the process."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from modelscope_transport.http import sync_connection, sync_engine
from modelscope_transport.http.sync_engine import SyncEngine
from tests.transport.http.conftest import Tls
from tests.transport.http.drivers import SLACK, SyncDriver, exchange, no_tls
from tests.transport.http.raw_server import CHUNKED, OK, RawServer, Wire, answering, serving


@pytest.fixture
def driver() -> Iterator[SyncDriver]:
    made = SyncDriver()
    yield made
    made.end()


# --- threads


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    "said", [b"", CHUNKED + b"2\r\nok\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok"]
)
def test_closing_a_reply_wakes_the_thread_that_reads_it(
    tls: Tls, encrypted: bool, said: bytes
) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(said or b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        assert wire.is_left()

    caught: list[Exception] = []
    driver = SyncDriver(lambda: tls.client)
    with serving(say, tls.server if encrypted else None) as server:
        opened = driver.open(exchange(server.url()))
        assert opened.piece() == b"ok"

        def read() -> None:
            try:
                opened.piece()
            except httpx.ReadError as error:
                caught.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        source = opened.response.stream._connection.raw  # type: ignore[union-attr]
        begun = time.monotonic()
        while not source._waiting:
            assert time.monotonic() - begun < 10
            time.sleep(0)
        opened.close()
        reader.join(10)
        assert not reader.is_alive()
        assert server.ended.acquire(timeout=10)
        assert source.sock.fileno() == -1
    assert len(caught) == 1
    assert time.monotonic() - begun < SLACK


def test_a_reply_that_was_closed_is_not_read_on(driver: SyncDriver) -> None:
    with serving(answering(CHUNKED + b"2\r\nok\r\n")) as server:
        opened = driver.open(exchange(server.url()))
        opened.close()
        with pytest.raises(httpx.ReadError):
            opened.piece()


def test_threads_get_their_own_answers(driver: SyncDriver) -> None:
    def echo(wire: Wire) -> None:
        while request := wire.request():
            body = request.partition(b"\r\n\r\n")[2]
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    wrong: list[object] = []

    def work(name: int) -> None:
        for turn in range(60):
            body = b"%d-%d" % (name, turn) * (1 + turn % 3)
            found = driver.send(exchange(server.url(), body))[2]
            if found != body:
                wrong.append((body, found))

    with serving(echo) as server:
        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert len(server.requests) == 8 * 60
        assert len(server.connections) <= 8


def test_threads_that_meet_at_the_first_request_make_one_context(tls: Tls) -> None:
    made: list[int] = []
    together = threading.Barrier(4)

    def make() -> object:
        made.append(1)
        return tls.client

    engine = SyncEngine(make)  # type: ignore[arg-type]

    def work() -> None:
        together.wait(10)
        engine.handle_request(exchange(server.url())).read()

    with serving(answering(OK), tls.server) as server:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        engine.close()
        assert len(server.requests) == 4
    assert made == [1]


# --- the idle list


def test_the_connection_used_last_serves_next(driver: SyncDriver) -> None:
    def say(wire: Wire) -> None:
        number = len(wire.server.connections)
        while wire.request():
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % number)

    with serving(say) as server:
        opened = [driver.open(exchange(server.url())) for _ in range(3)]
        for reply in (opened[0], opened[2], opened[1]):
            reply.rest()
        assert driver.send(exchange(server.url()))[2] == b"2"
        assert driver.send(exchange(server.url()))[2] == b"2"


def test_a_connection_is_not_used_after_a_long_rest(
    driver: SyncDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(answering(OK)) as server:
        driver.send(exchange(server.url()))
        monkeypatch.setattr(sync_engine, "_KEPT", 0.0)
        driver.send(exchange(server.url()))
        assert len(server.connections) == 2
        assert server.ended.acquire(timeout=10), "what has rested too long is closed"


def test_a_whole_body_gives_its_connection_back_before_its_last_bytes(driver: SyncDriver) -> None:
    with serving(answering(OK)) as server:
        opened = driver.open(exchange(server.url()))
        assert opened.piece() == b"ok"
        assert driver.send(exchange(server.url()))[2] == b"ok"
        opened.close()
        assert opened.piece() == b""
        assert driver.send(exchange(server.url()))[2] == b"ok"
        assert len(server.connections) == 1


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_an_engine_may_be_closed_while_it_works(driver: SyncDriver) -> None:
    trouble: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            for _ in range(150):
                assert driver.send(exchange(server.url()))[2] == b"ok"
        except BaseException as error:  # noqa: BLE001
            trouble.append(error)

    def close() -> None:
        while not done.wait(0.0005):
            driver.close()

    with serving(answering(OK)) as server:
        threads = [threading.Thread(target=work) for _ in range(4)]
        closer = threading.Thread(target=close)
        for thread in (*threads, closer):
            thread.start()
        for thread in threads:
            thread.join(60)
        done.set()
        closer.join(10)
    assert trouble == []


# --- forks


def end_in_time() -> None:
    """End this process, a fork, where it waits for what will not come."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_leaves_its_parents_connections_alone(driver: SyncDriver) -> None:
    def echo(wire: Wire) -> None:
        number = len(wire.server.connections)
        while wire.request():
            wire.send(CHUNKED + b"1\r\n%d\r\n" % number)
            wire.pause(0.01)
            wire.send(b"0\r\n\r\n")

    with serving(echo) as server:
        driver.send(exchange(server.url()))
        open_reply = driver.open(exchange(server.url()))
        assert open_reply.piece() == b"1"
        driver.engine._lock.acquire()  # as another thread might have it
        child = os.fork()
        if child == 0:
            end_in_time()
            with contextlib.suppress(BaseException):
                open_reply.close()
                found = driver.send(exchange(server.url(), deadline=time.monotonic() + 20))[2]
                driver.close()
                os._exit(0 if found == b"2" else 1)
            os._exit(2)
        driver.engine._lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert open_reply.rest() == b""
        open_reply.close()
        assert driver.send(exchange(server.url()))[2] == b"1"
        assert len(server.connections) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_reads_on_keeps_no_connection_of_its_parent(driver: SyncDriver) -> None:
    with serving(answering(OK)) as server:
        opened = driver.open(exchange(server.url()))
        child = os.fork()
        if child == 0:
            end_in_time()
            with contextlib.suppress(BaseException):
                opened.rest()
                os._exit(0 if not driver.engine._idle else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        opened.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_closes_its_descriptors_of_its_parents_connections(driver: SyncDriver) -> None:
    with serving(answering(OK)) as server:
        driver.send(exchange(server.url()))
        descriptor = driver.engine._idle[0].raw.sock.fileno()
        child = os.fork()
        if child == 0:
            try:
                os.fstat(descriptor)
            except OSError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert driver.send(exchange(server.url()))[2] == b"ok"
        assert len(server.connections) == 1


# --- what is left behind


def run(server: RawServer, program: str) -> subprocess.CompletedProcess[str]:
    begin = f"""
        import ssl, httpx
        from modelscope_transport.http.sync_engine import SyncEngine
        engine = SyncEngine(ssl.create_default_context)
        request = httpx.Request("GET", {server.url()!r})
    """
    command = [sys.executable, "-W", "error", "-X", "dev", "-c"]
    source = textwrap.dedent(begin) + textwrap.dedent(program)
    return subprocess.run([*command, source], capture_output=True, text=True, timeout=60)


ENDS = {
    "idle": "engine.handle_request(request).read()",
    "of an idle engine": "engine.handle_request(request).read(); del engine",
    "open": "pieces = iter(engine.handle_request(request).stream); next(pieces)",
    "open and forgotten": "next(iter(engine.handle_request(request).stream))",
    "read by a thread": """
        import threading
        response = engine.handle_request(request)
        threading.Thread(target=response.read, daemon=True).start()
    """,
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS)
def test_a_process_ends_without_a_word(program: str) -> None:
    reply = OK if ".read()" in program else CHUNKED + b"2\r\nok\r\n"
    with serving(answering(reply)) as server:
        ended = run(server, program)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_what_is_forgotten_is_closed(driver: SyncDriver) -> None:
    def say(wire: Wire) -> None:
        wire.request()
        wire.send(CHUNKED + b"2\r\nok\r\n")
        assert wire.is_left()

    with serving(say) as server:
        opened = driver.open(exchange(server.url()))
        assert opened.piece() == b"ok"
        del opened
        gc.collect()
        assert server.ended.acquire(timeout=10)


def test_an_engine_that_is_forgotten_closes_its_connections() -> None:
    with serving(answering(OK)) as server:
        engine = SyncEngine(no_tls)
        engine.handle_request(exchange(server.url())).read()
        engine.circle = engine  # type: ignore[attr-defined]
        del engine
        gc.collect()
        assert server.ended.acquire(timeout=10)


def test_an_answer_is_heard_at_once_while_the_server_takes_nothing() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while ours.send(bytes(1 << 16)):  # until nothing more goes out
            pass
    theirs.sendall(OK)
    connection = sync_connection.Connection(ours, (b"http", b"127.0.0.1", 80))
    begun = time.monotonic()
    with theirs:
        assert not connection.send(memoryview(b"x"), 30.0, lambda: True)
        assert time.monotonic() - begun < 0.9  # one write that waits takes a second
        connection.raw.cut()


@pytest.mark.skipif(os.name == "nt", reason="Windows throws away what came before a reset")
def test_an_answer_that_came_before_the_connection_broke_is_heard() -> None:
    go_on = threading.Event()

    def refuse(wire: Wire) -> None:
        go_on.wait(10)
        wire.send(OK)
        wire.reset()

    with serving(refuse) as server:
        connection = sync_connection.connect((b"http", b"127.0.0.1", server.port), math.inf)
        go_on.set()
        assert server.ended.acquire(timeout=10)
        whole = connection.send(memoryview(b"x"), 5.0, bool)
        assert (whole, connection.readline()) == (False, b"HTTP/1.1 200 OK\r\n")
        connection.raw.cut()


def test_where_no_thread_can_be_begun_a_name_is_resolved(
    driver: SyncDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if "resolver" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with serving(answering(OK)) as server:
        assert driver.send(exchange(server.url()))[0] == 200


def test_a_reply_that_outlives_its_socket_ends_without_a_word(driver: SyncDriver) -> None:
    with serving(answering(CHUNKED + b"2\r\nok\r\n")) as server:
        body: Any = driver.open(exchange(server.url())).response.stream
        body._connection.raw.close()  # as the collector may do it, in any order
        body._reply.close()


# --- what systems lack


def test_without_poll_select_serves(driver: SyncDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    import selectors

    monkeypatch.setattr(sync_connection, "_Selector", selectors.SelectSelector)
    body = bytes(8 << 20)
    with serving(answering(OK)) as server:
        assert driver.send(exchange(server.url(), body))[::2] == (200, b"ok")
        assert server.requests[0].endswith(body)


def test_a_system_without_an_option_of_tcp_serves(
    driver: SyncDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.delattr(socket, "TCP_NOTSENT_LOWAT", raising=False)
    with serving(answering(OK)) as server:
        assert driver.send(exchange(server.url()))[0] == 200


@pytest.mark.parametrize("timeout", [None, {}, {"connect": None, "read": None, "write": None}])
def test_without_limits_nothing_is_bounded(driver: SyncDriver, timeout: object) -> None:
    with serving(answering(OK)) as server:
        for body in (b"x", bytes(4 << 20)):
            request = exchange(server.url(), body)
            request.extensions["timeout"] = timeout
            assert driver.send(request)[0] == 200
        request.extensions.pop("timeout")
        assert driver.send(request)[0] == 200
