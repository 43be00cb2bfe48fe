"""Calls that need not be made: merged while they are on their way, or answered before."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import pickle
import shutil
import sqlite3
import stat
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelscope_transport import (
    APITimeoutError,
    Budget,
    ChatChoice,
    ChatRequest,
    ChatResult,
    Client,
    ConfigurationError,
    ImagePart,
    MemoryLedger,
    Message,
    ModelScopeError,
    QuotaExceededError,
    ResponseCache,
    ServerError,
    ToolSpec,
    VideoPart,
)
from modelscope_transport.client.response_cache import key_of
from modelscope_transport.emulator import LocalService, ScriptedEngine
from modelscope_transport.emulator.engine import ChatCall, Piece, Usage
from tests.forks import forking, in_a_fork, open_files
from tests.transport.callers import settled
from tests.transport.quota.clockwork import Hands
from tests.transport.quota.redis_server import RedisServer

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
GLM = "ZhipuAI/GLM-4.7-Flash"


def ask(text: str = "What is 2 plus 3?", **how: Any) -> ChatRequest:
    settings: dict[str, Any] = {"model": QWEN, **how}
    return ChatRequest(messages=(Message("user", text),), **settings)


class Gated(ScriptedEngine):
    """An engine that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = threading.Event()

    async def chat(self, call: ChatCall) -> AsyncGenerator[Piece | Usage, None]:
        await asyncio.to_thread(self.may_answer.wait)
        async for piece in super().chat(call):
            yield piece


@pytest.fixture
def engine() -> Iterator[Gated]:
    engine = Gated()
    yield engine
    engine.may_answer.set()


@pytest.fixture
def service(engine: Gated) -> Iterator[LocalService]:
    with LocalService(engine=engine) as service:
        yield service
        engine.may_answer.set()


@pytest.fixture
def prompt(modelscope_service: LocalService) -> LocalService:
    """A service that answers at once."""
    return modelscope_service


def client_of(service: LocalService, **how: Any) -> Client:
    settings: dict[str, Any] = {"ledger": MemoryLedger(), "max_retries": 0, **how}
    return Client(service.token, base_url=service.base_url, **settings)


def waiting(client: Client) -> int:
    """How many wait for a call that another makes."""
    singleflight: list[Any] = list(client._core.account.singleflight._calls.values())
    return sum(len(call._condition._waiters) for call in singleflight)


# ------------------------------------------------------------------------------------ merging


def test_fifty_identical_calls_are_one_request(service: LocalService, engine: Gated) -> None:
    client = client_of(service, merge=True)
    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(client.chat, ask()) for _ in range(50)]
        while waiting(client) < 49:
            threading.Event().wait(0.001)
        engine.may_answer.set()
        answers = {call.result().text for call in calls}
    assert len(answers) == 1
    assert len(service.requests) == 1


async def test_fifty_identical_tasks_are_one_request(service: LocalService, engine: Gated) -> None:
    client = client_of(service, merge=True).aio
    calls = [asyncio.create_task(client.chat(ask())) for _ in range(50)]
    assert await settled(lambda: len(service.requests) == 1)
    engine.may_answer.set()
    answers = await asyncio.gather(*calls)
    assert len({answer.text for answer in answers}) == 1
    assert len(service.requests) == 1


def test_what_differs_is_asked_apart(prompt: LocalService) -> None:
    client = client_of(prompt, merge=True)
    client.chat(ask())
    client.chat(ask("Another question"))
    client.chat(ask())  # the first is no longer on its way
    assert len(prompt.requests) == 3


def test_calls_are_not_merged_unless_asked_for(prompt: LocalService) -> None:
    assert client_of(prompt)._reuse is None


async def test_an_error_is_everybodys(service: LocalService, engine: Gated) -> None:
    client = client_of(service, merge=True).aio
    service.next("server_error")
    calls = [asyncio.create_task(client.chat(ask())) for _ in range(3)]
    came = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in came] == [ServerError] * 3
    assert len({id(error) for error in came}) == 3
    assert len({str(error) for error in came}) == 1
    assert len(service.requests) == 1


async def test_when_the_one_who_asks_gives_up_another_takes_over(
    service: LocalService, engine: Gated
) -> None:
    client = client_of(service, merge=True).aio
    first, second = (asyncio.create_task(client.chat(ask())) for _ in range(2))
    assert await settled(lambda: len(service.requests) == 1)
    first.cancel()
    assert await settled(lambda: len(service.requests) == 2)
    engine.may_answer.set()
    assert (await second).text
    assert first.cancelled()
    assert len(service.requests) == 2


