"""Every error is LangChain's own class, and those who read errors do the right thing with it."""

from __future__ import annotations

import datetime as dt
import inspect
import pickle
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRetryMiddleware
from langchain_core import exceptions as core
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeError,
    ModelScopeQuotaExceededError,
    ModelScopeRateLimitError,
    ModelScopeStreamInterruptedError,
    errors,
    is_retryable,
)
from modelscope_transport import errors as transport
from modelscope_transport.calls import retry as transport_retry
from modelscope_transport.emulator import LocalService
from modelscope_transport.errors import ErrorDetails
from tests.langchain.conftest import HYBRID, PLAIN, MakeChat

LEAVES = [
    value
    for value in vars(transport).values()
    if inspect.isclass(value)
    and issubclass(value, transport.ModelScopeError)
    and value not in (transport.ModelScopeError, transport.APIStatusError)
]

# scenario, class of the error, LangChain's class, requests it costs without retries
MEANINGS: list[tuple[str, type[Exception], type[Exception]]] = [
    ("authentication_failed", errors.ModelScopeAuthenticationError, core.ModelAuthenticationError),
    (
        "account_not_linked",
        errors.ModelScopeAccountNotLinkedError,
        core.ModelPermissionDeniedError,
    ),
    (
        "account_not_verified",
        errors.ModelScopeAccountNotVerifiedError,
        core.ModelPermissionDeniedError,
    ),
    ("no_provider", errors.ModelScopeModelNotServedError, core.ModelNotFoundError),
    ("retired_1008", errors.ModelScopeModelNotServedError, core.ModelNotFoundError),
    ("account_spent", errors.ModelScopeQuotaExceededError, core.ModelRateLimitError),
    ("model_spent", errors.ModelScopeQuotaExceededError, core.ModelRateLimitError),
    ("balance_spent", errors.ModelScopeQuotaExceededError, core.ModelRateLimitError),
    ("throttled", errors.ModelScopeRateLimitError, core.ModelRateLimitError),
    ("burst_in_200", errors.ModelScopeRateLimitError, core.ModelRateLimitError),
    ("invalid_parameter", errors.ModelScopeInvalidRequestError, core.ModelInvalidRequestError),
    ("too_large", errors.ModelScopeInvalidRequestError, core.ModelInvalidRequestError),
    ("task_failed", errors.ModelScopeContentRefusedError, core.ModelInvalidRequestError),
    ("context_length", errors.ModelScopeContextLengthError, core.ContextOverflowError),
    ("server_error", errors.ModelScopeServerError, core.ModelAPIError),
    ("unavailable", errors.ModelScopeServerError, core.ModelAPIError),
    ("request_timeout", errors.ModelScopeServerError, core.ModelAPIError),
    ("shell", errors.ModelScopeEmptyReplyError, core.ModelAPIError),
    ("html", errors.ModelScopeUnexpectedReplyError, core.ModelAPIError),
    ("close_before_reply", errors.ModelScopeAPIConnectionError, core.ModelConnectionError),
]
RETRYABLE = {
    errors.ModelScopeAPIConnectionError,
    errors.ModelScopeAPITimeoutError,
    errors.ModelScopeEmptyReplyError,
    errors.ModelScopeRateLimitError,
    errors.ModelScopeServerError,
    errors.ModelScopeStreamInterruptedError,
}


async def say_hello(model: ChatModelScope, way: str) -> None:
    if way == "invoke":
        model.invoke("Hello")
    elif way == "stream":
        list(model.stream("Hello"))
    elif way == "ainvoke":
        await model.ainvoke("Hello")
    else:
        [chunk async for chunk in model.astream("Hello")]


@pytest.mark.parametrize(("scenario", "ours", "theirs"), MEANINGS, ids=[row[0] for row in MEANINGS])
@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
async def test_a_failure_is_the_native_class_in_every_way(
    chat: MakeChat,
    service: LocalService,
    scenario: str,
    ours: type[Exception],
    theirs: type[Exception],
    way: str,
) -> None:
    service.next(scenario)
    model = chat(max_retries=0)
    with pytest.raises(ours) as caught:
        await say_hello(model, way)

    error = caught.value
    assert isinstance(error, ModelScopeError)
    assert isinstance(error, theirs)
    assert is_retryable(error) is (ours in RETRYABLE)
    assert isinstance(error.__cause__, transport.ModelScopeError)
    assert service.token not in repr(error) + str(error.details)
    assert len(service.requests) == 1


