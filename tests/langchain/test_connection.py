"""A model as a citizen: copied, pickled, written down, configured, shared by threads and loops."""

from __future__ import annotations

import asyncio
import copy
import functools
import multiprocessing
import os
import pickle
import threading
import traceback
from collections.abc import Callable
from typing import Any

import cloudpickle
import httpx
import pytest
from langchain_core.load import dumps, loads
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeChatEndpoint,
    ModelScopeConfigurationError,
    ModelScopeEmbeddings,
)
from modelscope_transport import Client
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, PLAIN, MakeChat

OURS = ("langchain_modelscope", "modelscope_transport")


class Person(BaseModel):
    """A person that a text tells about."""

    name: str


# -------------------------------------------------------------------------------- no token out


def everything_it_shows(model: Any) -> str:
    shown = [repr(model), str(model), str(model.model_dump()), str(model.model_dump_json())]
    if isinstance(model, ChatModelScope):
        shown += [dumps(model), str(model._identifying_params), str(model._get_ls_params())]
        shown += [str(model.asdict()), model._get_llm_string(), str(model._serialized)]
    return "\n".join(shown)


def test_the_token_shows_nowhere(canary: str) -> None:
    headers = {"x-secret": "very-secret"}
    for model in (
        ChatModelScope(model=PLAIN, api_key=canary, default_headers=headers),
        ModelScopeEmbeddings(model="Qwen/Qwen3-Embedding-0.6B", api_key=canary),
        ChatModelScope(model=PLAIN, client=Client(canary)),
    ):
        shown = everything_it_shows(model)
        assert canary not in shown
        assert "very-secret" not in shown
        for pickler in (pickle, cloudpickle):
            assert canary.encode() not in pickler.dumps(model)


@pytest.mark.parametrize("renewed", [False, True], ids=["text", "function"])
def test_no_frame_of_ours_shows_the_token(canary: str, renewed: bool) -> None:
    with pytest.raises(ModelScopeConfigurationError) as caught:
        ChatModelScope(
            model=PLAIN, api_key=(lambda: canary) if renewed else canary, base_url="ftp://x"
        ).invoke("Hello.")
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    ours = [it for it in frames if it.f_globals["__name__"].startswith(OURS)]
    assert ours
    for frame in ours:
        shown = {name: it for name, it in frame.f_locals.items() if name not in ("self", "given")}
        assert canary not in repr(shown), frame.f_code


@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize("shared", [False, True], ids=["own client", "shared client"])
def test_a_pickled_model_finds_its_token_in_the_environment(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, pickler: Any, shared: bool
) -> None:
    place: dict[str, Any] = {"api_key": service.token, "base_url": service.base_url}
    way = {"client": Client(**place)} if shared else place
    model = ChatModelScope(model=PLAIN, temperature=0.5, http_client=None, **way)
    revived: ChatModelScope = pickle.loads(pickler.dumps(model))

    with pytest.raises(ModelScopeConfigurationError, match="There is no ModelScope token"):
        revived.invoke("Hello")
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    assert revived.invoke("Hello").text
    assert service.requests[0].body["temperature"] == 0.5


