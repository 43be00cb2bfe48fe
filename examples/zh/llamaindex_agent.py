"""调用 Python 函数并用其结果作答的 LlamaIndex 智能体。

用 https://modelscope.cn/my/myaccesstoken 的令牌运行：

    export MODELSCOPE_API_KEY=ms-...
    python examples/zh/llamaindex_agent.py
"""

import asyncio
from datetime import datetime, timedelta, timezone

from llama_index.core.agent.workflow import AgentOutput, AgentStream, FunctionAgent, ToolCallResult

from llamaindex_modelscope import ModelScope

QUESTION = "在 UTC+8 时区，离午夜还有多久？"  # 北京的一天由此开始


def time_until_midnight(utc_offset: int) -> str:
    """告诉用户在与 UTC 相差若干小时的时区，离午夜还有多久。"""
    now = datetime.now(timezone(timedelta(hours=utc_offset)))
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = round((midnight - now).total_seconds() / 60)
    return f"{minutes // 60} 小时 {minutes % 60} 分钟"


async def answer(question: str) -> AgentOutput:
    """让智能体处理一个问题，实时显示它的调用和文字。"""
    llm = ModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", temperature=0)
    agent = FunctionAgent(tools=[time_until_midnight], llm=llm)

    handler = agent.run(question)
    async for event in handler.stream_events():
        if isinstance(event, ToolCallResult):
            print(f"[{event.tool_name}({event.tool_kwargs}) -> {event.tool_output.content}]")
        elif isinstance(event, AgentStream):
            print(event.delta, end="", flush=True)
    print()
    return await handler


def main() -> AgentOutput:
    """提一个问题。"""
    return asyncio.run(answer(QUESTION))


if __name__ == "__main__":
    main()