@pytest.mark.parametrize("leaf", LEAVES, ids=[leaf.__name__ for leaf in LEAVES])
def test_every_class_of_the_transport_has_a_native_one(leaf: type[Exception]) -> None:
    native = errors.NATIVE[leaf]  # type: ignore[index]
    assert issubclass(native, leaf)
    assert issubclass(native, core.ModelError)
    assert native.__name__ == f"ModelScope{leaf.__name__}"
    # LangGraph's default policy tries everything again but a few built-in classes
    assert issubclass(native, RuntimeError) is not native.is_retryable


@pytest.mark.parametrize("native", errors.NATIVE.values(), ids=lambda native: native.__name__)
def test_an_error_survives_a_pickle(native: type[ModelScopeError]) -> None:
    assert native("only a text").args == ("only a text",)
    details = ErrorDetails(
        status_code=429, scope="model", resets_at=dt.datetime(2026, 10, 7, tzinfo=dt.UTC)
    )
    again = pickle.loads(pickle.dumps(native("spent", details=details)))
    assert type(again) is native
    assert again.args == ("spent",)
    assert again.details == details


def test_a_spent_allowance_says_which_and_until_when(chat: MakeChat, service: LocalService) -> None:
    service.next("model_spent")
    with pytest.raises(ModelScopeQuotaExceededError) as caught:
        chat().invoke("Hello")

    error = caught.value
    assert error.scope == "model"
    assert error.resets_at is not None
    assert error.resets_at > dt.datetime.now(dt.UTC)
    assert PLAIN in str(error)


@pytest.mark.parametrize("scenario", ["account_spent", "model_spent"])
def test_after_a_spent_allowance_no_request_is_sent(
    chat: MakeChat, service: LocalService, scenario: str
) -> None:
    service.next(scenario)
    for _ in range(3):
        with pytest.raises(ModelScopeQuotaExceededError):
            chat().invoke("Hello")

    assert len(service.requests) == 1


def test_a_throttled_call_is_tried_again_after_the_servers_time(
    chat: MakeChat, service: LocalService
) -> None:
    service.next("throttled:0")
    assert chat().invoke("Hello").text
    assert len(service.requests) == 2

    service.next("throttled:9")
    with pytest.raises(ModelScopeRateLimitError) as caught:
        chat(timeout=0.5).invoke("Hello")
    assert caught.value.retry_after == 9


# ------------------------------------------------------------------------------- in the stream


@pytest.mark.parametrize("scenario", ["cut:3", "reset:4"])
def test_a_broken_stream_keeps_what_had_arrived(
    chat: MakeChat, service: LocalService, scenario: str
) -> None:
    service.next(scenario)
    seen: list[str] = []
    with pytest.raises(ModelScopeStreamInterruptedError) as caught:
        seen.extend(chunk.text for chunk in chat().stream("Hello"))

    assert caught.value.partial is not None
    assert caught.value.partial.text == "".join(seen) != ""
    assert len(service.requests) == 1


async def test_an_error_in_mid_stream_interrupts_it_and_says_why(
    chat: MakeChat, service: LocalService
) -> None:
    service.next("throttled_later:3", "error_later:3")
    with pytest.raises(ModelScopeStreamInterruptedError) as throttled:
        [chunk async for chunk in chat().astream("Hello")]
    with pytest.raises(ModelScopeStreamInterruptedError) as failed:
        list(chat().stream("Hello"))
    assert len(service.requests) == 2
    assert throttled.value.reason == "too_fast"
    assert failed.value.partial is not None


# ------------------------------------------------------------------------------ who reads errors


class Trace(BaseCallbackHandler):
    def __init__(self) -> None:
        self.responses: list[LLMResult] = []

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.responses.append(kwargs["response"])


@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
def test_a_trace_shows_status_and_request_id(
    chat: MakeChat, service: LocalService, streamed: bool
) -> None:
    trace = Trace()
    service.next("model_spent")
    model = chat(callbacks=[trace])
    with pytest.raises(ModelScopeQuotaExceededError) as caught:
        _ = list(model.stream("Hello")) if streamed else model.invoke("Hello")

    metadata = trace.responses[0].generations[0][0].message.response_metadata  # type: ignore[union-attr]
    assert metadata["status_code"] == 429
    assert metadata["body"]["scope"] == "model"
    assert metadata["body"]["server_message"].startswith("You have exceeded today's quota")
    assert metadata["request_id"] == caught.value.request_id
    assert service.token not in str(metadata)


def test_an_error_without_a_reply_has_no_response(chat: MakeChat, service: LocalService) -> None:
    service.next("close_before_reply")
    with pytest.raises(ModelScopeError) as caught:
        chat(max_retries=0).invoke("Hello")
    assert not hasattr(caught.value, "response")


