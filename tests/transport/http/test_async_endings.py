"""How loops, engines and processes end with connections open: quietly, and with all sockets closed.

The cases run in other processes, because warnings at the end of an interpreter reach no test that
runs inside it. Warnings are errors there, and asyncio runs in its debug mode.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.transport.http.conftest import Tls
from tests.transport.http.raw_server import OK, RawServer, Wire, serving

BEGINNING = """
import asyncio, gc, logging, os, ssl, sys, threading
import httpx
from modelscope_transport.http.async_engine import AsyncEngine

URL = sys.argv[1]
# In debug mode asyncio warns of steps that took long, which a busy machine makes of any.
logging.getLogger("asyncio").setLevel(logging.ERROR)

def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

engine = AsyncEngine(tls)

async def begin(path="", engine=engine):
    limits = {"timeout": {"connect": 9, "read": 9, "write": 9}}
    return await engine.handle_async_request(httpx.Request("GET", URL + path, extensions=limits))

async def call(engine=engine):
    response = await begin("", engine)
    return b"".join([piece async for piece in response.stream])

async def calls(engine=engine):
    assert await asyncio.gather(*[call(engine) for _ in range(3)]) == [b"ok"] * 3

def open_connections():
    return {id(p) for home in engine._loops.values() for p in home._transports}

async def hang():
    await asyncio.gather(calls(), begin("silence"), begin("stall"))

async def begun(count):
    while sum(len(home.exchanges) for home in engine._loops.values()) < count:
        await asyncio.sleep(0.001)
"""

PROGRAMS = {
    "a loop in order": """
asyncio.run(calls())
""",
    "ten loops in order": """
for _ in range(10):
    asyncio.run(calls())
assert not engine._loops
""",
    "a loop that is closed only": """
loop = asyncio.new_event_loop()
loop.run_until_complete(calls())
loop.close()
""",
    "ten loops that are closed only": """
for _ in range(10):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(calls())
    loop.close()
assert not engine._loops
""",
    "a loop that is used again after its generators were closed": """
loop = asyncio.new_event_loop()
for _ in range(3):
    loop.run_until_complete(calls())
    loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
""",
    "an engine that is closed": """
async def main():
    await calls()
    await engine.aclose()
    await calls()
    await engine.aclose()
asyncio.run(main())
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
""",
    "a reply that is open when its loop ends in order": """
async def main():
    global response
    response = await begin("stall")
asyncio.run(main())
""",
    "a reply that is open when its loop is closed": """
loop = asyncio.new_event_loop()
response = loop.run_until_complete(begin("stall"))
loop.close()
""",
    "a reply that is dropped, and a loop that is closed": """
loop = asyncio.new_event_loop()
loop.run_until_complete(begin("stall"))
gc.collect()
loop.close()
gc.collect()
""",
    "a reply that is closed in a loop that is not its own": """
loop = asyncio.new_event_loop()
response = loop.run_until_complete(begin("stall"))
loop.close()
asyncio.run(response.stream.aclose())
""",
    "calls that are cancelled when their loop ends in order": """
async def main():
    task = asyncio.ensure_future(hang())
    await begun(2)
asyncio.run(main())
""",
    "calls that end with an error": """
async def main():
    task = asyncio.ensure_future(hang())
    await begun(2)
    raise KeyError
try:
    asyncio.run(main())
except KeyError:
    pass
""",
    "a call that is cancelled, and a loop that is closed only": """
async def main():
    task = asyncio.ensure_future(begin("silence"))
    await begun(1)
    task.cancel()
    await asyncio.wait([task])
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
""",
    "a name that is still looked up when its loop is closed only": """
import socket
found = threading.Event()
lookup = socket.getaddrinfo
def slow(*args, **more):
    found.wait(5)
    return lookup(*args, **more)
socket.getaddrinfo = slow
async def main():
    limits = {"timeout": {"connect": 0.2}}
    request = httpx.Request("GET", "http://localhost:1/", extensions=limits)
    try:
        await engine.handle_async_request(request)
    except httpx.ConnectTimeout:
        pass
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
found.set()
loop.close()
""",
    "an engine that goes before its loop": """
async def main():
    engine = AsyncEngine(tls)
    await calls(engine)
    del engine
    gc.collect()
    await asyncio.sleep(0)
asyncio.run(main())
""",
    "an engine that goes with the last step of its loop": """
async def main():
    await calls(AsyncEngine(tls))
