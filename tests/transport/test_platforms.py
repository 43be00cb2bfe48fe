"""Another model, or another platform at the user's own cost, when the allowance is spent."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport import (
    Budget,
    ChatRequest,
    Client,
    ConfigurationError,
    EmbeddingRequest,
    MemoryLedger,
    Message,
    ModelScopeError,
    Platform,
    QuotaExceededError,
    ServerError,
    StreamInterruptedError,
)
from modelscope_transport.emulator import LocalService, Model, Reply

pytestmark = pytest.mark.usefixtures("books_closed")

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
GLM = "ZhipuAI/GLM-4.7-Flash"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
ELSEWHERE = "nex-agi/Nex-N2.5-mini"
KEY = "ms-the-other-platforms-own-token"


def ask(model: str = QWEN, **how: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message("user", "What is 2 plus 3?"),), **how)


@pytest.fixture
def service(modelscope_service: LocalService) -> LocalService:
    return modelscope_service


@pytest.fixture
def other() -> Iterator[LocalService]:
    with LocalService() as service:
        yield service


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that all processes share: without one a platform's cap is refused."""
    monkeypatch.setenv("MODELSCOPE_LEDGER", str(tmp_path / "ledger.db"))


def client_of(service: LocalService, *platforms: Platform, **how: Any) -> Client:
    settings: dict[str, Any] = {"max_retries": 0, **how}
    return Client(service.token, base_url=service.base_url, platforms=platforms, **settings)


def platform_of(service: LocalService, **how: Any) -> Platform:
    settings: dict[str, Any] = {"models": {"*": ELSEWHERE}, "max_calls": 2, "api_key": KEY, **how}
    return Platform(service.base_url, **settings)


# ----------------------------------------------------------------------------- another model


def test_another_model_answers_for_a_spent_one_and_says_why(service: LocalService) -> None:
    service.next("model_spent")
    origin = client_of(service).chat(ask(fallback_models=(GLM,))).origin
    assert origin is not None
    assert (origin.model, origin.requested_model) == (GLM, QWEN)
    assert origin.fallback_reason == "model_spent"
    assert origin.attempts == 2


def test_while_it_is_spent_the_other_is_asked_at_once(service: LocalService) -> None:
    client = client_of(service)
    service.next("model_spent")
    for _ in range(4):
        assert client.chat(ask(fallback_models=(GLM,))).text
    assert len(service.requests) == 5


def test_a_model_beyond_its_budget_gives_way_as_well(service: LocalService) -> None:
    client = client_of(service, budget=Budget(models={QWEN: 1}))
    first, second = (client.chat(ask(fallback_models=(GLM,))).origin for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.model, second.model) == (QWEN, GLM)
    assert second.fallback_reason == "budget_spent"


# -------------------------------------------------------------------------- another platform


def test_a_platform_that_nobody_named_is_never_asked(
    service: LocalService, other: LocalService
) -> None:
    service.next("account_spent")
    with pytest.raises(QuotaExceededError):
        client_of(service).chat(ask())
    assert not other.requests


def test_a_platform_answers_with_its_own_key_and_model(
    service: LocalService, other: LocalService
) -> None:
    client = client_of(service, platform_of(other))
    service.next("account_spent")
    origin = client.chat(ask(extra_headers={"x-mine": "1"})).origin

    assert origin is not None
    assert (origin.model, origin.requested_model) == (ELSEWHERE, QWEN)
    assert origin.fallback_reason == "account_spent"
    (request,) = other.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["model"] == ELSEWHERE
    assert "x-mine" not in request.headers


def test_a_platform_that_is_spent_in_the_middle_of_a_stream_shuts_itself_alone(
    service: LocalService, other: LocalService
) -> None:
    client = client_of(service, platform_of(other, max_calls=9))
    begun = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Five"}}]}
    spent = {"error": {"message": f"insufficient balance of {KEY}"}}
    body = "".join(f"data: {json.dumps(payload)}\n\n" for payload in (begun, spent))
    service.next("model_spent")
    other.next(Reply(200, body.encode(), {"content-type": "text/event-stream"}))
    with pytest.raises(StreamInterruptedError) as caught:
        list(client.stream_chat(ask()))

    assert isinstance(caught.value.__cause__, QuotaExceededError)
    assert KEY not in repr(caught.value.details)
    with pytest.raises(QuotaExceededError):
        client.chat(ask())
    assert len(other.requests) == 1
    assert client.chat(ask(GLM)).text  # the service's own account is open


def test_a_platform_is_asked_no_more_than_its_cap_allows(
    service: LocalService, other: LocalService
) -> None:
    client = client_of(service, platform_of(other, max_calls=2))
    service.next("account_spent")
    for _ in range(2):
        assert client.chat(ask()).text
    with pytest.raises(QuotaExceededError) as caught:
        client.chat(ask())
    assert caught.value.reason == "account_spent"  # what was wrong is still what is wrong
    assert (len(service.requests), len(other.requests)) == (1, 2)


