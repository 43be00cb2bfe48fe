"""Agents and tools of packages around LangChain, each on this model, sync and async.

The packages want a LangChain newer than the one that is locked for everything else, so they have a
lock file and an environment of their own: `make test-middlewares` runs this there. Elsewhere a test
is skipped where its package is missing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Any

import pytest
from langchain.agents import create_agent

from modelscope_transport.emulator import LocalService, Reply
from tests.langchain.conftest import MakeChat

pytestmark = pytest.mark.filterwarnings("ignore")  # what they say of each other is theirs to mend

ASKED = {"messages": [("user", "Use the tool order_status for order 4711.")]}
TOLD = "Order 4711 arrives on Tuesday."


def order_status(order: int) -> str:
    """Look up the status of an order by its number."""
    return f"Order {order} arrives on Tuesday."


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where a package is missing, but never where all of them have to be there."""
    missing = importlib.util.find_spec(package) is None and "ALL_NEIGHBOURS" not in os.environ
    return pytest.mark.skipif(missing, reason=f"the package {package} is not installed")


async def run(agent: Any, asked: Any, *, native: bool) -> list[Any]:
    """The messages of a run."""
    state = await agent.ainvoke(asked) if native else agent.invoke(asked)
    messages: list[Any] = state["messages"]
    return messages


def results(messages: list[Any]) -> dict[str, str]:
    """What each tool said."""
    return {message.name: message.text for message in messages if message.type == "tool"}


both = pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])


@both
@needs("deepagents")
async def test_a_deep_agent_calls_its_tools(chat: MakeChat, native: bool) -> None:
    from deepagents import create_deep_agent

    agent = create_deep_agent(model=chat(), tools=[order_status])
    messages = await run(agent, ASKED, native=native)
    assert results(messages) == {"order_status": TOLD}
    assert TOLD in messages[-1].text

    written = {"messages": [("user", "Use the tool write_file with 'notes'.")]}
    assert "notes" in results(await run(agent, written, native=native))["write_file"]


@both
@needs("deepagents")
async def test_a_deep_agent_hands_work_to_another(
    chat: MakeChat, service: LocalService, native: bool
) -> None:
    from deepagents import create_deep_agent

    given = {"description": "Say hello.", "subagent_type": "general-purpose"}
    call = {"id": "a", "function": {"name": "task", "arguments": json.dumps(given)}}
    message = {"content": None, "tool_calls": [call]}
    service.next(Reply(200, {"choices": [{"message": message, "finish_reason": "tool_calls"}]}))

    agent = create_deep_agent(model=chat())
    messages = await run(agent, {"messages": [("user", "Say hello.")]}, native=native)
    assert results(messages)["task"]
    assert "Say hello." in str(service.requests[1].body["messages"])
    assert len(service.requests) == 3  # the agent, the one it asked, and the agent again


@both
@needs("langgraph_supervisor")
async def test_a_supervisor_hands_over_and_gets_the_answer_back(
    chat: MakeChat, native: bool
) -> None:
    from langgraph_supervisor import create_supervisor

    clerk = create_agent(chat(), tools=[order_status], name="clerk")
    graph = create_supervisor([clerk], model=chat()).compile()
    told = "Use the tool transfer_to_clerk. Then use the tool order_status for order 4711."
    messages = await run(graph, {"messages": [("user", told)]}, native=native)
    assert [message.name for message in messages if message.type == "ai"] == [
        "supervisor",
        "clerk",
        "clerk",
        "supervisor",
    ]
    assert any(TOLD in message.text for message in messages if message.name == "clerk")


SHOP = """
from mcp.server.fastmcp import FastMCP

server = FastMCP("shop")


@server.tool()
def order_status(order: int) -> str:
    "Look up the status of an order by its number."
    return f"Order {order} arrives on Tuesday."


server.run()
"""


@needs("mcp")
@needs("langchain_mcp_adapters")
async def test_tools_of_a_server_are_called(chat: MakeChat) -> None:
    from langchain_mcp_adapters.client import MultiServerMCPClient

    place = {
        "command": sys.executable,
        "args": ["-c", SHOP],
        "env": {"PYTHONPATH": os.pathsep.join(sys.path)},
        "transport": "stdio",
    }
    tools = await MultiServerMCPClient({"shop": place}).get_tools()
    messages = await run(create_agent(chat(), tools=tools), ASKED, native=True)
    assert results(messages)["order_status"] == TOLD
    assert TOLD in messages[-1].text
