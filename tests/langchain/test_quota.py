"""What is left of the allowance, as an object of LangChain tells it: from the ledger alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeConfigurationError,
    ModelScopeEmbeddings,
    ModelScopeImageTool,
    ModelScopeQuotaExceededError,
    ModelScopeRerank,
)
from modelscope_transport import Client
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import PLAIN, MakeChat

OTHER_TOKEN = "ms-00000000-0000-0000-0000-00000000beef"
CLASSES = [ChatModelScope, ModelScopeEmbeddings, ModelScopeImageTool, ModelScopeRerank]


@pytest.fixture
def fresh() -> Iterator[LocalService]:
    """A service whose account nobody has used, which tells its calls a day in headers."""
    with LocalService(allowance="calls=20,per-model=5,headers") as service:
        yield service


@pytest.mark.parametrize("kind", CLASSES)
def test_before_the_first_call_the_published_rule_is_told_and_nobody_asked(
    kind: Callable[..., Any], fresh: LocalService
) -> None:
    quota = kind(model="some/model", api_key=fresh.token, base_url=fresh.base_url).quota

    assert (quota.scope, quota.unit, quota.kind) == ("account", "magicubes", "estimated")
    assert quota.remaining == quota.limit
    assert (quota.used, quota.age, quota.spent) == (0, None, False)
    assert fresh.requests == []


def test_what_the_service_told_is_reported_with_its_age(fresh: LocalService) -> None:
    model = ChatModelScope(model=PLAIN, api_key=fresh.token, base_url=fresh.base_url)
    model.invoke("Hello")
    model.invoke("Hello")
    quota = model.quota

    assert (quota.scope, quota.model, quota.unit) == ("model", PLAIN, "calls")
    assert (quota.limit, quota.used, quota.remaining) == (5, 2, 3)
    assert quota.kind == "reported"
    assert quota.age is not None
    assert quota.age < 60
    assert quota.resets_at.tzinfo is not None
    assert len(fresh.requests) == 2


def test_embeddings_and_chat_spend_the_same_account(fresh: LocalService) -> None:
    place: dict[str, Any] = {"api_key": fresh.token, "base_url": fresh.base_url}
    embeddings = ModelScopeEmbeddings(model="Qwen/Qwen3-Embedding-0.6B", **place)
    embeddings.embed_query("Hello")

    assert (embeddings.quota.model, embeddings.quota.used) == ("Qwen/Qwen3-Embedding-0.6B", 1)
    # the chat model was never asked, so only the account's pool binds it
    chat = ChatModelScope(model=PLAIN, **place)
    assert (chat.quota.scope, chat.quota.used, chat.quota.remaining) == ("account", 1, 19)


def test_a_spent_model_says_so_until_its_reset(chat: MakeChat, service: LocalService) -> None:
    model = chat()
    service.next("model_spent")
    with pytest.raises(ModelScopeQuotaExceededError) as caught:
        model.invoke("Hello")

    assert (model.quota.spent, model.quota.remaining) == (True, 0)
    assert model.quota.resets_at == caught.value.resets_at


@pytest.mark.parametrize("account", ["team", None])
def test_a_renewed_token_of_a_named_account_finds_its_pools_as_they_were(
    account: str | None, chat: MakeChat, service: LocalService
) -> None:
    token = service.token
    model = chat(api_key=lambda: token, account=account)
    service.next("model_spent")
    with pytest.raises(ModelScopeQuotaExceededError):
        model.invoke("Hello")
    sent = len(service.requests)

    token = OTHER_TOKEN
    if account is None:  # what is known follows the token
        assert model.invoke("Hello").text
        return
    assert model.quota.spent
    with pytest.raises(ModelScopeQuotaExceededError):
        model.invoke("Hello")
    assert len(service.requests) == sent


def test_where_nothing_is_counted_there_is_nothing_to_tell(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url, ledger=None)
    with pytest.raises(ModelScopeConfigurationError, match="switched off"):
        _ = ChatModelScope(model=PLAIN, client=client).quota
