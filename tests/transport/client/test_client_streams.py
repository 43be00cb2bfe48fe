"""Streams in the user's hands, over a real socket: every shape, every end, every way to leave."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from modelscope_transport import (
    ChatChoice,
    Client,
    Message,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnexpectedReplyError,
)
from modelscope_transport.emulator import LocalService, Raw, Reply
from modelscope_transport.quota import Ledger
from modelscope_transport.quota.memory import MemoryStore
from tests.streamed_answers import ANSWERS
from tests.transport.callers import AsyncCaller, Caller, chat_request, settled
from tests.transport.client.test_client import ADD
from tests.transport.recorded import Sample, named, samples

BOTH = (Message("user", "Use add for 2 and 3, and use sub for 9 and 4."),)
SUB = ADD.__class__("sub", "Subtracts two numbers.", ADD.parameters)
TOOLS: dict[str, Any] = {"messages": BOTH, "tools": (ADD, SUB)}
THOUGHTFUL: dict[str, Any] = {"model": "Qwen/QwQ-32B"}


SHAPES = [
    "crlf",
    "cr",
    "no_space",
    "comments",
    "named_events",
    "many_lines",
    "byte_order_mark",
    "one_byte",
    "fragments:1",
    "fragments:2",
    "gzip",
    "no_done",
    "two_finishes",
    "not_an_object",
    "null_choices",
    "usage_everywhere",
    "renamed_reasoning",
    "mixed_delta",
]
TOOL_SHAPES = [
    "repeated_tool_head",
    "bare_tool_head",
    "tools_in_one_chunk",
    "interleaved_tools",
    "no_tool_index",
    "no_tool_id",
    "no_tool_type",
    "object_tool_arguments",
]


@pytest.fixture
def alone() -> Iterator[LocalService]:
    """A local service that nobody else is connected to."""
    with LocalService() as service:
        yield service


# --- shapes


@pytest.mark.parametrize("scenario", SHAPES)
@pytest.mark.parametrize("asked", [{}, THOUGHTFUL, TOOLS], ids=["text", "thoughts", "tools"])
def test_however_it_is_sent_the_answer_is_the_same(
    caller: Caller, scenario: str, asked: dict[str, Any]
) -> None:
    honest = _without_ids(caller.stream(**asked)[1].choice)
    caller.service.next(scenario)
    assert _without_ids(caller.stream(**asked)[1].choice) == honest


@pytest.mark.parametrize("scenario", TOOL_SHAPES)
def test_however_tool_calls_are_sent_they_are_the_same(caller: Caller, scenario: str) -> None:
    honest = _without_ids(caller.stream(**TOOLS)[1].choice)
    assert [call[0] for call in honest[2]] == ["add", "sub"]
    caller.service.next(scenario, scenario)
    assert _without_ids(caller.stream(**TOOLS)[1].choice) == honest
    assert _without_ids(caller.chat(**TOOLS).choice) == honest


def _without_ids(choice: ChatChoice) -> tuple[Any, ...]:
    """An answer but for the ids, which are made up anew each time, and spaces in JSON."""
    calls = [(call.name, call.arguments.replace(" ", "")) for call in choice.tool_calls]
    assert len({call.id for call in choice.tool_calls}) == len(calls)
    assert all(call.id for call in choice.tool_calls)
    return choice.text, choice.reasoning, calls, choice.finish_reason


@pytest.mark.parametrize("scenario", ["empty_tool_arguments", "null_tool_arguments"])
def test_a_call_without_arguments_has_none(caller: Caller, scenario: str) -> None:
    caller.service.next(scenario, scenario)
    for answer in (caller.stream(**TOOLS)[1], caller.chat(**TOOLS)):
        assert [call.arguments for call in answer.tool_calls] == ["", ""]


def test_arguments_that_are_no_json_are_given_as_they_came(caller: Caller) -> None:
    caller.service.next("bad_tool_arguments")
    calls = caller.stream(**TOOLS)[1].tool_calls
    assert calls[0].arguments == '{"a": 2, "b": 3'


@pytest.mark.parametrize("scenario", ["null_usage", "no_usage"])
def test_usage_that_was_not_sent_is_not_made_up(caller: Caller, scenario: str) -> None:
    caller.service.next(scenario)
    assert caller.stream()[1].usage is None
    assert caller.stream(stream_usage=False)[1].usage is None


def test_a_line_separator_is_content(caller: Caller) -> None:
    caller.service.next("line_separator")
    text = caller.stream()[1].text
    assert "\u2028" in text
    assert text.replace("\u2028", "") == caller.chat().text


@pytest.mark.parametrize("recorded", samples("streams"), ids=named)
def test_a_recorded_stream_over_the_wire(caller: Caller, recorded: Sample) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    caller.service.next(Raw([head, recorded.wire]))
    if recorded.meaning == "good":
        expected = ANSWERS[recorded.name]
        answer = caller.stream()[1]
        assert (answer.text, answer.choice.finish_reason) == (expected.text, expected.finish_reason)
    else:
        with pytest.raises(StreamInterruptedError):
            caller.stream()


# --- ends


@pytest.mark.parametrize("scenario", ["cut", "drop", "reset"])
@pytest.mark.parametrize("asked", [{}, THOUGHTFUL, TOOLS], ids=["text", "thoughts", "tools"])
def test_a_stream_that_ends_too_early_keeps_what_had_arrived(
    caller: Caller, scenario: str, asked: dict[str, Any]
) -> None:
    for call in (caller.stream, caller.chat) if asked is THOUGHTFUL else (caller.stream,):
        before = caller.requests
        caller.service.next(f"{scenario}:4")
        with pytest.raises(StreamInterruptedError) as caught:
            call(**asked)
        assert caught.value.partial is not None
        part = caught.value.partial.choice
        assert part.text or part.reasoning or part.tool_calls
        assert part.finish_reason is None
        assert caller.requests == before + 1, "what the user has seen is never asked for again"


@pytest.mark.parametrize("asked", [{}, THOUGHTFUL, TOOLS], ids=["text", "thoughts", "tools"])
def test_done_ends_a_stream_that_has_no_finish_reason(
    caller: Caller, asked: dict[str, Any]
) -> None:
    caller.service.next("cut_then_done:4")
    choice = caller.stream(**asked)[1].choice
    assert choice.text or choice.reasoning or choice.tool_calls
    assert choice.finish_reason is None
    assert all(call.invalid for call in choice.tool_calls), "it was cut in their middle"


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("error_later", ServerError),
        ("throttled_later", RateLimitError),
        ("bad_json", UnexpectedReplyError),
    ],
)
def test_an_error_in_the_middle_interrupts(
    caller: Caller, scenario: str, kind: type[ModelScopeError]
) -> None:
    caller.service.next(scenario)
    with pytest.raises(StreamInterruptedError) as caught:
        caller.stream()
    assert isinstance(caught.value.__cause__, kind)
    assert caught.value.reason == caught.value.__cause__.reason
    assert caught.value.partial is not None
    assert caller.requests == 1


@pytest.mark.parametrize("scenario", ["shell", "burst_in_200", "error_in_200"])
def test_a_stream_that_begins_with_nothing_is_asked_again(caller: Caller, scenario: str) -> None:
    caller.service.next(scenario)
    assert caller.stream()[1].text
    assert caller.requests == 2


# --- leaving


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n\r\ndata: [DONE]\r\n\r\n"])
@pytest.mark.parametrize("begun", [False, True], ids=["at once", "in the middle"])
def test_a_refusal_that_stands_bare_in_a_stream_is_read(
    caller: Caller, begun: bool, end: str
) -> None:
    refusal = '{"errors": {"message": "insufficient balance"}, "request_id": "7"}'
    first = 'data: {"choices": [{"delta": {"content": "a"}}]}\n\n' if begun else ""
    events = {"content-type": "text/event-stream"}
    with caller.but(max_retries=2, ledger=None) as user:
        before = user.requests
        user.service.next(Reply(200, f"{first}{refusal}{end}".encode(), events))
        with pytest.raises(ModelScopeError) as caught:
            user.stream()
        error = caught.value.__cause__ if begun else caught.value
        assert isinstance(error, QuotaExceededError)
        assert error.details.request_id == "7"
        assert user.requests == before + 1


def test_a_whole_answer_that_is_called_a_stream_is_read(caller: Caller) -> None:
    choice = {"message": {"content": "five"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    body = json.dumps({"choices": [choice], "usage": usage}, indent=1).encode()
    for streamed in (True, False):
        caller.service.next(Reply(200, body, {"content-type": "text/event-stream"}))
        answer = caller.stream()[1] if streamed else caller.chat()
        assert answer.text == "five"
        assert answer.usage is not None
        assert answer.usage.output_tokens == 1


def test_a_stream_that_is_left_is_closed(alone: LocalService) -> None:
    client = Client(alone.token, base_url=alone.base_url)
    leavings = [_break, _raise, _with_block, _close, _drop, _drop_unread]
    for leave in leavings * 8:
        alone.next("stall")
        leave(client)
        gc.collect(0)
        assert asyncio.run(settled(lambda: alone.connections == 0)), leave
    assert client.chat(chat_request()).text
    client.close()


def test_a_stream_that_is_dropped_in_a_cycle_is_closed_in_silence(
    alone: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda it: complaints.append(str(it.exc_value)))
    client = Client(alone.token, base_url=alone.base_url)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an error in a finalizer goes to the hook
        for _ in range(10):
            alone.next("stall")
            stream = client.stream_chat(chat_request())
            next(iter(stream))
            cycle: list[object] = [stream]
            cycle.append(cycle)
            del stream, cycle
            gc.collect(1)
    assert complaints == []
    assert asyncio.run(settled(lambda: alone.connections == 0))


def _break(client: Client) -> None:
    for _ in client.stream_chat(chat_request()):
        break


def _raise(client: Client) -> None:
    with suppress(ZeroDivisionError):
        for _ in client.stream_chat(chat_request()):
            raise ZeroDivisionError


def _with_block(client: Client) -> None:
    with client.stream_chat(chat_request()) as stream:
        next(iter(stream))


def _close(client: Client) -> None:
    stream = client.stream_chat(chat_request())
    next(iter(stream))
    stream.close()
    stream.close()


def _drop(client: Client) -> None:
    next(iter(client.stream_chat(chat_request())))


def _drop_unread(client: Client) -> None:
    client.stream_chat(chat_request())


async def test_an_async_stream_that_is_left_is_closed(alone: LocalService) -> None:
    client = Client(alone.token, base_url=alone.base_url)
    leavings = [_abreak, _araise, _awith_block, _aclose, _adrop, _adrop_unread]
    for leave in leavings * 8:
        alone.next("stall")
        await leave(client)
        gc.collect(0)
        assert await settled(lambda: alone.connections == 0), leave
    assert (await client.aio.chat(chat_request())).text
    await client.aio.aclose()


async def _abreak(client: Client) -> None:
    async for _ in await client.aio.stream_chat(chat_request()):
        break


async def _araise(client: Client) -> None:
    with suppress(ZeroDivisionError):
        async for _ in await client.aio.stream_chat(chat_request()):
            raise ZeroDivisionError


async def _awith_block(client: Client) -> None:
    async with await client.aio.stream_chat(chat_request()) as stream:
        await anext(aiter(stream))


async def _aclose(client: Client) -> None:
    stream = await client.aio.stream_chat(chat_request())
    await anext(aiter(stream))
    await stream.aclose()
    await stream.aclose()


async def _adrop(client: Client) -> None:
    await anext(aiter(await client.aio.stream_chat(chat_request())))


async def _adrop_unread(client: Client) -> None:
    await client.aio.stream_chat(chat_request())


def test_a_stream_can_be_stopped_by_another_thread(alone: LocalService) -> None:
    client = Client(alone.token, base_url=alone.base_url)
    alone.next("stall")
    stream = client.stream_chat(chat_request())
    ends: list[BaseException | None] = []

    def read() -> None:
        try:
            for _ in stream:
                pass
            ends.append(None)
        except ModelScopeError as error:
            ends.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    while len(stream.result().text) < 1:
        pass
    stream.close()
    reader.join(20)
    assert not reader.is_alive()
    assert isinstance(ends[0], StreamInterruptedError)
    assert client.chat(chat_request()).text
    client.close()


def test_a_stream_that_was_stopped_has_an_end(caller: Caller) -> None:
    caller.service.next("stall")
    if isinstance(caller, AsyncCaller):

        async def read() -> None:
            stream = await caller.client.aio.stream_chat(chat_request())
            await anext(aiter(stream))
            await stream.aclose()
            async for _ in stream:
                pass

        with pytest.raises(StreamInterruptedError):
            asyncio.run(read())
    else:
        stream = caller.client.stream_chat(chat_request())
        next(iter(stream))
        stream.close()
        with pytest.raises(StreamInterruptedError):
            list(stream)


# --- cancelling


async def test_cancelled_calls_leave_no_connection_and_no_reservation(alone: LocalService) -> None:
    client = Client(alone.token, base_url=alone.base_url, concurrency=None)
    chance = random.Random(7)
    scenarios = ["slow:0.002", "slow_first_byte:0.02", "stall", "fragments:3", "silence", "honest"]

    async def call() -> None:
        if chance.random() < 0.3:
            await client.aio.chat(chat_request(timeout=30))
        async for _ in await client.aio.stream_chat(chat_request(timeout=30)):
            await asyncio.sleep(0)

    for _ in range(200):
        alone.next(chance.choice(scenarios), chance.choice(scenarios))
        task = asyncio.create_task(call())
        await asyncio.sleep(chance.random() * 0.02)
        task.cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
            task.cancel()
        with suppress(asyncio.CancelledError, ModelScopeError):
            await task
        alone.reset()
        await client.aio.aclose()
        client = Client(alone.token, base_url=alone.base_url, concurrency=None)
    assert await settled(lambda: alone.connections == 0)


async def test_cancelled_calls_give_their_place_back(alone: LocalService) -> None:
    client = Client(alone.token, base_url=alone.base_url, concurrency=1)
    chance = random.Random(3)

    async def call() -> None:
        if chance.random() < 0.5:
            await client.aio.chat(chat_request())
        else:
            async for _ in await client.aio.stream_chat(chat_request()):
                await asyncio.sleep(0)

    tasks: set[asyncio.Task[None]] = set()
    for _ in range(150):
        alone.next(chance.choice(["slow:0.001", "slow_first_byte:0.005", "cut", "honest"]))
        tasks.add(asyncio.create_task(call()))
        await asyncio.sleep(chance.random() * 0.004)
        victim = chance.choice(sorted(tasks, key=id))
        victim.cancel()
        tasks = {task for task in tasks if not task.done()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    alone._queue.clear()
    assert (await client.aio.chat(chat_request(timeout=20))).text
    await client.aio.aclose()
    assert await settled(lambda: alone.connections == 0)


async def test_a_call_that_is_cancelled_while_the_ledger_settles_closes_its_stream(
    alone: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(MemoryStore):
        """A store that does I/O, and takes its time to end a reservation."""

        blocking = True

        def run(self, account: str, now: float, tests: Any, changes: Any) -> Any:
            if any(step.word == "settle" for step in changes):
                settling.set()
                assert go_on.wait(20)
            return super().run(account, now, tests, changes)

    settling, go_on = threading.Event(), threading.Event()
    ledger = Ledger(Slow())
    monkeypatch.setattr(ledger._books, "defer", lambda *_: False)
    client = Client(alone.token, base_url=alone.base_url, ledger=ledger)
    alone.next("stall")
    task = asyncio.create_task(client.aio.stream_chat(chat_request()))
    assert await asyncio.to_thread(settling.wait, 20)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with suppress(asyncio.CancelledError):
        stream = await task
        await stream.aclose()
    del task
    gc.collect(0)
    assert await settled(lambda: alone.connections == 0)


# --- connections


def test_a_hundred_streams_share_one_connection(alone: LocalService) -> None:
    client = Client(alone.token, base_url=alone.base_url)
    ports: set[Any] = set()
    for _ in range(100):
        list(client.stream_chat(chat_request()))
        ports |= {connection._transport.get_extra_info("peername") for connection in _open(alone)}
    assert len(ports) == 1
    client.close()


async def test_a_hundred_async_streams_share_one_connection(alone: LocalService) -> None:
    client = Client(alone.token, base_url=alone.base_url)
    ports: set[Any] = set()
    for _ in range(100):
        async for _ in await client.aio.stream_chat(chat_request()):
            pass
        ports |= {connection._transport.get_extra_info("peername") for connection in _open(alone)}
    assert len(ports) == 1
    await client.aio.aclose()


def _open(service: LocalService) -> list[Any]:
    assert service._server is not None
    return list(service._server.connections)


async def test_deltas_arrive_one_by_one(alone: LocalService) -> None:
    alone.next("stall")
    stream = await Client(alone.token, base_url=alone.base_url).aio.stream_chat(chat_request())
    deltas: AsyncIterator[Any] = aiter(stream)
    first = [await anext(deltas) for _ in range(2)]
    assert first, "given out while the server still has more to say"
    await stream.aclose()
