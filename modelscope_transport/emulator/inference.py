"""The endpoints under ``/v1``: one call's way from the request to the answer.

``rules`` judge the request, ``quota`` says whether anything is left, the engine finds the words,
the call is charged, ``protocol`` encodes the words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from modelscope_transport.emulator import protocol
from modelscope_transport.emulator.answers import Answer, Event, Reply, Stream
from modelscope_transport.emulator.calls import Call
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.engine import ChatCall, Engine, Piece, Pieces, Refused, Usage
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.page import page
from modelscope_transport.emulator.quota import Meter
from modelscope_transport.emulator.scripted.engine import ScriptedEngine
from modelscope_transport.emulator.scripted.rules import judge_chat, judge_embeddings
from modelscope_transport.emulator.server import Request


@dataclass(slots=True)
class Backend:
    """What stands behind the endpoints.

    Attributes:
        models: The catalogue, by id.
        meter: What is spent.
        engine: Finds the words.
        clock: The time, in seconds since the epoch.
        tasks: The tasks that were accepted, by id.
        calls: The last requests that were answered, in order.
    """

    models: Mapping[str, Model]
    meter: Meter
    engine: Engine
    clock: Callable[[], float]
    tasks: dict[str, Any] = field(default_factory=dict)
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=200))


async def chat(backend: Backend, request: Request) -> Answer:
    """``POST /v1/chat/completions``."""
    call = judge_chat(request.body, backend.models)
    if not isinstance(call, ChatCall):
        return call
    meter, model, now = backend.meter, call.model, backend.clock()
    if (spent := meter.refusal(model)) is not None:
        return spent
    charge = meter.charge(model)
    pieces = _counted(backend, call)
    try:
        # an engine that refuses mostly does so here, in time for an HTTP status
        first = await anext(pieces)
    except BaseException as error:
        meter.refund(charge)
        if isinstance(error, Refused):
            return error.answer
        raise
    whole = _put_back(first, pieces)
    if call.body.get("stream"):
        asked = bool((call.body.get("stream_options") or {}).get("include_usage"))
        return Stream(_with_refusal(protocol.chunks(model.id, whole, now, asked)))
    try:
        return await protocol.completion(model.id, whole, now)
    except Refused as refusal:
        meter.refund(charge)
        return refusal.answer


async def _counted(backend: Backend, call: ChatCall) -> Pieces:
    """An engine's pieces; the call counts as running from the first to the last of them."""
    running = backend.meter.running
    running[call.model.id] += 1
    try:
        async with aclosing(backend.engine.chat(call)) as pieces:
            async for piece in pieces:
                yield piece
    finally:
        running[call.model.id] -= 1


async def _put_back(first: Piece | Usage, rest: Pieces) -> Pieces:
    """An engine's pieces again, the first one included that has been taken."""
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


async def _with_refusal(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The events of a stream; a refusal of the engine in the middle of it is the last one."""
    async with aclosing(events):
        try:
            async for event in events:
                yield event
        except Refused as refusal:
            body = refusal.answer.body if isinstance(refusal.answer, Reply) else None
            if isinstance(body, Mapping):
                yield body


async def embeddings(backend: Backend, request: Request) -> Answer:
    """``POST /v1/embeddings``."""
    judged = judge_embeddings(request.body, backend.models)
    if isinstance(judged, Reply):
        return judged
    model, texts = judged
    meter = backend.meter
    if (spent := meter.refusal(model)) is not None:
        return spent
    charge = meter.charge(model)
    meter.running[model.id] += 1
    try:
        length = request.body.get("dimensions") or model.dimensions
        vectors, prompt = await backend.engine.embed(model, texts, length)
    except BaseException as error:
        meter.refund(charge)
        if isinstance(error, Refused):
            return error.answer
        raise
    finally:
        meter.running[model.id] -= 1
    packed = request.body["encoding_format"] == "base64"
    return protocol.embeddings(model.id, vectors, prompt, packed)


async def messages(backend: Backend, request: Request) -> Answer:
    """``POST /v1/messages``: served by the real service, but refused here, in its own envelope."""
    return refuse("messages_not_served", path=request.path)


async def responses(backend: Backend, request: Request) -> Answer:
    """``POST /v1/responses``: refused here as well."""
    return refuse("responses_not_served", path=request.path)


async def models(backend: Backend, request: Request) -> Answer:
    """``GET /v1/models``: needs no token."""
    return protocol.model_list(backend.models.values(), backend.clock())


async def welcome(backend: Backend, request: Request) -> Answer:
    """``GET /``: a page for a browser, JSON for programs."""
    if "text/html" in request.headers.get("accept", ""):
        spoken = request.headers.get("accept-language", "en")
        ruled = isinstance(backend.engine, ScriptedEngine)
        host = request.headers.get("host", "127.0.0.1")
        shown = page(host, request.query.get("lang", spoken), ruled=ruled)
        return Reply(200, shown, {"content-type": "text/html; charset=utf-8"})
    docs = "https://modelscope.cn/docs/model-service/API-Inference/intro"
    return Reply(200, {"message": f"Welcome to ModelScope API-Inference, docs at {docs}"})


async def calls(backend: Backend, request: Request) -> Answer:
    """``GET /local/calls``: what was answered after the call of this number, and what is left."""
    after = request.query.get("after", "")
    number = int(after) if after.isdecimal() else 0
    later = [call.facts() for call in backend.calls if call.number > number]
    return Reply(200, {"calls": later, "left": backend.meter.left()})