async def test_one_who_stops_waiting_ends_nothing_for_the_others(
    service: LocalService, engine: Gated
) -> None:
    client = client_of(service, merge=True).aio
    calls = [asyncio.create_task(client.chat(ask())) for _ in range(3)]
    assert await settled(lambda: len(service.requests) == 1)
    calls[1].cancel()
    engine.may_answer.set()
    assert (await calls[0]).text
    assert (await calls[2]).text
    assert len(service.requests) == 1


async def test_an_error_that_one_has_not_waited_for_is_no_complaint_of_asyncio(
    prompt: LocalService,
) -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    client = client_of(prompt, merge=True)
    singleflight = client._core.account.singleflight
    key = client.aio._reuse._call_key(ask())  # type: ignore[union-attr]
    calls = [singleflight.join(key)[0]]  # type: ignore[arg-type]
    task = asyncio.create_task(client.aio.chat(ask()))
    assert await settled(lambda: bool(calls[0]._done_callbacks))  # type: ignore[attr-defined]
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    singleflight.finish(key, calls.pop(), error=ServerError("no"))  # type: ignore[arg-type]
    for _ in range(3):  # turns in which the loop hands it on
        await asyncio.sleep(0)
    del task
    gc.collect()
    assert not complaints


async def test_nobody_waits_past_his_own_deadline(service: LocalService, engine: Gated) -> None:
    client = client_of(service, merge=True).aio
    patient = asyncio.create_task(client.chat(ask()))
    assert await settled(lambda: len(service.requests) == 1)
    with pytest.raises(APITimeoutError):
        await client.chat(ask(timeout=0.02))
    engine.may_answer.set()
    assert (await patient).text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"fallback_models": (GLM,)}),
        ({"fallback_models": (GLM,)}, {}),
        ({"timeout": 0.5}, {"timeout": 30.0}),
    ],
    ids=["without a substitute", "with a substitute", "in a hurry"],
)
async def test_those_who_asked_on_other_terms_do_not_share_an_error_or_anothers_answer(
    service: LocalService, engine: Gated, first: dict[str, Any], second: dict[str, Any]
) -> None:
    client = client_of(service, merge=True, concurrency=None).aio
    calls = [asyncio.create_task(client.chat(ask(**first)))]
    assert await settled(lambda: len(service.requests) == 1)
    calls.append(asyncio.create_task(client.chat(ask(**second))))
    assert await settled(lambda: len(service.requests) == 2)
    engine.may_answer.set()
    await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("how", [{"max_retries": 1}, {"budget": Budget(calls=1)}, {"timeout": 5.0}])
async def test_clients_of_other_terms_do_not_share_a_call(
    service: LocalService, engine: Gated, how: dict[str, Any]
) -> None:
    with contextlib.ExitStack() as stack:
        clients = [client_of(service, merge=True, concurrency=None, **it) for it in ({}, how, {})]
        for client in clients:
            stack.enter_context(client)
        calls = [asyncio.create_task(client.aio.chat(ask())) for client in clients]
        assert await settled(lambda: len(service.requests) == 2)
        engine.may_answer.set()
        assert len({(await call).text for call in calls}) == 1
    assert len(service.requests) == 2


async def test_a_timeout_that_is_none_is_refused_in_a_sentence(prompt: LocalService) -> None:
    client = client_of(prompt, merge=True)
    wrong: Any = "5"
    with pytest.raises(ConfigurationError, match="timeout must be above 0"):
        await client.aio.chat(ask(timeout=wrong))
    with pytest.raises(ConfigurationError, match="timeout must be above 0"):
        await asyncio.to_thread(client.chat, ask(timeout=wrong))


async def test_a_sync_call_in_a_loop_does_not_wait_for_the_loop(prompt: LocalService) -> None:
    client = client_of(prompt, merge=True)
    key = client._reuse._call_key(ask())  # type: ignore[union-attr]
    assert key is not None
    client._core.account.singleflight.join(key)  # as if a task of this loop were making it
    assert client.chat(ask()).text


# ------------------------------------------------------------------------------------- keeping


def test_an_answer_is_given_again_without_a_request(prompt: LocalService) -> None:
    client = client_of(prompt, cache=ResponseCache())
    first, second = client.chat(ask()), client.chat(ask())
    assert (first.text, first.usage) == (second.text, second.usage)
    assert second.origin is not None
    assert second.origin.attempts == 0
    assert "kept" in second.origin.adjustments[0]
    assert len(prompt.requests) == 1
    assert client.quotas()[0].used == 1


