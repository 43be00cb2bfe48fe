"""Options: of the object, of one call, and what of them is for the service to see."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from pydantic import BaseModel

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbedding,
    ModelScopeInvalidRequestError,
)
from modelscope_transport.emulator import LocalService

from .conftest import MakeLLM
from .consumers.kit import CHAT, EMBEDDING

HELLO = [ChatMessage(content="Hello")]


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


FIELDS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 50,
    "seed": 7,
    "thinking_budget": 9,
}
CALL_ONLY: dict[str, Any] = {
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "logprobs": True,
    "top_k": 3,
    "user": "me",
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_is_an_option_of_every_call(
    make_llm: MakeLLM, service: LocalService, name: str
) -> None:
    make_llm(**{name: FIELDS[name]}).complete("Hello")
    make_llm().complete("Hello", **{name: FIELDS[name]})
    make_llm(additional_kwargs={name: FIELDS[name]}).complete("Hello")

    assert [request.body[name] for request in service.requests] == [FIELDS[name]] * 3


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"max_tokens": 100}, {"max_completion_tokens": 10}),
        ({"additional_kwargs": {"max_completion_tokens": 100}}, {"max_tokens": 10}),
        ({"max_tokens": 100, "additional_kwargs": {"max_completion_tokens": 10}}, {}),
    ],
)
def test_an_option_replaces_the_same_one_of_another_name(
    make_llm: MakeLLM, service: LocalService, fields: dict[str, Any], asked: dict[str, Any]
) -> None:
    make_llm(**fields).complete("Hello", **asked)
    assert service.requests[-1].body["max_tokens"] == 10
    assert "max_completion_tokens" not in service.requests[-1].body


@pytest.mark.parametrize(
    ("fields", "asked", "sent"),
    [
        ({"top_logprobs": 5}, {"logprobs": True}, (True, 5)),
        ({"top_logprobs": 5, "additional_kwargs": {"logprobs": True}}, {}, (True, 5)),
        ({"logprobs": True, "top_logprobs": 5}, {"logprobs": False}, (False, None)),
        ({"top_logprobs": 5}, {}, (None, None)),
        ({}, {"logprobs": True, "top_logprobs": 2}, (True, 2)),
    ],
)
def test_top_logprobs_go_with_the_logprobs_of_the_call(
    make_llm: MakeLLM,
    service: LocalService,
    fields: dict[str, Any],
    asked: dict[str, Any],
    sent: tuple[bool | None, int | None],
) -> None:
    make_llm(**fields).complete("Hello", **asked)
    body = service.requests[-1].body
    assert (body.get("logprobs"), body.get("top_logprobs")) == sent


def test_token_ids_may_be_numbers(make_llm: MakeLLM, service: LocalService) -> None:
    make_llm(logit_bias={1234: -100}).complete("Hello")
    assert service.requests[-1].body["logit_bias"] == {"1234": -100}


@pytest.mark.parametrize("name", CALL_ONLY)
def test_an_option_that_is_no_field(make_llm: MakeLLM, service: LocalService, name: str) -> None:
    make_llm().chat(HELLO, **{name: CALL_ONLY[name]})
    make_llm(additional_kwargs={name: CALL_ONLY[name]}).chat(HELLO)

    assert [request.body[name] for request in service.requests] == [CALL_ONLY[name]] * 2


def test_nothing_is_sent_that_was_not_asked_for(llm: ModelScope, service: LocalService) -> None:
    llm.chat(HELLO)
    message = {"role": "user", "content": "Hello"}
    assert service.requests[0].body == {"model": CHAT, "messages": [message]}


def test_the_nearer_option_counts(make_llm: MakeLLM, service: LocalService) -> None:
    llm = make_llm(
        temperature=0.1,
        additional_kwargs={"top_p": 0.2, "min_p": 0.3},
        extra_body={"top_k": 1, "user": "me"},
    )
    llm.chat(HELLO, temperature=0.9, top_p=0.8, min_p=0.7, extra_body={"top_k": 2})
    llm.chat(HELLO, temperature=None)  # unset for this one call

    first, second = (request.body for request in service.requests)
    assert (first["temperature"], first["top_p"], first["min_p"]) == (0.9, 0.8, 0.7)
    assert (first["top_k"], first["user"]) == (2, "me")
    assert "temperature" not in second
    assert (second["top_k"], second["top_p"]) == (1, 0.2)


@pytest.mark.parametrize("stop", ["end", ["end"], ("end",)], ids=["text", "list", "tuple"])
def test_stop_in_every_form(llm: ModelScope, service: LocalService, stop: Any) -> None:
    llm.chat(HELLO, stop=stop)
    assert service.requests[0].body["stop"] == ["end"]


def test_another_model_for_one_call(llm: ModelScope, service: LocalService) -> None:
    answer = llm.chat(HELLO, model="Qwen/Qwen3-235B-A22B-Instruct-2507")
    assert service.requests[0].body["model"] == "Qwen/Qwen3-235B-A22B-Instruct-2507"
    assert answer.raw["model"] == "Qwen/Qwen3-235B-A22B-Instruct-2507"  # type: ignore[index]


def test_a_fallback_for_one_call(llm: ModelScope, service: LocalService) -> None:
    service.next("model_spent")
    answer = llm.chat(HELLO, fallback_models=["Qwen/Qwen3-235B-A22B-Instruct-2507"])
    assert [request.body["model"] for request in service.requests][1:] == [
        "Qwen/Qwen3-235B-A22B-Instruct-2507"
    ]
    assert answer.additional_kwargs["modelscope"]["fallback_reason"]


def test_what_is_for_the_way_is_no_part_of_the_body(llm: ModelScope, service: LocalService) -> None:
    llm.chat(
        HELLO,
        extra_headers={"x-team": "red"},
        timeout=20,
        use_chat_completions=True,
        stream_usage=False,
        formatted=True,
    )

    request = service.requests[0]
    assert set(request.body) == {"model", "messages"}
    assert request.headers["x-team"] == "red"


@pytest.mark.parametrize("query", [{}, None])
def test_an_empty_query_is_none(llm: ModelScope, service: LocalService, query: Any) -> None:
    llm.chat(HELLO, extra_query=query)
    assert "extra_query" not in service.requests[0].body


def test_a_query_is_refused_rather_than_sent_where_nobody_looks(
    llm: ModelScope, service: LocalService
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="extra_query"):
        llm.chat(HELLO, extra_query={"a": "b"})
    assert not service.requests


# --- the form of the answer

SCHEMA = Person.model_json_schema()
FORMS: list[tuple[str, Any, Any]] = [
    ("class", Person, "json_schema"),
    ("json_object", {"type": "json_object"}, "json_object"),
    ("json_schema", {"type": "json_schema", "json_schema": {"schema": SCHEMA}}, "json_schema"),
    ("text", {"type": "text"}, None),
]


@pytest.mark.parametrize(("name", "form", "kind"), FORMS, ids=[name for name, _, _ in FORMS])
def test_a_form_of_the_answer(
    llm: ModelScope, service: LocalService, name: str, form: Any, kind: str | None
) -> None:
    llm.chat([ChatMessage(content='Ada, aged 36, with the key "name".')], response_format=form)

    sent = service.requests[0].body.get("response_format") or {}
    assert sent.get("type") == kind
    if kind == "json_schema":
        assert sent["json_schema"]["schema"] == SCHEMA
        assert sent["json_schema"]["name"]


@pytest.mark.parametrize(
    "form",
    [{"type": "json_schema"}, {"type": "xml"}, {}, "json", 7, Person(name="a", age=1)],
    ids=str,
)
def test_a_form_that_cannot_be_read_is_said(
    llm: ModelScope, service: LocalService, form: Any
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="response_format must be"):
        llm.chat(HELLO, response_format=form)
    assert not service.requests


WRONG = [
    {"extra_body": 7},
    {"extra_headers": 7},
    {"extra_headers": ["a"]},
    {"stop": 7},
    {"tools": 7},
    {"fallback_models": 7},
    {"temperature": "hot"},
    {"temperature": 3},
    {"max_tokens": 0},
    {"n": "two"},
    {"JSON": object()},
    {"n": 2},
]


@pytest.mark.parametrize("options", WRONG, ids=range(len(WRONG)))
def test_an_option_of_the_wrong_kind_is_an_error_of_ours(
    llm: ModelScope, service: LocalService, options: dict[str, Any]
) -> None:
    name = next(iter(options))
    with pytest.raises(ModelScopeInvalidRequestError, match=name):
        llm.chat(HELLO, **options)
    assert not service.requests


# --- the constructor


@pytest.mark.parametrize("kind", [ModelScope, ModelScopeEmbedding])
def test_a_misspelt_argument_is_said(kind: Any, reach: dict[str, Any]) -> None:
    with pytest.raises(ModelScopeConfigurationError, match=r"'callback_manger'; perhaps callback_"):
        kind("a/b", callback_manger=None, **reach)
    with pytest.raises(ModelScopeConfigurationError, match="Name a model"):
        kind(**reach)


@pytest.mark.parametrize("word", ["model", "model_name"])
def test_both_words_for_the_model(reach: dict[str, Any], word: str) -> None:
    assert ModelScope(**{word: CHAT}, **reach).model == CHAT
    assert ModelScopeEmbedding(**{word: EMBEDDING}, **reach).model_name == EMBEDDING
    assert ModelScope(CHAT, **reach).metadata.model_name == CHAT


async def test_prompts_are_made_by_the_users_own_function(
    make_llm: MakeLLM, service: LocalService
) -> None:
    llm = make_llm(completion_to_prompt=lambda prompt: f"Politely: {prompt}")
    for formatted in ({}, {"formatted": True}):
        llm.complete("Hello", **formatted)
        list(llm.stream_complete("Hello", **formatted))
        await llm.acomplete("Hello", **formatted)
        async for _ in await llm.astream_complete("Hello", **formatted):
            pass

    said = [request.body["messages"][0]["content"] for request in service.requests]
    assert said == ["Politely: Hello"] * 4 + ["Hello"] * 4


def test_a_model_shows_what_is_not_as_it_is_by_default(reach: dict[str, Any]) -> None:
    where = f"base_url={reach['base_url']!r}"
    plain, other = ModelScope(CHAT, **reach), ModelScope(CHAT, fallback_models=[EMBEDDING], **reach)
    assert repr(plain) == f"ModelScope(model={CHAT!r}, {where})"
    assert f"fallback_models=[{EMBEDDING!r}]" in repr(other)
