"""Those of LangChain who read an error and decide what is done next, on real refusals."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_modelscope import (
    ModelScopeAuthenticationError,
    ModelScopeContextLengthError,
    ModelScopeQuotaExceededError,
)
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, PLAIN, MakeChat, langchain_is


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


ADA = 'The person is called "Ada", aged 36.'


def asked(service: LocalService) -> list[str]:
    """The models that were asked, in their order."""
    return [request.body["model"] for request in service.requests]


# ---------------------------------------------------------------------------------- with_retry


async def test_a_retry_that_asks_nobody_costs_no_request_on_a_spent_day(
    chat: MakeChat, service: LocalService
) -> None:
    # with_retry tries again after every exception, unless it is told otherwise
    service.next("account_spent")
    model = chat().with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    for _ in range(2):
        with pytest.raises(ModelScopeQuotaExceededError):
            model.invoke("Hello")
        with pytest.raises(ModelScopeQuotaExceededError):
            await model.ainvoke("Hello")

    assert len(service.requests) == 1


# ------------------------------------------------------------------------------- with_fallbacks


async def test_structured_output_moves_on_with_its_schema(
    chat: MakeChat, service: LocalService
) -> None:
    service.next("model_spent")
    both: Any = chat().with_fallbacks([chat(HYBRID)])
    reader = both.with_structured_output(Person)

    assert reader.invoke(ADA) == await reader.ainvoke(ADA) == Person(name="Ada", age=36)
    assert asked(service) == [PLAIN, HYBRID, HYBRID]
    assert all("Person" in str(request.body["tools"]) for request in service.requests)


def test_only_what_was_named_is_handled(chat: MakeChat, service: LocalService) -> None:
    service.next("authentication_failed", "model_spent")
    both = chat().with_fallbacks(
        [chat(HYBRID)], exceptions_to_handle=(ModelScopeQuotaExceededError,)
    )
    with pytest.raises(ModelScopeAuthenticationError):
        both.invoke("Hello")
    assert both.invoke("Hello").text
    assert asked(service) == [PLAIN, PLAIN, HYBRID]


def test_when_all_fail_the_first_error_is_told(chat: MakeChat, service: LocalService) -> None:
    service.next("model_spent", "server_error")
    both = chat(max_retries=0).with_fallbacks([chat(HYBRID, max_retries=0)])
    with pytest.raises(ModelScopeQuotaExceededError, match=PLAIN):
        both.invoke("Hello")
    assert asked(service) == [PLAIN, HYBRID]


# ---------------------------------------------------------------------------------- middleware

asks_is_retryable = pytest.mark.skipif(
    not langchain_is("1.3.16"),
    reason="LangChain's retries before 1.3.16 try again after every error by default",
)


@asks_is_retryable
@pytest.mark.parametrize(
    ("scenario", "requests"), [("account_spent", 1), ("authentication_failed", 1)]
)
async def test_what_no_retry_heals_leaves_an_agent_at_once(
    chat: MakeChat, service: LocalService, scenario: str, requests: int
) -> None:
    # with its defaults this middleware tells the failure to the user as an answer, after retries
    middleware = ModelRetryMiddleware(initial_delay=0, jitter=False)
    agent: Any = create_agent(chat(), middleware=[middleware])
    service.next(scenario)
    with pytest.raises((ModelScopeQuotaExceededError, ModelScopeAuthenticationError)):
        await agent.ainvoke({"messages": [("user", "Hello")]})

    assert len(service.requests) == requests


@asks_is_retryable
def test_a_tool_that_asks_a_model_is_not_called_again_on_a_spent_day(
    chat: MakeChat, service: LocalService
) -> None:
    expert = chat(HYBRID, max_retries=0)
    calls = []

    @tool
    def ask_expert(question: str) -> str:
        """Ask an expert a question."""
        calls.append(question)
        return expert.invoke(question).text

    middleware = ToolRetryMiddleware(on_failure="error", initial_delay=0, jitter=False)
    agent: Any = create_agent(chat(), tools=[ask_expert], middleware=[middleware])
    question = {"messages": [("user", 'Ask the expert the question "Why?"')]}

    service.next("honest", "model_spent")
    with pytest.raises(ModelScopeQuotaExceededError):
        agent.invoke(question)
    assert len(calls) == 1
    assert asked(service) == [PLAIN, HYBRID]

    service.reset()
    calls.clear()
    service.next("honest", "server_error")
    expert = chat("Qwen/Qwen3-8B", max_retries=0)
    assert agent.invoke(question)["messages"][-1].text
    assert calls == ["Why?"] * 2


@pytest.mark.skipif(
    not langchain_is("1.4.4"), reason="LangChain before 1.4.4 cuts no summary's middle out"
)
async def test_a_summary_that_is_too_long_is_asked_for_with_its_middle_cut_out(
    chat: MakeChat, service: LocalService
) -> None:
    model = chat(profile={"max_input_tokens": 200})
    middleware = SummarizationMiddleware(
        model, trigger=("fraction", 0.5), keep=("messages", 1), trim_tokens_to_summarize=None
    )
    agent: Any = create_agent(chat(), middleware=[middleware])
    said = [HumanMessage("word " * 4000), AIMessage("so " * 4000), HumanMessage("Hello")]
    service.next("context_length")
    answer = (await agent.ainvoke({"messages": said}))["messages"][-1]

    assert answer.text
    first, second, _ = (len(str(request.body["messages"])) for request in service.requests)
    assert second < first

    service.next("context_length", "context_length")
    with pytest.raises(ModelScopeContextLengthError):
        await agent.ainvoke({"messages": said})
    assert len(service.requests) == 5