def test_a_kept_answer_serves_while_the_allowance_is_spent(prompt: LocalService) -> None:
    client = client_of(prompt, cache=ResponseCache())
    client.chat(ask())
    prompt.next("account_spent")
    with pytest.raises(QuotaExceededError):
        client.chat(ask("Another question"))
    assert client.chat(ask()).text


def test_streams_are_kept_and_answered_from_what_was_kept(prompt: LocalService) -> None:
    client = client_of(prompt, cache=ResponseCache())
    streamed = "".join(delta.text for delta in client.stream_chat(ask()))
    again = client.stream_chat(ask())
    assert "".join(delta.text for delta in again) == streamed
    assert again.result().usage is not None
    assert client.chat(ask()).text == streamed
    assert len(prompt.requests) == 1


async def test_async_streams_as_well(prompt: LocalService, tmp_path: Path) -> None:
    client = client_of(prompt, cache=ResponseCache(tmp_path / "answers")).aio
    async for _ in await client.stream_chat(ask()):
        pass
    stream = await client.stream_chat(ask())
    assert [delta async for delta in stream]
    assert (await client.chat(ask())).text
    assert len(prompt.requests) == 1


def test_a_stream_that_was_left_early_is_not_kept(prompt: LocalService) -> None:
    client = client_of(prompt, cache=ResponseCache())
    with client.stream_chat(ask()) as stream:
        next(iter(stream))
    client.chat(ask())
    assert len(prompt.requests) == 2


def test_a_stream_that_broke_is_not_kept(prompt: LocalService) -> None:
    client = client_of(prompt, cache=ResponseCache())
    prompt.next("drop:2")
    with pytest.raises(ModelScopeError):
        list(client.stream_chat(ask()))
    client.chat(ask())
    assert len(prompt.requests) == 2


def test_another_models_answer_is_not_kept_for_the_one_asked(prompt: LocalService) -> None:
    client = client_of(prompt, cache=ResponseCache())
    prompt.next("model_spent")
    client.chat(ask(fallback_models=(GLM,)))
    client.chat(ask(fallback_models=(GLM,)))
    assert len(prompt.requests) == 3


# The request's own fields; what only says how long to wait or whom else to ask is left out.
CHANGES: list[dict[str, Any]] = [
    {"model": GLM},
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"max_tokens": 7},
    {"seed": 1},
    {"stop": ("x",)},
    {"enable_thinking": True},
    {"tools": (ToolSpec("add", "adds", {"type": "object"}),)},
    {"tool_choice": "none"},
    {"extra_body": {"top_k": 3}},
    {"extra_headers": {"x-mode": "b"}},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_changes_the_answer_changes_its_name(change: dict[str, Any]) -> None:
    assert key_of(ask(**change)) != key_of(ask())


def test_the_words_and_the_address_change_it_too() -> None:
    assert key_of(ask("One")) != key_of(ask("Two"))
    assert key_of(ask(), "https://a") != key_of(ask(), "https://b")


@pytest.mark.parametrize("change", [{"timeout": 5.0}, {"fallback_models": (GLM,)}])
def test_what_changes_no_answer_changes_no_name(change: dict[str, Any]) -> None:
    assert key_of(ask(**change)) == key_of(ask())


class OwnText(str):
    """A text of a class of its own."""


def test_a_text_of_another_class_is_called_as_the_text_is() -> None:
    assert key_of(ask(OwnText("One"))) == key_of(ask("One"))


def test_an_age_without_end_is_none(prompt: LocalService) -> None:
    cache = ResponseCache("redis://127.0.0.1:1/0", max_age=math.inf)
    assert client_of(prompt, cache=cache).chat(ask()).text


class LaterMessage(Message, frozen=True):
    mood: str | None = None


class LaterRequest(ChatRequest, frozen=True, kw_only=True):
    effort: str | None = None


def test_a_field_that_a_later_version_adds_changes_no_name() -> None:
    now = ask("One", temperature=0.5)
    messages = (LaterMessage("user", "One"),)
    later = LaterRequest(model=now.model, messages=messages, temperature=0.5)
    assert key_of(later) == key_of(now)
    assert key_of(replace(later, effort="high")) != key_of(now)


def test_pictures_and_videos_of_one_address_differ() -> None:
    def about(part: ImagePart | VideoPart) -> bytes | None:
        return key_of(replace(ask(), messages=(Message("user", (part,)),)))

    assert about(ImagePart("https://a.example/b")) != about(VideoPart("https://a.example/b"))


def test_what_is_no_json_is_asked_anew_each_time() -> None:
    assert key_of(ask(extra_body={"x": object()})) is None