def test_a_chain_with_bound_tools_pickles(
    chat: MakeChat, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    bound = chat(stop=["end"]).bind_tools([Person], temperature=0.25)
    revived = pickle.loads(pickle.dumps(bound))

    assert revived.invoke("Hello").text
    assert service.requests[0].body["temperature"] == 0.25
    assert service.requests[0].body["stop"] == ["end"]
    assert service.requests[0].body["tools"][0]["function"]["name"] == "Person"


@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize("kind", [ChatModelScope, Client])
def test_a_token_travels_in_a_pickle_of_ones_own_making(
    service: LocalService, pickler: Any, kind: Any
) -> None:
    # what is pickled is the order to make the object, in which the user has written the token
    way = {"api_key": service.token, "base_url": service.base_url}
    make = functools.partial(kind, **(way if kind is Client else {"model": PLAIN, **way}))
    sent = pickler.dumps(make)
    assert service.token.encode() in sent

    made = pickle.loads(sent)()
    client = made if kind is Client else made._client
    assert ChatModelScope(model=PLAIN, client=client).invoke("Hello").text
    assert service.requests[0].headers["authorization"] == f"Bearer {service.token}"
    assert service.token.encode() not in pickler.dumps(made)


def test_embeddings_pickle(
    embeddings: Callable[..., ModelScopeEmbeddings],
    service: LocalService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revived = pickle.loads(pickle.dumps(embeddings(dimensions=8)))
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    assert len(revived.embed_query("Hello")) == 8


def test_a_copy_in_the_same_process_keeps_its_token(chat: MakeChat, service: LocalService) -> None:
    with httpx.Client(trust_env=False) as http_client:
        model = chat(http_client=http_client)
        for same in (copy.copy(model), copy.deepcopy(model), model.model_copy()):
            assert same.invoke("Hello").text
            assert same.http_client is http_client
    assert copy.deepcopy([model])[0].model_name == PLAIN


# ------------------------------------------------------------------------------ written and read


# LangChain warns of every use of loads, which is in beta
@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("place", ["handed over", "environment"])
def test_dumps_and_loads(
    service: LocalService, chat: MakeChat, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    model = chat(temperature=0.5, fallback_models=[HYBRID], stop=["end"], enable_thinking=False)
    written = dumps(model)
    assert service.token not in written

    token = {"MODELSCOPE_API_KEY": service.token}
    if place == "environment":
        monkeypatch.setenv(*token.popitem())
    read = loads(
        written,
        allowed_objects=[ChatModelScope],
        valid_namespaces=["langchain_modelscope"],
        secrets_map=token or None,
    )
    assert isinstance(read, ChatModelScope)
    assert read.model_dump(exclude={"metadata"}) == model.model_dump(exclude={"metadata"})
    assert read.invoke("Hello").text
    assert service.requests[0].body["temperature"] == 0.5


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_a_proxy_is_handed_over_as_the_token_is(service: LocalService, chat: MakeChat) -> None:
    address = "http://user:hush@127.0.0.1:1"
    written = dumps(chat(proxy=address))
    assert "hush" not in written

    secrets = {"MODELSCOPE_API_KEY": service.token, "MODELSCOPE_PROXY": address}
    for left_out, proxy in ((), address), ({"MODELSCOPE_PROXY"}, None):
        read = loads(
            written,
            allowed_objects=[ChatModelScope],
            valid_namespaces=["langchain_modelscope"],
            secrets_map={name: secrets[name] for name in secrets.keys() - left_out},
        )
        assert (read.proxy and read.proxy.get_secret_value()) == proxy


def test_the_old_name_is_the_same_class() -> None:
    assert ModelScopeChatEndpoint is ChatModelScope


# ------------------------------------------------------------------------------------ configured


def test_fields_are_configured_for_one_call(chat: MakeChat, service: LocalService) -> None:
    model = chat().configurable_fields(
        model_name=ConfigurableField(id="model"), temperature=ConfigurableField(id="heat")
    )
    model.invoke("Hello")
    answer = model.invoke("Hello", {"configurable": {"model": HYBRID, "heat": 0.25}})

    assert [request.body["model"] for request in service.requests] == [PLAIN, HYBRID]
    assert service.requests[1].body["temperature"] == 0.25
    assert answer.response_metadata["model_name"] == HYBRID


def test_a_configured_model_has_its_own_profile(chat: MakeChat) -> None:
    model = chat().configurable_fields(model_name=ConfigurableField(id="model"))
    other, _ = model._prepare({"configurable": {"model": HYBRID}})  # type: ignore[attr-defined]

    assert other.profile == chat(HYBRID).profile != chat().profile


def test_alternatives_are_chosen_for_one_call(chat: MakeChat, service: LocalService) -> None:
    model = chat().configurable_alternatives(
        ConfigurableField(id="which"), default_key="plain", hybrid=chat(HYBRID)
    )
    model.with_config(configurable={"which": "hybrid"}).invoke("Hello")

    assert service.requests[0].body["model"] == HYBRID


# ---------------------------------------------------------------------- threads, loops, processes


def test_one_model_serves_three_event_loops(chat: MakeChat, service: LocalService) -> None:
    model = chat()

    async def use() -> tuple[str, str]:
        whole, *rest = await asyncio.gather(*[model.ainvoke("Hello") for _ in range(3)])
        streamed = [chunk.text async for chunk in model.astream("Hello")]
        assert all(answer.text == whole.text for answer in rest)
        return whole.text, "".join(streamed)

    answers = {text for _ in range(3) for text in asyncio.run(use())}
    assert answers == {model.invoke("Hello").text}


@pytest.mark.parametrize("deep", [False, True])
def test_what_a_copy_is_made_with_has_its_effect(chat: MakeChat, deep: bool) -> None:
    with LocalService() as other:
        model = chat(model_kwargs={"seed": 1})
        place = {"base_url": other.base_url, "api_key": other.token, "max_tokens": 5}
        copied = model.model_copy(update={"model": HYBRID, **place}, deep=deep)
        copied.invoke("Hello")
        (request,) = other.requests
        assert request.headers["authorization"] == f"Bearer {other.token}"
        assert (request.body["model"], request.body["max_tokens"]) == (HYBRID, 5)
        assert other.token not in everything_it_shows(copied)
        assert copied.profile == chat(HYBRID).profile
        assert (model.model_name, model.max_tokens) == (PLAIN, None)
        assert model.invoke("Hello").text
        assert len(other.requests) == 1
        with pytest.raises(ValueError, match="temprature"):
            model.model_copy(update={"temprature": 0})


def test_a_copy_goes_through_another_client(
    chat: MakeChat, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalService() as other, Client(api_key=other.token, base_url=other.base_url) as shared:
        own = {"api_key": None, "base_url": None}
        through = chat().model_copy(update={"client": shared, **own})
        through.invoke("Hello")
        back = through.model_copy(
            update={"client": None, "base_url": service.base_url, "api_key": service.token}
        )
        back.invoke("Hello")
        monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
        found = ChatModelScope(model=PLAIN)  # its token was passed by nobody
        found.client = shared
        found.invoke("Hello")
        assert (len(other.requests), len(service.requests)) == (2, 1)
        with pytest.raises(ModelScopeConfigurationError, match="api_key, base_url"):
            chat().model_copy(update={"client": shared})


def test_threads_share_a_model(chat: MakeChat) -> None:
    model = chat()
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(model.invoke("Hello").text))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1


def _ask(model: ChatModelScope, told: Any) -> None:
    told.send(model.invoke("Hello").text)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
# newer Pythons warn of every fork of a process with threads; the local service is one
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_model_works_on_in_a_forked_process(chat: MakeChat) -> None:
    model = chat()
    mine = model.invoke("Hello").text
    context = multiprocessing.get_context("fork")
    heard, told = context.Pipe()
    child = context.Process(target=_ask, args=(model, told))
    child.start()
    try:
        assert heard.recv() == mine
    finally:
        child.join()
    assert model.invoke("Hello").text == mine


async def test_a_cancelled_stream_closes_its_connection(
    chat: MakeChat, service: LocalService
) -> None:
    service.next("stall:60")
    model = chat()
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in model.astream("Hello there, my friend"):
            begun.set()

    await model.aclose()
    reading = asyncio.create_task(read())
    await begun.wait()
    open_before = service.connections
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    while service.connections >= open_before:  # noqa: ASYNC110 - the service has no event for it
        await asyncio.sleep(0)
    assert (await model.ainvoke("Hello")).text


def test_a_stream_left_early_does_not_hold_the_next_call(
    chat: MakeChat, service: LocalService
) -> None:
    model = chat()
    for _ in range(3):
        for chunk in model.stream("Hello"):
            assert chunk.text
            break
        assert model.invoke("Hello").text


def test_streams_one_after_another_share_a_connection(
    chat: MakeChat, service: LocalService
) -> None:
    model = chat()
    list(model.stream("Hello"))
    before = service.connections
    for _ in range(20):
        assert len(list(model.stream("Hello"))) > 3
    assert service.connections == before
