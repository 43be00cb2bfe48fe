"""Arguments that users bring along: taken, under another name, unused or refused; row by row."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai_like import OpenAILike
from openai.resources.chat.completions import Completions
from openai.resources.embeddings import Embeddings

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbedding,
    ModelScopeInvalidRequestError,
    ModelScopeRateLimiter,
    ModelScopeRerank,
)
from llamaindex_modelscope import _argument_tables as tables
from llamaindex_modelscope._arguments import Argument
from modelscope_transport import Client
from modelscope_transport.emulator import LocalService

from .conftest import MakeLLM
from .consumers.kit import CHAT, EMBEDDING

HELLO = [ChatMessage(content="Hello")]
CLASSES: dict[str, tuple[Any, str, dict[str, Argument]]] = {
    "LLM": (ModelScope, CHAT, tables.LLM),
    "EMBEDDING": (ModelScopeEmbedding, EMBEDDING, tables.EMBEDDING),
    "RERANK": (ModelScopeRerank, CHAT, tables.RERANK),
}


# --- the tables are complete


def _parameters(*functions: Any) -> set[str]:
    names = {name for one in functions for name in inspect.signature(one).parameters}
    return names - {"self", "args", "kwargs"}


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (tables.LLM, _parameters(OpenAI.__init__, OpenAILike.__init__)),
        (tables.LLM, set(OpenAILike.model_fields)),
        (tables.CALL, _parameters(Completions.create)),
        (tables.EMBEDDING, _parameters(OpenAIEmbedding.__init__, OpenAILikeEmbedding.__init__)),
        (tables.EMBEDDING, set(OpenAILikeEmbedding.model_fields)),
        (tables.EMBEDDING_CALL, _parameters(Embeddings.create)),
        (tables.RERANK, _parameters(LLMRerank.__init__)),
    ],
    ids=[
        "OpenAI",
        "OpenAILike",
        "call",
        "OpenAIEmbedding",
        "fields",
        "embedding call",
        "LLMRerank",
    ],
)
def test_every_argument_of_the_others_has_a_row(
    table: Mapping[str, Argument], names: set[str]
) -> None:
    assert names - set(table) == set()


def test_every_row_of_what_is_taken_is_an_argument() -> None:
    for kind, _, table in CLASSES.values():
        own = set(kind.model_fields) | _parameters(kind.__init__)
        for row in table.values():
            if row.fate == "taken":
                assert row.name in own
            if row.fate == "alias":
                assert row.now in own
            if row.fate in ("refused", "unused"):
                assert row.now
                assert row.name not in own


# --- constructors, row by row

HTTP = httpx.Client()
VALUES: dict[str, Any] = {
    "additional_kwargs": {"timeout": 33.0},
    "api_base": "http://127.0.0.1:1/v1",
    "api_key": "ms-other",
    "async_http_client": httpx.AsyncClient(),
    "base_url": "http://127.0.0.1:1/v1",
    "callback_manager": CallbackManager([]),
    "completion_to_prompt": str,
    "context_window": 5000,
    "default_headers": {"x-team": "red"},
    "dimensions": 8,
    "embed_batch_size": 3,
    "embeddings_cache": None,
    "extra_body": {"a": 1},
    "frequency_penalty": 0.5,
    "http_client": HTTP,
    "is_function_calling_model": False,
    "keep_retrieval_score": True,
    "logit_bias": {"1": 2.0},
    "logprobs": True,
    "max_completion_tokens": 50,
    "max_new_tokens": 50,
    "max_retries": 1,
    "max_tokens": 50,
    "messages_to_prompt": str,
    "min_p": 0.1,
    "model": "a/b",
    "model_name": "a/b",
    "num_workers": 2,
    "output_parser": None,
    "presence_penalty": 0.5,
    "pydantic_program_mode": PydanticProgramMode.LLM,
    "query_instruction": "Query: ",
    "query_wrapper_prompt": PromptTemplate("{query_str}"),
    "rate_limiter": ModelScopeRateLimiter(6000),
    "reasoning_effort": "low",
    "repetition_penalty": 1.1,
    "seed": 7,
    "should_use_structured_outputs": True,
    "stop": ["end"],
    "strict": True,
    "system_prompt": "Be brief.",
    "temperature": 0.5,
    "text_instruction": "Text: ",
    "timeout": 33.0,
    "top_k": 3,
    "top_logprobs": 2,
    "top_n": 2,
    "top_p": 0.9,
}
CONVERTED = {"should_use_structured_outputs": "json_schema"}
IN_THE_CLIENT = {"api_key", "http_client", "async_http_client"}


def _rows(*fates: str) -> list[Any]:
    return [
        pytest.param(owner, model, row, id=f"{kind}-{row.name}")
        for kind, (owner, model, table) in CLASSES.items()
        for row in table.values()
        if row.fate in fates
    ]


def _reach(service: LocalService, *without: str) -> dict[str, Any]:
    reach = {"api_key": service.token, "base_url": service.base_url}
    return {name: value for name, value in reach.items() if name not in without}


@pytest.mark.parametrize(("owner", "model", "row"), _rows("taken", "alias"))
def test_an_argument_that_is_taken(
    owner: Any, model: str, row: Argument, service: LocalService
) -> None:
    target = row.now if row.fate == "alias" else row.name
    given = VALUES[row.name]
    reach = _reach(service, target)
    if target not in ("model", "model_name"):
        reach["model"] = model

    made = owner(**{row.name: given}, **reach)

    if row.name in IN_THE_CLIENT:
        assert given not in vars(made).values()  # and what it does is seen below
    else:
        assert getattr(made, target) == CONVERTED.get(row.name, given)


@pytest.mark.parametrize(("owner", "model", "row"), _rows("unused"))
def test_an_argument_that_changes_nothing(
    owner: Any, model: str, row: Argument, service: LocalService
) -> None:
    plain = owner(model, **_reach(service))
    for value in (None, True, "text"):
        assert owner(model, **_reach(service), **{row.name: value}).to_dict() == plain.to_dict()


@pytest.mark.parametrize(("owner", "model", "row"), _rows("refused"))
def test_an_argument_that_is_refused(
    owner: Any, model: str, row: Argument, service: LocalService
) -> None:
    plain = owner(model, **_reach(service))
    for value in (None, *row.harmless):
        assert owner(model, **_reach(service), **{row.name: value}).to_dict() == plain.to_dict()
    with pytest.raises(ModelScopeConfigurationError) as caught:
        owner(model, **_reach(service), **{row.name: "something else"})
    assert f"{owner.__name__} takes no {row.name!r}: {row.now}" in str(caught.value)


@pytest.mark.parametrize("owner", [ModelScope, ModelScopeEmbedding, ModelScopeRerank])
def test_an_argument_that_nothing_is_known_of(owner: Any, service: LocalService) -> None:
    with pytest.raises(ModelScopeConfigurationError, match=r"no 'max_retrys'; perhaps max_retries"):
        owner(CHAT, **_reach(service), max_retrys=1)
    with pytest.raises(ModelScopeConfigurationError, match="goes in extra_body"):
        owner(CHAT, **_reach(service), zebra=1)


@pytest.mark.parametrize(
    "both",
    [
        {"api_base": "http://127.0.0.1:1/v1"},
        {"max_tokens": 1, "max_new_tokens": 2},
        {"structured_output_mode": "text", "should_use_structured_outputs": True},
    ],
    ids=lambda both: next(iter(both)),
)
def test_two_names_of_one_argument(service: LocalService, both: dict[str, Any]) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="are one argument"):
        ModelScope(CHAT, **_reach(service), **both)


@pytest.mark.parametrize(
    ("owner", "wrong"),
    [
        (ModelScope, {"temperature": "warm"}),
        (ModelScope, {"temperature": 3}),
        (ModelScope, {"max_tokens": 0}),
        (ModelScope, {"top_logprobs": 21}),
        (ModelScope, {"stop": 7}),
        (ModelScope, {"structured_output_mode": "xml"}),
        (ModelScopeEmbedding, {"dimensions": "many"}),
        (ModelScopeEmbedding, {"embed_batch_size": 0}),
        (ModelScopeRerank, {"top_n": 0}),
        (ModelScopeRerank, {"top_n": "all"}),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_said_in_a_sentence(
    owner: Any, wrong: dict[str, Any], service: LocalService
) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ModelScopeConfigurationError) as caught:
        owner(CHAT, **_reach(service), **wrong)
    assert f"{owner.__name__} cannot be made: {name}" in str(caught.value)
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, ValueError)


def test_one_fallback_model_is_no_list_of_letters(service: LocalService) -> None:
    other = "Qwen/Qwen3.5-122B-A10B"
    told = "Say hello."
    service.next("model_spent", "honest")
    llm = ModelScope(CHAT, **_reach(service), fallback_models=other)
    assert llm.complete(told).additional_kwargs["modelscope"]["model"] == other
    assert ModelScopeEmbedding(
        EMBEDDING, **_reach(service), fallback_models=other
    ).fallback_models == [other]
    service.next("model_spent", "honest")
    plain = ModelScope("Qwen/Qwen3-8B", **_reach(service))
    answer = plain.complete(told, fallback_models=other)
    assert answer.additional_kwargs["modelscope"]["model"] == other


def test_a_token_that_is_no_text_is_said_in_a_sentence(service: LocalService) -> None:
    reach = _reach(service) | {"api_key": 5}
    with pytest.raises(ModelScopeConfigurationError, match="must be a text"):
        ModelScope(CHAT, **reach).complete("Hello")


def test_a_client_and_what_it_is_made_of(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url)
    for beside in ({"max_retries": 1}, {"proxy": "none"}, {"default_headers": {"a": "b"}}):
        with pytest.raises(ModelScopeConfigurationError, match=next(iter(beside))):
            ModelScope(CHAT, client=client, **beside)
    with pytest.raises(ModelScopeConfigurationError, match="base_url"):
        ModelScope(CHAT, client=client, base_url="http://127.0.0.1:1/v1")
    assert ModelScope(CHAT, client=client, base_url=service.base_url, timeout=3).client is client


def test_the_first_line_of_one_who_comes_from_openailike(service: LocalService) -> None:
    llm = ModelScope(
        model=CHAT,
        api_base=service.base_url,
        api_key=service.token,
        context_window=128_000,
        is_chat_model=True,
        is_function_calling_model=True,
        reuse_client=False,
        tokenizer="Qwen/Qwen3-8B",
        api_version="",
        logprobs=False,
        frequency_penalty=0.5,
        top_k=20,
        reasoning_effort="low",
        max_retries=3,
        timeout=60.0,
    )
    llm.complete("Hello")
    body = service.requests[0].body
    assert (body["top_k"], body["frequency_penalty"], body["reasoning_effort"]) == (20, 0.5, "low")


# --- options of a call, row by row

TOOL = FunctionTool.from_defaults(lambda: None, name="act", description="Act.")
SENT: dict[str, tuple[Any, Any]] = {
    # option: what is given, what is sent
    "model": ("Qwen/Qwen3-235B-A22B-Instruct-2507",) * 2,
    "temperature": (0.5, 0.5),
    "max_tokens": (50, 50),
    "top_p": (0.9, 0.9),
    "top_k": (3, 3),
    "min_p": (0.1, 0.1),
    "repetition_penalty": (1.1, 1.1),
    "frequency_penalty": (0.5, 0.5),
    "presence_penalty": (0.5, 0.5),
    "seed": (7, 7),
    "stop": ("end", ["end"]),
    "logprobs": (True, True),
    "top_logprobs": (2, 2),
    "logit_bias": ({"1": 2.0}, {"1": 2.0}),
    "reasoning_effort": ("low", "low"),
    "tools": ([TOOL], [{"type": "function"}]),
    "tool_choice": ("none", "none"),
    "parallel_tool_calls": (False, False),
    "response_format": ({"type": "json_object"}, {"type": "json_object"}),
    "user": ("me", "me"),
    "extra_body": ({"a": 1}, 1),
    "extra_headers": ({"x-team": "red"}, "red"),
    "timeout": (20, None),
}
WITH = {"tool_choice": {"tools": [TOOL]}, "parallel_tool_calls": {"tools": [TOOL]}}
WITH |= {"response_format": {"messages": 'Say {"a": 1} as JSON.'}}


def _call_rows(*fates: str) -> list[Any]:
    return [pytest.param(row, id=row.name) for row in tables.CALL.values() if row.fate in fates]


@pytest.mark.parametrize("row", _call_rows("taken"))
def test_an_option_that_is_taken(make_llm: MakeLLM, service: LocalService, row: Argument) -> None:
    given, sent = SENT[row.name]
    further = dict(WITH.get(row.name, {}))
    messages = [ChatMessage(content=further.pop("messages", "Hello"))]

    make_llm().chat(messages, **{row.name: given}, **further)
    make_llm(additional_kwargs={row.name: given, **further}).chat(messages)

    for request in service.requests[:2]:
        if row.name == "extra_body":
            assert request.body["a"] == sent
        elif row.name == "extra_headers":
            assert request.headers["x-team"] == sent
        elif row.name == "tools":
            assert request.body["tools"][0]["function"]["name"] == "act"
        else:
            assert request.body.get(row.name) == sent
    assert len(service.requests) == 2


@pytest.mark.parametrize("row", _call_rows("alias", "unused"))
def test_an_option_under_another_name_or_unused(
    make_llm: MakeLLM, service: LocalService, row: Argument
) -> None:
    given = {"stream_options": {"include_usage": False}}.get(row.name, 50)
    make_llm().chat(HELLO, **{row.name: given})
    make_llm(additional_kwargs={row.name: given}).chat(HELLO)

    expected = {"max_tokens": 50} if row.now == "max_tokens" else {}
    for request in service.requests:
        assert {
            name: value for name, value in request.body.items() if name not in ("model", "messages")
        } == expected


@pytest.mark.parametrize("row", _call_rows("refused"))
def test_an_option_that_is_refused(make_llm: MakeLLM, service: LocalService, row: Argument) -> None:
    with pytest.raises(ModelScopeConfigurationError) as early:
        make_llm(additional_kwargs={row.name: "something else"})
    assert row.now in str(early.value)
    if row.name == "messages":
        return  # Python itself refuses it beside the first argument
    with pytest.raises(ModelScopeInvalidRequestError) as caught:
        make_llm().chat(HELLO, **{row.name: "something else"})
    assert f"A call takes no {row.name!r}: {row.now}" in str(caught.value)
    assert not service.requests

    for value in (None, *row.harmless):
        make_llm().chat(HELLO, **{row.name: value})
    assert all(set(request.body) == {"model", "messages"} for request in service.requests)


@pytest.mark.parametrize("endpoint", ["chat", "stream_chat"])
def test_nothing_unknown_reaches_the_body(
    make_llm: MakeLLM, service: LocalService, endpoint: str
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match=r"'top_kk'; perhaps top_k\. .*extra_b"):
        getattr(make_llm(), endpoint)(HELLO, top_kk=3)
    with pytest.raises(ModelScopeConfigurationError, match=r"'zebra'\. .*extra_body"):
        make_llm(additional_kwargs={"zebra": 1})
    assert not service.requests


def test_usage_of_a_stream_is_asked_for_as_openai_writes_it(
    llm: ModelScope, service: LocalService
) -> None:
    list(llm.stream_chat(HELLO, stream_options={"include_usage": True}))
    list(llm.stream_chat(HELLO, stream_options={"include_usage": False}))
    with pytest.raises(ModelScopeInvalidRequestError, match="stream_options"):
        llm.stream_chat(HELLO, stream_options={"pace": 1})
    asked = [request.body.get("stream_options") for request in service.requests]
    assert asked == [{"include_usage": True}, None]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "required"}, "required"),
        ("any", "required"),
        ({"type": "tool", "name": "act"}, {"type": "function", "function": {"name": "act"}}),
        ({"name": "act"}, {"type": "function", "function": {"name": "act"}}),
        (
            {"type": "function", "function": {"name": "act"}},
            {"type": "function", "function": {"name": "act"}},
        ),
    ],
    ids=str,
)
def test_a_choice_of_tools_in_every_form(
    llm: ModelScope, service: LocalService, choice: Any, sent: Any
) -> None:
    llm.chat(HELLO, tools=[TOOL], tool_choice=choice)
    assert service.requests[0].body["tool_choice"] == sent


@pytest.mark.parametrize("choice", [{"type": "allowed_tools"}, {}, 7, {"function": {}}], ids=str)
def test_a_choice_of_tools_that_cannot_be_read(
    llm: ModelScope, service: LocalService, choice: Any
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="tool_choice is"):
        llm.chat(HELLO, tools=[TOOL], tool_choice=choice)
    assert not service.requests


def test_what_is_merged(make_llm: MakeLLM, service: LocalService) -> None:
    llm = make_llm(
        extra_body={"a": 1, "b": 1, "c": 1},
        additional_kwargs={
            "extra_body": {"b": 2, "c": 2},
            "extra_headers": {"x-a": "1", "x-b": "1"},
        },
    )
    llm.chat(HELLO, extra_body={"c": 3}, extra_headers={"x-b": "2"})

    request = service.requests[0]
    assert [request.body[name] for name in "abc"] == [1, 2, 3]
    assert (request.headers["x-a"], request.headers["x-b"]) == ("1", "2")


def test_alternatives_of_a_token_go_with_its_probability(
    make_llm: MakeLLM, service: LocalService
) -> None:
    make_llm(top_logprobs=2).chat(HELLO)
    make_llm(top_logprobs=2, logprobs=True).chat(HELLO)
    sent = [request.body.get("top_logprobs") for request in service.requests]
    assert sent == [None, 2]


# --- options of an embedding request


def test_options_of_every_embedding_request(reach: dict[str, Any], service: LocalService) -> None:
    embed_model = ModelScopeEmbedding(
        EMBEDDING,
        extra_body={"a": 1, "b": 1},
        additional_kwargs={
            "dimensions": 64,
            "user": "me",
            "encoding_format": "float",
            "extra_body": {"b": 2},
            "extra_headers": {"x-team": "red"},
        },
        **reach,
    )
    assert len(embed_model.get_text_embedding("a")) == 64
    request = service.requests[0]
    assert (request.body["user"], request.body["a"], request.body["b"]) == ("me", 1, 2)
    assert request.headers["x-team"] == "red"


@pytest.mark.parametrize("row", [*tables.EMBEDDING_CALL.values()], ids=lambda row: row.name)
def test_an_embedding_option_that_is_refused(row: Argument, reach: dict[str, Any]) -> None:
    if row.fate == "refused":
        with pytest.raises(ModelScopeConfigurationError) as caught:
            ModelScopeEmbedding(EMBEDDING, additional_kwargs={row.name: "x"}, **reach)
        assert row.now in str(caught.value)
    else:
        given = {row.name: VALUES.get(row.name, {})}
        made = ModelScopeEmbedding(EMBEDDING, additional_kwargs=given, **reach)
        assert made.additional_kwargs == given


@pytest.mark.parametrize("way", ["batch", "abatch", "texts"])
async def test_equal_texts_have_vectors_of_their_own(reach: dict[str, Any], way: str) -> None:
    embed_model = ModelScopeEmbedding(EMBEDDING, **reach)
    texts = ["a", "b", "a"]
    ways: dict[str, Callable[[], Any]] = {
        "batch": lambda: embed_model.get_text_embedding_batch(texts),
        "abatch": lambda: embed_model.aget_text_embedding_batch(texts),
        "texts": lambda: embed_model._get_text_embeddings(texts),
    }
    vectors = ways[way]()
    if inspect.isawaitable(vectors):
        vectors = await vectors
    assert vectors[0] == vectors[2]
    vectors[0][0] = 7.0
    assert vectors[2][0] != 7.0


# --- after construction


def _one_of_each(reach: dict[str, Any]) -> list[Any]:
    return [owner(model, **reach) for owner, model, _ in CLASSES.values()]


@pytest.mark.parametrize(
    "name",
    ["base_url", "api_base", "api_key", "max_retries", "default_headers", "proxy", "client"],
)
def test_what_is_fixed_at_construction(reach: dict[str, Any], name: str) -> None:
    for made in _one_of_each(reach):
        before = repr(made)
        with pytest.raises(ModelScopeConfigurationError, match=rf"{name} is fixed .*another obj"):
            setattr(made, name, "http://127.0.0.1:1/v1")
        with pytest.raises(ModelScopeConfigurationError, match=f"{name} is fixed"):
            made.model_copy(update={name: "http://127.0.0.1:1/v1"})
        assert repr(made) == before


@pytest.mark.parametrize("name", ["model", "model_name"])
def test_another_model_is_another_profile(llm: ModelScope, name: str) -> None:
    assert llm.profile.inputs != ModelScope("Qwen/Qwen3-VL-8B-Instruct", api_key="x").profile.inputs
    setattr(llm, name, "Qwen/Qwen3-VL-8B-Instruct")
    assert (llm.model, llm.model_name) == ("Qwen/Qwen3-VL-8B-Instruct",) * 2
    assert llm.profile.id == llm.metadata.model_name == llm.model
    copied = llm.model_copy(update={name: CHAT})
    assert (copied.model, copied.metadata.model_name) == (CHAT, CHAT)


def test_other_fields_have_their_effect(llm: ModelScope, service: LocalService) -> None:
    llm.temperature, llm.max_tokens, llm.extra_body = 0.7, 9, {"a": 1}
    llm.chat(HELLO)
    body = service.requests[0].body
    assert (body["temperature"], body["max_tokens"], body["a"]) == (0.7, 9, 1)


def test_both_names_can_be_read(reach: dict[str, Any], service: LocalService) -> None:
    for made in _one_of_each(reach):
        assert made.model == made.model_name
        assert made.api_base == made.base_url == service.base_url


def test_a_pickle_knows_what_it_was_made_with(
    reach: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-other")
    for owner, model, _ in CLASSES.values():
        made = owner(model, max_retries=5, default_headers={"x-team": "red"}, **reach)
        again = pickle.loads(pickle.dumps(made))
        assert (again.max_retries, again.default_headers) == (5, {"x-team": "red"})


def test_a_repr_is_one_short_line(reach: dict[str, Any]) -> None:
    llm = ModelScope(CHAT, temperature=0.5, system_prompt="Be brief. " * 50, **reach)
    assert repr(llm).startswith(f"ModelScope(model={CHAT!r}, ")
    assert "temperature=0.5" in repr(llm)
    for made in (llm, *_one_of_each(reach)):
        assert len(repr(made)) < 200
        assert "\n" not in repr(made)
        assert reach["api_key"] not in repr(made)


def test_a_rerank_keeps_the_retrievers_score_where_asked(reach: dict[str, Any]) -> None:
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.25) for text in ("Mimi", "Berlin")]
    kept = ModelScopeRerank(CHAT, keep_retrieval_score=True, **reach)
    for node in kept.postprocess_nodes(nodes, query_str="Where is Berlin?"):
        assert node.node.metadata["retrieval_score"] == 0.25
    assert all("retrieval_score" not in node.node.metadata for node in nodes)


def test_the_package_lists_what_it_imports_late() -> None:
    import llamaindex_modelscope

    assert set(llamaindex_modelscope.__all__) <= set(dir(llamaindex_modelscope))