def test_what_has_no_end_is_asked_anew_each_time_and_not_kept() -> None:
    endless: dict[str, Any] = {}
    endless["x"] = endless
    assert key_of(ask(extra_body=endless)) is None
    ResponseCache().keep(b"key", ChatResult((ChatChoice("a", logprobs=endless),)))


# ------------------------------------------------------------------------------------ the file


def test_processes_share_a_file(prompt: LocalService, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "answers.sqlite3"
    client_of(prompt, cache=ResponseCache(path)).chat(ask())
    assert client_of(prompt, cache=ResponseCache(path)).chat(ask()).text
    assert len(prompt.requests) == 1


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_the_file_is_its_owners_alone(prompt: LocalService, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "answers.sqlite3"
    client_of(prompt, cache=ResponseCache(path)).chat(ask())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_no_token_is_in_the_file(prompt: LocalService, tmp_path: Path, canary: str) -> None:
    cache = ResponseCache(tmp_path / "answers.sqlite3")
    Client(canary, base_url=prompt.base_url, ledger=None, cache=cache).chat(ask())
    cache.close()
    assert canary.encode() not in (tmp_path / "answers.sqlite3").read_bytes()


def test_a_spoilt_file_counts_as_empty(prompt: LocalService, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite3"
    path.write_bytes(b"my shopping list" * 99)
    client = client_of(prompt, cache=ResponseCache(path))
    assert client.chat(ask()).text
    assert client.chat(ask()).text
    assert len(prompt.requests) == 2


def test_an_answer_grows_old(prompt: LocalService) -> None:
    clock = Hands()
    client = client_of(prompt, cache=ResponseCache(max_age=60, clock=clock))
    client.chat(ask())
    clock.now += 60
    client.chat(ask())
    clock.now += 1
    client.chat(ask())
    assert len(prompt.requests) == 2


def test_a_file_does_not_keep_what_has_grown_old(tmp_path: Path) -> None:
    clock, path = Hands(), tmp_path / "answers"
    whole = ResponseCache(path, clock=clock)
    aging = ResponseCache(path, max_age=60, clock=clock)
    for number in range(20):
        whole.keep(b"%d" % number, ChatResult((ChatChoice("five"),)))
        clock.now += 10
    assert _rows(path) == 20
    aging.keep(b"the newest", ChatResult((ChatChoice("five"),)))
    assert _rows(path) == 7
    assert whole.find(b"13") is None
    assert whole.find(b"14") is not None
    whole.close()
    aging.close()


def _rows(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as file:
        (count,) = file.execute("SELECT count(*) FROM answers").fetchone()
    return int(count)


def test_a_cache_is_cleared(prompt: LocalService) -> None:
    cache = ResponseCache()
    client = client_of(prompt, cache=cache)
    client.chat(ask())
    cache.clear()
    client.chat(ask())
    assert len(prompt.requests) == 2


def test_a_client_with_a_cache_goes_through_pickle(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite3"
    client = Client("ms-x", ledger=None, cache=ResponseCache(path, max_age=5), merge=True)
    twin: Client = pickle.loads(pickle.dumps(client))
    options = twin._core.options
    assert options.merge
    assert options.cache is not None
    assert (options.cache.path, options.cache.max_age) == (path, 5)


# --------------------------------------------------------------------------------------- forks


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_opens_the_file_for_itself_and_leaves_that_of_its_parent_open(
    tmp_path: Path,
) -> None:
    cache, path = ResponseCache(tmp_path / "answers"), tmp_path / "answers"

    def look() -> int:
        cache.find(b"key")
        return open_files(path)

    assert look() == 1
    assert in_a_fork(cache._answers._database._lock, look) == 2  # type: ignore[attr-defined]
    cache.close()


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_a_memory_of_its_own() -> None:
    cache = ResponseCache()
    cache.keep(b"key", ChatResult((ChatChoice("five"),)))

    def look() -> int:
        return cache.find(b"key") is not None

    assert look()
    assert in_a_fork(cache._answers._database._lock, look) == 0  # type: ignore[attr-defined]
    assert look()


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_and_its_parent_share_no_connection_to_a_redis(tmp_path: Path) -> None:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    server = RedisServer(program, tmp_path)
    server.start()
    cache = ResponseCache(server.url)
    cache.keep(b"key", ChatResult((ChatChoice("five"),)))

    def look() -> int:
        return cache.find(b"key") is not None

    assert in_a_fork(cache._answers._lock, look) == 1  # type: ignore[attr-defined]
    assert look()
    cache.close()
    server.stop()
