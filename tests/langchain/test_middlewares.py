"""LangChain's built-in middlewares, each on this model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    LLMToolEmulator,
    LLMToolSelectorMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    PIIMiddleware,
    SummarizationMiddleware,
    TodoListMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
)
from langgraph.checkpoint.memory import InMemorySaver

from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, PLAIN, MakeChat

ASKED = 'Use the tool order_status for order 4711. Mail "ada@example.com".'


def order_status(order: int) -> str:
    """Look up the status of an order by its number."""
    return f"Order {order} arrives on Tuesday."


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It rains in {city}."


MIDDLEWARES: dict[str, Callable[[MakeChat], Any]] = {
    "ModelFallback": lambda chat: ModelFallbackMiddleware(chat(HYBRID)),
    "ModelRetry": lambda chat: ModelRetryMiddleware(on_failure="error"),
    "ModelCallLimit": lambda chat: ModelCallLimitMiddleware(run_limit=5),
    "ToolCallLimit": lambda chat: ToolCallLimitMiddleware(run_limit=5),
    "ToolRetry": lambda chat: ToolRetryMiddleware(),
    "Summarization": lambda chat: SummarizationMiddleware(
        chat(), trigger=("messages", 3), keep=("messages", 2)
    ),
    "ContextEditing": lambda chat: ContextEditingMiddleware(
        edits=[ClearToolUsesEdit(trigger=10, keep=0)]
    ),
    "ToolSelector": lambda chat: LLMToolSelectorMiddleware(model=chat(), max_tools=2),
    "ToolEmulator": lambda chat: LLMToolEmulator(model=chat(), tools=["weather"]),
    "TodoList": lambda chat: TodoListMiddleware(),
    "PII": lambda chat: PIIMiddleware("email", strategy="redact"),
    "HumanInTheLoop": lambda chat: HumanInTheLoopMiddleware(interrupt_on={"weather": True}),
}


@pytest.mark.parametrize("name", MIDDLEWARES)
async def test_an_agent_answers_with_each_of_them(
    chat: MakeChat, service: LocalService, name: str
) -> None:
    agent: Any = create_agent(
        chat(PLAIN),
        tools=[order_status, weather],
        middleware=[MIDDLEWARES[name](chat)],
        checkpointer=InMemorySaver(),
    )
    for thread, call in enumerate(("sync", "async")):
        config = {"configurable": {"thread_id": str(thread)}}
        asked = {"messages": [("user", ASKED)]}
        state = (
            agent.invoke(asked, config) if call == "sync" else await agent.ainvoke(asked, config)
        )
        assert state["messages"][-1].type == "ai"
        assert state["messages"][-1].text
        assert state["messages"][-1].response_metadata["model_provider"] == "modelscope"
    if name == "PII":
        assert "ada@example.com" not in str(service.requests[0].body)


def test_a_fallback_is_asked_when_an_allowance_is_spent(
    chat: MakeChat, service: LocalService
) -> None:
    service.next("model_spent")
    agent: Any = create_agent(chat(), middleware=[ModelFallbackMiddleware(chat(HYBRID))])
    state = agent.invoke({"messages": [("user", "Hello")]})
    assert state["messages"][-1].response_metadata["model_name"] == HYBRID


def test_there_are_twelve() -> None:
    assert len(MIDDLEWARES) == 12