@pytest.mark.parametrize("name", ["qwen3:8b", "qwen/qwen3-8b:floor", "a/b:c:d"])
def test_a_cap_holds_for_models_with_a_colon_in_their_names(
    service: LocalService, name: str
) -> None:
    """`owner/name:Provider` is ModelScope's own; elsewhere a colon is a part of the name."""
    with LocalService([Model(name)]) as other:
        client = client_of(service, platform_of(other, models={"*": name}, max_calls=2))
        service.next("account_spent")
        for _ in range(2):
            assert client.chat(ask()).text
        with pytest.raises(QuotaExceededError):
            client.chat(ask())
        assert len(other.requests) == 2


def test_a_budget_holds_for_models_with_a_colon_in_their_names() -> None:
    name = "qwen/qwen3-8b:free"
    with LocalService([Model(name)]) as service:
        client = client_of(service, budget=Budget(calls=1))
        assert client.plan(3, name).fits_today == 1
        assert client.plan(3, name).magicubes
        assert client.chat(ask(name)).text
        with pytest.raises(QuotaExceededError):
            client.chat(ask(name))
        assert len(service.requests) == 1
        assert client.quota(name).scope == "account"


def test_its_own_refusals_are_no_matter_of_a_provider(service: LocalService) -> None:
    client = client_of(service)
    service.next("account_spent")
    for _ in range(2):
        with pytest.raises(QuotaExceededError) as caught:
            client.chat(ask(f"{QWEN}:free"))
        assert caught.value.reason == "account_spent"
    assert len(service.requests) == 1


@pytest.mark.parametrize("ledger", [None, "off", "memory", MemoryLedger()])
def test_a_cap_that_other_processes_would_not_see_is_refused(
    service: LocalService, other: LocalService, ledger: Any
) -> None:
    client = client_of(service, platform_of(other, max_calls=1), ledger=ledger)
    with pytest.raises(ConfigurationError, match="needs a ledger that all processes share"):
        client.chat(ask())
    assert not service.requests
    assert not other.requests


def test_streams_and_event_loops_turn_to_it_alike(
    service: LocalService, other: LocalService
) -> None:
    client = client_of(service, platform_of(other, max_calls=5))
    service.next("account_spent")
    stream = client.stream_chat(ask())
    assert stream.origin.model == ELSEWHERE
    assert list(stream)
    answer = asyncio.run(client.aio.chat(ask()))
    assert answer.origin is not None
    assert answer.origin.model == ELSEWHERE


def test_another_model_here_is_asked_before_another_platform(
    service: LocalService, other: LocalService
) -> None:
    client = client_of(service, platform_of(other))
    service.next("model_spent")
    assert client.chat(ask(fallback_models=(GLM,))).text
    assert not other.requests


def test_a_fault_of_a_moment_is_no_reason_to_pay(
    service: LocalService, other: LocalService
) -> None:
    service.next("server_error")
    with pytest.raises(ServerError):
        client_of(service, platform_of(other)).chat(ask())
    assert not other.requests


def test_a_platform_without_a_free_tier_left_is_left_alone(
    service: LocalService, other: LocalService
) -> None:
    client = client_of(service, platform_of(other, max_calls=9))
    service.next("account_spent")
    said = {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier is exhausted."}
    other.next(Reply(403, {"error": said}))
    for _ in range(3):
        with pytest.raises(QuotaExceededError):
            client.chat(ask())
    assert len(other.requests) == 1


def test_vectors_of_another_model_never_stand_in(
    service: LocalService, other: LocalService
) -> None:
    texts = EmbeddingRequest(model=EMBEDDING, texts=("one",))
    service.next("account_spent")
    with pytest.raises(QuotaExceededError):
        client_of(service, platform_of(other)).embed(texts)
    assert not other.requests

    client = client_of(service, platform_of(other, models={EMBEDDING: EMBEDDING}))
    service.next("account_spent")
    assert client.embed(texts).vectors


# ---------------------------------------------------------------------------------- its value


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": ""},
        {"base_url": "http://elsewhere.example/v1"},
        {"models": {}},
        {"max_calls": 0},
        {"api_key": "a key\nwith a line break"},
    ],
)
def test_what_cannot_be_a_platform_is_refused(wrong: dict[str, Any]) -> None:
    given = {"base_url": "https://elsewhere.example/v1", "models": {"*": "a"}, "max_calls": 1}
    with pytest.raises(ConfigurationError):
        Platform(**{**given, "api_key": KEY, **wrong})


def test_a_platform_without_a_key_says_so_and_takes_no_other(
    service: LocalService, other: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-never-for-others")
    client = client_of(service, platform_of(other, api_key=None))
    with pytest.raises(ConfigurationError, match="other platform's token"):
        client.chat(ask())


def test_its_key_is_shown_nowhere_and_found_again_in_the_environment(
    canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(
        "https://elsewhere.example/v1",
        models={"*": "a"},
        max_calls=1,
        api_key=canary,
        api_key_env="ELSEWHERE_KEY",
    )
    assert canary not in repr(platform)
    assert canary.encode() not in pickle.dumps(platform)
    twin = pickle.loads(pickle.dumps(platform))
    assert twin == platform
    with pytest.raises(ModelScopeError):
        twin.key()
    monkeypatch.setenv("ELSEWHERE_KEY", KEY)
    assert twin.key().reveal() == KEY
