"""What an object of LlamaIndex tells of the allowance, and an answer of where it comes from."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbedding,
    ModelScopeImageToolSpec,
    ModelScopeQuotaExceededError,
    ModelScopeRerank,
)
from modelscope_transport import Client
from modelscope_transport.emulator import LocalService

from .conftest import MakeLLM
from .consumers.kit import CHAT, EMBEDDING

OTHER = "Qwen/Qwen3.5-122B-A10B"
OTHER_TOKEN = "ms-00000000-0000-0000-0000-00000000beef"

CLASSES = [ModelScope, ModelScopeEmbedding, ModelScopeImageToolSpec, ModelScopeRerank]


@pytest.mark.parametrize("kind", CLASSES)
def test_before_the_first_call_the_published_rule_is_told_and_nobody_asked(
    kind: Callable[..., Any], service: LocalService, reach: dict[str, Any]
) -> None:
    quota = kind(model="some/model", **reach).quota

    assert (quota.scope, quota.unit, quota.kind) == ("account", "magicubes", "estimated")
    assert quota.remaining == quota.limit
    assert (quota.used, quota.age, quota.spent) == (0, None, False)
    assert service.requests == []


def test_what_the_service_told_is_reported_with_its_age() -> None:
    with LocalService(allowance="calls=20,per-model=5,headers") as service:
        reach: dict[str, Any] = {"api_key": service.token, "base_url": service.base_url}
        llm, embed_model = ModelScope(CHAT, **reach), ModelScopeEmbedding(EMBEDDING, **reach)
        llm.complete("Hello")
        llm.complete("Hello")
        embed_model.get_text_embedding("Hello")
        quota = llm.quota

        assert len(service.requests) == 3
    assert (quota.scope, quota.model, quota.unit) == ("model", CHAT, "calls")
    assert (quota.limit, quota.used, quota.remaining) == (5, 2, 3)
    assert quota.kind == "reported"
    assert quota.age is not None
    assert quota.age < 60
    assert quota.resets_at.tzinfo is not None
    assert (embed_model.quota.model, embed_model.quota.remaining) == (EMBEDDING, 4)


def test_a_spent_model_says_so_until_its_reset(service: LocalService, llm: ModelScope) -> None:
    service.next("model_spent")
    with pytest.raises(ModelScopeQuotaExceededError) as caught:
        llm.complete("Hello")

    assert (llm.quota.spent, llm.quota.remaining) == (True, 0)
    assert llm.quota.resets_at == caught.value.resets_at


def test_two_tokens_of_a_named_account_share_their_pools(service: LocalService) -> None:
    def of(token: str) -> ModelScope:
        return ModelScope(CHAT, api_key=token, base_url=service.base_url, account="team")

    service.next("model_spent")
    with pytest.raises(ModelScopeQuotaExceededError):
        of(service.token).complete("Hello")
    sent = len(service.requests)

    other = of(OTHER_TOKEN)
    assert other.quota.spent
    with pytest.raises(ModelScopeQuotaExceededError):
        other.complete("Hello")
    assert len(service.requests) == sent
    assert ModelScope(CHAT, api_key=OTHER_TOKEN, base_url=service.base_url).complete("Hello").text


def test_the_accounts_name_is_kept(service: LocalService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", OTHER_TOKEN)
    kinds = (ModelScope, CHAT), (ModelScopeRerank, CHAT), (ModelScopeEmbedding, EMBEDDING)
    for kind, model in kinds:
        made = kind(model, base_url=service.base_url, account="team")
        for copy in (pickle.loads(pickle.dumps(made)), made.model_copy()):
            assert (copy.account, copy.client.account) == ("team", made.client.account)
        with pytest.raises(ModelScopeConfigurationError, match="account is fixed"):
            made.account = "other"
    llm = ModelScope(CHAT, base_url=service.base_url, account="team")
    assert ModelScope.from_dict(llm.to_dict()).account == "team"
    # a vector is the same whoever pays for it: the key of an ingestion cache
    assert "account" not in made.to_dict()
    with pytest.raises(ModelScopeConfigurationError, match="brings its own account"):
        ModelScope(CHAT, client=llm.client, account="team")


def test_where_nothing_is_counted_there_is_nothing_to_tell(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url, ledger=None)
    with pytest.raises(ModelScopeConfigurationError, match="switched off"):
        _ = ModelScope(CHAT, client=client).quota


@pytest.mark.parametrize("streamed", [False, True], ids=["chat", "stream"])
@pytest.mark.parametrize("completes", [False, True], ids=["messages", "prompt"])
def test_an_answer_says_which_model_gave_it_and_why(
    service: LocalService, make_llm: MakeLLM, streamed: bool, completes: bool
) -> None:
    service.next("model_spent")
    llm = make_llm(fallback_models=[OTHER])
    if completes:
        answers = list(llm.stream_complete("Hello")) if streamed else [llm.complete("Hello")]
    else:
        hello = [ChatMessage("Hello")]
        answers = list(llm.stream_chat(hello)) if streamed else [llm.chat(hello)]

    *before, last = answers
    assert last.additional_kwargs["modelscope"] == {
        "model": OTHER,
        "requested_model": CHAT,
        "fallback_reason": "model_spent",
        "request_id": None,
        "adjustments": [],
        "attempts": 2,
        "allowance": None,
    }
    assert all("modelscope" not in response.additional_kwargs for response in before)
    assert last.additional_kwargs["total_tokens"] > 0