def test_with_retry_and_is_retryable(chat: MakeChat, service: LocalService) -> None:
    model = chat(max_retries=0).with_retry(
        retry_if_exception_type=is_retryable,  # type: ignore[arg-type]
        wait_exponential_jitter=False,
    )
    service.next("server_error", "throttled")
    assert model.invoke("Hello").text
    assert len(service.requests) == 3

    service.reset()
    service.next("authentication_failed")
    with pytest.raises(errors.ModelScopeAuthenticationError):
        model.invoke("Hello")
    assert len(service.requests) == 1


def test_with_fallbacks_moves_on_with_its_tools(chat: MakeChat, service: LocalService) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    service.next("model_spent")
    both: Any = chat().with_fallbacks([chat(HYBRID, enable_thinking=False)])
    answer = both.bind_tools([add]).invoke("Add 2 and 3")

    assert [request.body["model"] for request in service.requests] == [PLAIN, HYBRID]
    assert all(request.body["tools"] for request in service.requests)
    assert answer.tool_calls[0]["args"] == {"a": 2, "b": 3}


async def test_with_fallbacks_moves_on_before_the_first_chunk(
    chat: MakeChat, service: LocalService
) -> None:
    service.next("model_spent")
    both = chat().with_fallbacks([chat(HYBRID)], exceptions_to_handle=(ModelScopeError,))
    assert "".join([chunk.text async for chunk in both.astream("Hello")])
    assert [request.body["model"] for request in service.requests] == [PLAIN, HYBRID]


class State(TypedDict):
    answer: str


@pytest.mark.parametrize(("scenario", "requests"), [("account_spent", 1), ("throttled", 3)])
def test_a_node_under_the_default_retry_policy(
    chat: MakeChat, service: LocalService, scenario: str, requests: int
) -> None:
    def ask(state: State) -> State:
        return {"answer": chat(max_retries=0).invoke("Hello").text}

    graph: Any = StateGraph(State)
    policy = RetryPolicy(initial_interval=0, jitter=False)
    graph.add_node("ask", ask, retry_policy=policy)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    service.next(*[scenario] * 3)

    with pytest.raises(ModelScopeError):
        graph.compile().invoke({"answer": ""})
    assert len(service.requests) == requests


def middlewares(chat: MakeChat) -> list[Any]:
    # the order that LangChain documents: fallback outside, retry inside and loud
    return [
        ModelFallbackMiddleware(chat(HYBRID, max_retries=0)),
        ModelRetryMiddleware(max_retries=2, on_failure="error", initial_delay=0, jitter=False),
    ]


@pytest.mark.parametrize(
    ("scenarios", "asked"),
    [
        (["model_spent"], [PLAIN, HYBRID]),
        (["server_error"], [PLAIN, PLAIN]),
        (["server_error"] * 3, [PLAIN, PLAIN, PLAIN, HYBRID]),
    ],
    ids=["spent", "once", "down"],
)
def test_retry_and_fallback_middleware(
    chat: MakeChat, service: LocalService, scenarios: list[str], asked: list[str]
) -> None:
    agent = create_agent(chat(max_retries=0), middleware=middlewares(chat))
    service.next(*scenarios)

    answer = agent.invoke({"messages": [("user", "Hello")]})["messages"][-1]

    assert answer.text
    assert [request.body["model"] for request in service.requests] == asked


# --------------------------------------------------------- requests, places, those who stand in

# what a failure that stays costs with the default of two retries
COSTS: list[tuple[str, int]] = [
    ("authentication_failed", 1),
    ("account_not_linked", 1),
    ("account_not_verified", 1),
    ("no_provider", 1),
    ("account_spent", 1),
    ("model_spent", 1),
    ("balance_spent", 1),
    ("retired_1008", 1),
    ("invalid_parameter", 1),
    ("context_length", 1),
    ("not_found", 1),
    ("too_large", 1),
    ("task_failed", 1),
    ("html", 1),
    ("throttled", 3),
    ("burst_in_200", 3),
    ("server_error", 3),
    ("unavailable", 3),
    ("gateway_timeout", 3),
    ("request_timeout", 3),
    ("shell", 3),
    ("close_before_reply", 1),  # it may have been accepted, and would be charged twice
]


@pytest.mark.parametrize(("scenario", "requests"), COSTS, ids=[row[0] for row in COSTS])
@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_requests_that_a_failure_costs(
    chat: MakeChat, service: LocalService, scenario: str, requests: int, way: str
) -> None:
    service.next(*[scenario] * 5)
    model = chat()
    model._client._core.policy = transport_retry.RetryPolicy(first_delay=0)
    with pytest.raises(ModelScopeError) as caught:
        await say_hello(model, way)

    assert len(service.requests) == requests
    assert caught.value.details.attempts == requests