asyncio.run(main())
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
""",
    "an engine that goes between two steps of its loop": """
async def nothing(): pass
for steps in range(3):
    loop = asyncio.new_event_loop()
    other = AsyncEngine(tls)
    loop.run_until_complete(calls(other))
    del other
    gc.collect()
    for _ in range(steps):
        loop.run_until_complete(nothing())
    loop.close()
""",
    "an engine that goes after its loop": """
other = AsyncEngine(tls)
loop = asyncio.new_event_loop()
loop.run_until_complete(calls(other))
loop.close()
del other, loop
gc.collect()
""",
    "many engines in one loop": """
from modelscope_transport.http.async_connections import LoopConnections
def left():
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, LoopConnections)]
async def main():
    for _ in range(20):
        await call(AsyncEngine(tls))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not left()
asyncio.run(main())
asyncio.run(calls())
loop = asyncio.new_event_loop()
loop.run_until_complete(calls())
loop.close()
assert not left()
""",
    "loops in threads": """
def work():
    for _ in range(5):
        asyncio.run(calls())
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
asyncio.run(calls())
assert not engine._loops
""",
    "a thread that is left behind with its loop at work": """
ready = threading.Event()
async def main():
    task = asyncio.ensure_future(hang())
    await calls()
    await begun(2)
    ready.set()
    await task
threading.Thread(target=asyncio.run, args=[main()], daemon=True).start()
ready.wait()
""",
    "an exit in the middle of a loop": """
async def main():
    await calls()
    sys.exit(0)
asyncio.run(main())
""",
    "a loop within a loop": """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
import nest_asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
nest_asyncio.apply(loop)
async def main():
    await calls()
    loop.run_until_complete(calls())
loop.run_until_complete(main())
loop.close()
""",
    "a runner": """
with asyncio.Runner() as runner:
    runner.run(calls())
    runner.run(calls())
""",
    "uvloop in order": """
import uvloop
uvloop.run(calls())
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(calls())
""",
    "a fork between two loops": """
asyncio.run(calls())
if (child := os.fork()) == 0:
    asyncio.run(calls())
    sys.exit(0)
asyncio.run(calls())
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
    "a fork beside a loop that rests": """
loop = asyncio.new_event_loop()
loop.run_until_complete(calls())
held = open_connections()
if (child := os.fork()) == 0:
    asyncio.run(calls())
    del engine, loop
    gc.collect()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
loop.run_until_complete(calls())
assert held == open_connections()
loop.close()
""",
    "a fork in the middle of a loop": """
async def main():
    response = await begin("stall")
    await calls()
    held = open_connections()
    if (child := os.fork()) == 0:
        asyncio.run(calls())
        del response
        gc.collect()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    await calls()
    assert held == open_connections()
    await response.stream.aclose()
asyncio.run(main())
""",
}
# These go into one process, each with an engine of its own that stays until the process ends.
ALONE = ("a thread", "an exit", "a loop within", "uvloop", "a fork in", "a name", "many")
TOGETHER = [name for name in PROGRAMS if not name.startswith(ALONE)]
ALSO = {"uvloop": "uvloop", "a loop within": "nest_asyncio"}


def answer(wire: Wire) -> None:
    while request := wire.request():
        if b"/silence" in request:
            assert wire.is_left()
        elif b"/stall" in request:
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome")
            assert wire.is_left()
        else:
            wire.send(OK)


def run(program: str, server: RawServer) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, server.url()],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_ends_are_quiet(tls: Tls, encrypted: bool) -> None:
    steps = {
        name: BEGINNING + PROGRAMS[name]
        for name in TOGETHER
        if hasattr(os, "fork") or "fork" not in name
    }
    program = f"""
import sys
kept = []
for name, step in {steps!r}.items():
    print(name, file=sys.stderr, flush=True)
    kept.append({{"__name__": name}})
    exec(step, kept[-1])
print("the end", file=sys.stderr, flush=True)
"""
    with serving(answer, tls.server if encrypted else None) as server:
        ended = run(program, server)
    assert ended.stderr.splitlines() == [*steps, "the end"]
    assert ended.returncode == 0


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in TOGETHER])
def test_an_end_is_quiet(name: str) -> None:
    for word, module in ALSO.items():
        if name.startswith(word) and find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if "fork" in name and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    with serving(answer) as server:
        ended = run(BEGINNING + PROGRAMS[name], server)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
