"""What becomes of a model in a pickle, a copy and a dump: all of it comes back but the token."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest
from llama_index.core.embeddings.loading import load_embed_model
from llama_index.core.llms.loading import load_llm
from pydantic import create_model
from workflows.context.serializers import JsonSerializer, PickleSerializer

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeAuthenticationError,
    ModelScopeConfigurationError,
    ModelScopeEmbedding,
    ModelScopeRateLimiter,
    ModelScopeRerank,
    ModelScopeServerError,
)
from modelscope_transport.client import Client
from modelscope_transport.emulator import LocalService

from .consumers.kit import CHAT, EMBEDDING

LLM_FIELDS: dict[str, Any] = {
    "temperature": 0.3,
    "top_p": 0.9,
    "max_tokens": 77,
    "seed": 5,
    "stop": ["END"],
    "context_window": 4096,
    "is_function_calling_model": False,
    "enable_thinking": False,
    "thinking_budget": 9,
    "send_reasoning": True,
    "fallback_models": ["other/model"],
    "additional_kwargs": {"min_p": 0.1},
    "extra_body": {"top_k": 3},
    "strict": True,
    "structured_output_mode": "json_object",
    "system_prompt": "Be brief.",
}
EMBEDDING_FIELDS: dict[str, Any] = {
    "dimensions": 512,
    "query_instruction": "query: ",
    "text_instruction": "text: ",
    "extra_body": {"x": 1},
    "embed_batch_size": 3,
    "num_workers": 2,
}


def chat_model(service: LocalService, token: str) -> ModelScope:
    return ModelScope(
        CHAT,
        api_key=token,
        base_url=service.base_url,
        timeout=33,
        max_retries=7,
        default_headers={"x-team": "blue"},
        rate_limiter=ModelScopeRateLimiter(6000),
        **LLM_FIELDS,
    )


def embedding_model(service: LocalService, token: str) -> ModelScopeEmbedding:
    return ModelScopeEmbedding(
        EMBEDDING,
        api_key=token,
        base_url=service.base_url,
        timeout=33,
        max_retries=7,
        default_headers={"x-team": "blue"},
        **EMBEDDING_FIELDS,
    )


def ask(model: ModelScope | ModelScopeEmbedding) -> Any:
    if isinstance(model, ModelScope):
        return model.complete("hi")
    return model.get_query_embedding("hi")


each_model = pytest.mark.parametrize("make", [chat_model, embedding_model])
Make = Callable[[LocalService, str], Any]


def options(model: Any) -> dict[str, Any]:
    """All that is configured, but for the objects."""
    fields: dict[str, Any] = {name: getattr(model, name) for name in type(model).model_fields}
    for name in ("client", "rate_limiter", "callback_manager"):
        fields.pop(name)
    return fields


def told(model: Any) -> dict[str, Any]:
    """What of it a dump tells: what it is, not how it is reached."""
    fields = options(model)
    return {name: fields[name] for name in model.to_dict() if name != "class_name"}


def test_a_pickle_leaves_the_original_whole(service: LocalService) -> None:
    model = ModelScope(
        CHAT,
        api_key=service.token,
        base_url=service.base_url,
        completion_to_prompt=lambda prompt: prompt + "!",
    )
    pickle.dumps(model)
    model.complete("Hello")
    assert service.requests[-1].body["messages"][-1]["content"] == "Hello!"


@each_model
@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_pickle_holds_all_but_the_token(
    make: Make,
    pickler: Any,
    service: LocalService,
    canary: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = make(service, canary)
    pickled = pickler.dumps(model)
    assert canary.encode() not in pickled

    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-other-process")
    found = pickle.loads(pickled)

    assert type(found) is type(model)
    assert options(found) == options(model)
    ask(found)
    headers = service.requests[-1].headers
    assert headers["authorization"] == "Bearer ms-of-the-other-process"
    assert "x-team" not in headers, "a header may be a credential, so none is in a pickle"
    # core says so of every attribute that it has to leave out
    assert [one for one in caplog.records if "unpickleable" in one.getMessage()] == []


def test_the_settings_of_a_client_are_in_the_pickle_too(
    service: LocalService, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = pickle.dumps(chat_model(service, canary))
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-other-process")
    service.next(*["unavailable:0"] * 8)

    with pytest.raises(ModelScopeServerError):
        pickle.loads(pickled).complete("hi")

    assert len(service.requests) == 8  # max_retries is 7


@each_model
def test_without_a_token_it_is_the_call_that_says_so(
    make: Make, service: LocalService, canary: str
) -> None:
    found = pickle.loads(pickle.dumps(make(service, canary)))

    with pytest.raises(ModelScopeConfigurationError, match="MODELSCOPE_API_KEY"):
        ask(found)

    assert service.requests == []


@each_model
@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda model: model.model_copy(),
        lambda model: model.model_copy(deep=True),
    ],
    ids=["copy", "deepcopy", "model_copy", "model_copy-deep"],
)
def test_a_copy_keeps_the_token_and_the_connections(
    make: Make, copied: Callable[[Any], Any], service: LocalService, canary: str
) -> None:
    model = make(service, canary)

    other = copied(model)
    ask(other)

    assert other is not model
    assert options(other) == options(model)
    assert other.client is model.client
    assert service.requests[-1].headers["authorization"] == f"Bearer {canary}"


def test_a_shared_client_is_one_in_a_pickle_of_several(service: LocalService, canary: str) -> None:
    client = Client(canary, base_url=service.base_url)
    llm = ModelScope(CHAT, client=client)
    embed_model = ModelScopeEmbedding(EMBEDDING, client=client)

    both = copy.deepcopy({"llm": llm, "embed_model": embed_model})

    assert both["llm"].client is both["embed_model"].client is client


# --- dumps


@each_model
@pytest.mark.parametrize("by", ["dict", "json"])
def test_a_dump_makes_the_model_again(
    make: Make, by: str, service: LocalService, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(service, canary)
    dump = model.to_dict() if by == "dict" else model.to_json()
    assert canary not in str(dump)

    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-other-process")
    kind: Any = type(model)
    made = kind.from_dict(dump) if by == "dict" else kind.from_json(dump)

    assert told(made) == told(model)
    ask(made)
    assert service.requests[-1].headers["authorization"] == "Bearer ms-of-the-other-process"


@each_model
def test_a_dump_inside_of_another_makes_the_model_again(
    make: Make, service: LocalService, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(service, canary)
    settings: Any = create_model("Settings", model=(type(model), ...))
    dump = settings(model=model).model_dump_json()
    assert canary not in dump

    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-other-process")
    made = settings.model_validate_json(dump).model

    assert told(made) == told(model)


@each_model
def test_a_dump_takes_a_token_beside_it(make: Make, service: LocalService, canary: str) -> None:
    model = make(service, canary)

    made = type(model).from_dict(model.to_dict(), api_key=canary)

    ask(made)
    assert service.requests[-1].headers["authorization"] == f"Bearer {canary}"


def test_a_dump_of_a_chat_model_keeps_how_it_calls(
    service: LocalService, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = chat_model(service, canary)
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-other-process")

    made = ModelScope.from_dict(model.to_dict())
    assert (made.timeout, made.max_retries) == (33, 7)
    service.next(*["unavailable:0"] * 8)
    with pytest.raises(ModelScopeServerError):
        made.complete("hi")

    assert len(service.requests) == 8
    assert service.requests[-1].headers["x-team"] == "blue"


@pytest.mark.parametrize(
    "header",
    [
        {"x-api-key": "short"},
        {"Cookie": "a=b"},
        {"x-gateway": "0123456789abcdef0123456789abcdef"},
        {"X-Auth": "short"},
    ],
    ids=lambda header: next(iter(header)),
)
def test_a_header_that_may_be_a_credential_is_sent_and_shown_nowhere(
    service: LocalService, canary: str, header: dict[str, str]
) -> None:
    ((name, value),) = header.items()
    model = ModelScope(
        CHAT,
        api_key=canary,
        base_url=service.base_url,
        default_headers={**header, "x-team": "blue"},
    )
    ask(model)

    assert service.requests[0].headers[name.lower()] == value
    assert model.to_dict()["default_headers"] == {"x-team": "blue"}
    for words in (repr(model), str(vars(model)), model.to_json(), str(model.to_payload())):
        assert value not in words


def test_a_new_key_or_deadline_changes_no_dump_of_embeddings(service: LocalService) -> None:
    # an ingestion cache knows a transformation by its dump
    model = embedding_model(service, "ms-old")
    other = type(model).from_dict(
        model.to_dict(), api_key="ms-new", timeout=5, max_retries=0, proxy="none"
    )

    assert other.to_dict() == model.to_dict()


@pytest.mark.parametrize("kind", [ModelScope, ModelScopeEmbedding, ModelScopeRerank])
def test_the_schema_of_a_class_tells_its_fields(kind: Any) -> None:
    # settings that hold a model are put into forms and API descriptions by their schema
    properties = kind.model_json_schema()["properties"]

    assert "extra_body" in properties
    assert not {"client", "api_key"} & set(properties)


def test_core_makes_both_from_their_dumps(
    service: LocalService, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", canary)

    llm = load_llm(chat_model(service, canary).to_dict())
    embed_model = load_embed_model(embedding_model(service, canary).to_dict())

    assert type(llm) is ModelScope
    assert (llm.model, llm.temperature) == (CHAT, 0.3)
    assert type(embed_model) is ModelScopeEmbedding
    assert (embed_model.model_name, embed_model.dimensions) == (EMBEDDING, 512)
    ask(llm), ask(embed_model)
    assert len(service.requests) == 2


@each_model
@pytest.mark.parametrize(
    "serializer", [JsonSerializer(), PickleSerializer()], ids=["json", "pickle"]
)
def test_a_workflows_serializers_bring_it_back_without_its_token(
    make: Make,
    serializer: JsonSerializer,
    service: LocalService,
    canary: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make(service, canary)
    record = serializer.serialize({"of": [model]})
    assert canary not in record
    assert json.dumps(record)

    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-other-process")
    (again,) = serializer.deserialize(record)["of"]

    assert options(again)["fallback_models"] == options(model)["fallback_models"]
    assert again.to_dict() == model.to_dict()
    ask(again)
    assert service.requests[-1].headers["authorization"] == "Bearer ms-of-the-other-process"


# --- and nothing of it in words


@each_model
def test_no_words_for_it_hold_the_token(
    make: Make, service: LocalService, canary: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    model = make(service, canary)
    service.next("echo_token")
    with pytest.raises(ModelScopeAuthenticationError) as caught:
        ask(model)

    words = [
        repr(model),
        str(model),
        model.to_json(),
        model.json(),
        str(model.to_dict()),
        str(model.dict()),
        str(model.model_dump()),
        model.model_dump_json(),
        str(model.to_payload()),
        str(type(model).model_json_schema()),
        str(vars(model)),
        repr(model.client),
        str(vars(model.client)),
        repr(caught.value),
        str(vars(caught.value)),
    ]
    assert not [text for text in words if canary in text]
