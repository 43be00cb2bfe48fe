"""LangChain's built-in middlewares and the packages around it, each on this model."""

from __future__ import annotations

import importlib.util
import warnings
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


def needs(package: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"the package {package} is not installed")


@needs("deepagents")
def test_a_deep_agent_answers(chat: MakeChat) -> None:
    from deepagents import create_deep_agent

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agent = create_deep_agent(model=chat(), tools=[order_status])
        state = agent.invoke({"messages": [("user", "Hello")]})
    assert state["messages"][-1].text


@needs("langgraph_supervisor")
def test_a_supervisor_hands_over(chat: MakeChat) -> None:
    from langgraph_supervisor import create_supervisor

    clerk = create_agent(chat(), tools=[order_status], name="clerk")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = create_supervisor([clerk], model=chat()).compile()
        state = graph.invoke({"messages": [("user", "Hello")]})
    assert state["messages"][-1].text


@needs("mcp")
@needs("langchain_mcp_adapters")
async def test_tools_of_a_server_are_called(chat: MakeChat) -> None:
    import os
    import sys

    from langchain_mcp_adapters.client import MultiServerMCPClient

    code = (
        "from mcp.server.fastmcp import FastMCP\n"
        "server = FastMCP('shop')\n"
        "@server.tool()\n"
        "def order_status(order: int) -> str:\n"
        "    'Look up the status of an order by its number.'\n"
        "    return f'Order {order} arrives on Tuesday.'\n"
        "server.run()\n"
    )
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    place = {
        "command": sys.executable,
        "args": ["-c", code],
        "env": paths,
        "transport": "stdio",
    }
    tools = await MultiServerMCPClient({"shop": place}).get_tools()
    agent: Any = create_agent(chat(), tools=tools)
    state = await agent.ainvoke({"messages": [("user", ASKED)]})
    assert "Tuesday" in str(state["messages"])
