"""Words that users bring along: each row of the table, at every place where one can be written."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, wrap_model_call
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers.context import collect_runs
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbeddings,
    ModelScopeInvalidRequestError,
    ModelScopeRerank,
)
from langchain_modelscope._argument_table import CALL, CHAT, CONNECTION, EMBEDDINGS, Argument
from modelscope_transport import Client
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, PLAIN, MakeChat

TOKEN = "ms-00000000-0000-0000-0000-000000000000"

# A value of the kind that each argument takes; what is not here takes 1.
VALUES: dict[str, Any] = {
    "model": "Qwen/Qwen3-8B",
    "api_key": TOKEN,
    "base_url": "http://127.0.0.1:9/v1",
    "account": "team",
    "proxy": "http://127.0.0.1:9",
    "default_headers": {"x-team": "red"},
    "extra_headers": {"x-team": "red"},
    "extra_body": {"user": "me"},
    "client": None,
    "http_client": None,
    "http_async_client": None,
    "stop": ["end"],
    "logit_bias": {5: 1.0},
    "logprobs": True,
    "reasoning_effort": "low",
    "streaming": True,
    "stream_usage": True,
    "include_response_headers": True,
    "model_kwargs": {"seed": 1},
    "show_progress_bar": True,
}


def rows(table: dict[str, Argument]) -> list[Any]:
    return [pytest.param(row, id=row.word) for row in table.values()]


def construct(cls: type[Any], row: Argument) -> Any:
    needed = {"model": "Qwen/Qwen3-8B", "api_key": TOKEN}
    needed.pop(row.now, None)
    return cls(**needed, **{row.word: VALUES.get(row.now, 1)})


TABLES = [
    (ChatModelScope, CHAT),
    (ModelScopeEmbeddings, EMBEDDINGS),
    (ModelScopeRerank, CONNECTION),
]


@pytest.mark.parametrize(
    ("cls", "row"),
    [
        pytest.param(cls, row, id=f"{cls.__name__}-{row.word}")
        for cls, table in TABLES
        for row in table.values()
    ],
)
def test_a_constructor_takes_a_word_or_names_the_right_one(cls: type[Any], row: Argument) -> None:
    if not row.now:
        with pytest.raises(ModelScopeConfigurationError) as caught:
            construct(cls, row)
        assert caught.value.args == (f"{cls.__name__} takes no {row.word}=: {row.instead}.",)
        return
    made = construct(cls, row)
    field = "model_name" if row.now == "model" else row.now
    found, given = getattr(made, field), VALUES.get(row.now, 1)
    assert (found.get_secret_value() if row.now in ("api_key", "proxy") else found) == given


@pytest.mark.parametrize(
    ("cls", "table"), [(ChatOpenAI, CHAT), (OpenAIEmbeddings, EMBEDDINGS)], ids=["chat", "embed"]
)
def test_no_argument_of_theirs_is_missing_from_the_table(
    cls: type[Any], table: dict[str, Argument]
) -> None:
    ours = ChatModelScope if cls is ChatOpenAI else ModelScopeEmbeddings
    theirs = set(cls.model_fields) | {it.alias for it in cls.model_fields.values() if it.alias}
    assert theirs - set(table) - set(ours.model_fields) == set()


def test_what_the_table_reads_a_word_as_is_there() -> None:
    cls: Any
    for cls, table in TABLES:
        assert {row.now for row in table.values()} - {""} - {"model"} <= set(cls.model_fields)
    for row in [*CHAT.values(), *EMBEDDINGS.values(), *CALL.values()]:
        assert bool(row.now) is not bool(row.instead)


# ------------------------------------------------------------------------------------- a call

CALL_VALUES: dict[str, Any] = {
    **VALUES,
    "model": HYBRID,
    "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_object"},
    "strict": True,
    "stream": False,
    "timeout": 30,
    "top_logprobs": 2,
}


def said_by(call: Any) -> str:
    with pytest.raises(ModelScopeInvalidRequestError) as caught:
        call()
    [message] = caught.value.args
    return str(message)


@pytest.mark.parametrize("row", rows(CALL))
def test_a_call_takes_a_word_or_names_the_right_one(
    chat: MakeChat, service: LocalService, row: Argument
) -> None:
    given: dict[str, Any] = {row.word: CALL_VALUES.get(row.now, 1)}
    if not row.now:
        expected = f"takes no {row.word}=: {row.instead}."
        assert said_by(lambda: chat().invoke("Hello", **given)) == f"A call {expected}"
        assert said_by(lambda: list(chat().stream("Hello", **given))) == f"A call {expected}"
        assert said_by(lambda: chat().bind(**given)) == f"bind {expected}"
        assert said_by(lambda: chat(model_kwargs=given)) == f"model_kwargs {expected}"
        assert not service.requests
        return
    if row.now == "top_logprobs":
        given["logprobs"] = True
    chat().invoke("Hello", **given)
    if row.word not in ("stream", "strict", "timeout", "extra_headers"):
        chat(model_kwargs=given).invoke("Hello")
    chat().bind(**given).invoke("Hello")
    bodies = [request.body for request in service.requests]
    assert bodies == [bodies[0]] * len(bodies)
    if row.word != row.now and row.now != "timeout":
        assert row.word not in bodies[0]
        assert bodies[0][row.now] == CALL_VALUES.get(row.now, 1)


TYPOS = [
    ("temprature", "temperature"),
    ("max_token", "max_tokens"),
    ("stop_sequence", "stop"),
    ("modle", "model"),
    ("topp", "top_p"),
    ("seeds", "seed"),
]


@pytest.mark.parametrize(("typo", "meant"), TYPOS)
def test_a_typo_is_named_with_the_word_that_was_meant(
    chat: MakeChat, service: LocalService, typo: str, meant: str
) -> None:
    def in_agent() -> Any:
        @wrap_model_call
        def settle(request: ModelRequest[Any], handler: Any) -> Any:
            return handler(request.override(model_settings={typo: 1}))

        agent: Any = create_agent(chat(), middleware=[settle])
        return agent.invoke({"messages": [("user", "Hello")]})

    slip: dict[str, Any] = {typo: 1}
    places = [
        lambda: chat().invoke("Hello", **slip),
        lambda: list(chat().stream("Hello", **slip)),
        lambda: chat().bind(**slip),
        lambda: chat().bind_tools([], **slip),
        lambda: chat().with_structured_output({"title": "A", "type": "object"}, **slip),
        lambda: chat(model_kwargs={typo: 1}),
        in_agent,
    ]
    for place in places:
        said = said_by(place)
        assert f"takes no {typo}=. Did you mean" in said
        assert "extra_body" in said
    with pytest.raises(ModelScopeConfigurationError, match=f"{typo}=. Did you mean"):
        chat(**slip)
    assert f"Did you mean {meant}" in said_by(places[0])
    assert not service.requests


def test_what_has_no_argument_goes_by_extra_body(chat: MakeChat, service: LocalService) -> None:
    said = said_by(lambda: chat().invoke("Hello", enable_search=True))
    assert said.endswith("goes into extra_body={'enable_search': …}.")

    chat(extra_body={"enable_search": True}).invoke("Hello")
    chat().invoke("Hello", extra_body={"enable_search": True})
    assert [request.body["enable_search"] for request in service.requests] == [True, True]


def test_two_words_for_one_argument(chat: MakeChat) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="same argument"):
        chat(max_tokens=1, max_completion_tokens=2)
    assert "same argument" in said_by(
        lambda: chat().invoke("Hello", max_tokens=1, max_completion_tokens=2)
    )


def test_what_was_bound_is_replaced_by_the_same_word(chat: MakeChat, service: LocalService) -> None:
    bound = chat().bind(max_completion_tokens=3, stop_sequences=["a"], model_name="Qwen/Qwen3-8B")
    later = {"max_completion_tokens": 5, "stop_sequences": ["b"], "model_name": "Qwen/Qwen3-32B"}
    with collect_runs() as runs:
        bound.invoke("Hello")
        bound.invoke("Hello", **later)
        bound.bind(**later).invoke("Hello")
        bound.invoke("Hello", max_tokens=5, stop=["b"], model="Qwen/Qwen3-32B")

    words = ("max_tokens", "stop", "model")
    sent = [tuple(asked.body[word] for word in words) for asked in service.requests]
    assert sent == [(3, ["a"], "Qwen/Qwen3-8B"), *[(5, ["b"], "Qwen/Qwen3-32B")] * 3]
    told = [run.extra["metadata"] for run in runs.traced_runs]
    names = ("ls_max_tokens", "ls_stop", "ls_model_name")
    assert [tuple(metadata[name] for name in names) for metadata in told] == sent


def test_one_fallback_model_is_no_list_of_letters(chat: MakeChat, service: LocalService) -> None:
    other = "Qwen/Qwen3.5-122B-A10B"
    service.next("model_spent", "honest")
    answer = chat(fallback_models=other).invoke("Hello")
    assert answer.response_metadata["modelscope"]["model"] == other
    service.next("model_spent", "honest")
    answer = chat(model="Qwen/Qwen3-8B").invoke("Hello", fallback_models=other)
    assert answer.response_metadata["modelscope"]["model"] == other


def test_no_message_shows_a_value() -> None:
    for word in ("azure_api_key", "openai_apikey", "organization"):
        with pytest.raises(ModelScopeConfigurationError) as caught:
            ChatModelScope(model="Qwen/Qwen3-8B", **{word: "sk-secret"})  # type: ignore[call-overload]
        assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match="api_key") as wrong:
        ChatModelScope(model="Qwen/Qwen3-8B", api_key=["sk-secret"])  # type: ignore[call-overload]
    assert "secret" not in str(wrong.value)


def test_new_options_are_sent(chat: MakeChat, service: LocalService) -> None:
    options: dict[str, Any] = {
        "top_k": 20,
        "min_p": 0.05,
        "repetition_penalty": 1.05,
        "reasoning_effort": "low",
        "logit_bias": {"7": -5.0},
    }
    chat(**options).invoke("Hello")
    chat().invoke("Hello", **options)
    for request in service.requests:
        assert {name: request.body[name] for name in options} == options


# ---------------------------------------------------------------------- after construction


def test_a_field_that_is_set_later_has_its_effect(chat: MakeChat, service: LocalService) -> None:
    model = ChatModelScope(model=PLAIN, api_key=TOKEN, base_url="http://127.0.0.1:9/v1")
    model.base_url = service.base_url
    model.api_key = service.token
    model.max_retries = 0
    model.temperature = 0.5
    model.invoke("Hello")

    assert service.requests[0].headers["authorization"] == f"Bearer {service.token}"
    assert service.requests[0].body["temperature"] == 0.5
    service.next("server_error")
    with pytest.raises(Exception, match=r".") as caught:
        model.invoke("Hello")
    assert caught.value.details.attempts == 1  # type: ignore[attr-defined]
    assert service.token not in repr(model)


def test_another_model_has_another_profile() -> None:
    model = ChatModelScope(model="Qwen/Qwen3-8B", api_key=TOKEN)
    before = model.profile
    model.model_name = "Qwen/Qwen3.5-122B-A10B"
    assert model.profile == ChatModelScope(model=model.model, api_key=TOKEN).profile != before
    model.model = "Qwen/Qwen3-8B"  # type: ignore[misc]
    assert (model.model_name, model.profile) == ("Qwen/Qwen3-8B", before)

    chosen = ChatModelScope(model="Qwen/Qwen3-8B", api_key=TOKEN, profile={"tool_calling": False})
    chosen.model_name = "Qwen/Qwen3-32B"
    assert chosen.profile == {"tool_calling": False}


def test_what_cannot_be_set_leaves_all_as_it_was(chat: MakeChat, service: LocalService) -> None:
    model = ChatModelScope(model=PLAIN, client=Client(service.token, base_url=service.base_url))
    with pytest.raises(ModelScopeConfigurationError, match="client= was passed together"):
        model.base_url = "http://127.0.0.1:9/v1"
    assert model.base_url is None
    assert model.invoke("Hello").text


def test_configurable_fields_reach_the_call(chat: MakeChat, service: LocalService) -> None:
    model = chat().configurable_fields(
        model_name=ConfigurableField("model"), top_k=ConfigurableField("top_k")
    )
    model.invoke("Hello", {"configurable": {"model": HYBRID, "top_k": 3}})
    assert service.requests[0].body["model"] == HYBRID
    assert service.requests[0].body["top_k"] == 3
    with pytest.raises(ValueError, match="temprature"):
        chat().configurable_fields(temprature=ConfigurableField("x"))


# ------------------------------------------------------------------------ a token from a function


async def test_a_function_is_asked_for_the_token_before_each_call(
    chat: MakeChat, service: LocalService
) -> None:
    tokens = iter([service.token, service.token, "ms-" + "1" * 8])
    model = chat(api_key=lambda: next(tokens), max_retries=0)
    model.invoke("Hello")
    await model.ainvoke("Hello")
    model.invoke("Hello")
    sent = [request.headers["authorization"] for request in service.requests]
    assert sent == [f"Bearer {service.token}"] * 2 + ["Bearer ms-11111111"]


def test_a_function_must_return_text_at_once(chat: MakeChat, service: LocalService) -> None:
    async def later() -> str:
        return service.token

    for ask in (later, lambda: None):
        with pytest.raises(ModelScopeConfigurationError, match="must return the token as text"):
            chat(api_key=ask).invoke("Hello")


def test_a_model_with_a_function_pickles_without_it(
    chat: MakeChat, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    model = chat(api_key=lambda: service.token)
    model.invoke("Hello")
    monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
    written = pickle.dumps(model)
    assert service.token.encode() not in written
    assert pickle.loads(written).invoke("Hello").text


@pytest.mark.parametrize("timeout", [httpx.Timeout(5.0), (1.0, 5.0), "soon"], ids=type)
def test_a_timeout_in_parts_is_told_where_they_go(chat: MakeChat, timeout: Any) -> None:
    said = r"seconds for the whole call.*connect_timeout=.*idle_timeout="
    with pytest.raises(ModelScopeConfigurationError, match=said):
        chat(timeout=timeout)
    with pytest.raises(ModelScopeConfigurationError, match=said):
        chat(request_timeout=timeout)
    with pytest.raises(ModelScopeConfigurationError, match=said):
        chat().invoke("Hello", timeout=timeout)
    model = chat(timeout=7)
    with pytest.raises(ModelScopeConfigurationError, match=said):
        model.timeout = timeout
    assert model.timeout == 7


def test_a_timeout_as_text_is_read_alike_everywhere(chat: MakeChat) -> None:
    assert chat(timeout="5").timeout == 5
    assert chat().invoke("Hello", timeout="5").text
