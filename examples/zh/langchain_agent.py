"""调用 Python 函数并用其结果作答的 LangChain 智能体。

用 https://modelscope.cn/my/myaccesstoken 的令牌运行：

    export MODELSCOPE_API_KEY=ms-...
    python examples/zh/langchain_agent.py
"""

from typing import Literal

from langchain.agents import create_agent
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import tool

from langchain_modelscope import ChatModelScope

PRICES = {"lite": 0.5, "standard": 1, "ultra": 2}  # 每次调用的魔粒，自 2026 年 8 月起
QUESTION = "我有 250 魔粒，可以调用 ultra 档的模型多少次？"


@tool
def affordable_calls(magicubes: int, tier: Literal["lite", "standard", "ultra"]) -> str:
    """告诉用户若干魔粒可以调用某一档（tier）的模型多少次。"""
    return f"{magicubes} 魔粒可以调用 {magicubes / PRICES[tier]:.0f} 次。"


def main() -> list[AnyMessage]:
    """提问，显示智能体的每一步，并返回消息。"""
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
