"""Calls: what is passed stands on the wire, what comes back stands in the message."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeAPITimeoutError,
    ModelScopeConfigurationError,
    ModelScopeInvalidRequestError,
    ModelScopeServerError,
    ModelScopeUnsupportedTaskError,
)
from modelscope_transport import Client
from modelscope_transport.emulator import LocalService, Reply
from tests.langchain.conftest import HYBRID, PLAIN, STREAM_ONLY, MakeChat


def whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return chunks[0] + chunks[1:]


# ------------------------------------------------------------------------------ on the wire

SENT = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 50,
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "logprobs": True,
    "top_logprobs": 2,
    "thinking_budget": 100,
}


@pytest.mark.parametrize("name", SENT)
def test_an_option_is_sent_as_it_is(chat: MakeChat, service: LocalService, name: str) -> None:
    options = {"logprobs": True, name: SENT[name]} if name == "top_logprobs" else {name: SENT[name]}
    chat(**options).invoke("Hello")
    chat().invoke("Hello", **options)

    assert [request.body[name] for request in service.requests] == [SENT[name]] * 2


def test_nothing_is_sent_that_was_not_asked_for(chat: MakeChat, service: LocalService) -> None:
    chat().invoke("Hello")

    body = service.requests[0].body
    assert body == {"model": PLAIN, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("stop", ["said", ["said", "never"]], ids=["text", "list"])
def test_stop_is_sent_as_a_list_and_a_calls_own_wins(
    chat: MakeChat, service: LocalService, stop: Any
) -> None:
    model = chat(stop_sequences=stop)
    answer = model.invoke("Hello")
    model.invoke("Hello", stop=["never"])

    assert service.requests[0].body["stop"] == ([stop] if isinstance(stop, str) else stop)
    assert service.requests[1].body["stop"] == ["never"]
    assert "said" not in answer.text


def test_an_empty_stop_sends_none(chat: MakeChat, service: LocalService) -> None:
    chat(stop=[]).invoke("Hello")

    assert "stop" not in service.requests[0].body


LOGPROBS = {"content": [{"token": "Hello", "logprob": -0.5, "top_logprobs": []}]}


async def test_a_generation_says_how_it_ended(chat: MakeChat, service: LocalService) -> None:
    choice = {"message": {"content": "Hello"}, "finish_reason": "length", "logprobs": LOGPROBS}
    service.next(*[Reply(200, {"choices": [choice]})] * 2)
    model, asked = chat(), [[HumanMessage("Hello")]]
    for result in (model.generate(asked), await model.agenerate(asked)):
        generation: Any = result.generations[0][0]
        assert generation.generation_info == {"finish_reason": "length", "logprobs": LOGPROBS}
        assert generation.generation_info.items() <= generation.message.response_metadata.items()


def test_several_answers_come_as_several_generations(chat: MakeChat, service: LocalService) -> None:
    result = chat(n=2).generate([[HumanMessage("Hello")]])

    assert service.requests[0].body["n"] == 2
    first, second = (generation.message for generation in result.generations[0])  # type: ignore[union-attr]
    assert isinstance(first, AIMessage)
    assert isinstance(second, AIMessage)
    assert first.text
    assert second.text
    assert first.usage_metadata
    assert second.usage_metadata is None  # the usage is the call's, not each answer's


def test_model_kwargs_are_defaults_of_a_call(chat: MakeChat, service: LocalService) -> None:
    model = chat(model_kwargs={"top_k": 5, "temperature": 0.25}, extra_body={"user": "me"})
    model.invoke("Hello", repetition_penalty=1.1)

    body = service.requests[0].body
    assert body["top_k"] == 5
    assert body["temperature"] == 0.25
    assert body["user"] == "me"
    assert body["repetition_penalty"] == 1.1


def test_the_most_particular_value_wins(chat: MakeChat, service: LocalService) -> None:
    model = chat(temperature=0.1, model_kwargs={"temperature": 0.2}, extra_body={"seed": 3})
    model.invoke("Hello")
    model.bind(temperature=0.3).invoke("Hello")
    model.bind(temperature=0.3).invoke("Hello", temperature=0.4, seed=4)

    sent = [request.body for request in service.requests]
    assert [body["temperature"] for body in sent] == [0.2, 0.3, 0.4]
    assert sent[2]["seed"] == 3  # extra_body is merged in last


def test_headers_reach_the_service(chat: MakeChat, service: LocalService) -> None:
    chat(default_headers={"x-team": "red"}).invoke("Hello", extra_headers={"x-run": "7"})

    headers = service.requests[0].headers
    assert headers["authorization"] == f"Bearer {service.token}"
    assert headers["user-agent"].startswith("modelscope-adapters/")
    assert headers["x-run"] == "7"
    assert headers["x-team"] == "red"


def test_headers_and_fields_of_all_places_are_sent(chat: MakeChat, service: LocalService) -> None:
    model = chat(
        default_headers={"x-a": "1", "x-b": "1", "x-c": "1"},
        extra_body={"a": 1, "b": 1, "c": 1},
        model_kwargs={
            "extra_headers": {"x-b": "2", "x-c": "2"},
            "extra_body": {"b": 2, "c": 2},
        },
    )
    model.invoke("Hello")
    model.invoke("Hello", extra_headers={"x-c": "3"}, extra_body={"c": 3})
    model.invoke("Hello", extra_headers=None, extra_body={})

    first, second, third = (
        [request.headers[name] for name in ("x-a", "x-b", "x-c")]
        + [request.body[name] for name in "abc"]
        for request in service.requests
    )
    assert first == third == ["1", "2", "2", 1, 2, 2]
    assert second == ["1", "2", "3", 1, 2, 3]


def test_another_model_for_one_call(chat: MakeChat, service: LocalService) -> None:
    answer = chat().invoke("Hello", model=HYBRID)

    assert service.requests[0].body["model"] == HYBRID
    assert answer.response_metadata["model_name"] == HYBRID


async def test_max_retries_and_timeout_are_honoured(chat: MakeChat, service: LocalService) -> None:
    service.next("server_error", "server_error")
    with pytest.raises(ModelScopeServerError):
        chat(max_retries=0).invoke("Hello")
    with pytest.raises(ModelScopeServerError):
        await chat(max_retries=0).ainvoke("Hello")
    assert len(service.requests) == 2

    service.next("silence", "silence", "silence")
    with pytest.raises(ModelScopeAPITimeoutError):
        chat(max_retries=0, timeout=0.05).invoke("Hello")
    with pytest.raises(ModelScopeAPITimeoutError):
        await chat(max_retries=0, timeout=0.05).ainvoke("Hello")
    with pytest.raises(ModelScopeAPITimeoutError):  # a call's own deadline wins
        chat(max_retries=0, timeout=600).invoke("Hello", timeout=0.05)


def test_a_misspelt_argument_is_an_error(chat: MakeChat) -> None:
    with pytest.raises(ModelScopeConfigurationError, match=r"tempreature=. .* temperature="):
        chat(tempreature=0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"temperature": 3.0}, "temperature must be between 0 and 2"),
        ({"tool_choice": "subtract"}, "subtract"),
    ],
    ids=str,
)
def test_what_the_service_would_refuse_is_refused_without_a_request(
    chat: MakeChat, service: LocalService, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match=said):
        chat().invoke("Hello", **options)
    with pytest.raises(ModelScopeInvalidRequestError, match="no message"):
        chat().invoke([])
    with pytest.raises(ModelScopeUnsupportedTaskError, match="ModelScopeEmbeddings"):
        chat("Qwen/Qwen3-Embedding-0.6B").invoke("Hello")
    assert not service.requests


# ----------------------------------------------------------------------------- the connection


def test_no_token_is_said_at_once() -> None:
    with pytest.raises(ModelScopeConfigurationError, match="There is no ModelScope token"):
        ChatModelScope(model=PLAIN)


@pytest.mark.parametrize("name", ["MODELSCOPE_API_KEY", "MODELSCOPE_SDK_TOKEN"])
def test_the_token_and_the_address_are_found_in_the_environment(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, service.token)
    monkeypatch.setenv("MODELSCOPE_API_BASE", service.base_url)

    assert ChatModelScope(model=PLAIN).invoke("Hello").text
    assert ChatModelScope(model_name=PLAIN).model == PLAIN  # type: ignore[call-arg]


def test_models_share_a_client(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url)
    one = ChatModelScope(model=PLAIN, client=client)
    other = ChatModelScope(model=HYBRID, client=client, timeout=30)

    assert one.invoke("Hello").text
    assert other.invoke("Hello").text
    with pytest.raises(ModelScopeConfigurationError, match="max_retries"):
        ChatModelScope(model=PLAIN, client=client, max_retries=1)


async def test_injected_http_clients_are_used(chat: MakeChat, service: LocalService) -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> None:
        seen.append("sync")

    async def anote(request: httpx.Request) -> None:
        seen.append("async")

    with httpx.Client(event_hooks={"request": [note]}, trust_env=False) as http_client:
        assert chat(http_client=http_client).invoke("Hello").text
    async with httpx.AsyncClient(event_hooks={"request": [anote]}, trust_env=False) as http_client:
        assert (await chat(http_async_client=http_client).ainvoke("Hello")).text
    assert seen == ["sync", "async"]


async def test_a_proxy_is_asked(service: LocalService) -> None:
    # the local service stands in for a proxy: it sees the request that was meant for another host
    model = ChatModelScope(
        model=PLAIN,
        api_key=service.token,
        base_url="http://127.0.0.1:9/v1",
        proxy=service.root_url,
        max_retries=0,
    )
    assert model.invoke("Hello").text
    assert (await model.ainvoke("Hello")).text
    assert [request.headers["host"] for request in service.requests] == ["127.0.0.1:9"] * 2


def test_a_model_is_closed_and_used_again(chat: MakeChat) -> None:
    with chat() as model:
        assert model.invoke("Hello").text
    assert model.invoke("Hello").text

    async def use() -> str:
        async with chat() as model:
            return (await model.ainvoke("Hello")).text

    assert asyncio.run(use())


# ------------------------------------------------------------------------------ what comes back


@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
def test_an_answer_says_where_it_comes_from(
    chat: MakeChat, service: LocalService, streamed: bool
) -> None:
    service.next("honest")
    model = chat(HYBRID)
    answer: AIMessage = whole(list(model.stream("Hello"))) if streamed else model.invoke("Hello")

    metadata = answer.response_metadata
    assert metadata["model_provider"] == "modelscope"
    assert metadata["model_name"] == HYBRID
    assert metadata["finish_reason"] == "stop"
    assert metadata["id"].startswith("chatcmpl-")
    assert answer.usage_metadata
    assert answer.usage_metadata["input_tokens"] > 0
    assert answer.usage_metadata["output_token_details"]["reasoning"] > 0
    assert "The user says" in answer.additional_kwargs["reasoning_content"]


def test_the_request_id_and_cached_tokens_are_kept(chat: MakeChat, service: LocalService) -> None:
    service.next(
        Reply(
            200,
            {
                "id": "chatcmpl-1",
                "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 2,
                    "total_tokens": 12,
                    "prompt_tokens_details": {"cached_tokens": 8},
                },
            },
            {"x-request-id": "req-1"},
        )
    )
    answer = chat().invoke("Hello")

    assert answer.response_metadata["request_id"] == "req-1"
    assert answer.usage_metadata == {
        "input_tokens": 10,
        "output_tokens": 2,
        "total_tokens": 12,
        "input_token_details": {"cache_read": 8},
    }


@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
def test_the_allowance_is_told_where_the_service_tells(chat: MakeChat, streamed: bool) -> None:
    with LocalService(allowance="calls=20,per-model=5,headers") as service:
        model = chat(api_key=service.token, base_url=service.base_url)
        answer: AIMessage = whole(list(model.stream("Hi"))) if streamed else model.invoke("Hi")

    assert answer.response_metadata["modelscope"] == {
        "model": PLAIN,
        "requested_model": PLAIN,
        "fallback_reason": None,
        "request_id": None,
        "adjustments": [],
        "attempts": 1,
        "allowance": {
            "account_limit": 20,
            "account_remaining": 19,
            "model_limit": 5,
            "model_remaining": 4,
        },
    }


def test_one_chunk_of_a_stream_says_where_it_comes_from(
    chat: MakeChat, service: LocalService
) -> None:
    service.next("model_spent")
    chunks = list(chat(STREAM_ONLY, fallback_models=(HYBRID,)).stream("Hello"))
    told = [chunk for chunk in chunks if "modelscope" in chunk.response_metadata]

    assert len(chunks) > 3
    assert told == chunks[:1]
    metadata = whole(chunks).response_metadata
    assert metadata["model_name"] == HYBRID
    assert metadata["modelscope"] == told[0].response_metadata["modelscope"]
    assert metadata["modelscope"]["attempts"] == 2


def test_log_probabilities_come_back_in_both_ways(chat: MakeChat) -> None:
    model = chat(logprobs=True, top_logprobs=1)
    joined = whole(list(model.stream("Hello")))

    tokens = [entry["token"] for entry in joined.response_metadata["logprobs"]["content"]]
    assert "".join(tokens) == joined.text
    invoked = model.invoke("Hello").response_metadata["logprobs"]["content"]
    assert [entry["token"] for entry in invoked] == tokens


def test_which_model_answered_and_why(chat: MakeChat, service: LocalService) -> None:
    service.next("model_spent")
    answer = chat(fallback_models=(HYBRID,)).invoke("Hello")

    assert [request.body["model"] for request in service.requests] == [PLAIN, HYBRID]
    assert answer.response_metadata["model_name"] == HYBRID
    assert answer.response_metadata["modelscope"]["requested_model"] == PLAIN
    assert answer.response_metadata["modelscope"]["fallback_reason"] == "model_spent"


# ----------------------------------------------------------------- what this service needs


def test_a_model_that_only_streams_serves_invoke(chat: MakeChat, service: LocalService) -> None:
    answer = chat(STREAM_ONLY).invoke("Hello")

    assert service.requests[0].body["stream"] is True
    assert answer.text
    assert answer.additional_kwargs["reasoning_content"]
    assert answer.usage_metadata
    assert any("stream" in said for said in answer.response_metadata["modelscope"]["adjustments"])


def test_that_a_model_only_streams_is_learnt_once(chat: MakeChat, service: LocalService) -> None:
    service.next("stream_only")
    model = chat("nex-agi/Nex-N2.5-mini")  # nothing is known of it
    assert model.invoke("Hello").text
    assert chat("nex-agi/Nex-N2.5-mini").invoke("Hello").text

    assert ["stream" in request.body for request in service.requests] == [False, True, True]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_forced_tool_turns_thinking_off_for_that_call(
    chat: MakeChat, service: LocalService
) -> None:
    model = chat(HYBRID).bind_tools([add], tool_choice="any")
    answer = model.invoke("What is 2 + 3?")

    assert service.requests[0].body["enable_thinking"] is False
    assert answer.tool_calls[0]["args"] == {"a": 2, "b": 3}
    assert any("thinking" in said for said in answer.response_metadata["modelscope"]["adjustments"])


def test_thinking_is_switched_as_the_model_wants_it(chat: MakeChat, service: LocalService) -> None:
    always = chat(HYBRID, enable_thinking=False).invoke("Hello")
    once = chat("Qwen/Qwen3-8B").invoke("Hello", enable_thinking=False)

    assert service.requests[0].body["chat_template_kwargs"] == {"enable_thinking": False}
    assert service.requests[1].body["enable_thinking"] is False
    assert "reasoning_content" not in {**always.additional_kwargs, **once.additional_kwargs}


def test_the_role_developer_is_sent_as_system(chat: MakeChat, service: LocalService) -> None:
    chat().invoke([("developer", "Be brief."), ("user", "Hello")])

    assert [message["role"] for message in service.requests[0].body["messages"]] == [
        "system",
        "user",
    ]


# -------------------------------------------------------------------------- around the model


def test_a_chain_streams_text(chat: MakeChat) -> None:
    chain = ChatPromptTemplate.from_template("Say {word}") | chat() | StrOutputParser()
    pieces = list(chain.stream({"word": "hello"}))

    assert len(pieces) > 3
    assert "".join(pieces) == chain.invoke({"word": "hello"})


def test_batches_keep_their_order(chat: MakeChat) -> None:
    questions = [f"number {number}" for number in range(8)]
    model = chat()

    assert [answer.text[11:19] for answer in model.batch(list(questions))] == questions
    answers = asyncio.run(model.abatch(list(questions), {"max_concurrency": 2}))
    assert [answer.text[11:19] for answer in answers] == questions


def test_a_cached_answer_costs_no_request(chat: MakeChat, service: LocalService) -> None:
    cache = InMemoryCache()
    first = chat(cache=cache).invoke("Hello")
    again = chat(cache=cache).invoke("Hello")
    other = chat(cache=cache, temperature=0.5).invoke("Hello")

    assert again.content == first.content
    assert other.usage_metadata
    assert len(service.requests) == 2


def test_what_is_set_later_gets_no_answer_that_was_kept_before(
    chat: MakeChat, service: LocalService
) -> None:
    model = chat(cache=InMemoryCache())
    model.invoke("Hello")
    model.temperature = 0.5
    model.invoke("Hello")
    model.model_kwargs["seed"] = 7
    model.invoke("Hello")
    model.model_copy(update={"max_tokens": 9}).invoke("Hello")

    told = ("temperature", "seed", "max_tokens")
    assert [tuple(asked.body.get(word) for word in told) for asked in service.requests] == [
        (None, None, None),
        (0.5, None, None),
        (0.5, 7, None),
        (0.5, 7, 9),
    ]


class CountingLimiter(BaseRateLimiter):
    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire()


async def test_a_rate_limiter_is_asked_once_a_call(chat: MakeChat) -> None:
    limiter = CountingLimiter()
    model = chat(rate_limiter=limiter)
    model.invoke("Hello")
    list(model.stream("Hello"))
    await model.ainvoke("Hello")

    assert limiter.acquired == 3


async def test_astream_events_tells_every_token(chat: MakeChat) -> None:
    events = [event async for event in chat().astream_events("Hello")]

    kinds = [event["event"] for event in events]
    assert kinds[0] == "on_chat_model_start"
    assert kinds[-1] == "on_chat_model_end"
    assert kinds.count("on_chat_model_stream") > 3
    assert events[-1]["data"]["output"].usage_metadata


def test_traces_know_the_model(chat: MakeChat) -> None:
    model = chat(temperature=0.5, max_tokens=20, stop=["end"])

    params = model._get_ls_params()
    assert params["ls_provider"] == "modelscope"
    assert params["ls_model_name"] == PLAIN
    assert params["ls_model_type"] == "chat"
    assert params["ls_temperature"] == 0.5
    assert params["ls_max_tokens"] == 20
    assert params["ls_stop"] == ["end"]
    assert model._get_ls_params(model=HYBRID)["ls_model_name"] == HYBRID
    assert model.metadata
    assert "modelscope-adapters" in model.metadata["lc_versions"]
