"""A client against the local service, sync and async: what a user asks and gets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelscope_transport import (
    AsyncClient,
    ChatDelta,
    ChatResult,
    Client,
    ConfigurationError,
    InvalidRequestError,
    Message,
    ModelNotServedError,
    ModelScopeError,
    QuotaExceededError,
    ResponseFormat,
    ToolSpec,
    UnexpectedReplyError,
    UnsupportedTaskError,
)
from modelscope_transport.emulator import Allowance, LocalService, Reply
from tests.transport.callers import (
    CHAT,
    EMBEDDING,
    Caller,
    chat_request,
    embedding_request,
    settled,
)
from tests.transport.recorded import sample

ADD = ToolSpec(
    "add",
    "Adds two numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)
ASK_TOOL: dict[str, Any] = {"messages": (Message("user", "Use add for 2 and 3."),), "tools": (ADD,)}


# --- chat


def test_a_chat(caller: Caller) -> None:
    answer = caller.chat()
    assert "1 plus 1" in answer.text
    assert answer.choice.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0
    assert answer.model == CHAT
    assert answer.origin is not None
    assert (answer.origin.model, answer.origin.attempts) == (CHAT, 1)
    assert caller.requests == 1


def test_a_stream_adds_up_to_the_same_answer(caller: Caller) -> None:
    whole = caller.chat()
    deltas, joined = caller.stream()
    assert len(deltas) > 3
    assert joined.choices == whole.choices
    assert joined.usage == whole.usage
    assert [delta.usage for delta in deltas if delta.usage] == [whole.usage]
    assert all(delta != ChatDelta() for delta in deltas)


@pytest.mark.parametrize("model", ["Qwen/Qwen3-8B", "Qwen/QwQ-32B"])
def test_thoughts_and_answer_are_told_apart(caller: Caller, model: str) -> None:
    deltas, joined = caller.stream(model=model)
    assert joined.reasoning
    assert joined.text
    thinking = [bool(delta.reasoning) for delta in deltas if delta.reasoning or delta.text]
    assert thinking == sorted(thinking, reverse=True)
    assert joined.usage is not None
    assert joined.usage.reasoning_tokens


def test_a_model_that_only_streams_answers_whole(caller: Caller) -> None:
    answer = caller.chat(model="Qwen/QwQ-32B")
    assert answer.choices == caller.stream(model="Qwen/QwQ-32B")[1].choices
    assert answer.usage is not None
    assert answer.origin is not None
    assert "joined" in answer.origin.adjustments[0]
    assert caller.service.requests[0].body["stream"] is True


def test_a_tool_call(caller: Caller) -> None:
    answer = caller.chat(**ASK_TOOL)
    call = answer.tool_calls[0]
    assert (call.name, call.arguments) == ("add", '{"a": 2, "b": 3}')
    assert answer.choice.finish_reason == "tool_calls"
    streamed = caller.stream(**ASK_TOOL)[1].tool_calls[0]
    assert (streamed.name, streamed.arguments) == (call.name, call.arguments)


def test_the_answer_of_a_tool_goes_back(caller: Caller) -> None:
    call = caller.chat(**ASK_TOOL).tool_calls[0]
    history = (
        *ASK_TOOL["messages"],
        Message("assistant", tool_calls=(call,)),
        Message("tool", "5", tool_call_id=call.id),
    )
    assert "5" in caller.chat(messages=history, tools=(ADD,)).text


def test_a_schema_that_a_model_cannot_keep_is_kept_all_the_same(caller: Caller) -> None:
    form = ResponseFormat(
        "json_schema", "city", {"type": "object", "properties": {"name": {"type": "string"}}}
    )
    asked = {"model": "deepseek-ai/DeepSeek-V4.1-Flash", "response_format": form}
    for answer in (caller.chat(**asked), caller.stream(**asked)[1]):
        assert answer.text.startswith("{")
        assert answer.tool_calls == ()
        assert answer.choice.finish_reason == "stop"


def test_several_answers(caller: Caller) -> None:
    assert len(caller.chat(n=3).choices) == 3


def test_a_whole_answer_to_the_wish_for_a_stream_reads_like_one(caller: Caller) -> None:
    whole = sample("chat/tool_call_with_content")
    caller.service.next(Reply(200, whole.reply.body, {"content-type": "application/json"}))
    deltas, joined = caller.stream()
    assert (joined.text, joined.tool_calls[0].name) == ("I add the numbers.", "add")
    assert deltas[0].tool_calls[0].arguments == '{"a": 2, "b": 3}'
    assert joined.usage is not None


async def test_a_whole_answer_is_left_like_a_stream(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url)
    body = sample("chat/whole").reply.body
    service.next(*[Reply(200, body, {"content-type": "application/json"})] * 2)
    async with await client.aio.stream_chat(chat_request()) as stream:
        assert stream.origin.attempts == 1
    with client.stream_chat(chat_request()) as whole:
        assert whole.origin.attempts == 1
    await client.aio.aclose()
    client.close()


# --- embeddings


def test_embeddings(caller: Caller) -> None:
    answer = caller.embed("cat", "dog", "cat")
    assert [len(vector) for vector in answer.vectors] == [1024] * 3
    assert answer.vectors[0] == answer.vectors[2] != answer.vectors[1]
    assert answer.usage is not None
    assert answer.origin is not None
    assert answer.origin.attempts == 1
    assert caller.service.requests[0].body["input"] == ["cat", "dog"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_many_texts_keep_their_order(caller: Caller, concurrency: int) -> None:
    texts = [f"text {number}" for number in range(65)]
    progress: list[tuple[int, int]] = []
    answer = caller.embed(
        *texts,
        dimensions=64,
        concurrency=concurrency,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert caller.requests == 4
    assert len(progress) == 4
    assert max(progress) == (65, 65)
    assert list(answer.vectors) == [caller.embed(text, dimensions=64).vectors[0] for text in texts]


@pytest.mark.parametrize("scenario", ["batch_limit", "batch_limit_413"])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_limit_of_the_batch_is_learnt_and_remembered(
    caller: Caller, scenario: str, concurrency: int
) -> None:
    caller.service.next(*[f"{scenario}:10"] * 20)
    texts = [f"text {number}" for number in range(60)]
    answer = caller.embed(*texts, dimensions=8, concurrency=concurrency)
    assert len(answer.vectors) == 60
    assert caller.requests <= 6 + concurrency
    before = caller.requests
    caller.embed(*(f"other {number}" for number in range(30)), dimensions=8)
    assert caller.requests == before + 3


@pytest.mark.parametrize(
    "scenario", ["missing_vector", "repeated_vector", "nan_vector", "short_vector"]
)
def test_vectors_that_would_spoil_an_index_are_refused(caller: Caller, scenario: str) -> None:
    caller.service.next(scenario)
    with pytest.raises(UnexpectedReplyError):
        caller.embed("a", "b")
    assert caller.requests == 1


def test_vectors_out_of_order_are_put_in_order(caller: Caller) -> None:
    wanted = caller.embed("a", "b").vectors
    caller.service.next("shuffled_vectors")
    assert caller.embed("a", "b").vectors == wanted


def test_the_first_failure_ends_an_embedding(caller: Caller) -> None:
    # A service of its own: a request that was given up may arrive when the test is over.
    with LocalService() as service, type(caller)(service) as user:
        service.next("honest", "authentication_failed")
        with pytest.raises(ModelScopeError):
            user.embed(*(f"text {number}" for number in range(200)), dimensions=8, concurrency=2)
        # Ten would be all of them; the other worker may go on until the refusal has been read.
        assert user.requests <= 6


# --- the request on the wire


def test_what_arrives(caller: Caller) -> None:
    caller.chat(extra_headers={"X-Trace": "t"})
    request = caller.service.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {caller.service.token}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("modelscope-adapters/")
    assert request.headers["x-trace"] == "t"
    assert "x-trace" not in _headers_of_next(caller)


def _headers_of_next(caller: Caller) -> dict[str, str]:
    caller.chat()
    return caller.service.requests[-1].headers


def test_headers_of_every_request(caller: Caller) -> None:
    user = caller.but(default_headers={"User-Agent": "mine/1", "X-Team": "a"})
    user.chat(extra_headers={"x-TEAM": "b"})
    raw = user.service.requests[0].headers
    assert (raw["user-agent"], raw["x-team"]) == ("mine/1", "b")
    user.client.close()


# --- the allowance


def test_a_spent_model_costs_one_request_and_then_none() -> None:
    with LocalService(allowance=Allowance(calls_per_model=1)) as service:
        caller = Caller(service)
        caller.chat()
        for attempt in range(100):
            with pytest.raises(QuotaExceededError) as caught:
                (caller.chat, caller.stream)[attempt % 2]()
            assert caught.value.details.attempts == (attempt == 0)
        assert caller.requests == 2
        assert caught.value.resets_at is not None
        assert caller.chat(model="nex-agi/Nex-N2.5-mini").text
        # Another client of the same account knows it too.
        with pytest.raises(QuotaExceededError):
            asyncio.run(caller.but().client.aio.chat(chat_request()))
        assert caller.requests == 3
        caller.client.close()


def test_a_spent_model_gives_way_to_another(caller: Caller) -> None:
    caller.service.next("model_spent")
    answer = caller.chat(fallback_models=("nex-agi/Nex-N2.5-mini",))
    assert answer.origin is not None
    assert (answer.origin.model, answer.origin.fallback_reason) == (
        "nex-agi/Nex-N2.5-mini",
        "model_spent",
    )
    again, joined = caller.stream(fallback_models=("nex-agi/Nex-N2.5-mini",))
    assert again
    assert joined.origin is not None
    assert joined.origin.attempts == 1, "nobody asks the spent one again"


def test_without_a_ledger_every_call_is_sent(caller: Caller) -> None:
    user = caller.but(ledger=None)
    user.service.next("model_spent", "model_spent", "honest")
    for _ in range(2):
        with pytest.raises(QuotaExceededError):
            user.chat()
    assert user.chat().text
    user.client.close()


def test_the_limits_that_a_reply_tells_are_told() -> None:
    with LocalService(
        allowance=Allowance(calls_per_day=50, calls_per_model=5, headers=True)
    ) as service:
        caller = Caller(service)
        origin = caller.chat().origin
        assert origin is not None
        assert origin.allowance == {
            "account_limit": 50,
            "account_remaining": 49,
            "model_limit": 5,
            "model_remaining": 4,
        }
        caller.client.close()


# --- bad input: one clear sentence, before any request


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        ({"model": "nobody/knows-this"}, ModelNotServedError, "is not served"),
        ({"model": "GLM 4.7"}, ModelNotServedError, "'GLM 4.7' is not a model ID"),
        ({"model": ""}, ModelNotServedError, "'' is not a model ID"),
        ({"model": "Qwen/Qwen3-Embedding-0.6B"}, UnsupportedTaskError, "ModelScopeEmbeddings"),
        ({"model": "Qwen/Qwen-Image"}, UnsupportedTaskError, "Image"),
        ({"fallback_models": (EMBEDDING,)}, UnsupportedTaskError, "ModelScopeEmbeddings"),
        ({"fallback_models": ("non sense",)}, ModelNotServedError, "'non sense' is not a model ID"),
        ({"messages": ()}, InvalidRequestError, "no message"),
        ({"max_tokens": 0}, InvalidRequestError, "max_tokens must be at least 1, and is 0."),
        ({"timeout": 0}, ConfigurationError, "timeout must be above 0 seconds, and is 0."),
        ({"timeout": float("nan")}, ConfigurationError, "timeout must be above 0"),
        ({"extra_headers": {"a\r\nb": "c"}}, ConfigurationError, "cannot be sent"),
        ({"messages": (Message("user", "\ud800"),)}, InvalidRequestError, "JSON"),
    ],
)
def test_bad_input(caller: Caller, asked: dict[str, Any], kind: type[Exception], told: str) -> None:
    unknown = asked.get("model") == "nobody/knows-this"
    for call in (caller.chat, caller.stream):
        with pytest.raises(kind) as caught:
            call(**asked)
        assert told in str(caught.value)
    assert caller.requests == 2 * unknown


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        ({"texts": ("a", "")}, InvalidRequestError, "Text 1 is empty"),
        ({"texts": ("a", None)}, InvalidRequestError, "Text 1 is of type NoneType"),
        ({"model": CHAT}, UnsupportedTaskError, "ChatModelScope"),
        ({"dimensions": 0}, InvalidRequestError, "dimensions must be at least 1"),
        (
            {"fallback_models": ("Qwen/Qwen3-Embedding-8B",)},
            ConfigurationError,
            "do not fit one index",
        ),
        ({"timeout": -1}, ConfigurationError, "timeout must be above 0"),
    ],
)
def test_bad_input_to_embed(
    caller: Caller, asked: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught:
        caller.embed(**asked)
    assert told in str(caught.value)
    assert caller.requests == 0


def test_no_texts_are_no_request(caller: Caller) -> None:
    answer = caller.client.embed(embedding_request().__class__(model=EMBEDDING, texts=()))
    assert answer.vectors == ()
    assert caller.requests == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"timeout": None}, "timeout must be above 0 seconds, and is None."),
        ({"timeout": "60"}, "timeout must be above 0 seconds, and is '60'."),
        ({"timeout": float("nan")}, "timeout must be above 0 seconds, and is nan."),
        ({"max_retries": -1}, "max_retries must be at least 0, and is -1."),
        ({"base_url": "ftp://h.example/v1"}, "is not a web address"),
        ({"default_headers": {"X": "ü"}}, "cannot be sent"),
        ({"default_headers": {"X": 5}}, "cannot be sent"),
        ({"api_key": ""}, "There is no ModelScope token."),
    ],
)
def test_bad_options(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client(**{"api_key": "ms-1", **options})
    assert told in str(caught.value)


@pytest.mark.parametrize("address", ["sqlite:///ledger.db", "Redis://h/0", "postgres://u:pass@h/0"])
def test_an_address_that_is_no_ledger_becomes_no_file(caller: Caller, address: str) -> None:
    with pytest.raises(ConfigurationError, match="There is no ledger at an address") as caught:
        caller.but(ledger=address).chat()
    assert "pass" not in str(caught.value).removesuffix('"off".').replace("Pass the path", "")
    assert caller.requests == 0


def test_an_endless_timeout_is_a_long_one(caller: Caller) -> None:
    assert caller.chat(timeout=float("inf")).text


def test_an_unknown_model_of_ones_own_embeds() -> None:
    # A dedicated deployment serves whatever its owner has put there.
    with LocalService() as service:
        service.next(Reply(200, {"data": [{"embedding": [1.0, 2.0], "index": 0}]}))
        answer = Caller(service).embed("a", model="me/bge-of-my-own")
        assert answer.vectors == ([1.0, 2.0],)


# --- construction, comparison, closing


def test_making_a_client_does_nothing_yet(service: LocalService) -> None:
    client = Client("ms-1", base_url="https://127.0.0.1:1/v1")
    assert "line" not in vars(client._core)
    assert repr(client) == "Client(base_url='https://127.0.0.1:1/v1')"
    assert repr(client.aio) == "AsyncClient(base_url='https://127.0.0.1:1/v1')"
    assert service.requests == []


def test_sync_and_async_are_one_client(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url)
    assert client.aio is client.aio
    assert client.aio.ledger is client.ledger
    assert client.base_url == client.aio.base_url == service.base_url


async def test_an_async_client_stands_alone() -> None:
    with LocalService() as service:
        async with AsyncClient(service.token, base_url=service.base_url) as client:
            assert (await client.chat(chat_request())).text
            assert service.connections == 1
        assert await settled(lambda: service.connections == 0)


def test_a_closed_client_opens_anew(service: LocalService) -> None:
    with Client(service.token, base_url=service.base_url) as client:
        client.chat(chat_request())
    assert isinstance(client.chat(chat_request()), ChatResult)
    client.close()


def test_what_is_known_of_a_model(service: LocalService) -> None:
    profile = Client(service.token, base_url=service.base_url).profile("Qwen/QwQ-32B")
    assert profile.stream_only
