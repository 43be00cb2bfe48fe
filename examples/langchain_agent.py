"""A LangChain agent that calls a Python function and answers with its result.

Run it with a token from https://modelscope.cn/my/myaccesstoken:

    export MODELSCOPE_API_KEY=ms-...
    python examples/langchain_agent.py
"""

from typing import Literal

from langchain.agents import create_agent
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import tool

from langchain_modelscope import ChatModelScope

PRICES = {"lite": 0.5, "standard": 1, "ultra": 2}  # Magicubes a call, since August 2026
QUESTION = "I have 250 Magicubes. How many calls to an ultra model can I make?"


@tool
def affordable_calls(magicubes: int, tier: Literal["lite", "standard", "ultra"]) -> str:
    """Say how many calls to a tier of model a number of Magicubes pays for."""
    return f"{magicubes} Magicubes pay for {magicubes / PRICES[tier]:.0f} calls."


def main() -> list[AnyMessage]:
    """Ask, show each step of the agent as it comes, and return the messages."""
    model = ChatModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", temperature=0)
    agent = create_agent(model, tools=[affordable_calls])

    messages: list[AnyMessage] = []
    question = HumanMessage(QUESTION)
    for state in agent.stream({"messages": [question]}, stream_mode="values"):
        messages = state["messages"]
        messages[-1].pretty_print()
    return messages


if __name__ == "__main__":
    main()
