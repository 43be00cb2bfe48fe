"""The errors: their bases, their texts, how they travel, and what core does with them."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime

import cloudpickle
import pytest
from workflows.errors import WorkflowRuntimeError

import llamaindex_modelscope
from llamaindex_modelscope import (
    ErrorDetails,
    ModelScope,
    ModelScopeAuthenticationError,
    ModelScopeEmptyReplyError,
    ModelScopeError,
    ModelScopeInvalidRequestError,
    ModelScopeQuotaExceededError,
    ModelScopeRateLimitError,
    ModelScopeRetryPolicy,
    ModelScopeServerError,
)
from llamaindex_modelscope.errors import NATIVE, native_errors
from modelscope_transport import errors as transport_errors
from modelscope_transport.answers import ChatChoice, ChatResult
from modelscope_transport.emulator import LocalService

from .conftest import MakeLLM

MISREAD = (ValueError, TypeError, AttributeError, LookupError, RuntimeError, OSError)
ALL = [*NATIVE.values(), ModelScopeError]

DETAILS = ErrorDetails(
    reason="model_spent",
    status_code=429,
    request_id="r-1",
    model="a/b",
    scope="model",
    limit=50.0,
    remaining=0.0,
    unit="calls",
    resets_at=datetime(2026, 11, 23, tzinfo=UTC),
    alternatives=("c/d",),
    retry_after=7.5,
    attempts=3,
    partial=ChatResult(choices=(ChatChoice(text="half"),)),
)


def test_every_transport_error_has_a_native_class() -> None:
    raised = {
        error
        for _, error in inspect.getmembers(transport_errors, inspect.isclass)
        if issubclass(error, ModelScopeError) and error is not ModelScopeError
    }
    assert set(NATIVE) == raised
    for plain, native in NATIVE.items():
        assert issubclass(native, plain)
        assert native.__name__ == f"ModelScope{plain.__name__}"
        assert native.__name__ in llamaindex_modelscope.__all__


@pytest.mark.parametrize("error", ALL)
def test_no_error_is_of_a_family_that_core_misreads(error: type[ModelScopeError]) -> None:
    assert not issubclass(error, MISREAD)


@pytest.mark.parametrize("error", ALL)
def test_an_error_is_rebuilt_from_its_one_text(error: type[ModelScopeError]) -> None:
    rebuilt = error("what happened")
    assert rebuilt.args == ("what happened",)
    assert rebuilt.details == ErrorDetails()


@pytest.mark.parametrize("error", ALL)
def test_an_error_travels_with_all_it_knows(error: type[ModelScopeError]) -> None:
    sent = error("what happened", details=DETAILS)
    ways = [pickle.dumps(sent), pickle.dumps(sent, protocol=0), cloudpickle.dumps(sent)]
    for arrived in (*map(pickle.loads, ways), copy.copy(sent), copy.deepcopy(sent)):
        assert type(arrived) is error
        assert arrived.args == ("what happened",)
        assert arrived.details == DETAILS
        assert arrived is not sent


def test_an_error_can_be_marked_as_reported() -> None:
    # core sets this attribute on what it has put into its events
    error = ModelScopeRateLimitError("too fast")
    error.event_added = True  # type: ignore[attr-defined]
    assert error.__dict__["event_added"]


def test_limits_are_siblings_and_both_what_agents_raise() -> None:
    for limit in (ModelScopeQuotaExceededError, ModelScopeRateLimitError):
        assert issubclass(limit, WorkflowRuntimeError)
    assert not issubclass(ModelScopeQuotaExceededError, ModelScopeRateLimitError)
    assert not issubclass(ModelScopeRateLimitError, ModelScopeQuotaExceededError)


def test_the_family_tree_is_the_transports() -> None:
    for plain, native in NATIVE.items():
        for other_plain, other_native in NATIVE.items():
            assert issubclass(native, other_native) == issubclass(plain, other_plain)


# --- native_errors


def test_the_original_is_the_cause() -> None:
    original = transport_errors.QuotaExceededError("spent", details=DETAILS)
    with pytest.raises(ModelScopeQuotaExceededError, match="spent") as caught, native_errors():
        raise original
    assert caught.value.__cause__ is original
    assert caught.value.resets_at == DETAILS.resets_at


@pytest.mark.parametrize(
    "misread", [ValueError("v"), TypeError("t"), KeyError("k"), RuntimeError("r"), IndexError("i")]
)
def test_what_core_would_misread_never_leaves(misread: Exception) -> None:
    with pytest.raises(ModelScopeError, match=type(misread).__name__) as caught, native_errors():
        raise misread
    assert not isinstance(caught.value, MISREAD)
    assert caught.value.__cause__ is misread


@pytest.mark.parametrize("other", [KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_what_is_not_ours_passes(other: BaseException) -> None:
    with pytest.raises(type(other)), native_errors():
        raise other


# --- what the words say, since core reads them


def sniffed(text: str) -> bool:
    """As core's DocumentContextExtractor looks for a reason to wait a minute and more."""
    return any(word in text.lower() for word in ("rate limit", "too many requests", "429"))


def test_too_fast_says_so_in_the_words_that_core_waits_for(
    service: LocalService, make_llm: MakeLLM
) -> None:
    service.next("throttled:3")
    with pytest.raises(ModelScopeRateLimitError) as caught:
        make_llm(max_retries=0).complete("hi")
    assert sniffed(str(caught.value))
    assert caught.value.retry_after == 3
    assert caught.value.status_code == 429


@pytest.mark.parametrize("scenario", ["account_spent", "model_spent", "balance_spent"])
def test_spent_says_nothing_that_core_would_wait_for(
    service: LocalService, llm: ModelScope, scenario: str
) -> None:
    service.next(scenario)
    errors = []
    for _ in range(2):
        with pytest.raises(ModelScopeQuotaExceededError) as caught:
            llm.complete("hi")
        errors.append(caught.value)

    assert len(service.requests) == 1  # the second was refused here
    assert errors[0] is not errors[1]
    for error in errors:
        assert not sniffed(str(error))
        assert error.resets_at is not None
        assert "UTC+8" in str(error)
    assert errors[0].status_code == 429  # fall-back classes look for it


# --- trying again


def test_the_retry_policy_waits_as_told_and_gives_up_on_what_cannot_heal() -> None:
    policy = ModelScopeRetryPolicy(max_retries=2, timeout=100)
    too_fast = ModelScopeRateLimitError("too fast", details=ErrorDetails(retry_after=7.5))

    assert policy.next(0, 1, too_fast) == 7.5
    assert policy.next(0, 2, too_fast) == 7.5
    assert policy.next(0, 3, too_fast) is None  # two further tries were made
    assert policy.next(95, 1, too_fast) is None  # it would end after the timeout
    assert policy.next(0, 1, ModelScopeQuotaExceededError("spent")) is None
    assert policy.next(0, 1, ModelScopeAuthenticationError("bad token")) is None
    assert policy.next(0, 1, ValueError("not ours")) is None
    for error in (ModelScopeServerError("503"), ModelScopeEmptyReplyError("nothing")):
        first, second = policy.next(0, 1, error, seed=1), policy.next(0, 2, error, seed=1)
        assert first is not None
        assert second is not None
        assert 0 <= first <= 2
        assert second == 2 * first  # the same seed, twice the bound
        assert policy.next(0, 1, error, seed=1) == first


def test_a_wrong_block_is_refused_before_any_request(
    service: LocalService, llm: ModelScope
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="max_tokens must be at least 1"):
        llm.complete("hi", max_tokens=0)
    assert service.requests == []
