"""The token in whole flows: it travels in one header, and is seen nowhere else.

What pickles, dumps and spans hold is looked at in their own files. Here the fixture `canary` also
makes a test fail that prints or logs it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core import SummaryIndex, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.workflow import Context

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding, ModelScopeError
from modelscope_transport.client import Client
from modelscope_transport.emulator import LocalService

from .consumers.agents import SUM, add
from .consumers.kit import CHAT, EMBEDDING, QUESTION, Kit
from .endpoints import EMBEDDING_ENDPOINTS, ENDPOINTS, EmbeddingEndpoint, Endpoint
from .witness import CallbackWitness, Seen, watching

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
each_embedding = pytest.mark.parametrize("endpoint", EMBEDDING_ENDPOINTS, ids=lambda one: one.name)

# one for every place where a call can fail: before it is sent, on the way, in the reply, later
FAILURES = (
    "echo_token",
    "model_spent",
    "throttled:0",
    "html",
    "truncated_json",
    "shell",
    "reset_before_reply",
    "garbage",
    "drop",
    "error_later",
)


@pytest.fixture
def debug() -> LlamaDebugHandler:
    return LlamaDebugHandler(print_trace_on_end=True)


@pytest.fixture
def secret_kit(service: LocalService, debug: LlamaDebugHandler, canary: str) -> Kit:
    """Models that share a client which holds the canary, and keep all their callbacks."""
    client = Client(canary, base_url=service.base_url, max_retries=0)
    manager = CallbackManager([debug])
    return Kit(
        service,
        ModelScope(CHAT, client=client, callback_manager=manager),
        ModelScopeEmbedding(EMBEDDING, client=client, callback_manager=manager),
    )


def words_of(seen: Seen) -> Iterator[str]:
    for event in seen.events:
        yield repr(event)
        yield event.model_dump_json(fallback=repr)
    for life in seen.callbacks.values():
        yield repr(life)


def words_of_error(error: BaseException) -> Iterator[str]:
    """All that a log, a debugger or an error tracker would show of it."""
    yield "".join(traceback.format_exception(error))
    link: BaseException | None = error
    while link is not None:
        yield repr(link)
        yield repr(link.args)
        yield repr(vars(link))
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if "/tests/" in frame.f_code.co_filename or "/_pytest/" in frame.f_code.co_filename:
                continue  # the tests themselves hold it
            yield from (
                f"{frame.f_code.co_qualname} {name}={value!r}"
                for name, value in frame.f_locals.items()
            )
        link = link.__cause__ or link.__context__


@each_endpoint
def test_no_event_and_no_callback_holds_it(
    endpoint: Endpoint, service: LocalService, canary: str
) -> None:
    with watching() as seen:
        manager = CallbackManager([CallbackWitness(seen)])
        llm = ModelScope(CHAT, api_key=canary, base_url=service.base_url, callback_manager=manager)
        endpoint.ask(llm)
        service.next("echo_token")
        with pytest.raises(ModelScopeError):
            endpoint.ask(llm)

    words = list(words_of(seen))
    assert any(CHAT in text for text in words)
    assert not [text for text in words if canary in text]


@each_embedding
def test_no_event_of_an_embedding_holds_it(
    endpoint: EmbeddingEndpoint, service: LocalService, canary: str
) -> None:
    with watching() as seen:
        embed_model = ModelScopeEmbedding(EMBEDDING, api_key=canary, base_url=service.base_url)
        endpoint.ask(embed_model)
        service.next("echo_token")
        with pytest.raises(ModelScopeError):
            endpoint.ask(embed_model)

    words = list(words_of(seen))
    assert any(EMBEDDING in text for text in words)
    assert not [text for text in words if canary in text]


@pytest.mark.parametrize("scenario", FAILURES)
@pytest.mark.parametrize("name", ["chat", "achat", "stream_chat", "astream_chat"])
def test_no_error_holds_it_nor_what_is_seen_on_its_way(
    name: str, scenario: str, secret_kit: Kit, canary: str
) -> None:
    (endpoint,) = (one for one in ENDPOINTS if one.name == name)
    if scenario in ("drop", "error_later") and not endpoint.streams:
        scenario = "short_body"  # the like of it for an answer in one piece
    secret_kit.service.next(scenario)

    with pytest.raises(ModelScopeError) as caught:
        endpoint.ask(secret_kit.llm)

    words = list(words_of_error(caught.value))
    assert any("llamaindex_modelscope" in text for text in words)
    assert not [text for text in words if canary in text]


def test_nobody_answers_and_no_error_holds_it(canary: str) -> None:
    with LocalService() as gone:
        base_url = gone.base_url
    llm = ModelScope(CHAT, api_key=canary, base_url=base_url, max_retries=0)

    for ask in (lambda: llm.complete("hi"), lambda: asyncio.run(llm.acomplete("hi"))):
        with pytest.raises(ModelScopeError) as caught:
            ask()
        assert not [text for text in words_of_error(caught.value) if canary in text]


def test_a_token_that_cannot_be_sent_is_not_repeated(canary: str) -> None:
    with pytest.raises(ModelScopeError) as caught:
        ModelScope(CHAT, api_key=f"{canary}\n西")
    words = "".join(traceback.format_exception(caught.value))  # its constructor was handed it
    assert canary not in words + repr(vars(caught.value))


# --- whole flows, printed and logged as a debugger would


async def ask_an_agent(kit: Kit) -> Any:
    agent = FunctionAgent(tools=[add], llm=kit.llm, verbose=True)
    context = Context(agent)
    handler = agent.run(SUM, ctx=context)
    async for event in handler.stream_events():
        print(repr(event))
    print(context.to_dict())
    return await handler


async def ask_a_reasoning_agent(kit: Kit) -> Any:
    return await ReActAgent(tools=[add], llm=kit.llm, verbose=True).run(SUM)


def ask_an_index(kit: Kit) -> Any:
    engine = kit.index().as_query_engine(llm=kit.llm, verbose=True)
    print(repr(engine), vars(engine))
    return engine.query(QUESTION)


def stream_an_index(kit: Kit) -> Any:
    index = SummaryIndex.from_documents(kit.documents())
    return "".join(index.as_query_engine(llm=kit.llm, streaming=True).query(QUESTION).response_gen)


def chat_with_an_engine(kit: Kit) -> Any:
    engine = SimpleChatEngine.from_defaults(llm=kit.llm)
    print(vars(engine))
    return engine.chat(QUESTION)


def build_an_index_in_a_loop(kit: Kit) -> Any:
    index = VectorStoreIndex.from_documents(
        kit.documents(), embed_model=kit.embed_model, use_async=True, show_progress=True
    )
    print(vars(index))
    return index.index_struct


@pytest.mark.filterwarnings("ignore::workflows.context.state_store.UnserializableKeyWarning")
@pytest.mark.parametrize(
    "flow",
    [
        ask_an_agent,
        ask_a_reasoning_agent,
        ask_an_index,
        stream_an_index,
        chat_with_an_engine,
        build_an_index_in_a_loop,
    ],
)
def test_a_flow_shows_it_to_nobody(
    flow: Callable[[Kit], Any], secret_kit: Kit, debug: LlamaDebugHandler, canary: str
) -> None:
    given = flow(secret_kit)
    given = asyncio.run(given) if asyncio.iscoroutine(given) else given

    print(given, repr(given))
    print([(event, event.payload) for event in debug.get_events()])
    assert {request.headers["authorization"] for request in secret_kit.service.requests} == {
        f"Bearer {canary}"
    }
